//! What nodes say to each other, and what follows from it. Pure: no IO, no time, no locks.
//!
//! Every node is the only author of who is connected to it. It writes that into a [`ledger`] which all nodes read in one
//! order, and keeps what the others wrote; so every node answers questions about any room from memory, and what an entry
//! changed is the same everywhere. Whose entry ended a membership tells of it: that is why a leave is told once.
//! [`nodes`] says who is there and who has fallen silent, `parcel` is a room message between nodes.

pub mod ledger;
pub mod nodes;
pub(crate) mod parcel;

use std::fmt;

use serde::{Deserialize, Serialize};

/// A node, as long as its process lives. Numbers are random and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl NodeId {
    /// A number for this process.
    pub fn random() -> Self {
        Self(rand::Rng::random(&mut rand::rng()))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
