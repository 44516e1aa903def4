//! A connection: a number to name it by, and what the hub knows about it.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Args, Error, Hub, Message, Result, User,
    border::{given::Given, op::Op, ops},
    call::Context,
    message::plain,
};

/// A connection. Cheap to clone and safe to keep: what is asked of a connection that has ended gives
/// [`Code::Gone`](crate::Code::Gone).
#[derive(Clone)]
pub struct Conn {
    hub: Hub,
    id: u64,
    context: Arc<Context>,
}

impl Conn {
    pub(crate) fn new(hub: Hub, id: u64, context: Arc<Context>) -> Self {
        Self { hub, id, context }
    }

    /// The handle: a number that is never used twice.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What the client calls `socket.id`. Empty when the connection was named by [`Hub::conn`].
    pub fn public_id(&self) -> &str {
        &self.context.id
    }

    /// Who it speaks for.
    pub fn user(&self) -> Option<&User> {
        self.context.identity.as_ref()
    }

    /// The key under which rooms list it: the user's id, or the public id of an anonymous connection.
    pub fn member_key(&self) -> &str {
        self.user().map_or(self.public_id(), |user| &user.user_id)
    }

    /// The namespace, or the path of the WebSocket endpoint.
    pub fn namespace(&self) -> &str {
        &self.context.namespace
    }

    /// A `{name}` segment of the namespace.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.context.params.get(name)?.as_str()
    }

    /// A value of the handshake's query string; never the token.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.context.query.get(name)?.as_str()
    }

    /// What the client gave as `auth`, without the token; `{}` when nothing came.
    pub fn auth(&self) -> Value {
        match &self.context.auth {
            Value::Null => Value::Object(serde_json::Map::new()),
            auth => auth.clone(),
        }
    }

    /// The client's address, trusted proxies taken off.
    pub fn peer(&self) -> Option<IpAddr> {
        self.context.peer
    }

    /// Whether the client has come back after its link broke: its public id, the notes about it and its rooms are
    /// those of before, and it gets what it missed. Rooms are told by their states.
    pub fn recovered(&self) -> bool {
        self.context.recovered
    }

    /// Why the client is connected as a new one although it wanted its session back: `unknown` (too late, or another
    /// hub's), `foreign` (another user's) or `gap` (not all that it missed is kept). `None` when it did not ask.
    pub fn lost(&self) -> Option<&str> {
        self.context.lost.as_deref()
    }

    /// Sends an event with one argument, or none for `&()`.
    ///
    /// # Errors
    /// [`Code::Gone`](crate::Code::Gone) when the connection has ended.
    pub fn emit(&self, event: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
        self.hub.sends(event)?;
        plain(event, payload, |message| ops::emit(&self.hub.door, self.id, message))
    }

    /// Sends an event with all that [`Message`] can say.
    ///
    /// # Errors
    /// As [`Conn::emit`].
    pub fn send(&self, message: Message) -> Result<()> {
        self.hub.sends(message.event())?;
        message.lend(|message| ops::emit(&self.hub.door, self.id, message))
    }

    /// Sends an event and waits for the client's acknowledgement: its first argument, read as `T`.
    /// `Duration::ZERO` waits as long as the hub's own limit.
    ///
    /// # Errors
    /// [`Code::Timeout`](crate::Code::Timeout) without an answer in time, [`Code::Gone`](crate::Code::Gone) when
    /// the connection ends first, [`Code::Invalid`](crate::Code::Invalid) when the answer is no `T`.
    pub async fn request<T: DeserializeOwned>(
        &self,
        event: &str,
        payload: &(impl Serialize + ?Sized),
        timeout: Duration,
    ) -> Result<T> {
        let op = plain(event, payload, |message| self.start_request(message, timeout))?;
        answer_of(op.await?).first()
    }

    /// The same with all that [`Message`] can say; answers with all arguments.
    ///
    /// # Errors
    /// As [`Conn::request`].
    pub async fn request_message(&self, message: Message, timeout: Duration) -> Result<Args> {
        let op = message.lend(|message| self.start_request(message, timeout))?;
        Ok(answer_of(op.await?))
    }

    fn start_request(&self, message: &ops::Outgoing<'_>, timeout: Duration) -> Result<Op> {
        self.hub.sends(message.name)?;
        ops::request(&self.hub.door, self.id, message, crate::Span(timeout).as_ms())
    }

    /// Ends the connection; what was sent before still arrives.
    ///
    /// # Errors
    /// [`Code::Gone`](crate::Code::Gone) when it has ended already.
    pub fn disconnect(&self) -> Result<()> {
        ops::disconnect(&self.hub.door, self.id)
    }

    /// Keeps a note about the connection, up to 64 KiB as JSON, for as long as it lives.
    ///
    /// # Errors
    /// [`Code::TooLarge`](crate::Code::TooLarge), [`Code::Gone`](crate::Code::Gone).
    pub fn set_data(&self, data: &(impl Serialize + ?Sized)) -> Result<()> {
        ops::set_data(&self.hub.door, self.id, &serde_json::to_vec(data)?)
    }

    /// The note, if there is one.
    ///
    /// # Errors
    /// [`Code::Gone`](crate::Code::Gone), or when the note is no `T`.
    pub fn get_data<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let given = match ops::get_data(&self.hub.door, self.id) {
            Err(error) if error.code == crate::Code::NotFound => return Ok(None),
            given => given?,
        };
        if given.payload().is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(given.payload())
            .map(Some)
            .map_err(|error| Error::internal(format_args!("a connection's data: {error}")))
    }
}

fn answer_of(given: Given) -> Args {
    let json = if given.payload().is_empty() {
        Bytes::from_static(b"[]")
    } else {
        Bytes::copy_from_slice(given.payload())
    };
    let attachments = given.attachments().into_iter().map(Bytes::copy_from_slice).collect();
    Args { json, attachments }
}

impl PartialEq for Conn {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Conn {}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conn({})", self.id)
    }
}
