//! Engine.IO v4: one character says what a packet is; HTTP polling carries several packets in one body,
//! WebSocket one per message.

mod open;
mod packet;
mod payload;

pub use open::Open;
pub use packet::{Kind, Malformed, split};
pub use payload::{Packet, Writer, packets};

/// The only protocol version spoken here, as the `EIO` parameter gives it.
pub const VERSION: &str = "4";
