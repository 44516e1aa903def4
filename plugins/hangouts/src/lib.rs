//! Hangouts: small rooms whose number of participants everybody sees live, over plain WebSocket, or by asking for it over
//! REST. This file is the plugin's face: its actions, routes and subjects, each a few lines that lead to the file where
//! the thing is done.
//!
//! Who is in which room is stored, and changes only through REST and services; a link merely follows rooms.

pub mod ids;
pub mod settings;
pub mod wire;

mod links;
mod room;
mod rooms;
#[cfg(test)]
mod tests;

use exedra_sdk::{Alarms, prelude::*};

use crate::{
    ids::RoomId,
    rooms::{Person, Turns, no_room, refused},
    settings::Settings,
    wire::*,
};

/// The plugin.
pub struct Hangouts {
    hub: Hub,
    settings: Settings,
    turns: Turns,
    /// When the links of this node will have said nothing for too long.
    idle: Arc<Alarms>,
    joins: Counter,
    leaves: Counter,
    refused: Counter,
    updates: Counter,
    closed: Counter,
}

#[plugin(
    name = "hangouts",
    description = "Rooms whose participant counts are live over plain WebSocket and REST",
    endpoint = "/ws/rooms",
    auth = "optional",
    emits = [
        /// The first message.
        "CONNECTION_ESTABLISHED": Established,
        /// Somebody joined or left a room that the link follows, or it was changed.
        "ROOM_UPDATE": RoomUpdate,
        /// How many links follow a room, as asked for.
        "ROOM_STATUS": RoomStatus,
        /// The answer to `PING`.
        "PONG": Pong,
        /// After the update by which the room filled.
        "ROOM_FULL": RoomNotice,
        /// After the update by which the room freed.
        "ROOM_AVAILABLE": RoomNotice,
        /// An operator has removed the room.
        "ROOM_CLOSED": RoomClosed,
        /// Something is wrong with a message, or with the link.
        "ERROR": ErrorMessage<'static>,
    ],
    outs = [
        /// A room was made.
        "created": RoomView,
        /// Somebody joined.
        "joined": Told,
        /// Somebody left.
        "left": Told,
        /// A room has filled.
        "full": RoomNotice,
        /// A room has freed.
        "available": RoomNotice,
        /// A room was removed.
        "removed": Removed,
    ],
    metrics = [
        counter("joins_total", "People who joined a room."),
        counter("leaves_total", "People who left a room."),
        counter("refused_joins_total", "Joins of full rooms."),
        counter("updates_total", "ROOM_UPDATE messages, one for all links.",
            label "event" in ["created", "changed", "joined", "left"]),
        counter("closed_links_total", "Links that were closed from this side.", label "why" in ["refused", "idle"]),
    ]
)]
impl Hangouts {
    fn new(settings: Settings, hub: Hub) -> Result<Self> {
        settings.check()?;
        Ok(Self {
            joins: hub.counter("joins_total")?,
            leaves: hub.counter("leaves_total")?,
            refused: hub.counter("refused_joins_total")?,
            updates: hub.counter("updates_total")?,
            closed: hub.counter("closed_links_total")?,
            turns: Turns::default(),
            idle: Arc::new(Alarms::new(hub.clone())),
            settings,
            hub,
        })
    }

    /// One setting says for the WebSocket and for REST whether people need a token.
    #[manifest]
    fn shape(settings: &Settings, manifest: &mut Manifest) {
        for auth in manifest.endpoints.iter_mut().map(|endpoint| &mut endpoint.auth) {
            *auth = settings.auth.into();
        }
        for auth in manifest.routes.iter_mut().map(|route| &mut route.auth) {
            *auth = settings.auth.into();
        }
    }

    // ---- links ----

    #[connect]
    async fn connected(&self, conn: Conn) -> Result<()> {
        self.welcome(&conn).await
    }

    #[disconnect]
    async fn disconnected(&self, conn: Conn) {
        self.idle.clear(conn.id());
    }

    /// Follows a room.
    #[event("JOIN_ROOM")]
    async fn join_room(&self, conn: Conn, action: Result<Payload<RoomAction>, Error>) -> Result<()> {
        self.heard(&conn);
        self.subscribe(&conn, &action.map_err(malformed)?.0)
    }

