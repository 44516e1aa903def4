//! Durable state behind the store port of the hub, for one node in a file and for many in NATS JetStream. Writes come
//! in from any thread and are answered when they are durable; reads never wait for writers.

#[cfg(feature = "conformance")]
pub mod conformance;
mod file;
#[cfg(feature = "jetstream")]
mod jetstream;
mod limits;
mod queue;
mod redb;

#[cfg(feature = "jetstream")]
pub use crate::jetstream::{Durability, JetStreamConfig, JetStreamStore, durability};
pub use crate::{
    limits::{MAX_NAME, MAX_VALUE},
    redb::RedbStore,
};
