//! Public rooms: people without an account meet in rooms, each a namespace of its own. This file is the plugin's face:
//! its events, routes and subjects, each a few lines that lead to the file where the thing is done.
//!
//! Who is where is kept in the hub's rooms, which go with the connections; users and rooms are stored. Only what belongs
//! to the connections of this node (when each was heard last) is kept here.

pub mod settings;
pub mod wire;

mod address;
mod door;
mod inside;
mod names;
mod outside;
mod pulse;
mod records;
#[cfg(test)]
mod tests;
mod trouble;
mod watch;

use exedra_sdk::{Shelf, prelude::*};

use crate::{
    address::{Address, Addresses},
    pulse::Times,
    settings::Settings,
    trouble::{CODES, Trouble},
    watch::Watch,
    wire::*,
};

/// The plugin.
pub struct PublicRooms {
    hub: Hub,
    settings: Settings,
    addresses: Addresses,
    users: Shelf,
    rooms: Shelf,
    watch: Arc<Watch>,
    joins: Counter,
    pings: Counter,
    pong_seconds: Histogram,
    errors: Counter,
}

#[plugin(
    name = "public-rooms",
    description = "Rooms that anybody may enter, with limits per address and health checks",
    namespace = "/public-room/{roomId}",
    auth = "none",
    emits = [
        /// Somebody is in the room.
        "user-joined": UserJoined,
        /// Somebody is not in the room any more.
        "user-left": UserLeft,
        /// The connection has been silent for long; answer with `pong`.
        "ping": (),
        /// Something failed, or the connection is refused.
        "error": ErrorEvent<'static>,
        /// How long to wait before the next attempt; comes before the `error` of a refused connection.
        "backoff": Backoff,
        /// Another member says something to this one.
        "signal": SignalOut,
        /// What an operator has to say.
        "room-update": Value,
        /// Whatever else an operator sends to the room.
        "*": Value,
    ],
    outs = [
        /// Somebody is in the room.
        "joined": UserJoined,
        /// Somebody is not in the room any more.
        "left": UserLeft,
    ],
    metrics = [
        gauge("connections", "Connections of this node."),
        counter("joins_total", "Joins over sockets, also repeated ones."),
        counter("pings_total", "Pings sent to silent connections."),
        histogram("pong_seconds", "From a ping to its pong."),
        counter("errors_total", "Errors that clients were told of.", label "code" in CODES),
    ]
)]
impl PublicRooms {
    fn new(settings: Settings, hub: Hub) -> Result<Self> {
        settings.check()?;
        let times = Times {
            idle_after: settings.idle_after.as_ms(),
            interval: settings.ping_interval.as_ms(),
            timeout: settings.pong_timeout.as_ms(),
            max_missed: settings.max_missed_pings,
        };
        Ok(Self {
            watch: Arc::new(Watch::new(hub.clone(), times, hub.gauge("connections")?)),
            joins: hub.counter("joins_total")?,
            pings: hub.counter("pings_total")?,
            pong_seconds: hub.histogram("pong_seconds")?,
            errors: hub.counter("errors_total")?,
            addresses: Addresses::default(),
            users: Shelf::new(names::USERS),
            rooms: Shelf::new(names::ROOMS),
            settings,
            hub,
        })
    }

    // ---- sockets ----

    #[connect]
    async fn connected(&self, conn: Conn) -> Result<()> {
        self.let_in(&conn).await
    }

    #[disconnect]
    async fn disconnected(&self, conn: Conn) {
        self.watch.forget(conn.id());
    }

    /// Joins the room of the namespace.
    #[event("join-room")]
    async fn join_room(&self, conn: Conn, who: Result<Payload<JoinRoom>, Error>) -> Result<Entered> {
        self.watch.heard(&conn);
        let joined = self.join(&conn, who.map(|Payload(who)| who)).await;
        self.outcome(&conn, Trouble::JoinError, joined)
    }

