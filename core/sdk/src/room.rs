//! Rooms of this plugin: who is in them, and events to all of them at once.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Code, Conn, Error, Hub, Message, Result, Span,
    answer::one_value,
    border::{given::Given, ops},
    message::plain,
};

/// A room by name. It exists while somebody is in it; another plugin's room of the same name is another room.
///
/// A member is a user, however many connections: three tabs are one member until the last one goes. Everything here
/// is immediate and holds for all nodes of a cluster.
#[derive(Debug, Clone)]
pub struct Room {
    hub: Hub,
    name: String,
}

/// What [`Room::join`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Joined {
    /// Whether the user was not in the room before, with any connection.
    pub first: bool,
    /// Members from now on.
    pub members: u64,
}

/// What [`Room::leave`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Left {
    /// Whether it was the user's last connection in the room.
    pub last: bool,
    /// Members from now on.
    pub members: u64,
}

/// A member, with what the plugin has said of it as `M`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberOf<M = Value> {
    /// The user's id, or the public id of an anonymous connection.
    pub user: String,
    /// When it joined, in milliseconds since 1970.
    #[serde(rename = "joinedAt")]
    pub joined_at_ms: u64,
    /// When it joined last, with any connection.
    #[serde(rename = "lastSeen")]
    pub last_seen_ms: u64,
    /// How many connections it has in the room.
    #[serde(default)]
    pub connections: u64,
    /// What the plugin has said of it.
    #[serde(default = "none", bound(deserialize = "M: Deserialize<'de>"))]
    pub meta: Option<M>,
}

fn none<M>() -> Option<M> {
    None
}

impl Room {
    pub(crate) fn new(hub: Hub, name: String) -> Self {
        Self { hub, name }
    }

    /// The room's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends an event with one argument (none for `&()`) to everybody in the room.
    ///
    /// # Errors
    /// When the payload cannot be written as JSON or a name is too long.
    pub fn emit(&self, event: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
        self.hub.sends(event)?;
        plain(event, payload, |message| ops::broadcast(&self.hub.door, &self.name, message, 0))
    }

    /// The same to everybody but one connection.
    ///
    /// # Errors
    /// As [`Room::emit`].
    pub fn emit_except(&self, except: &Conn, event: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
        self.hub.sends(event)?;
        plain(event, payload, |message| ops::broadcast(&self.hub.door, &self.name, message, except.id()))
    }

    /// Sends an event with all that [`Message`] can say.
    ///
    /// # Errors
    /// As [`Room::emit`].
    pub fn send(&self, message: Message) -> Result<()> {
        let except = message.excepted();
        self.hub.sends(message.event())?;
        message.lend(|message| ops::broadcast(&self.hub.door, &self.name, message, except))
    }

    /// Puts a connection into the room. `meta` is what members lists say of the user; `&()` leaves it as it is.
    ///
    /// # Errors
    /// [`Code::Gone`] when the connection has ended.
    pub fn join(&self, conn: &Conn, meta: &(impl Serialize + ?Sized)) -> Result<Joined> {
        self.join_max(conn, meta, 0)
    }

    /// The same, unless the room has `max` members already (0: no bound). Holds even when many join at once on this
    /// node; of other nodes it knows what they have said so far. [`Room::claim`] holds on all of them.
    ///
    /// # Errors
    /// [`Code::Busy`] when the room is full.
    pub fn join_max(&self, conn: &Conn, meta: &(impl Serialize + ?Sized), max: u64) -> Result<Joined> {
        read(&ops::join(&self.hub.door, conn.id(), &self.name, &one_value(meta)?, max)?)
    }

    /// Puts a connection in as a member that the plugin names itself, for people without a token. Connections of one
    /// member count once, and a place that the member held by [`Room::join_user`] becomes the connection's.
    ///
    /// # Errors
    /// As [`Room::join_max`]; [`Code::Conflict`] when the connection is in the room as another
    /// member.
    pub fn join_as(
        &self,
        conn: &Conn,
        member: &str,
        meta: &(impl Serialize + ?Sized),
        max: u64,
    ) -> Result<Joined> {
        read(&ops::join_as(&self.hub.door, conn.id(), &self.name, member, &one_value(meta)?, max)?)
    }

    /// As [`Room::join_max`], with a bound that holds on all nodes of a cluster, however many join at once. For a hub that
    /// runs alone the answer is there at once; while the nodes cannot speak to each other it is given by what is known.
    ///
    /// # Errors
    /// [`Code::Busy`] when the room is full, [`Code::Unavailable`] when the nodes do not agree in time.
    pub async fn claim(&self, conn: &Conn, meta: &(impl Serialize + ?Sized), max: u64) -> Result<Joined> {
        self.claim_for(ops::Claimant::Connection(conn.id()), &one_value(meta)?, max).await
    }

