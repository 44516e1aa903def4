//! Ready frames: WebSocket header and payload in one piece of memory, as all links share them.

use bytes::Bytes;
use exedra_hub::{Frame, frame::Part};
use exedra_wire::websocket::{Close, Opcode, head};

/// A text frame of several pieces put together.
pub(crate) fn text(pieces: &[&[u8]]) -> Part {
    part(Opcode::Text, pieces)
}

/// A binary frame.
pub(crate) fn binary(data: &[u8]) -> Part {
    part(Opcode::Binary, &[data])
}

fn part(opcode: Opcode, pieces: &[&[u8]]) -> Part {
    let mut wire = head(opcode, pieces.iter().map(|p| p.len()).sum());
    let header = wire.len() as u8;
    for piece in pieces {
        wire.extend_from_slice(piece);
    }
    Part { wire: wire.into(), header, binary: opcode == Opcode::Binary }
}

/// An Engine.IO packet that is text, type character included.
pub(crate) fn packet(text: &str) -> Frame {
    Frame::one(self::text(&[text.as_bytes()]))
}

/// The Engine.IO ping; shared, never copied.
pub(crate) fn engine_ping() -> Frame {
    Frame::one(Part { wire: Bytes::from_static(b"\x81\x012"), header: 2, binary: false })
}

/// The WebSocket ping without a payload.
pub(crate) fn ping() -> Frame {
    Frame::one(Part { wire: Bytes::from_static(b"\x89\x00"), header: 2, binary: false })
}

/// A WebSocket pong.
pub(crate) fn pong(payload: &[u8]) -> Frame {
    Frame::one(part(Opcode::Pong, &[payload]))
}

/// A WebSocket close; without a code it gives no reason.
pub(crate) fn close(code: Option<u16>, reason: &str) -> Frame {
    let payload = code.map(|code| Close::encode(code, reason)).unwrap_or_default();
    Frame::one(part(Opcode::Close, &[&payload]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_follows_the_header() {
        let part = text(&[b"4", &[b'x'; 200]]);
        assert_eq!(part.payload().len(), 201);
        assert_eq!(&part.wire[..part.header as usize], b"\x81\x7e\x00\xc9");
        assert!(binary(b"x").binary);
    }

    #[test]
    fn constant_frames_are_well_formed() {
        assert_eq!(engine_ping().parts()[0].payload(), "2");
        assert_eq!(packet("2").parts(), engine_ping().parts());
        assert_eq!(ping().parts()[0].payload(), "");
    }
}