    /// Leaves the room; the connection ends.
    #[event("leave-room")]
    async fn leave_room(&self, conn: Conn, who: Result<Payload<Who>, Error>) -> Result<()> {
        self.watch.heard(&conn);
        let left = self.leave(&conn, who.map(|Payload(who)| who)).await;
        self.outcome(&conn, Trouble::LeaveError, left)
    }

    /// Answers a ping.
    #[event("pong")]
    async fn pong(&self, conn: Conn) {
        if let Some(took) = self.watch.pong(&conn) {
            self.pong_seconds.observe(took);
        }
    }

    /// Says something to one other member, for calls between browsers.
    #[event("signal")]
    async fn relay(&self, conn: Conn, args: Args, signal: Result<Payload<SignalIn>, Error>) -> Result<Done> {
        self.watch.heard(&conn);
        let sent = self.signal(&conn, signal.map(|Payload(signal)| signal), args.json.len());
        self.outcome(&conn, Trouble::InvalidRequest, sent)
    }

    #[leave]
    async fn left(&self, room: RoomName, member: Member) -> Result<()> {
        self.gone(&room, &member.user)
    }

    // ---- REST ----

    /// Makes a user of the caller's address.
    #[http(POST, "/api/public/users", body_limit = 4096, errors = [400 "INVALID_REQUEST", 429, 503 "NO_PLACE"])]
    async fn post_user(&self, peer: Peer, new: Result<Json<NewUser>, Error>) -> Result<Created<UserView>> {
        let Json(new) = new.map_err(malformed)?;
        Ok(Created(self.make_user(&self.address(peer).await?, new).await?))
    }

