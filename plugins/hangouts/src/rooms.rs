//! Rooms: stored, changed one change after another, and told to the links that follow them.
//!
//! A change is written on condition that nobody else was faster, so a room never holds more than it may, on however
//! many nodes people join. On one node changes of a room wait for each other, so that the links hear of them in the
//! order in which they happened.

use exedra_sdk::{
    Shelf,
    futures::lock::{Mutex, MutexGuard},
    keys,
    prelude::*,
    time::Timestamp,
};

use crate::{
    Hangouts,
    ids::{LARGEST, RoomId},
    room::Room,
    wire::{
        ChangeRoom, Membership, NewRoom, News, Page, Removed, RoomClosed, RoomEvent, RoomList, RoomUpdate,
        RoomView, Told, Who,
    },
};

/// Where the next free number is stored.
const SEQUENCE: &str = "sequence";
const ROOMS: &str = "rooms/";
/// Locks that rooms share.
const LOCKS: usize = 64;
/// How often a change is tried against other nodes.
const ATTEMPTS: usize = 64;
/// How many numbers are tried when others have taken them.
const NUMBERS: usize = 64;
/// Most rooms on a page.
const MAX_PAGE: u32 = 100;
/// Most characters of a participant's name.
const MAX_NAME: usize = 64;
/// What a participant without a name is called.
const NAMELESS: &str = "User";

/// What the plugin keeps about rooms: no state, only who waits for whom.
#[derive(Debug)]
pub(crate) struct Turns {
    locks: Vec<Mutex<()>>,
    pub(crate) shelf: Shelf,
}

impl Default for Turns {
    fn default() -> Self {
        Self { locks: (0..LOCKS).map(|_| Mutex::new(())).collect(), shelf: Shelf::new(ROOMS) }
    }
}

impl Turns {
    async fn of(&self, number: u64) -> MutexGuard<'_, ()> {
        self.locks[(number % LOCKS as u64) as usize].lock().await
    }
}

/// Who joins or leaves: an id, and a name if one is known.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
}

impl Person {
    /// Whom a token names, else who somebody says to be.
    pub(crate) fn of(user: Option<User>, who: Who) -> Result<Self> {
        let said = who.called().map(text_of).transpose()?;
        if let Some(user) = user {
            let known = user.name.as_deref().and_then(|name| text_of(name).ok());
            return Ok(Self { id: user.user_id, name: known.or(said) });
        }
        let id = who.user_id.ok_or_else(|| refused("userId is required"))?;
        Ok(Self { id: id.0, name: said })
    }
}

impl Hangouts {
    /// Makes a room.
    pub(crate) async fn create(&self, new: NewRoom, kept: bool) -> Result<RoomView> {
        let max = self.size(new.max_participants)?.unwrap_or(self.settings.default_participants);
        self.turns.shelf.has_place(self.settings.max_rooms)?;
        let now = self.hub.now_ms();
        if let Some(id) = new.room_id {
            let room = Room::new(id.number, &new.name, max, kept, now)?;
            self.hub.kv().create(&key(id.number), &room).await.map_err(exists)?;
            return Ok(self.created(&room));
        }
        Room::new(0, &new.name, max, kept, now)?; // what is wrong with it must not use up a number
        for _ in 0..NUMBERS {
            let room = Room::new(self.next_number().await?, &new.name, max, kept, now)?;
            match self.hub.kv().create(&key(room.number), &room).await {
                Ok(_) => return Ok(self.created(&room)),
                Err(error) if error.code == Code::Conflict => {} // somebody has chosen that number
                Err(error) => return Err(error),
            }
        }
        Err(Error::busy("no free number was found, try again"))
    }

    fn created(&self, room: &Room) -> RoomView {
        self.turns.shelf.added();
        let view = room.view();
        self.hub.tell(&room.number.to_string(), "created", &view);
        view
    }

    async fn next_number(&self) -> Result<u64> {
        let _turn = self.turns.of(0).await;
        let next = |last: Option<u64>| match last.unwrap_or(0) {
            last if last < LARGEST => Ok(last + 1),
            _ => Err(Error::busy("all numbers are taken")),
        };
        self.hub.kv().modify(SEQUENCE, next).await
    }