    /// As [`Room::join_as`], with a bound as of [`Room::claim`].
    ///
    /// # Errors
    /// As [`Room::claim`]; [`Code::Conflict`] when the connection is in the room as another member.
    pub async fn claim_as(
        &self,
        conn: &Conn,
        member: &str,
        meta: &(impl Serialize + ?Sized),
        max: u64,
    ) -> Result<Joined> {
        self.claim_for(ops::Claimant::Member(conn.id(), member), &one_value(meta)?, max).await
    }

    /// As [`Room::join_user_max`], with a bound as of [`Room::claim`].
    ///
    /// # Errors
    /// As [`Room::claim`].
    pub async fn claim_user(
        &self,
        user: &str,
        meta: &(impl Serialize + ?Sized),
        ttl: Duration,
        max: u64,
    ) -> Result<Joined> {
        self.claim_for(ops::Claimant::User(user, Span(ttl).as_ms()), &one_value(meta)?, max).await
    }

    async fn claim_for(&self, who: ops::Claimant<'_>, meta: &[u8], max: u64) -> Result<Joined> {
        read(&ops::claim(&self.hub.door, &self.name, &who, meta, max)?.await?)
    }

    /// Takes a connection out.
    ///
    /// # Errors
    /// [`Code::NotFound`] when it was not in.
    pub fn leave(&self, conn: &Conn) -> Result<Left> {
        read(&ops::leave(&self.hub.door, conn.id(), &self.name)?)
    }

    /// The same where being out already is as good: `None` then.
    ///
    /// # Errors
    /// [`Code::Gone`] when the connection has ended.
    pub fn take_out(&self, conn: &Conn) -> Result<Option<Left>> {
        or_absent(self.leave(conn))
    }

    /// Puts a user in without a connection: out again after `ttl` unless joined again.
    ///
    /// # Errors
    /// As [`Room::join`].
    pub fn join_user(&self, user: &str, meta: &(impl Serialize + ?Sized), ttl: Duration) -> Result<Joined> {
        self.join_user_max(user, meta, ttl, 0)
    }

    /// The same, unless the room has `max` members already.
    ///
    /// # Errors
    /// As [`Room::join_max`].
    pub fn join_user_max(
        &self,
        user: &str,
        meta: &(impl Serialize + ?Sized),
        ttl: Duration,
        max: u64,
    ) -> Result<Joined> {
        let meta = one_value(meta)?;
        read(&ops::join_user(&self.hub.door, &self.name, user, &meta, Span(ttl).as_ms(), max)?)
    }

    /// Takes a user out, with all connections.
    ///
    /// # Errors
    /// [`Code::NotFound`] when it was not in.
    pub fn leave_user(&self, user: &str) -> Result<Left> {
        read(&ops::leave_user(&self.hub.door, &self.name, user)?)
    }

    /// The same where being out already is as good: `None` then.
    ///
    /// # Errors
    /// When the room's name is too long.
    pub fn take_out_user(&self, user: &str) -> Result<Option<Left>> {
        or_absent(self.leave_user(user))
    }

    /// Everybody in the room, in order of joining.
    ///
    /// # Errors
    /// When what was said of a member is no `M`.
    pub fn members<M: DeserializeOwned>(&self) -> Result<Vec<MemberOf<M>>> {
        read(&ops::members(&self.hub.door, &self.name)?)
    }

    /// How many members the room has.
    ///
    /// # Errors
    /// When the hub is stopping.
    pub fn count(&self) -> Result<u64> {
        ops::count(&self.hub.door, &self.name)
    }

    /// Asks for a `#[state]` handler to run for this room: at once, or when the window has passed.
    ///
    /// # Errors
    /// [`Code::Invalid`] when the plugin declares no such state.
    pub fn refresh(&self, state: &str) -> Result<()> {
        ops::refresh(&self.hub.door, self.hub.state_index(state)?, &self.name)
    }
}

fn or_absent(left: Result<Left>) -> Result<Option<Left>> {
    match left {
        Err(error) if error.code == Code::NotFound => Ok(None),
        left => left.map(Some),
    }
}

fn read<T: DeserializeOwned>(given: &Given) -> Result<T> {
    serde_json::from_slice(given.payload())
        .map_err(|error| Error::internal(format_args!("the hub's answer about a room: {error}")))
}