    /// Makes a room.
    #[http(
        POST,
        "/api/public/rooms",
        body_limit = 4096,
        errors = [400 "INVALID_REQUEST", 409 "ROOM_EXISTS", 429, 503 "NO_PLACE"]
    )]
    async fn post_room(&self, peer: Peer, new: Result<Json<NewRoom>, Error>) -> Result<Created<RoomView>> {
        let Json(new) = new.map_err(malformed)?;
        Ok(Created(self.make_room(&self.address(peer).await?, new).await?))
    }

    /// Lists the rooms.
    #[http(GET, "/api/public/rooms", errors = [400 "INVALID_REQUEST"])]
    async fn get_rooms(&self, page: Result<Query<Page>, Error>) -> Result<Json<RoomList>> {
        let Query(page) = page.map_err(malformed)?;
        self.list_rooms(page).await.map(Json)
    }

    /// Shows a room and who is in it.
    #[http(GET, "/api/public/rooms/{roomId}", errors = [400 "INVALID_REQUEST", 404 "ROOM_NOT_FOUND"])]
    async fn get_room(&self, Path(id): Path<String>) -> Result<Json<RoomDetail>> {
        let room = self.room(&id).await?;
        Ok(Json(RoomDetail { room: self.view(&room)?, participants: self.participants(&id)? }))
    }

    /// Takes a place in a room, to be followed by a connection.
    #[http(
        POST,
        "/api/public/rooms/{roomId}/join",
        body_limit = 4096,
        errors = [400 "INVALID_REQUEST", 403 "INVALID_USER", 404 "ROOM_NOT_FOUND", 409 "ROOM_FULL"]
    )]
    async fn post_join(
        &self,
        peer: Peer,
        Path(id): Path<String>,
        who: Result<Json<Who>, Error>,
    ) -> Result<Json<Entered>> {
        let Json(who) = who.map_err(malformed)?;
        self.join_over_rest(&self.address(peer).await?, &id, who).await.map(Json)
    }

    /// Leaves a room.
    #[http(
        POST,
        "/api/public/rooms/{roomId}/leave",
        body_limit = 4096,
        errors = [400 "INVALID_REQUEST", 403 "INVALID_USER", 404 "ROOM_NOT_FOUND"]
    )]
    async fn post_leave(
        &self,
        peer: Peer,
        Path(id): Path<String>,
        who: Result<Json<Who>, Error>,
    ) -> Result<Json<Exited>> {
        let Json(who) = who.map_err(malformed)?;
        self.leave_over_rest(&self.address(peer).await?, &id, who).await.map(Json)
    }

    /// Totals, and how many connections an address has; for administrators.
    #[http(GET, "/api/public/stats", auth = "required", errors = [400 "INVALID_REQUEST", 403])]
    async fn get_stats(&self, me: User, Query(of): Query<StatsOf>) -> Result<Json<Stats>> {
        if !me.has_role(&self.settings.admin_role) {
            return Err(Error::forbidden("this is for administrators"));
        }
        self.stats(of.ip_address).await.map(Json)
    }

    // ---- outside services ----

    /// Broadcasts an event to everybody in the room's namespace.
    #[inject("*")]
    async fn injected(&self, room: RoomName, event: EventName, Json(payload): Json<Value>) -> Result<()> {
        self.broadcast(&room, &event, &payload)
    }

    /// How many connections an address has.
    #[rpc("connections")]
    async fn rpc_connections(&self, Json(of): Json<ConnectionsOf>) -> Result<ConnectionCount> {
        Ok(ConnectionCount { connection_count: self.connection_count(&of.ip_address).await? })
    }

    /// Totals, and the connections of an address.
    #[rpc("stats")]
    async fn rpc_stats(&self, Json(of): Json<Option<StatsOf>>) -> Result<Stats> {
        self.stats(of.unwrap_or_default().ip_address).await
    }

    /// The rooms, page by page.
    #[rpc("list-rooms")]
    async fn rpc_rooms(&self, Json(page): Json<Option<Page>>) -> Result<RoomList> {
        self.list_rooms(page.unwrap_or_default()).await
    }

    /// A room and who is in it.
    #[rpc("get-room")]
    async fn rpc_room(&self, Json(which): Json<Which>) -> Result<RoomDetail> {
        let room = self.room(&which.room_id).await?;
        Ok(RoomDetail { room: self.view(&room)?, participants: self.participants(&which.room_id)? })
    }

    /// Makes a room that stays, or changes one.
    #[rpc("put-room")]
    async fn rpc_put_room(&self, Json(put): Json<PutRoom>) -> Result<RoomView> {
        self.put_room(put).await
    }

    /// Forgets a room.
    #[rpc("remove-room")]
    async fn rpc_remove_room(&self, Json(which): Json<Which>) -> Result<Done> {
        self.remove_room(&which.room_id).await?;
        Ok(Done { success: true })
    }

    // ---- by itself ----

    /// Begins to ask silent connections whether they are there.
    #[start]
    async fn start(&self) -> Result<()> {
        let watch = Arc::clone(&self.watch);
        let (pings, errors) = (self.pings.clone(), self.errors.clone());
        self.hub.spawn(async move {
            let ping = |conn: &Conn| conn.emit("ping", &()).inspect(|()| pings.inc());
            watch.run(ping, |conn| door::time_out(conn, &errors)).await;
        })
    }

    /// Forgets users and rooms that nobody has used for long.
    #[every("30s")]
    async fn sweep(&self) -> Result<()> {
        self.sweep_records().await
    }
}

impl PublicRooms {
    async fn address(&self, Peer(ip): Peer) -> Result<Address> {
        self.addresses.of(ip, &self.hub.kv()).await
    }

    fn count_error(&self, error: &Error) {
        if CODES.contains(&error.code_str()) {
            self.errors.with(error.code_str()).inc();
        }
    }
}

/// A body or query that is not what it should be.
fn malformed(error: Error) -> Error {
    let message = error.message.clone();
    Trouble::InvalidRequest.because(message)
}

exedra_sdk::export!(PublicRooms);