    /// A room.
    pub(crate) async fn room(&self, id: RoomId) -> Result<Room> {
        let found = self.hub.kv().get::<Room>(&key(id.number)).await?;
        found.map(|found| found.value).ok_or_else(no_room)
    }

    /// A page of the rooms, by id.
    pub(crate) async fn list(&self, page: Page) -> Result<RoomList> {
        let limit = page.limit.unwrap_or(50).clamp(1, MAX_PAGE);
        let after = page.after.map(key);
        let found = self.hub.kv().list::<Room>(ROOMS, after.as_deref(), limit).await?;
        let rooms: Vec<_> = found.iter().map(|entry| entry.value.view()).collect();
        let full = rooms.len() == limit as usize;
        let next = rooms.last().filter(|_| full).map(|room| room.id);
        Ok(RoomList { rooms, next })
    }

    /// Puts somebody into a room.
    pub(crate) async fn join(
        &self,
        id: RoomId,
        person: Person,
        delivery: Option<&Delivery>,
    ) -> Result<Membership> {
        let name = person.name.unwrap_or_else(|| NAMELESS.to_owned());
        let ttl = self.settings.participant_ttl;
        let joined = self.change(id, |room, now| {
            if !room.taken.take(delivery) {
                return Ok((Vec::new(), false));
            }
            let mut updates = room.expire(ttl, now);
            let joined = room.join(&person.id, &name, now)?;
            let changed = !joined.is_empty();
            updates.extend(joined);
            Ok((updates, changed))
        });
        let (room, changed) = joined.await.inspect_err(|error| {
            if error.code_str() == "ROOM_FULL" {
                self.refused.inc();
            }
        })?;
        if changed {
            self.joins.inc();
            let told = Told { user_id: person.id.clone(), user_name: Some(name) };
            self.hub.tell(&id.number.to_string(), "joined", &told);
        }
        Ok(Membership { success: true, user_id: person.id, changed, room: room.view() })
    }

    /// Takes somebody out of a room.
    pub(crate) async fn leave(
        &self,
        id: RoomId,
        person: Person,
        delivery: Option<&Delivery>,
    ) -> Result<Membership> {
        let mut name = None;
        let left = self.change(id, |room, now| {
            if !room.taken.take(delivery) {
                return Ok((Vec::new(), false));
            }
            name = room.name_of(&person.id).map(str::to_owned);
            let updates = room.leave(&person.id, now);
            let changed = !updates.is_empty();
            Ok((updates, changed))
        });
        let (room, changed) = left.await?;
        if changed {
            self.leaves.inc();
            let told = Told { user_id: person.id.clone(), user_name: name };
            self.hub.tell(&id.number.to_string(), "left", &told);
        }
        Ok(Membership { success: true, user_id: person.id, changed, room: room.view() })
    }

    /// Another name, another size.
    pub(crate) async fn alter(&self, change: ChangeRoom) -> Result<RoomView> {
        let (name, max) = (change.name.as_deref(), self.size(change.max_participants)?);
        let changed = self.change(change.room_id, |room, now| Ok((room.change(name, max, now)?, ()))).await?;
        Ok(changed.0.view())
    }

    /// Forgets a room.
    pub(crate) async fn remove(&self, id: RoomId) -> Result<()> {
        let _turn = self.turns.of(id.number).await;
        self.room(id).await?;
        self.hub.kv().remove(&key(id.number)).await?;
        let timestamp = Timestamp(self.hub.now_ms());
        self.follow("ROOM_CLOSED", id.number, |room_id| RoomClosed { room_id, timestamp })?;
        self.hub.tell(&id.number.to_string(), "removed", &Removed { room_id: id.number });
        Ok(())
    }

    /// Tells the links about a room that another service keeps.
    pub(crate) fn announce(&self, id: RoomId, news: News) -> Result<()> {
        let participant_name =
            news.participant_name.or(news.user_name).as_deref().map(text_of).transpose()?;
        self.send(&RoomUpdate {
            room_id: RoomId::number(id.number),
            event: news.event.into(),
            participant_name,
            current_participants: news.current_participants,
            max_participants: news.max_participants,
            is_full: news.current_participants >= news.max_participants,
            available_slots: news.max_participants.saturating_sub(news.current_participants),
            timestamp: Timestamp(self.hub.now_ms()),
        })
    }

