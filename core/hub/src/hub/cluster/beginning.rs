//! From when on a room is heard here. What is kept of it may be older, and nobody here is owed that; what is newer has
//! been heard, or will be. So a client that is given what is kept is not given any of it twice.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Poll, Waker},
    time::Duration,
};

use futures_util::future::{Either, poll_fn, select};
use parking_lot::Mutex;

use super::{Hub, Interests, United, interest::Attending, sessions::History};
use crate::{cluster::parcel::Parcel, port::Mark, rooms::RoomKey};

/// How long a client may wait until its node has heard what is kept of its rooms.
const HEARD: Duration = Duration::from_secs(3);

/// The pause before a question that was not answered is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// Rooms whose beginning is asked for, all that come meanwhile with one question.
#[derive(Default)]
pub(super) struct Marks(Mutex<Asking>);

#[derive(Default)]
struct Asking {
    rooms: Vec<(RoomKey, u64)>,
    asked: bool,
    /// The newest mark so far: what is kept up to there is older than anything that begins now.
    newest: Option<Mark>,
}

/// Who waits for room messages to be handed on.
#[derive(Default)]
pub(super) struct Passing(Mutex<Vec<Waker>>);

impl Hub {
    /// A room is attended: finds out what of it was sent before.
    pub(super) async fn mark_beginning(self: &Arc<Self>, key: RoomKey, turn: u64) {
        let Some(united) = self.united.get().filter(|_| self.parts.limits.recovery.is_some()) else { return };
        let interests = &united.interests;
        if !interests.marks.put((key, turn)) {
            return; // whoever asks now asks again
        }
        while let Some(mut rooms) = interests.marks.take() {
            let answered = united.link.reached().await.ok();
            let Some(mark) = interests.marks.newest(answered, interests.away.load(Ordering::Acquire)) else {
                rooms.retain(|(key, turn)| interests.is_attended(key, *turn));
                interests.marks.put_back(rooms);
                self.parts.clock.sleep(AGAIN).await;
                continue;
            };
            let mut attended = interests.rooms.lock();
            for (key, turn) in rooms {
                if let Some(room) = attended.get_mut(&key).filter(|room| room.turn == turn) {
                    room.from = Some(mark);
                }
            }
            drop(attended);
            interests.passing.tell();
        }
    }

    /// Ends when everything that is kept of rooms has been heard here, or is older; `false` when that takes too long.
    pub(super) async fn heard_all(&self, united: &United, kept: &[(RoomKey, History)]) -> bool {
        let heard = poll_fn(|cx| {
            united.interests.passing.wait(cx.waker());
            let is_heard = |(key, kept): &(RoomKey, History)| {
                let others = kept.iter().filter(|(_, parcel)| parcel.sender != self.word);
                united.interests.has_heard(key, others)
            };
            if kept.iter().all(is_heard) { Poll::Ready(()) } else { Poll::Pending }
        });
        matches!(select(heard, self.parts.clock.sleep(HEARD)).await, Either::Left(_))
    }
}

impl Interests {
    fn is_attended(&self, key: &RoomKey, turn: u64) -> bool {
        self.rooms.lock().get(key).is_some_and(|room| room.turn == turn)
    }

    /// Whether a room has heard what is kept of it; takes note of what is older than the room.
    fn has_heard<'a>(&self, key: &RoomKey, kept: impl Iterator<Item = &'a (Mark, Parcel)>) -> bool {
        let mut rooms = self.rooms.lock();
        let Some(room) = rooms.get_mut(key) else { return true }; // of a plugin that is none any more
        if room.from.is_none() {
            return false;
        }
        let mut all = true;
        for (at, parcel) in kept {
            all &= room.is_older(*at, parcel) || parcel.number <= room.heard.of(parcel.sender);
        }
        all
    }
}

impl Attending {
    /// Whether a parcel that is kept was sent before the room was attended; then it is never handed on here.
    pub(super) fn is_older(&mut self, at: Mark, parcel: &Parcel) -> bool {
        let is_older = self.from.is_some_and(|from| at <= from);
        if is_older {
            self.heard.note(parcel.sender, parcel.number);
        }
        is_older
    }
}

impl Marks {
    /// Adds a room; whether somebody has to ask.
    fn put(&self, room: (RoomKey, u64)) -> bool {
        let mut asking = self.0.lock();
        asking.rooms.push(room);
        !std::mem::replace(&mut asking.asked, true)
    }

    /// What is to be asked for; with nothing, asking is over.
    fn take(&self) -> Option<Vec<(RoomKey, u64)>> {
        let mut asking = self.0.lock();
        asking.asked = !asking.rooms.is_empty();
        asking.asked.then(|| std::mem::take(&mut asking.rooms))
    }

    fn put_back(&self, rooms: Vec<(RoomKey, u64)>) {
        self.0.lock().rooms.extend(rooms);
    }

    /// The mark that was answered; while the others are away the newest before: a room that begins then is owed what is
    /// kept meanwhile. `None` when it is to be asked for again.
    fn newest(&self, answered: Option<Mark>, is_away: bool) -> Option<Mark> {
        let newest = &mut self.0.lock().newest;
        *newest = answered.max(*newest);
        newest.filter(|_| answered.is_some() || is_away)
    }
}

impl Passing {
    fn wait(&self, waker: &Waker) {
        self.0.lock().push(waker.clone());
    }

    /// Something has been handed on.
    pub(super) fn tell(&self) {
        let waiting = std::mem::take(&mut *self.0.lock());
        waiting.into_iter().for_each(Waker::wake);
    }
}
