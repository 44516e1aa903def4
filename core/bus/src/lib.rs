//! The bus behind the hub's port: a twin inside one process and NATS. Topics become subjects here, and nothing
//! that a user named reaches a subject unencoded.

mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod counts;
mod home;
mod inbox;
mod limits;
mod memory;
mod memory_cluster;
mod memory_intake;
mod message;
#[cfg(feature = "nats")]
mod micro;
#[cfg(feature = "nats")]
mod nats;
pub mod subject;
#[cfg(feature = "conformance")]
pub mod testing;

pub use config::{NatsConfig, NatsTls};
pub use memory::MemoryBus;
pub use memory_cluster::{Commons, MemoryCluster};
pub use memory_intake::{Depot, Letter};
#[cfg(feature = "nats")]
pub use nats::{
    Ears, Heard, Line, NatsBus, NatsCluster, NatsIntake, Survey, Visitor, connect, connect_cluster, dial,
    survey,
};
