//! Which rooms this node attends, counted by who is in them here; and room messages to and from the other nodes.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{Either, Shared, select},
};
use parking_lot::Mutex;

use super::{Hub, United};
use crate::{Class, ConnId, Connection, Message, Task, cluster::parcel::Parcel, port::Place, rooms::RoomKey};

/// How long a client may wait until its node attends a room it has joined.
const ATTEND: Duration = Duration::from_secs(1);

/// The rooms that are attended. An entry is made with the first connection in a room here and goes with the last.
#[derive(Default)]
pub(super) struct Interests {
    rooms: Mutex<HashMap<RoomKey, Shared<Task>>>,
    /// Rooms that are about to be attended.
    coming: Arc<AtomicUsize>,
}

impl Hub {
    /// Attends a room, or stops, as there is somebody in it here or not. Whoever comes last sees what is true.
    pub(super) fn sync_interest(&self, united: &United, key: &RoomKey) {
        let mut rooms = united.interests.rooms.lock();
        let heard = self.rooms.is_heard(key);
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
        rooms.insert(key.clone(), ready.clone());
        drop(rooms);
        self.spawn(Box::pin(ready));
    }

    /// Ends when nothing is missed any more of what is sent in a connection's rooms.
    pub(in super::super) async fn attended(&self, connection: &Connection) {
        let Some(united) = self.united.get() else { return };
        if united.interests.coming.load(Ordering::Acquire) == 0 {
            return;
        }
        let keys: Vec<RoomKey> =
            connection.state.lock().rooms.iter().map(|place| place.key.clone()).collect();
        for key in keys {
            let ready = united.interests.rooms.lock().get(&key).cloned();
            if let Some(ready) = ready
                && let Either::Right(_) = select(ready, self.parts.clock.sleep(ATTEND)).await
            {
                return; // the bus is away; who is here is served all the same
            }
        }
    }

    /// Sends a room message to the other nodes that attend the room.
    pub(in super::super) fn send_parcel(
        &self,
        key: &RoomKey,
        message: &Message,
        class: Class,
        number: u64,
        except: Option<ConnId>,
    ) {
        let Some(united) = self.united.get() else { return };
        let except = except.map_or(0, |id| id.0);
        let parcel = Parcel { sender: united.me, number, except, class, message: message.clone() };
        let Some(bytes) = parcel.encode() else { return };
        if let Err(error) = united.link.send(&self.place(key), bytes) {
            if let Some(slot) = self.slot(key.plugin) {
                slot.metrics.dropped("bus_slow");
            }
            tracing::debug!(%error, room = &*key.name, "other nodes do not hear a room message");
        }
    }

    /// A room message of another node: everybody in the room here hears it.
    pub(super) fn take_parcel(&self, place: &Place, bytes: &Bytes) {
        let Some(key) = self.key_of(place) else { return };
        let Some(parcel) = Parcel::decode(bytes) else {
            return tracing::debug!(room = &*key.name, "a room message of another node cannot be read");
        };
        self.deliver_parcel(&key, parcel);
    }
}
