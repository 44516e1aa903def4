//! Which rooms this node attends, counted by who is in them here; and room messages to and from the other nodes. Within
//! a room they are handed on as they come; over all rooms, what a node has sent in its order, and an answer after what
//! it answers: each carries the time of a clock that goes on with every message sent and heard (Lamport's).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{Either, Shared, select},
};
use parking_lot::Mutex;

use super::{
    Hub, United,
    beginning::{Passing, Points},
};
use crate::{
    Class, Connection, Message, Task,
    cluster::parcel::Parcel,
    port::{Address, BusError, Place, Point},
    recovery::{Heard, Origin, Recorded, Word},
    rooms::RoomKey,
};

/// How long a client may wait until its node attends a room it has joined.
const ATTEND: Duration = Duration::from_secs(1);

/// The rooms that are attended. An entry is made with the first connection in a room here and goes with the last.
#[derive(Default)]
pub(super) struct Interests {
    pub(super) rooms: Mutex<HashMap<RoomKey, Attending>>,
    /// Rooms that are attended although nobody may be in them here, and for how many.
    pins: Mutex<HashMap<RoomKey, usize>>,
    /// The connection to the other nodes is away, and clients may come back: rooms wait, from their beginning.
    pub(super) away: AtomicBool,
    /// How many are to read what was missed, or do; meanwhile rooms wait too. Grows while the rooms are held.
    pub(super) catching_up: AtomicUsize,
    /// Held while what was missed is read and handed on: two who do so would overtake each other.
    pub(super) making_up: futures_util::lock::Mutex<()>,
    /// Rooms that are about to be attended.
    coming: Arc<AtomicUsize>,
    /// The time on the nodes' common clock: later than everything that was sent or heard here.
    time: AtomicU64,
    /// How often a room has been attended.
    turns: AtomicU64,
    pub(super) points: Points,
    pub(super) passing: Passing,
}

/// A room that is attended.
pub(super) struct Attending {
    /// Ends when nothing is missed any more.
    ready: Shared<Task>,
    /// Which time that a room is attended this is.
    pub(super) turn: u64,
    /// What is kept up to here was sent before the room was attended; `None` before that is known.
    pub(super) from: Option<Point>,
    /// The newest recoverable event of each sender that was handed on, or sent before the room was attended.
    pub(super) heard: Heard,
    /// What has come while older events are being read; `None` when none are.
    pub(super) waiting: Option<Vec<Parcel>>,
    /// Events before which something is missing that has been looked for, while anything waits: sender and number.
    pub(super) sought: Vec<(Word, u64)>,
}

impl Hub {
    /// Attends a room, or stops, as there is somebody in it here or not. Whoever comes last sees what is true.
    pub(super) fn sync_interest(self: &Arc<Self>, united: &United, key: &RoomKey) {
        let mut rooms = united.interests.rooms.lock();
        let heard = self.rooms.is_heard(key) || united.interests.pins.lock().contains_key(key);
        if heard == rooms.contains_key(key) {
            return;
        }
        let place = self.place(key);
        if !heard {
            rooms.remove(key);
            if rooms.capacity() > 64 && rooms.len() < rooms.capacity() / 4 {
                rooms.shrink_to_fit();
            }
            return united.link.abandon(&place);
        }
        let (attended, coming) = (united.link.attend(&place), united.interests.coming.clone());
        coming.fetch_add(1, Ordering::AcqRel);
        let ready: Task = Box::pin(async move {
            attended.await;
            coming.fetch_sub(1, Ordering::AcqRel);
        });
        let ready = ready.shared();
        let waiting = united.interests.is_held().then(Vec::new);
        let turn = united.interests.turns.fetch_add(1, Ordering::Relaxed);
        let attending = Attending {
            ready: ready.clone(),
            turn,
            from: None,
            heard: Heard::default(),
            waiting,
            sought: Vec::new(),
        };
        rooms.insert(key.clone(), attending);
        drop(rooms);
        let (hub, key) = (self.clone(), key.clone());
        self.spawn(Box::pin(async move {
            ready.await;
            hub.note_beginning(key, turn).await;
        }));
    }