    /// Follows it no more.
    #[event("LEAVE_ROOM")]
    async fn leave_room(&self, conn: Conn, action: Result<Payload<RoomAction>, Error>) -> Result<()> {
        self.heard(&conn);
        self.unsubscribe(&conn, &action.map_err(malformed)?.0)
    }

    /// Asks how many follow a room.
    #[event("GET_ROOM_STATUS")]
    async fn get_room_status(&self, conn: Conn, action: Result<Payload<RoomAction>, Error>) -> Result<()> {
        self.heard(&conn);
        conn.emit("ROOM_STATUS", &self.status(action.map_err(malformed)?.0.room_id)?)
    }

    /// Shows that the client is there; answered by `PONG`.
    #[event("PING")]
    async fn ping(&self, conn: Conn) -> Result<()> {
        self.heard(&conn);
        conn.emit("PONG", &Pong { timestamp: exedra_sdk::time::Timestamp(self.hub.now_ms()) })
    }

    /// Anything else is answered by `ERROR`; the link stays.
    #[event("*")]
    async fn unknown(&self, conn: Conn) -> Result<()> {
        self.heard(&conn);
        let known = "JOIN_ROOM, LEAVE_ROOM, GET_ROOM_STATUS or PING";
        Err(Error::unsupported(format!("unknown action; send {known}")).with_code("UNKNOWN_ACTION"))
    }

    // ---- REST ----

