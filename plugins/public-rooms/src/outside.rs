//! From outside: events that services and operators send to a room, and what operators ask.

use exedra_sdk::prelude::*;

use crate::{
    PublicRooms,
    names::{self, check_id},
    records::RoomRecord,
    trouble::Trouble,
    wire::Stats,
};

/// Names that a client's library keeps for itself.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

impl PublicRooms {
    /// Sends an event to everybody in a room's namespace.
    pub(crate) fn broadcast(&self, room: &str, event: &str, payload: &Value) -> Result<()> {
        check_id(room, "roomId")?;
        if RESERVED.contains(&event) {
            return Err(Trouble::InvalidRequest.because(format!("the name `{event}` is reserved")));
        }
        self.hub.room(names::audience(room)).emit(event, payload)
    }

    /// Totals, and the connections of one address.
    pub(crate) async fn stats(&self, ip: Option<String>) -> Result<Stats> {
        let most = usize::try_from(self.settings.max_rooms).unwrap_or(usize::MAX);
        let rooms = self.hub.kv().list_all::<RoomRecord>(names::ROOMS, most).await?;
        let (mut active_rooms, mut total_participants) = (0, 0);
        for room in &rooms {
            let count = self.hub.room(names::occupants(&room.value.room_id)).count()?;
            active_rooms += usize::from(count > 0);
            total_participants += count;
        }
        let connection_count = match ip {
            Some(ip) => Some(self.connection_count(&ip).await?),
            None => None,
        };
        Ok(Stats {
            total_connections: self.watch.len(),
            total_rooms: rooms.len(),
            active_rooms,
            total_participants,
            connection_count,
        })
    }
}
