//! A room as it is stored: who is in it, how many may be, what happened last. Pure, so that the rule that nobody gets
//! into a full room is a few lines, and holds wherever the value is changed.

use exedra_sdk::{prelude::*, text, time::Timestamp};

use crate::{
    ids::RoomId,
    wire::{ParticipantView, RoomEvent, RoomNotice, RoomUpdate, RoomView},
};

/// Most characters of a room's name.
const MAX_ROOM_NAME: usize = 100;

/// A room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Room {
    pub(crate) number: u64,
    name: String,
    max: u32,
    created_at: u64,
    pub(crate) used_at: u64,
    /// Whether an operator wants it to stay.
    pub(crate) kept: bool,
    /// In order of joining.
    people: Vec<Person>,
    last: Last,
    /// How far events over the bus have changed it.
    #[serde(default)]
    pub(crate) taken: Mark,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Person {
    id: String,
    name: String,
    joined_at: u64,
    /// When it last joined.
    seen_at: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Last {
    event: RoomEvent,
    who: Option<String>,
    at: u64,
}

impl Room {
    /// A new room.
    pub(crate) fn new(number: u64, name: &str, max: u32, kept: bool, now: u64) -> Result<Self> {
        let last = Last { event: RoomEvent::RoomCreated, who: None, at: now };
        let name = text::label("name", name, MAX_ROOM_NAME).map_err(invalid)?;
        let (people, taken) = (Vec::new(), Mark::default());
        Ok(Self { number, name, max, created_at: now, used_at: now, kept, people, last, taken })
    }

    /// Puts somebody in; somebody who is in already stays, for another while. Gives what the room is told.
    pub(crate) fn join(&mut self, id: &str, name: &str, now: u64) -> Result<Vec<RoomUpdate>> {
        self.used_at = now;
        if let Some(person) = self.people.iter_mut().find(|person| person.id == id) {
            person.seen_at = now;
            return Ok(Vec::new());
        }
        if self.is_full() {
            return Err(Error::conflict("the room is full").with_code("ROOM_FULL"));
        }
        self.people.push(Person { id: id.to_owned(), name: name.to_owned(), joined_at: now, seen_at: now });
        Ok(vec![self.happened(RoomEvent::UserJoined, Some(name.to_owned()), now)])
    }

    /// Takes somebody out; somebody who is not in stays out.
    pub(crate) fn leave(&mut self, id: &str, now: u64) -> Vec<RoomUpdate> {
        let Some(at) = self.people.iter().position(|person| person.id == id) else { return Vec::new() };
        self.used_at = now;
        let gone = self.people.remove(at);
        vec![self.happened(RoomEvent::UserLeft, Some(gone.name), now)]
    }

    /// Takes everyone out who has not joined again for so long.
    pub(crate) fn expire(&mut self, ttl: Span, now: u64) -> Vec<RoomUpdate> {
        let over: Vec<String> = self.over(ttl, now).map(|person| person.id.clone()).collect();
        over.iter().flat_map(|id| self.leave(id, now)).collect()
    }

    /// Whether [`Room::expire`] would do something.
    pub(crate) fn has_expired(&self, ttl: Span, now: u64) -> bool {
        self.over(ttl, now).next().is_some()
    }

    /// Another name, another size; whoever is in stays.
    pub(crate) fn change(
        &mut self,
        name: Option<&str>,
        max: Option<u32>,
        now: u64,
    ) -> Result<Vec<RoomUpdate>> {
        if let Some(name) = name {
            self.name = text::label("name", name, MAX_ROOM_NAME).map_err(invalid)?;
        }
        self.max = max.unwrap_or(self.max);
        self.used_at = now;
        Ok(vec![self.happened(RoomEvent::RoomChanged, None, now)])
    }

    /// Whether nobody else may join.
    pub(crate) fn is_full(&self) -> bool {
        self.count() >= self.max
    }

    /// Whether nobody is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// What somebody in the room is called.
    pub(crate) fn name_of(&self, id: &str) -> Option<&str> {
        self.people.iter().find(|person| person.id == id).map(|person| person.name.as_str())
    }

    /// The last update.
    pub(crate) fn update(&self) -> RoomUpdate {
        RoomUpdate {
            room_id: RoomId::number(self.number),
            event: self.last.event,
            participant_name: self.last.who.clone(),
            current_participants: self.count(),
            max_participants: self.max,
            is_full: self.is_full(),
            available_slots: self.max.saturating_sub(self.count()),
            timestamp: Timestamp(self.last.at),
        }
    }

    /// What is said when it fills or frees.
    pub(crate) fn notice(&self) -> RoomNotice {
        let RoomUpdate {
            room_id,
            current_participants,
            max_participants,
            is_full,
            available_slots,
            timestamp,
            ..
        } = self.update();
        RoomNotice { room_id, current_participants, max_participants, is_full, available_slots, timestamp }
    }

    /// As REST shows it.
    pub(crate) fn view(&self) -> RoomView {
        RoomView {
            kind: "ROOM_UPDATE",
            id: self.number,
            name: self.name.clone(),
            update: self.update(),
            created_at: Timestamp(self.created_at),
        }
    }

    /// Everyone in it.
    pub(crate) fn people(&self) -> Vec<ParticipantView> {
        let view = |person: &Person| ParticipantView {
            user_id: person.id.clone(),
            participant_name: person.name.clone(),
            joined_at: Timestamp(person.joined_at),
        };
        self.people.iter().map(view).collect()
    }

    fn over(&self, ttl: Span, now: u64) -> impl Iterator<Item = &Person> {
        self.people.iter().filter(move |person| ttl.is_over(person.seen_at, now))
    }

    fn count(&self) -> u32 {
        self.people.len() as u32
    }

    fn happened(&mut self, event: RoomEvent, who: Option<String>, at: u64) -> RoomUpdate {
        self.last = Last { event, who, at };
        self.update()
    }
}

fn invalid(error: Error) -> Error {
    error.with_code("INVALID_REQUEST")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(max: u32) -> Room {
        Room::new(1, "Main", max, false, 0).unwrap()
    }

    #[test]
    fn full_room_takes_nobody() {
        let mut room = room(2);
        assert_eq!(room.join("1", "Ann", 1).unwrap().len(), 1);
        let update = room.join("2", "Bob", 2).unwrap().remove(0);
        assert_eq!((update.current_participants, update.is_full, update.available_slots), (2, true, 0));
        assert_eq!(room.join("3", "Cyd", 3).unwrap_err().code_str(), "ROOM_FULL");
        assert!(room.join("1", "Ann", 3).unwrap().is_empty(), "who is in stays in");
        assert_eq!(room.leave("1", 4)[0].available_slots, 1);
        assert!(room.join("3", "Cyd", 5).is_ok());
    }

    #[test]
    fn shrunk_room_has_no_slots() {
        let mut room = room(3);
        for id in ["1", "2", "3"] {
            room.join(id, id, 1).unwrap();
        }
        let update = room.change(None, Some(1), 2).unwrap().remove(0);
        assert_eq!((update.current_participants, update.is_full, update.available_slots), (3, true, 0));
    }

    #[test]
    fn absent_people_leave_in_time() {
        let mut room = room(3);
        room.join("1", "Ann", 0).unwrap();
        room.join("2", "Bob", 0).unwrap();
        room.join("2", "Bob", 900).unwrap();
        assert!(!room.has_expired(Span::secs(1), 999));
        let updates = room.expire(Span::secs(1), 1000);
        assert_eq!(updates.len(), 1);
        assert_eq!(updates[0].participant_name.as_deref(), Some("Ann"));
    }
}
