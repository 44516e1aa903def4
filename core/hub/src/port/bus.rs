//! The bus: how events come in from outside services, go out to them, and are asked for.
//!
//! The hub speaks in [`Topic`]s; how a topic becomes a subject is the bus crate's business.

use bytes::Bytes;
use futures_core::Stream;
use std::{pin::Pin, time::Duration};

use crate::Task;

/// What a message is about. Names are what users gave; the bus encodes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// An event that a service injects: `exedra.in.<plugin>.<room>.<event>`.
    In {
        /// The plugin's name.
        plugin: String,
        /// The room, as the plugin's users name it.
        room: String,
        /// The event's name.
        event: String,
    },
    /// Something that happened, for services to consume: `exedra.out.<plugin>.<room>.<event>`.
    Out {
        /// The plugin's name.
        plugin: String,
        /// The room, as the plugin's users name it.
        room: String,
        /// The event's name.
        event: String,
    },
    /// A method of a service: `exedra.rpc.<service>.<method>`; plugins are services too.
    Rpc {
        /// A plugin's name or an outside service's.
        service: String,
        /// The method.
        method: String,
    },
    /// Refused messages of a plugin: `exedra.dlq.<plugin>`.
    DeadLetter {
        /// The plugin's name.
        plugin: String,
    },
    /// The address that a request gave for its answer; opaque.
    Reply(String),
}

/// What a subscriber wants to hear.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Every [`Topic::In`] of a plugin.
    In {
        /// The plugin's name.
        plugin: String,
    },
    /// Every [`Topic::Out`] of a plugin.
    Out {
        /// The plugin's name.
        plugin: String,
    },
    /// Every [`Topic::Rpc`] of a service.
    Rpc {
        /// The service's name.
        service: String,
    },
    /// Every [`Topic::DeadLetter`] of a plugin.
    DeadLetter {
        /// The plugin's name.
        plugin: String,
    },
}

/// A message as it came from the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusMessage {
    /// What it is about.
    pub topic: Topic,
    /// Where an answer is expected, if one is.
    pub reply: Option<Topic>,
    /// Header names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub payload: Bytes,
}

/// A subscription; dropping it ends it.
pub type Messages = Pin<Box<dyn Stream<Item = BusMessage> + Send>>;

/// Whether the bus carries messages right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusState {
    /// Connected (or embedded).
    Up,
    /// Disconnected; it reconnects by itself.
    Down,
}

/// A broker.
///
/// * At most once, in order per publisher and topic.
/// * Subscriptions survive a reconnect.
/// * Every queue inside is bounded: a subscriber that does not keep up loses messages, and
///   `exedra_events_dropped_total{reason="bus_slow"}` says so; `publish` never waits for the network.
pub trait Bus: Send + Sync + 'static {
    /// Hands a message over without waiting.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] while disconnected with a full queue, [`BusError::TooLarge`] over the broker's limit.
    fn publish(&self, topic: &Topic, headers: &[(String, String)], payload: Bytes) -> Result<(), BusError>;
    /// Listens. With `queue`, each message goes to one subscriber of that queue only.
    /// Never fails for a broker that is away: the subscription starts when it comes.
    fn subscribe(&self, interest: &Interest, queue: Option<&str>) -> Task<Result<Messages, BusError>>;
    /// Publishes and waits for one answer.
    fn request(&self, topic: &Topic, payload: Bytes, timeout: Duration)
    -> Task<Result<BusMessage, BusError>>;
    /// Whether messages flow right now, for readiness.
    fn state(&self) -> BusState;
}

/// Why a bus operation was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Nobody listens to that topic.
    #[error("nobody answers")]
    NoResponders,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The message is larger than the broker takes.
    #[error("the message is too large")]
    TooLarge,
    /// The broker cannot be reached.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
}
