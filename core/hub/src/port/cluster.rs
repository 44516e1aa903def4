//! Other nodes: a ledger that all of them read in one order, and parcels between those that attend the same room.

use std::sync::Arc;

use bytes::Bytes;

use super::BusError;
use crate::{Task, cluster::NodeId};

/// A room as nodes name it to each other: plugins by name, because nodes may number them differently.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// The room's name.
    pub room: Arc<str>,
}

/// Where a parcel goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// To everybody who attends a room; kept for clients that come back.
    Kept(Place),
    /// To everybody who attends a room, and forgotten.
    Passing(Place),
    /// To nobody; kept for the client of this session, should it come back elsewhere.
    Session(Box<str>),
    /// To one node.
    Node(NodeId),
}

/// A point in what is kept: all that comes later has a greater one, also after the broker has begun anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// Which beginning of what is kept, in order of time.
    pub era: u64,
    /// The number since then.
    pub number: u64,
}

/// What joins several nodes to one hub.
///
/// * The ledger has one order for everybody: what is appended is heard by every node, the author too, with a number
///   that grows. A node that could not be given every entry is told so ([`Ears::lost`]) before the next one.
/// * Parcels go to every other node that attends the place, at most once, in order per sender. Nobody hears its own.
/// * What is kept is bounded by count per address, age, and bytes of all; the oldest goes first.
/// * What is kept later than a [`reached`](Cluster::reached) that was asked for while a place was attended is heard
///   there, unless the connection breaks.
/// * Nothing waits for the network but the returned tasks, and those end within a few seconds whatever happens.
pub trait Cluster: Send + Sync + 'static {
    /// Who we are: another number at every start of the process.
    fn node(&self) -> NodeId;
    /// Who listens. Told once, before anything else is asked.
    fn listen(&self, ears: Arc<dyn Ears>);
    /// Attends a place; the task ends when nothing that is sent from then on is missed.
    fn attend(&self, place: &Place) -> Task;
    /// Attends it no more.
    fn abandon(&self, place: &Place);
    /// Sends a parcel, without waiting.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] while disconnected with a full queue, [`BusError::TooLarge`] over the broker's limit.
    fn send(&self, to: &Address, parcel: Bytes) -> Result<(), BusError>;
    /// How far what is kept has come; with everything that was sent before the call. What had come by the time of the
    /// answer has been heard when it ends.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] or [`BusError::Timeout`].
    fn reached(&self) -> Task<Result<Point, BusError>>;
    /// What is kept of an address up to a point, in order; the points are one order for all addresses.
    ///
    /// # Errors
    /// As [`Cluster::reached`]; also when what is kept has begun anew since.
    fn history(&self, of: &Address, up_to: Point) -> Task<Result<Vec<(Point, Bytes)>, BusError>>;
    /// Writes down what a session consists of, in place of what was there; without waiting.
    ///
    /// # Errors
    /// As [`Cluster::send`].
    fn put_record(&self, session: &str, record: Bytes) -> Result<(), BusError>;
    /// What has been written down of a session.
    ///
    /// # Errors
    /// As [`Cluster::reached`].
    fn record(&self, session: &str) -> Task<Result<Option<Bytes>, BusError>>;
    /// Appends to the ledger. `number` counts our entries: the same one again is the same entry, so that an append whose
    /// end is unknown can be repeated.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] or [`BusError::Timeout`]; the entry may be in the ledger all the same.
    fn append(&self, number: u64, entry: Bytes) -> Task<Result<(), BusError>>;
    /// Why the ledger cannot be used right now; `None` when it can.
    fn trouble(&self) -> Option<String>;
}

/// What a node hears. Called from one task per kind: entries in their order, parcels in the order in which they came,
/// but for those of one call: of them, only each place's are.
pub trait Ears: Send + Sync + 'static {
    /// An entry of the ledger, in its order.
    fn entry(&self, number: u64, entry: Bytes);
    /// The ledger has been begun anew, or entries were missed: what is known of others may be wrong.
    fn lost(&self);
    /// The connection is away: parcels will be missed.
    fn away(&self);
    /// The connection was away and is back: what is kept can be read.
    fn back(&self);
    /// Parcels for places that we attend. Whatever came before one of them is among them, or was heard before.
    fn parcels(&self, parcels: Vec<(Arc<Place>, Bytes)>);
    /// A parcel for this node.
    fn told(&self, parcel: Bytes);
}
