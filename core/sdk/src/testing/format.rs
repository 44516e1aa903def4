//! How frames look to a test client: one JSON object, then attachments.

use bytes::Bytes;
use exedra_hub::{Format, Frame, Message, frame::Part};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Args;

/// One format per kind of link, shared by all of a test's clients.
pub(super) struct TestFormat {
    pub(super) gateway: &'static str,
}

/// What a frame says.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    event: Option<&'a str>,
    ack: Option<u64>,
    #[serde(borrow)]
    args: &'a RawValue,
}

/// What a client got.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    Event { name: String, args: Args, ack: Option<u64> },
    Answer { ack: Option<u64>, args: Args },
}

impl TestFormat {
    fn frame(event: Option<&str>, ack: Option<u64>, args: &[u8], attachments: &[Bytes]) -> Option<Frame> {
        let args: &RawValue = serde_json::from_slice(args).ok()?;
        let head = serde_json::to_vec(&Wire { event, ack, args }).ok()?;
        let head = Part { wire: head.into(), header: 0, binary: false };
        let bodies = attachments.iter().map(|bytes| Part { wire: bytes.clone(), header: 0, binary: true });
        Some(Frame::many(std::iter::once(head).chain(bodies).collect()))
    }
}

impl Format for TestFormat {
    fn event(&self, message: &Message, ack: Option<u64>) -> Frame {
        let frame = Self::frame(Some(&message.event), ack, &message.args, &message.attachments);
        frame.unwrap_or_else(|| Frame::many(Vec::new()))
    }

    fn ack(&self, ack: Option<u64>, args: &Bytes, attachments: &[Bytes]) -> Option<Frame> {
        match self.gateway {
            // As on a plain WebSocket: an answer is sent always, unless there is nothing to say.
            "websocket" if matches!(&args[..], b"[]" | b"[null]") => None,
            "websocket" => Self::frame(None, None, args, attachments),
            _ => Self::frame(None, Some(ack?), args, attachments),
        }
    }

    fn goodbye(&self) -> Option<Frame> {
        None
    }

    fn gateway(&self) -> &'static str {
        self.gateway
    }
}

/// Reads a frame; `None` for one that says nothing to a client.
pub(super) fn read(frame: &Frame) -> Option<Heard> {
    let (head, bodies) = frame.parts().split_first()?;
    let wire: Wire<'_> = serde_json::from_slice(&head.wire).ok()?;
    let args = Args {
        json: Bytes::copy_from_slice(wire.args.get().as_bytes()),
        attachments: bodies.iter().map(|part| part.wire.clone()).collect(),
    };
    Some(match wire.event {
        Some(name) => Heard::Event { name: name.to_owned(), args, ack: wire.ack },
        None => Heard::Answer { ack: wire.ack, args },
    })
}
