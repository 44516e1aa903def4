//! Room messages that were missed while this node was cut off: where they are kept, they are handed on late instead of
//! never. Meanwhile what comes waits, in every room, so that the events of a sender keep their order.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use futures_util::{StreamExt, stream};

use super::{Hub, Interests, United, interest::Attending};
use crate::{cluster::parcel::Parcel, port::Point, recovery::Word, rooms::RoomKey};

/// Rooms that are read at the same time.
const AT_ONCE: usize = 16;
/// Room messages that may wait in a room meanwhile; what is more is missed.
const MAX_WAITING: usize = 4096;

impl Hub {
    /// The connection to the other nodes is away: what comes after it waits until what was missed has been read.
    pub(super) fn hold_rooms(&self) {
        if let Some(united) = self.united.get().filter(|_| self.parts.limits.recovery.is_some()) {
            let mut rooms = united.interests.rooms.lock();
            united.interests.away.store(true, Ordering::Release);
            hold(&mut rooms);
        }
    }

    /// The connection is back.
    pub(super) fn catch_up(self: &Arc<Self>) {
        let Some(united) = self.united.get().filter(|_| self.parts.limits.recovery.is_some()) else { return };
        let keys = {
            let mut rooms = united.interests.rooms.lock();
            united.interests.catching_up.fetch_add(1, Ordering::AcqRel);
            united.interests.away.store(false, Ordering::Release);
            hold(&mut rooms); // in case nobody noticed that it was away
            rooms.keys().cloned().collect()
        };
        self.begin_making_up(keys);
    }

    /// Reads what was missed in rooms. All rooms wait meanwhile, and it is one more that catches up.
    fn begin_making_up(self: &Arc<Self>, keys: Vec<RoomKey>) {
        let hub = self.clone();
        self.spawn(Box::pin(async move {
            let Some(united) = hub.united.get() else { return };
            let done = CatchingUp(&united.interests);
            hub.make_up(united, keys).await;
            drop(done);
            hub.let_waiting_through(united);
            united.interests.passing.tell();
        }));
    }

    async fn make_up(self: &Arc<Self>, united: &United, mut keys: Vec<RoomKey>) {
        let _turn = united.interests.making_up.lock().await;
        let Some(up_to) = self.point(united).await else {
            return tracing::warn!("what was said on other nodes meanwhile cannot be read");
        };
        // What was sent before the point has come by now: where it shows more to be missing, it is read with the rest. It
        // still counts as not looked for: what shows it may have come later, and so may be what is missing.
        let more = united.interests.rooms_with_holes();
        keys.extend(more.into_iter().filter(|key| !keys.contains(key)).collect::<Vec<_>>());
        let read = |key: &RoomKey| {
            let (key, reading) = (key.clone(), self.read_history(united, self.kept_of(key), up_to));
            async move { (key, reading.await) }
        };
        let readings = keys.iter().map(read).collect::<Vec<_>>();
        let histories: Vec<_> = stream::iter(readings).buffer_unordered(AT_ONCE).collect().await;
        let mut missed: Vec<(Point, RoomKey, Parcel)> = Vec::new();
        for (key, history) in histories {
            let Some(history) = history else {
                tracing::warn!(room = &*key.name, "what was said on other nodes meanwhile cannot be read");
                continue;
            };
            missed.extend(history.iter().map(|(at, parcel)| (*at, key.clone(), parcel.clone())));
        }
        missed.sort_unstable_by_key(|(at, ..)| *at);
        for (at, key, parcel) in missed {
            if parcel.sender != self.word && united.interests.was_missed(&key, at, &parcel) {
                self.parts.metrics.cluster.caught_up.inc();
                self.hand_on(united, &key, parcel);
            }
        }
    }

    /// Hands on what waits, unless it has to go on waiting, or more is missing.
    fn let_waiting_through(self: &Arc<Self>, united: &United) {
        loop {
            match united.interests.take_waiting() {
                Waiting::None => return,
                Waiting::Behind(keys) => return self.begin_making_up(keys),
                Waiting::Ready(waiting) => {
                    for (key, parcel) in waiting {
                        if united.interests.is_new(&key, &parcel) {
                            self.hand_on(united, &key, parcel);
                        }
                    }
                }
            }
        }
    }

    /// A parcel as it comes: handed on, or left to wait. One that does not follow the last of its sender says that
    /// something was missed.
    pub(super) fn take_new(self: &Arc<Self>, united: &United, key: &RoomKey, parcel: Parcel) {
        if parcel.number == 0 && self.parts.limits.recovery.is_none() {
            return self.deliver_parcel(key, parcel); // nothing ever waits
        }
        let parcel = {
            let mut rooms = united.interests.rooms.lock();
            let Some(room) = rooms.get_mut(key) else { return }; // it has been left meanwhile
            if let Some(waiting) = room.waiting.as_mut().filter(|waiting| waiting.len() < MAX_WAITING) {
                return waiting.push(parcel);
            }
            if room.waiting.is_none() && room.misses(&parcel) {
                room.waiting = Some(vec![parcel]);
                room.seek_holes();
                united.interests.catching_up.fetch_add(1, Ordering::AcqRel);
                hold(&mut rooms);
                None
            } else if room.is_new(&parcel) {
                Some(parcel)
            } else {
                return;
            }
        };
        let Some(parcel) = parcel else {
            return self.begin_making_up(vec![key.clone()]);
        };
        self.hand_on(united, key, parcel);
    }

