//! The middle of Exedra: the words, the rules and the ports. It does no IO and names no transport, broker,
//! database or plugin loader; those depend on it, it depends on none of them.
//!
//! One event walks through like this, always forward:
//!
//! 1. The gateway decodes a frame and calls [`Hub::receive`].
//! 2. The event waits in the connection's [mailbox]; one drain at a time takes it out, in order.
//! 3. [`port::Plugins::call`] hands it to the plugin that declared it.
//! 4. The plugin's operations come back as methods of [`Hub`] (`ops` files): emit, join, publish, store.
//! 5. A room message is encoded once per [`frame::Format`] and its [`frame::Frame`] is shared by all members'
//!    [outboxes](outbox::Outbox), which the gateway writes out.
//!
//! ## Layout
//!
//! * words: [`identity`], [`message`], [`frame`], [`refusal`], [`close`], [`manifest`], [`limits`]
//! * ports: [`port`] (what others implement for the hub)
//! * rules, without a runtime: [`mailbox`], [`outbox`], [`rooms`], [`namespace`], [`table`],
//!   [`coalesce`], [`switch`], [`begun`], [`page`]
//! * several nodes: [`cluster`], [`injected`]
//! * the hub itself: [`connection`], [`hub`]
//! * [`metrics`]: the only file that names the metrics library

mod account;
pub mod begun;
pub mod close;
pub mod cluster;
pub mod coalesce;
pub mod connection;
pub mod frame;
pub mod hub;
pub mod identity;
pub mod injected;
pub mod limits;
pub mod mailbox;
pub mod manifest;
pub mod message;
pub mod metrics;
pub mod namespace;
pub mod outbox;
pub mod page;
pub mod port;
pub mod recovery;
pub mod refusal;
pub mod rooms;
pub mod switch;
pub mod table;

pub use close::CloseReason;
pub use connection::{ConnId, Connection};
pub use frame::{Format, Frame};
pub use hub::{Hub, HubParts};
pub use identity::{Claims, Identity};
pub use limits::Limits;
pub use message::{Class, Inbound, Message, Reach};
pub use refusal::{Code, Refusal};

/// A boxed future: what the ports return, so that they stay usable as trait objects.
pub type Task<T = ()> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'static>>;
