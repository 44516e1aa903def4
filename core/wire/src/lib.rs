//! The protocols that Exedra speaks, as pure codecs: bytes in, meaning out. No sockets, no clocks, no tasks, so
//! every rule can be tested and fuzzed with plain data.
//!
//! * [`websocket`]: RFC 6455, both roles: frames, masks, messages, closes, the handshake key,
//!   and RFC 7692, its compression.
//! * [`engineio`]: Engine.IO v4: packets, the payloads of HTTP polling, the OPEN packet.
//! * [`http_encoding`]: compressed bodies for clients that accept them.

pub mod engineio;
pub mod http_encoding;
pub mod websocket;
