//! Where clients arrive: the listener, WebSocket and polling links, Socket.IO, plain WebSocket and REST.
//!
//! ## Layout, from the socket inwards
//!
//! * `listener` accepts TCP and lets hyper speak HTTP; `front` decides who answers; `origin`, `peer`, `admission` and
//!   `rate` decide who may ask
//! * `link` is one WebSocket on a raw TCP stream; `engine` are Engine.IO sessions on links and on HTTP polling;
//!   `heart` knows when to ping; `links` knows all of them
//! * `owner` is the seam: what links and sessions tell whoever they work for
//! * `squeeze` makes the compressed form of what links share
//! * `socketio` and `plain` (with `endpoint`) are the two owners that speak to the hub, through `intake`; `rest` is
//!   the plugins' HTTP
//! * [`echo`] are servers without a hub, for protocol suites
//!
//! After the upgrade hyper is gone: a link owns its socket, a small state and what is incomplete or unwritten.

mod admission;
pub mod config;
pub mod echo;
mod endpoint;
mod engine;
mod frames;
mod front;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod heart;
mod intake;
mod link;
mod links;
mod listener;
mod origin;
mod owner;
mod peer;
mod plain;
mod rate;
mod request;
mod rest;
mod retry;
mod socketio;
mod squeeze;

pub use config::{Bounds, Compression, GatewayConfig, LinkLimits, RecoveryConfig, SocketIoConfig, Transport};
pub use gateway::Gateway;
