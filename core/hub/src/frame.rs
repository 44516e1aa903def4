//! Ready bytes: an event encoded once for a wire format and shared by every link that takes it.

use std::sync::{Arc, OnceLock};

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

/// How many other forms of itself a frame can hold.
pub const FORMS: usize = 2;
/// Frames of at least this many bytes can hold other forms. Smaller ones are not worth a second form, and are kept
/// without an allocation of their own.
pub const FORMS_FROM: usize = 256;

/// An event, ready to be written: one part, or one and its attachments. Cloning is one reference count.
#[derive(Debug, Clone)]
pub struct Frame(Inner);

#[derive(Debug, Clone)]
enum Inner {
    One(Part),
    Shared(Arc<Shared>),
}

#[derive(Debug)]
struct Shared {
    parts: Box<[Part]>,
    /// The same event in other bytes, each made when the first link wants it. `None` inside: there is none.
    forms: [OnceLock<Option<Frame>>; FORMS],
}

impl Frame {
    /// A frame of one part.
    pub fn one(part: Part) -> Self {
        if part.wire.len() < FORMS_FROM { Self(Inner::One(part)) } else { Self::many(vec![part]) }
    }

    /// A frame of several parts that must leave together and in order.
    pub fn many(parts: Vec<Part>) -> Self {
        Self(Inner::Shared(Arc::new(Shared { parts: parts.into(), forms: Default::default() })))
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Part] {
        match &self.0 {
            Inner::One(part) => std::slice::from_ref(part),
            Inner::Shared(shared) => &shared.parts,
        }
    }

    /// Bytes on a WebSocket, as budgets count them.
    pub fn size(&self) -> usize {
        self.parts().iter().map(|p| p.wire.len()).sum()
    }

    /// The same event in the bytes of another form, for links that take those: made once, by whoever asks first,
    /// and shared by all that hold this frame. `None` when `make` has nothing better than the parts, or the frame
    /// is too small to hold forms.
    pub fn form(&self, form: usize, make: impl FnOnce(&[Part]) -> Option<Self>) -> Option<&Self> {
        match &self.0 {
            Inner::One(_) => None,
            Inner::Shared(shared) => shared.forms.get(form)?.get_or_init(|| make(&shared.parts)).as_ref(),
        }
    }
}

/// How a kind of connection puts events into bytes. One object serves all connections of the same namespace
/// and protocol, and two connections share encoded frames exactly when they share the object.
pub trait Format: Send + Sync + 'static {
    /// An event; with `ack`, the other side is asked to acknowledge under that number.
    fn event(&self, message: &Message, ack: Option<u64>) -> Frame;
    /// A recoverable event: what [`Format::event`] gives, and its offset where clients look for it. Formats whose
    /// clients do not know of offsets leave it out.
    fn recoverable(&self, message: &Message, offset: &str) -> Frame {
        let _ = offset;
        self.event(message, None)
    }
    /// Whether its clients can come back after a loss; only then has a connection a session.
    fn recovers(&self) -> bool {
        false
    }
    /// The answer to an event that came with `ack`. `args` is a JSON array; `None` when nothing can be said
    /// in this format.
    fn ack(&self, ack: Option<u64>, args: &Bytes, attachments: &[Bytes]) -> Option<Frame>;
    /// The frame that ends a namespace for the client while the link stays, if the protocol has one.
    fn goodbye(&self) -> Option<Frame>;
    /// The label of `gateway` in metrics: `socketio` or `websocket`.
    fn gateway(&self) -> &'static str;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Frame {
        Frame::one(Part { wire: vec![b'x'; length].into(), header: 0, binary: false })
    }

    #[test]
    fn form_is_made_once_for_all() {
        let frame = frame(FORMS_FROM);
        let copies = vec![frame.clone(); 3];
        let mut made = 0;
        for copy in &copies {
            let form = copy.form(0, |parts| {
                made += 1;
                Some(Frame::one(Part { wire: parts[0].wire.slice(..1), ..parts[0].clone() }))
            });
            assert_eq!(form.map(Frame::size), Some(1));
        }
        assert_eq!(made, 1);
        assert_eq!(frame.size(), FORMS_FROM);
    }

    #[test]
    fn no_better_form_is_remembered() {
        let frame = frame(FORMS_FROM);
        assert!(frame.form(1, |_| None).is_none());
        assert!(frame.clone().form(1, |_| panic!("asked again")).is_none());
        assert!(frame.form(FORMS, |_| panic!("there is no such form")).is_none());
    }

    #[test]
    fn small_frames_hold_no_forms() {
        assert!(frame(FORMS_FROM - 1).form(0, |_| panic!("too small")).is_none());
        assert!(size_of::<Frame>() <= size_of::<Part>());
    }
}
