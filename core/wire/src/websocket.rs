//! WebSocket (RFC 6455) for servers and clients.
//!
//! [`Decoder`] turns bytes, cut anywhere, into whole messages within a size limit; [`frame()`] and
//! [`client_frame`] make frames. [`deflate`] is the one extension, permessage-deflate (RFC 7692): where it was not
//! agreed on, and for the other two bits always, reserved bits are refused.

mod close;
mod decode;
pub mod deflate;
mod frame;
mod handshake;
mod mask;

pub use close::{Close, close_code_allowed};
pub use decode::{Decoder, Item};
pub use frame::{Head, HeadParse, MAX_CONTROL, Opcode, client_frame, frame, head};
pub use handshake::accept_key;
pub use mask::apply_mask;

/// Which side of a connection we are. Clients mask what they send, servers never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads masked frames, writes plain ones.
    Server,
    /// Reads plain frames, writes masked ones.
    Client,
}

/// Why a byte stream is no acceptable WebSocket traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A rule of the protocol is broken.
    #[error("protocol violation: {0}")]
    Protocol(&'static str),
    /// A text message or close reason is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// A message is larger than the limit.
    #[error("message is larger than the limit")]
    TooLarge,
    /// A compressed message cannot be inflated.
    #[error("compressed message cannot be inflated")]
    Deflate,
}

impl Violation {
    /// The close code that tells the other side (RFC 6455, 7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Utf8 | Self::Deflate => 1007,
            Self::TooLarge => 1009,
        }
    }
}
