//! Links: whose they are, which rooms they follow, and how they end. A link follows a room in the form in which it named
//! it, `1` or `"1"`, and hears of it in the same form.

use std::collections::BTreeSet;

use exedra_sdk::{keys, prelude::*, time::Timestamp};

use crate::{
    Hangouts,
    ids::{RoomId, UserId},
    rooms::refused,
    wire::{ErrorMessage, Established, RoomAction, RoomStatus, Stats},
};

/// Rooms of the hub that all links are spread over, to be counted.
const SHARDS: u64 = 64;

/// What is noted at a link, and counted of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Link {
    user: String,
    /// The rooms that it follows.
    rooms: Vec<u64>,
}

impl Hangouts {
    /// Greets a link, or says why not and closes it: a refused WebSocket could not be told.
    pub(crate) async fn welcome(&self, conn: &Conn) -> Result<()> {
        self.place(conn).await.or_else(|error| {
            self.closed.with("refused").inc();
            tell_and_close(conn, &error);
            Ok(())
        })
    }

    async fn place(&self, conn: &Conn) -> Result<()> {
        let said = || conn.query("userId").and_then(UserId::check).map(|id| id.0);
        let user = conn.user().map(|user| user.user_id.clone()).or_else(said);
        let user = user.ok_or_else(|| refused("userId is required: connect to /ws/rooms?userId=…"))?;
        let mine = self.hub.room(keys::key(&["user", &user]));
        let claimed =
            mine.claim_as(conn, conn.public_id(), &(), u64::from(self.settings.links_per_user)).await;
        claimed.map_err(|error| match error.code {
            Code::Busy => error.with_code("TOO_MANY_CONNECTIONS"),
            _ => error,
        })?;
        self.note(conn, &Link { user: user.clone(), rooms: Vec::new() })?;
        self.heard(conn);
        let timestamp = Timestamp(self.hub.now_ms());
        let message = "Connected to room updates";
        conn.emit("CONNECTION_ESTABLISHED", &Established { user_id: user, timestamp, message })
    }

    /// `JOIN_ROOM`: the link follows a room.
    pub(crate) fn subscribe(&self, conn: &Conn, action: &RoomAction) -> Result<()> {
        let mut link = self.link_of(conn, action)?;
        let RoomId { number, text } = action.room_id;
        if !link.rooms.contains(&number) {
            if link.rooms.len() >= self.settings.rooms_per_link as usize {
                let most = self.settings.rooms_per_link;
                let error = Error::rate_limited(format!("a connection follows at most {most} rooms"));
                return Err(error.with_code("TOO_MANY_ROOMS"));
            }
            link.rooms.push(number);
        }
        self.followers(number, !text).take_out(conn)?;
        self.followers(number, text).join_as(conn, conn.public_id(), &(), 0)?;
        self.note(conn, &link)
    }

    /// `LEAVE_ROOM`: the link follows it no more.
    pub(crate) fn unsubscribe(&self, conn: &Conn, action: &RoomAction) -> Result<()> {
        let mut link = self.link_of(conn, action)?;
        for text in [false, true] {
            self.followers(action.room_id.number, text).take_out(conn)?;
        }
        link.rooms.retain(|number| *number != action.room_id.number);
        self.note(conn, &link)
    }

    /// `GET_ROOM_STATUS`.
    pub(crate) fn status(&self, room_id: RoomId) -> Result<RoomStatus> {
        let count = |text| self.followers(room_id.number, text).count();
        let connected_clients = count(false)? + count(true)?;
        Ok(RoomStatus { room_id, connected_clients, timestamp: Timestamp(self.hub.now_ms()) })
    }

    /// Sends something to all links that follow a room, to each with the id in its own form.
    pub(crate) fn follow<T: Serialize>(
        &self,
        event: &str,
        number: u64,
        say: impl Fn(RoomId) -> T,
    ) -> Result<()> {
        for text in [false, true] {
            self.followers(number, text).emit(event, &say(RoomId { number, text }))?;
        }
        Ok(())
    }

    /// All links, counted.
    pub(crate) fn stats(&self) -> Result<Stats> {
        let (mut links, mut users, mut rooms) = (0, BTreeSet::new(), BTreeSet::new());
        for shard in 0..SHARDS {
            for link in
                self.hub.room(shard_of(shard)).members::<Link>()?.into_iter().filter_map(|one| one.meta)
            {
                links += 1;
                users.insert(link.user);
                rooms.extend(link.rooms);
            }
        }
        Ok(Stats {
            total_rooms_with_clients: rooms.len(),
            total_connections: links,
            total_users_tracked: users.len(),
            active_rooms: rooms.into_iter().collect(),
        })
    }

    /// The link said something.
    pub(crate) fn heard(&self, conn: &Conn) {
        self.idle.set(conn.id(), self.hub.now_ms() + self.settings.idle_after.as_ms());
    }

    fn link_of(&self, conn: &Conn, action: &RoomAction) -> Result<Link> {
        let link = conn.get_data::<Link>()?.ok_or_else(|| Error::gone("the connection has ended"))?;
        if action.user_id.as_ref().is_some_and(|id| id.0 != link.user) {
            return Err(Error::forbidden("this connection belongs to another user").with_code("INVALID_USER"));
        }
        Ok(link)
    }

    fn note(&self, conn: &Conn, link: &Link) -> Result<()> {
        self.hub.room(shard_of(conn.id() % SHARDS)).join_as(conn, conn.public_id(), link, 0)?;
        conn.set_data(link)
    }

    fn followers(&self, number: u64, text: bool) -> Room {
        self.hub.room(format!("room/{number}/{}", if text { "text" } else { "number" }))
    }
}

/// Says why, and closes a link.
pub(crate) fn tell_and_close(conn: &Conn, error: &Error) {
    let told = conn.emit("ERROR", &ErrorMessage { code: error.code_str(), message: &error.message });
    if let Err(gone) = told.and_then(|()| conn.disconnect()) {
        exedra_sdk::debug!("not told: {gone}");
    }
}

fn shard_of(shard: u64) -> String {
    format!("links/{shard}")
}
