//! The limits that the hub itself holds; the gateway has its own.

use std::time::Duration;

use crate::recovery::Recovery;

/// Limits of the hub. Every queue has one, and each says what happens when it is full.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Events that may wait in a connection's mailbox; when full, the gateway stops reading from the link.
    pub inbound_queue: usize,
    /// Bytes that may wait for a link; when full, the link is closed as `slow_consumer`.
    pub outbound_buffer: usize,
    /// Rooms that a connection may be in; one more join is refused.
    pub rooms_per_connection: usize,
    /// Acknowledgements that the hub may wait for per connection; one more request is refused.
    pub pending_acks: usize,
    /// Injected events that may wait per room; more are refused to the dead letters.
    pub injected_queue: usize,
    /// Bytes of a room name, user key or event name.
    pub name_length: usize,
    /// How long a client may take to acknowledge when the plugin gives no time of its own.
    pub ack_timeout: Duration,
    /// What is kept for clients whose link breaks; `None` when their sessions end with it.
    pub recovery: Option<Recovery>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound_queue: 256,
            outbound_buffer: 1 << 20,
            rooms_per_connection: 64,
            pending_acks: 64,
            injected_queue: 1024,
            name_length: 256,
            ack_timeout: Duration::from_secs(10),
            recovery: None,
        }
    }
}
