//! Injected events that are kept until they have been handled. Of several nodes, one at a time takes those of a plugin.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_core::Stream;

use super::{BusError, BusMessage};
use crate::Task;

/// What one taker is given; ends when another one has taken over, or when some could not be given in their order.
pub type Deliveries = Pin<Box<dyn Stream<Item = Delivery> + Send>>;

/// Keeps injected events.
///
/// * An event that was taken in is kept until it is settled, whatever becomes of nodes and broker, within bounds of age,
///   number and bytes per plugin. What is beyond them is not taken in: the newest is refused, never an older one lost.
/// * Two events with the same `Nats-Msg-Id` within two minutes are one.
/// * [`take`](Self::take) gives all that is not settled, in order, from the first one on. Whoever has taken before is
///   given nothing any more and can settle nothing; it is waited for a moment, so that it can end what it has begun.
/// * What is neither settled nor held for 30 s may be given once more.
pub trait Intake: Send + Sync + 'static {
    /// Takes the events of a plugin from now on.
    fn take(&self, plugin: &str) -> Task<Result<Taking, BusError>>;
    /// Keeps a dead letter; ends when it is kept. The same `identity` is the same letter.
    fn bury(
        &self,
        plugin: &str,
        identity: &str,
        headers: &[(String, String)],
        payload: Bytes,
    ) -> Task<Result<(), BusError>>;
    /// Why events cannot be taken right now; `None` when they can, or nobody has tried.
    fn trouble(&self) -> Option<String>;
}

/// Events that are taken.
pub struct Taking {
    /// The events.
    pub events: Deliveries,
    /// The number of the newest event that was kept before the taking began.
    pub newest: u64,
}

/// An event that is kept.
pub struct Delivery {
    /// The event; without an address for an answer, which is not kept.
    pub message: BusMessage,
    /// What keeps it, as answers name it.
    pub stream: Arc<str>,
    /// Its number there; later events have higher ones.
    pub number: u64,
    /// The same whenever it is given, and no other event's.
    pub identity: Arc<str>,
    /// When it was taken in, in microseconds since 1970.
    pub taken_in: u64,
    /// What to do with it.
    pub slip: Arc<dyn Slip>,
}

/// Says what has become of an event. Neither method waits.
pub trait Slip: Send + Sync + 'static {
    /// It has been handled and is never given again. Should this be lost, it is given once more.
    fn settle(&self);
    /// It is being worked on.
    fn hold(&self);
}