    /// Ends when nothing is missed any more of what is sent in a connection's rooms.
    pub(in super::super) async fn attended(&self, connection: &Connection) {
        let Some(united) = self.united.get() else { return };
        if united.interests.coming.load(Ordering::Acquire) == 0 {
            return;
        }
        let keys: Vec<RoomKey> =
            connection.state.lock().rooms.iter().map(|place| place.key.clone()).collect();
        let _ = self.attended_all(united, &keys).await; // when the bus is away, who is here is served all the same
    }

    /// Keeps attending rooms that nobody may be in yet, until it is taken off again.
    pub(super) fn pin_interest(self: &Arc<Self>, united: &United, keys: &[RoomKey], pin: bool) {
        for key in keys {
            {
                let mut pins = united.interests.pins.lock();
                let count = pins.entry(key.clone()).or_insert(0_usize);
                *count = if pin { *count + 1 } else { count.saturating_sub(1) };
                if *count == 0 {
                    pins.remove(key);
                }
            }
            self.sync_interest(united, key);
        }
    }

    /// Ends when nothing is missed any more of what is sent in these rooms; `false` when that takes too long.
    pub(super) async fn attended_all(&self, united: &United, keys: &[RoomKey]) -> bool {
        for key in keys {
            let ready = united.interests.rooms.lock().get(key).map(|room| room.ready.clone());
            if let Some(ready) = ready
                && let Either::Right(_) = select(ready, self.parts.clock.sleep(ATTEND)).await
            {
                return false;
            }
        }
        true
    }

    /// Sends a room message to the other nodes that attend the room.
    pub(in super::super) fn spread(
        &self,
        key: &RoomKey,
        message: &Message,
        class: Class,
        recorded: Option<&Recorded>,
        except: Option<Origin>,
    ) {
        let place = self.place(key);
        let to = if recorded.is_some() { Address::Kept(place) } else { Address::Passing(place) };
        if let Err(error) = self.send_parcel(&to, message, class, recorded, except) {
            if let Some(slot) = self.slot(key.plugin) {
                slot.metrics.dropped("bus_slow");
            }
            tracing::debug!(%error, room = &*key.name, "other nodes do not hear a room message");
        }
    }

    /// Keeps an event of one session where other nodes find it.
    pub(in super::super) fn keep_for_session(&self, origin: Origin, message: &Message, recorded: &Recorded) {
        if self.is_united() {
            let to = Address::Session(origin.to_string().into());
            if let Err(error) = self.send_parcel(&to, message, Class::Reliable, Some(recorded), None) {
                tracing::debug!(%error, "an event is not kept for its session");
            }
        }
    }

    fn send_parcel(
        &self,
        to: &Address,
        message: &Message,
        class: Class,
        recorded: Option<&Recorded>,
        except: Option<Origin>,
    ) -> Result<(), BusError> {
        let Some(united) = self.united.get() else { return Ok(()) };
        let (number, before) = recorded.map_or((0, 0), |recorded| (recorded.number, recorded.before));
        let time = united.interests.time.fetch_add(1, Ordering::Relaxed) + 1;
        let message = message.clone();
        let parcel = Parcel { sender: self.word, number, before, except, class, time, message };
        united.link.send(to, parcel.encode().ok_or(BusError::TooLarge)?)?;
        self.parts.metrics.cluster.parcels_out.inc();
        Ok(())
    }

    /// Room messages of other nodes: everybody in their rooms here hears them, in the order of their times.
    pub(super) fn take_parcels(self: &Arc<Self>, came: Vec<(Arc<Place>, Bytes)>) {
        let Some(united) = self.united.get() else { return };
        let read = |(place, bytes): (Arc<Place>, Bytes)| {
            let key = self.key_of(&place)?;
            let parcel = Parcel::decode(&bytes);
            if parcel.is_none() {
                tracing::debug!(room = &*key.name, "a room message of another node cannot be read");
            }
            Some((key, parcel?))
        };
        let mut parcels: Vec<(RoomKey, Parcel)> = came.into_iter().filter_map(read).collect();
        self.parts.metrics.cluster.parcels_in.inc_by(parcels.len() as u64);
        parcels.sort_by_key(|(_, parcel)| parcel.time); // keeps the order of those without one
        if let Some((_, last)) = parcels.last() {
            united.interests.time.fetch_max(last.time, Ordering::Relaxed);
        }
        for (key, parcel) in parcels {
            self.take_new(united, &key, parcel);
        }
        united.interests.passing.tell();
    }
}
