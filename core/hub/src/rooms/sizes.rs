//! How large rooms are, for operators: one shard's lock at a time, and nothing but numbers is copied.

use super::{RoomKey, Rooms};

/// A room's size.
#[derive(Debug, Clone)]
pub struct Size {
    /// The room.
    pub key: RoomKey,
    /// Its members.
    pub members: usize,
    /// The connections in it.
    pub connections: usize,
}

impl<T: Clone> Rooms<T> {
    /// The sizes of all rooms, in no order.
    pub fn sizes(&self) -> Vec<Size> {
        let mut sizes = Vec::new();
        for shard in &*self.shards {
            sizes.extend(shard.lock().iter().map(|(key, room)| Size {
                key: key.clone(),
                members: room.members.len(),
                connections: room.audience.len(),
            }));
        }
        sizes
    }
}