    /// Forgets rooms that nobody uses, and participants who have not joined again for long.
    pub(crate) async fn sweep_rooms(&self) -> Result<()> {
        let (now, ttl) = (self.hub.now_ms(), self.settings.participant_ttl);
        let mut to_expire = Vec::new();
        let is_over = |room: &Room| {
            if room.has_expired(ttl, now) {
                to_expire.push(room.number);
            }
            !room.kept && room.is_empty() && self.settings.room_ttl.is_over(room.used_at, now)
        };
        self.turns.shelf.sweep(&self.hub.kv(), is_over).await?;
        for number in to_expire {
            let swept =
                self.change(RoomId::number(number), |room, now| Ok((room.expire(ttl, now), ()))).await;
            if let Err(error) = swept {
                exedra_sdk::debug!("room {number} not swept: {}", error.code_str());
            }
        }
        Ok(())
    }

    /// Changes a room: reads, changes, writes unless somebody was faster, and tells the links what has happened.
    async fn change<T>(
        &self,
        id: RoomId,
        mut change: impl FnMut(&mut Room, u64) -> Result<(Vec<RoomUpdate>, T)>,
    ) -> Result<(Room, T)> {
        let (_turn, key) = (self.turns.of(id.number).await, key(id.number));
        for _ in 0..ATTEMPTS {
            let found = self.hub.kv().get::<Room>(&key).await?.ok_or_else(no_room)?;
            let before = found.value;
            let mut room = before.clone();
            let (updates, given) = change(&mut room, self.hub.now_ms())?;
            if room == before {
                return Ok((room, given));
            }
            match self.hub.kv().update(&key, &room, found.revision).await {
                Ok(_) => {
                    self.told(&before, &room, &updates)?;
                    return Ok((room, given));
                }
                Err(error) if error.code == Code::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::busy("too many join or leave at the same time, try again"))
    }

    fn told(&self, before: &Room, after: &Room, updates: &[RoomUpdate]) -> Result<()> {
        updates.iter().try_for_each(|update| self.send(update))?;
        let event = match (before.is_full(), after.is_full()) {
            (false, true) => ("ROOM_FULL", "full"),
            (true, false) => ("ROOM_AVAILABLE", "available"),
            _ => return Ok(()),
        };
        let notice = after.notice();
        self.hub.tell(&after.number.to_string(), event.1, &notice);
        self.follow(event.0, after.number, |room_id| {
            let mut notice = notice.clone();
            notice.room_id = room_id;
            notice
        })
    }

    fn send(&self, update: &RoomUpdate) -> Result<()> {
        self.updates.with(label(update.event)).inc();
        self.follow("ROOM_UPDATE", update.room_id.number, |room_id| RoomUpdate { room_id, ..update.clone() })
    }

    fn size(&self, wanted: Option<u32>) -> Result<Option<u32>> {
        let most = self.settings.max_participants;
        match wanted {
            Some(max) if max == 0 || max > most => {
                Err(refused(format!("maxParticipants must be from 1 to {most}")))
            }
            wanted => Ok(wanted),
        }
    }
}

/// Numbers in order are keys in order.
fn key(number: u64) -> String {
    keys::key(&["rooms", &format!("{number:016}")])
}

fn text_of(name: &str) -> Result<String> {
    exedra_sdk::text::label("userName", name, MAX_NAME).map_err(|error| error.with_code("INVALID_REQUEST"))
}

fn label(event: RoomEvent) -> &'static str {
    match event {
        RoomEvent::RoomCreated => "created",
        RoomEvent::RoomChanged => "changed",
        RoomEvent::UserJoined => "joined",
        RoomEvent::UserLeft => "left",
    }
}

/// What is wrong with a request.
pub(crate) fn refused(sentence: impl Into<String>) -> Error {
    Error::invalid(sentence).with_code("INVALID_REQUEST")
}

pub(crate) fn no_room() -> Error {
    Error::not_found("there is no such room").with_code("ROOM_NOT_FOUND")
}

fn exists(error: Error) -> Error {
    match error.code {
        Code::Conflict => Error::conflict("a room with this id exists already").with_code("ROOM_EXISTS"),
        _ => error,
    }
}
