//! Durable state behind the store port of the hub. Writes come in from any thread, are gathered into one durable
//! transaction and answered after it; reads never wait for writers.

#[cfg(feature = "conformance")]
pub mod conformance;
mod file;
mod limits;
mod queue;
mod redb;

pub use crate::{
    limits::{MAX_NAME, MAX_VALUE},
    redb::RedbStore,
};
