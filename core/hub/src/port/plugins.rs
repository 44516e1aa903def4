//! The plugins, seen from the hub: one call in, one reply out. The host implements it over the C ABI.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;

use crate::{CloseReason, ConnId, Identity, Message, Refusal, Task, recovery::Beginning};

/// The number of an enabled plugin: its index in the order of configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginId(pub u16);

/// What a plugin may know about a connection; the same for its whole life.
#[derive(Debug, Clone)]
pub struct ConnFacts {
    /// The handle that the plugin names the connection by.
    pub id: ConnId,
    /// The public id (`socket.id` at the client).
    pub public_id: Arc<str>,
    /// Who it is; `None` where the namespace allows anonymous connections and no token came.
    pub identity: Option<Arc<Identity>>,
    /// The namespace as the client gave it, or the path of a WebSocket endpoint.
    pub namespace: Arc<str>,
    /// Values of the `{name}` segments of the declared namespace.
    pub params: Vec<(String, String)>,
    /// The client's address, trusted proxies taken off.
    pub peer: IpAddr,
    /// The handshake's query string, decoded, without `token`.
    pub query: Vec<(String, String)>,
    /// What the client gave as Socket.IO `auth`, without `token`, as JSON text (`{}` when nothing came).
    pub auth: Bytes,
    /// Whether it goes on with a session whose link broke.
    pub beginning: Beginning,
}

/// An HTTP request for a route that a plugin declared.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// Who asks; `None` where the route allows it.
    pub identity: Option<Arc<Identity>>,
    /// Values of the `{name}` segments of the route.
    pub params: Vec<(String, String)>,
    /// The query string, decoded, without `token`.
    pub query: Vec<(String, String)>,
    /// Header names (lower case) and values, without `authorization` and `cookie`.
    pub headers: Vec<(String, String)>,
    /// The caller's address, trusted proxies taken off.
    pub peer: IpAddr,
    /// The body, already read and within the route's limit.
    pub body: Bytes,
}

/// A plugin's answer to an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// 100 to 599; anything else is a fault of the plugin and becomes 500.
    pub status: u16,
    /// Header names and values; hop-by-hop headers are dropped.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// One thing that a plugin is told or asked. `handler` is the index in the plugin's manifest.
#[derive(Debug, Clone)]
pub enum Call {
    /// A connection knocks; an error refuses it.
    Connect {
        /// The connection; operations on it work already, what is emitted arrives right after CONNECT.
        conn: Arc<ConnFacts>,
    },
    /// A client sent an event.
    Event {
        /// Index into `events` of the manifest.
        handler: u32,
        /// Who sent it.
        conn: Arc<ConnFacts>,
        /// Name, arguments, attachments.
        message: Message,
        /// Whether the client waits for an acknowledgement.
        wants_ack: bool,
    },
    /// A connection has ended; its last event has been handled.
    Disconnect {
        /// The connection; its handle is gone for operations.
        conn: Arc<ConnFacts>,
        /// Why.
        reason: CloseReason,
    },
    /// A member has left a room, whatever the way: told exactly once per membership.
    Leave {
        /// The room's name.
        room: Arc<str>,
        /// The member's key.
        user: Arc<str>,
        /// What the plugin had said of the member when it joined, JSON.
        meta: Bytes,
    },
    /// An HTTP request.
    Http {
        /// Index into `routes` of the manifest.
        handler: u32,
        /// Method and path of the route as they are declared: `GET /meetings/{id}`.
        route: Arc<str>,
        /// The request.
        request: Box<HttpRequest>,
    },
    /// An outside service injected an event.
    Inject {
        /// Index into `injects` of the manifest.
        handler: u32,
        /// The room it is for.
        room: String,
        /// The event's name.
        event: String,
        /// Header names and values of the bus message.
        headers: Vec<(String, String)>,
        /// The body as it came.
        payload: Bytes,
    },
    /// An outside service asks.
    Rpc {
        /// Index into `rpcs` of the manifest.
        handler: u32,
        /// The method's name.
        method: String,
        /// The body as it came.
        payload: Bytes,
    },
    /// A timer of the manifest has run off.
    Timer {
        /// Index into `timers` of the manifest.
        handler: u32,
    },
    /// A room's state is to be sent again; asked for by the plugin, coalesced by the hub.
    Refresh {
        /// Index into `states` of the manifest.
        handler: u32,
        /// The room's name.
        room: Arc<str>,
    },
}

impl Call {
    /// The kind, for metrics. A closed set.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Event { .. } => "event",
            Self::Disconnect { .. } => "disconnect",
            Self::Leave { .. } => "leave",
            Self::Http { .. } => "http",
            Self::Inject { .. } => "inject",
            Self::Rpc { .. } => "rpc",
            Self::Timer { .. } => "timer",
            Self::Refresh { .. } => "refresh",
        }
    }
}

/// What a plugin answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing to say (no acknowledgement content).
    Empty,
    /// Arguments of an acknowledgement, or the answer to an RPC: a JSON array of arguments and attachments.
    Args {
        /// A JSON array.
        args: Bytes,
        /// Binary attachments that placeholders in `args` number.
        attachments: Vec<Bytes>,
    },
    /// An HTTP response.
    Http(HttpResponse),
}

/// The loaded plugins.
///
/// * `call` never blocks; its future ends within the plugin's deadline, whatever the plugin does.
/// * A plugin that panicked, hung or is quarantined answers with a [`Refusal`]; nothing unwinds out of it.
/// * Calls run wherever `spawn` runs tasks, never on a thread of the gateway.
pub trait Plugins: Send + Sync + 'static {
    /// Hands one call to a plugin.
    fn call(&self, plugin: PluginId, call: Call) -> Task<Result<Reply, Refusal>>;
    /// Runs a task on the plugins' executor.
    fn spawn(&self, task: Task);
    /// A plugin has been turned off or on again. While it is off, all calls but those that tell of an end
    /// ([`Call::Disconnect`], [`Call::Leave`]) are refused.
    fn switched(&self, plugin: PluginId, on: bool) {
        let _ = (plugin, on);
    }
}
