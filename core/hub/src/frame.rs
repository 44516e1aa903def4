//! Ready bytes: an event encoded once for a wire format and shared by every link that takes it.

use std::sync::Arc;

use bytes::Bytes;

use crate::Message;

/// One WebSocket frame, or one packet of a polling payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What a WebSocket link writes: frame header and payload.
    pub wire: Bytes,
    /// Where the payload starts in `wire`; what a polling link sends starts there.
    pub header: u8,
    /// Whether it is a binary frame.
    pub binary: bool,
}

impl Part {
    /// The bytes without the WebSocket header.
    pub fn payload(&self) -> Bytes {
        self.wire.slice(self.header as usize..)
    }
}

/// An event, ready to be written: one part, or one and its attachments. Cloning is one reference count.
#[derive(Debug, Clone)]
pub struct Frame(Inner);

#[derive(Debug, Clone)]
enum Inner {
    One(Part),
    Many(Arc<[Part]>),
}

impl Frame {
    /// A frame of one part.
    pub fn one(part: Part) -> Self {
        Self(Inner::One(part))
    }

    /// A frame of several parts that must leave together and in order.
    pub fn many(parts: Vec<Part>) -> Self {
        Self(Inner::Many(parts.into()))
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Part] {
        match &self.0 {
            Inner::One(part) => std::slice::from_ref(part),
            Inner::Many(parts) => parts,
        }
    }

    /// Bytes on a WebSocket, as budgets count them.
    pub fn size(&self) -> usize {
        self.parts().iter().map(|p| p.wire.len()).sum()
    }
}

/// How a kind of connection puts events into bytes. One object serves all connections of the same namespace
/// and protocol, and two connections share encoded frames exactly when they share the object.
pub trait Format: Send + Sync + 'static {
    /// An event; with `ack`, the other side is asked to acknowledge under that number.
    fn event(&self, message: &Message, ack: Option<u64>) -> Frame;
    /// The answer to an event that came with `ack`. `args` is a JSON array; `None` when nothing can be said
    /// in this format.
    fn ack(&self, ack: Option<u64>, args: &Bytes, attachments: &[Bytes]) -> Option<Frame>;
    /// The frame that ends a namespace for the client while the link stays, if the protocol has one.
    fn goodbye(&self) -> Option<Frame>;
    /// The label of `gateway` in metrics: `socketio` or `websocket`.
    fn gateway(&self) -> &'static str;
}
