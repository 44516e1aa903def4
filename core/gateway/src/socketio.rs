//! Socket.IO v5 on Engine.IO sessions: namespaces, events and acknowledgements of the hub's connections.
//!
//! `packet` is the only file that names the packet crates.

pub(crate) mod event;
mod format;
mod members;
pub(crate) mod packet;
mod session;

pub(crate) use format::Formats;
pub(crate) use session::{SocketIo, SocketIoOpener, knock_in_time};