    /// Everybody in the room hears a parcel; then the room has heard it, and not before, so that no client comes in
    /// between with what is kept.
    fn hand_on(&self, united: &United, key: &RoomKey, parcel: Parcel) {
        let (sender, number) = (parcel.sender, parcel.number);
        self.deliver_parcel(key, parcel);
        if number > 0
            && let Some(room) = united.interests.rooms.lock().get_mut(key)
        {
            room.heard.note(sender, number);
        }
    }
}

/// Lets everything that comes wait, in all rooms: in one that went on, a sender would be ahead of itself.
fn hold(rooms: &mut HashMap<RoomKey, Attending>) {
    for room in rooms.values_mut() {
        room.waiting.get_or_insert_default();
    }
}

/// Whether a parcel names one before it that is newer than the last of its sender.
fn leaves_out(parcel: &Parcel, last: u64) -> bool {
    parcel.number > 0 && last > 0 && parcel.before > last
}

/// What waits in rooms.
enum Waiting {
    /// Nothing, or it has to go on waiting.
    None,
    /// It may be handed on, in this order.
    Ready(Vec<(RoomKey, Parcel)>),
    /// Something is missing before it in these rooms. Counted as catching up.
    Behind(Vec<RoomKey>),
}

/// One that catches up, until this is dropped.
struct CatchingUp<'a>(&'a Interests);

impl Drop for CatchingUp<'_> {
    fn drop(&mut self) {
        self.0.catching_up.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Interests {
    /// Whether what comes has to wait; asked with the rooms held.
    pub(super) fn is_held(&self) -> bool {
        self.away.load(Ordering::Acquire) || self.catching_up.load(Ordering::Acquire) > 0
    }

    /// What waits, in the order of its times; when nothing does, nothing has to any more.
    fn take_waiting(&self) -> Waiting {
        let mut rooms = self.rooms.lock();
        if self.is_held() {
            return Waiting::None;
        }
        let seek = rooms.iter_mut().filter_map(|(key, room)| room.seek_holes().then(|| key.clone()));
        let behind: Vec<RoomKey> = seek.collect();
        if !behind.is_empty() {
            self.catching_up.fetch_add(1, Ordering::AcqRel);
            return Waiting::Behind(behind);
        }
        let mut all = Vec::new();
        for (key, room) in rooms.iter_mut() {
            let waiting = room.waiting.iter_mut().flat_map(std::mem::take);
            all.extend(waiting.map(|parcel| (key.clone(), parcel)));
        }
        if all.is_empty() {
            rooms.values_mut().for_each(|room| (room.waiting, room.sought) = (None, Vec::new()));
            return Waiting::None;
        }
        all.sort_by_key(|(_, parcel)| parcel.time);
        Waiting::Ready(all)
    }

    /// Rooms where what waits shows that something is missing that has not been looked for yet.
    fn rooms_with_holes(&self) -> Vec<RoomKey> {
        let rooms = self.rooms.lock();
        rooms.iter().filter(|(_, room)| !room.holes().is_empty()).map(|(key, _)| key.clone()).collect()
    }

    /// Whether a parcel has not been handed on yet.
    fn is_new(&self, key: &RoomKey, parcel: &Parcel) -> bool {
        self.rooms.lock().get(key).is_some_and(|room| room.is_new(parcel))
    }

    /// The same for one that is kept.
    fn was_missed(&self, key: &RoomKey, at: Point, parcel: &Parcel) -> bool {
        let is_missed = |room: &mut Attending| !room.is_older(at, parcel) && room.is_new(parcel);
        self.rooms.lock().get_mut(key).is_some_and(is_missed)
    }
}

impl Attending {
    /// Whether something of the sender was missed before a parcel.
    fn misses(&self, parcel: &Parcel) -> bool {
        leaves_out(parcel, self.heard.of(parcel.sender))
    }

    /// Of what waits, that before which something is missing that has not been looked for yet.
    fn holes(&self) -> Vec<(Word, u64)> {
        let mut last: HashMap<Word, u64> = HashMap::new();
        let mut holes = Vec::new();
        for parcel in self.waiting.iter().flatten() {
            let last = last.entry(parcel.sender).or_insert_with(|| self.heard.of(parcel.sender));
            let hole = (parcel.sender, parcel.number);
            if leaves_out(parcel, *last) && !self.sought.contains(&hole) {
                holes.push(hole);
            }
            *last = (*last).max(parcel.number);
        }
        holes
    }

    /// The same, which is looked for from now on: up to a point that is asked for later, or it may be behind it. What is
    /// not found is not looked for again.
    fn seek_holes(&mut self) -> bool {
        let holes = self.holes();
        self.sought.extend(&holes);
        !holes.is_empty()
    }

    fn is_new(&self, parcel: &Parcel) -> bool {
        parcel.number == 0 || parcel.number > self.heard.of(parcel.sender)
    }
}