    /// Makes a room.
    #[http(
        POST,
        "/api/rooms",
        body_limit = 4096,
        errors = [400 "INVALID_REQUEST", 409 "ROOM_EXISTS", 503 "NO_PLACE"]
    )]
    async fn post_room(&self, new: Result<Json<NewRoom>, Error>) -> Result<Created<RoomView>> {
        Ok(Created(self.create(new.map_err(malformed)?.0, false).await?))
    }

    /// Lists the rooms.
    #[http(GET, "/api/rooms", errors = [400 "INVALID_REQUEST"])]
    async fn get_rooms(&self, page: Result<Query<Page>, Error>) -> Result<Json<RoomList>> {
        self.list(page.map_err(malformed)?.0).await.map(Json)
    }

    /// Counts the links.
    #[http(GET, "/api/rooms/stats")]
    async fn get_stats(&self) -> Result<Json<Stats>> {
        self.stats().map(Json)
    }

    /// Shows a room, with the fields of `ROOM_UPDATE`.
    #[http(GET, "/api/rooms/{roomId}", errors = [404 "ROOM_NOT_FOUND"])]
    async fn get_room(&self, Path(id): Path<String>) -> Result<Json<RoomView>> {
        Ok(Json(self.room(room_id(&id)?).await?.view()))
    }

    /// Joins a room, unless it is full.
    #[http(
        POST,
        "/api/rooms/{roomId}/join",
        body_limit = 4096,
        errors = [400 "INVALID_REQUEST", 404 "ROOM_NOT_FOUND", 409 "ROOM_FULL"]
    )]
    async fn post_join(
        &self,
        me: Option<User>,
        Path(id): Path<String>,
        who: Result<Json<Option<Who>>, Error>,
    ) -> Result<Json<Membership>> {
        let person = Person::of(me, who.map_err(malformed)?.0.unwrap_or_default())?;
        self.join(room_id(&id)?, person, None).await.map(Json)
    }

    /// Leaves a room.
    #[http(
        POST,
        "/api/rooms/{roomId}/leave",
        body_limit = 4096,
        errors = [400 "INVALID_REQUEST", 404 "ROOM_NOT_FOUND"]
    )]
    async fn post_leave(
        &self,
        me: Option<User>,
        Path(id): Path<String>,
        who: Result<Json<Option<Who>>, Error>,
    ) -> Result<Json<Membership>> {
        let person = Person::of(me, who.map_err(malformed)?.0.unwrap_or_default())?;
        self.leave(room_id(&id)?, person, None).await.map(Json)
    }

    // ---- outside services ----

    /// Somebody joins.
    #[inject("join")]
    async fn in_join(
        &self,
        room: RoomName,
        delivery: Option<Delivery>,
        who: Result<Json<Who>, Error>,
    ) -> Result<()> {
        let person = Person::of(None, who.map_err(malformed)?.0)?;
        self.join(room_id(&room)?, person, delivery.as_ref()).await.map(drop)
    }

    /// Somebody leaves.
    #[inject("leave")]
    async fn in_leave(
        &self,
        room: RoomName,
        delivery: Option<Delivery>,
        who: Result<Json<Who>, Error>,
    ) -> Result<()> {
        let person = Person::of(None, who.map_err(malformed)?.0)?;
        self.leave(room_id(&room)?, person, delivery.as_ref()).await.map(drop)
    }

    /// News of a room that the service keeps itself: links are told, nothing is stored.
    #[inject("room-update")]
    async fn in_news(&self, room: RoomName, news: Result<Json<News>, Error>) -> Result<()> {
        self.announce(room_id(&room)?, news.map_err(malformed)?.0)
    }

    /// Makes a room that is never forgotten.
    #[rpc("create")]
    async fn rpc_create(&self, new: Result<Json<NewRoom>, Error>) -> Result<RoomView> {
        self.create(new.map_err(malformed)?.0, true).await
    }

    /// Changes a room's name or size.
    #[rpc("update")]
    async fn rpc_update(&self, change: Result<Json<ChangeRoom>, Error>) -> Result<RoomView> {
        self.alter(change.map_err(malformed)?.0).await
    }

    /// A room and who is in it.
    #[rpc("get")]
    async fn rpc_get(&self, which: Result<Json<Which>, Error>) -> Result<RoomDetail> {
        let room = self.room(which.map_err(malformed)?.0.room_id).await?;
        Ok(RoomDetail { room: room.view(), participants: room.people() })
    }

    /// The rooms, page by page.
    #[rpc("list")]
    async fn rpc_list(&self, page: Result<Json<Option<Page>>, Error>) -> Result<RoomList> {
        self.list(page.map_err(malformed)?.0.unwrap_or_default()).await
    }

    /// Forgets a room.
    #[rpc("remove")]
    async fn rpc_remove(&self, which: Result<Json<Which>, Error>) -> Result<Done> {
        self.remove(which.map_err(malformed)?.0.room_id).await?;
        Ok(Done { success: true })
    }

    /// Puts somebody into a room.
    #[rpc("join")]
    async fn rpc_join(&self, who: Result<Json<WhoWhere>, Error>) -> Result<Membership> {
        let WhoWhere { room_id, who } = who.map_err(malformed)?.0;
        self.join(room_id, Person::of(None, who)?, None).await
    }

    /// Takes somebody out of a room.
    #[rpc("leave")]
    async fn rpc_leave(&self, who: Result<Json<WhoWhere>, Error>) -> Result<Membership> {
        let WhoWhere { room_id, who } = who.map_err(malformed)?.0;
        self.leave(room_id, Person::of(None, who)?, None).await
    }

    /// Counts the links.
    #[rpc("stats")]
    async fn rpc_stats(&self) -> Result<Stats> {
        self.stats()
    }

    // ---- by itself ----

    /// Begins to close links that say nothing.
    #[start]
    async fn start(&self) -> Result<()> {
        let (idle, hub, closed) = (Arc::clone(&self.idle), self.hub.clone(), self.closed.with("idle"));
        self.hub.spawn(async move {
            let error = Error::timeout("the connection was idle for too long").with_code("IDLE_TIMEOUT");
            while let Ok(due) = idle.ring().await {
                for id in due {
                    closed.inc();
                    links::tell_and_close(&hub.conn(id), &error);
                }
            }
        })
    }

    /// Forgets rooms that nobody uses, and participants who have not joined again for long.
    #[every("30s")]
    async fn sweep(&self) -> Result<()> {
        self.sweep_rooms().await
    }
}

/// The room that a path or a subject names; one that cannot be a room's id is no room.
fn room_id(text: &str) -> Result<RoomId> {
    RoomId::parse(text).ok_or_else(no_room)
}

/// A message, body or query that is not what it should be.
fn malformed(error: Error) -> Error {
    refused(error.message)
}

exedra_sdk::export!(Hangouts);
