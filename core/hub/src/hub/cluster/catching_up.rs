//! Room messages that were missed while this node was cut off: where they are kept, they are handed on late instead of
//! never. Meanwhile what comes waits, in every room, so that the events of a sender keep their order.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use futures_util::{StreamExt, stream};

use super::{Hub, United, interest::Attending};
use crate::{cluster::parcel::Parcel, port::Mark, rooms::RoomKey};

/// Rooms that are read at the same time.
const AT_ONCE: usize = 16;
/// Room messages that may wait in a room meanwhile; what is more is missed.
const MAX_WAITING: usize = 4096;

impl Hub {
    /// The connection to the other nodes is away: what comes after it waits until what was missed has been read.
    pub(super) fn hold_rooms(&self) {
        let Some(united) = self.united.get().filter(|_| self.parts.limits.recovery.is_some()) else { return };
        let mut rooms = united.interests.rooms.lock();
        united.interests.away.store(true, Ordering::Release);
        for room in rooms.values_mut() {
            room.waiting.get_or_insert_default();
        }
    }

    /// The connection is back.
    pub(super) fn catch_up(self: &Arc<Self>) {
        self.hold_rooms(); // in case nobody noticed that it was away
        let Some(united) = self.united.get().filter(|_| self.parts.limits.recovery.is_some()) else { return };
        let keys: Vec<RoomKey> = {
            let rooms = united.interests.rooms.lock();
            united.interests.away.store(false, Ordering::Release);
            rooms.keys().cloned().collect()
        };
        let hub = self.clone();
        self.spawn(Box::pin(async move { hub.make_up(keys).await }));
    }

    async fn make_up(self: Arc<Self>, keys: Vec<RoomKey>) {
        let Some(united) = self.united.get() else { return };
        let _turn = united.interests.catching_up.lock().await;
        let read = |key: &RoomKey| {
            let (key, reading) = (key.clone(), self.read_room(united, key));
            async move { (key, reading.await) }
        };
        let readings = keys.iter().map(read).collect::<Vec<_>>();
        let histories: Vec<_> = stream::iter(readings).buffer_unordered(AT_ONCE).collect().await;
        let mut missed: Vec<(Mark, RoomKey, Parcel)> = Vec::new();
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
                self.deliver_parcel(&key, parcel);
            }
        }
        self.let_waiting_through(united, &keys);
        united.interests.passing.tell();
    }

    fn let_waiting_through(&self, united: &United, keys: &[RoomKey]) {
        while let Some(waiting) = united.interests.take_waiting(keys) {
            for (key, parcel) in waiting {
                if united.interests.is_new(&key, &parcel) {
                    self.deliver_parcel(&key, parcel);
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
                None
            } else if room.is_new(&parcel) {
                Some(parcel)
            } else {
                return;
            }
        };
        let Some(parcel) = parcel else {
            let (hub, keys) = (self.clone(), vec![key.clone()]);
            return self.spawn(Box::pin(async move { hub.make_up(keys).await }));
        };
        self.deliver_parcel(key, parcel);
    }
}

impl super::Interests {
    /// What waits in rooms, in the order of its times; when nothing does, nothing waits there any more.
    fn take_waiting(&self, keys: &[RoomKey]) -> Option<Vec<(RoomKey, Parcel)>> {
        let mut rooms = self.rooms.lock();
        let mut all = Vec::new();
        for key in keys {
            let waiting = rooms.get_mut(key).and_then(|room| room.waiting.as_mut());
            all.extend(waiting.into_iter().flat_map(std::mem::take).map(|parcel| (key.clone(), parcel)));
        }
        if all.is_empty() {
            for key in keys {
                if let Some(room) = rooms.get_mut(key) {
                    room.waiting = None;
                }
            }
            return None;
        }
        all.sort_by_key(|(_, parcel)| parcel.time);
        Some(all)
    }

    /// Whether a parcel has not been handed on yet; takes note of it.
    fn is_new(&self, key: &RoomKey, parcel: &Parcel) -> bool {
        let rooms: &mut HashMap<_, _> = &mut self.rooms.lock();
        rooms.get_mut(key).is_some_and(|room| room.is_new(parcel))
    }

    /// The same for one that is kept.
    fn was_missed(&self, key: &RoomKey, at: Mark, parcel: &Parcel) -> bool {
        let rooms: &mut HashMap<_, _> = &mut self.rooms.lock();
        rooms.get_mut(key).is_some_and(|room| !room.is_older(at, parcel) && room.is_new(parcel))
    }
}

impl Attending {
    /// Whether something of the sender was missed before a parcel.
    fn misses(&self, parcel: &Parcel) -> bool {
        let last = self.heard.of(parcel.sender);
        parcel.number > 0 && last > 0 && parcel.before > last
    }

    fn is_new(&mut self, parcel: &Parcel) -> bool {
        if parcel.number == 0 {
            return true;
        }
        let is_new = parcel.number > self.heard.of(parcel.sender);
        self.heard.note(parcel.sender, parcel.number);
        is_new
    }
}
