//! Frame heads: the two to fourteen bytes before a payload.

use super::{Role, Violation, apply_mask};

/// Largest payload of a control frame.
pub const MAX_CONTROL: usize = 125;
/// Longest head: two bytes, eight of length, four of mask.
const MAX_HEAD: usize = 14;
/// The first reserved bit, as permessage-deflate uses it.
const COMPRESSED: u8 = 0x40;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with a fragmented message.
    Continuation,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// The end of the connection.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping, or says "still here" unasked.
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// Whether it may stand between the fragments of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// Whether the message that begins here is compressed (the first reserved bit).
    pub compressed: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The mask, when the sender is a client.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub length: u64,
}

/// What [`Head::parse`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadParse {
    /// A head of that many bytes.
    Complete(Head, usize),
    /// At least that many bytes are needed in all.
    Needs(usize),
}

impl Head {
    /// Reads the head at the start of `bytes`.
    ///
    /// # Errors
    /// Everything that a frame may not be: reserved bits or opcodes, a fragmented or large control frame, a
    /// length not in its shortest form or beyond 2^63, and a mask on the wrong side.
    pub fn parse(bytes: &[u8], role: Role) -> Result<HeadParse, Violation> {
        Self::parse_extended(bytes, role, false)
    }

    /// The same where permessage-deflate was agreed on, if `deflate`: the first frame of a message may say that it
    /// is compressed.
    ///
    /// # Errors
    /// As [`Head::parse`].
    pub fn parse_extended(bytes: &[u8], role: Role, deflate: bool) -> Result<HeadParse, Violation> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(HeadParse::Needs(2)) };
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::Protocol("reserved opcode"))?;
        let compressed = first & COMPRESSED != 0;
        let may_be = deflate && matches!(opcode, Opcode::Text | Opcode::Binary);
        if first & 0x30 != 0 || compressed && !may_be {
            return Err(Violation::Protocol("reserved bit without an extension"));
        }
        let fin = first & 0x80 != 0;
        let masked = second & 0x80 != 0;
        let short = second & 0x7f;
        if opcode.is_control() && (!fin || short > 125) {
            return Err(Violation::Protocol("fragmented or large control frame"));
        }
        match (role, masked) {
            (Role::Server, false) => return Err(Violation::Protocol("frame without a mask")),
            (Role::Client, true) => return Err(Violation::Protocol("masked frame from a server")),
            _ => {}
        }
        let size = 2 + length_bytes(short) + if masked { 4 } else { 0 };
        if bytes.len() < size {
            return Ok(HeadParse::Needs(size));
        }
        let (length, rest) = read_length(short, rest)?;
        let mask = if masked { rest.first_chunk::<4>().copied() } else { None };
        Ok(HeadParse::Complete(Self { fin, compressed, opcode, mask, length }, size))
    }

    /// Writes the head, in its shortest form, to the end of `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let fin = if self.fin { 0x80 } else { 0 };
        let compressed = if self.compressed { COMPRESSED } else { 0 };
        out.push(self.opcode.bits() | fin | compressed);
        match self.length {
            0..=125 => out.push(self.length as u8 | masked),
            126..=0xffff => {
                out.push(126 | masked);
                out.extend_from_slice(&(self.length as u16).to_be_bytes());
            }
            _ => {
                out.push(127 | masked);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        if let Some(mask) = self.mask {
            out.extend_from_slice(&mask);
        }
    }
}

fn length_bytes(short: u8) -> usize {
    match short {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// The payload's length and what follows it. `rest` holds at least the length's bytes.
fn read_length(short: u8, rest: &[u8]) -> Result<(u64, &[u8]), Violation> {
    let (length, smallest, rest) = match short {
        126 => match rest.split_first_chunk::<2>() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), 126, rest),
            None => return Err(Violation::Protocol("short head")),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), 0x1_0000, rest),
            None => return Err(Violation::Protocol("short head")),
        },
        _ => (u64::from(short), 0, rest),
    };
    if length < smallest || length >> 63 != 0 {
        return Err(Violation::Protocol("length not in its shortest form"));
    }
    Ok((length, rest))
}

/// The head of a whole, unmasked frame: what a server writes before a payload of `length` bytes.
///
/// The memory is exactly enough for the payload to follow, so that it can be shared as it is.
pub fn head(opcode: Opcode, length: usize) -> Vec<u8> {
    let size = match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    let mut out = Vec::with_capacity(size + length);
    Head { fin: true, compressed: false, opcode, mask: None, length: length as u64 }.write(&mut out);
    out
}

/// A whole frame as a server sends it.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = head(opcode, payload.len());
    out.extend_from_slice(payload);
    out
}

/// A whole frame as a client sends it, masked with `key` (which must be fresh and unpredictable).
pub fn client_frame(opcode: Opcode, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAX_HEAD + payload.len());
    Head { fin: true, compressed: false, opcode, mask: Some(key), length: payload.len() as u64 }
        .write(&mut out);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], key, 0);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_head() -> impl Strategy<Value = Head> {
        let lengths = prop_oneof![0u64..300, 65_000u64..66_000, 0u64..(1 << 63)];
        (any::<bool>(), 0usize..3, any::<Option<[u8; 4]>>(), lengths, any::<bool>()).prop_map(
            |(fin, op, mask, length, deflate)| {
                let opcode = [Opcode::Continuation, Opcode::Text, Opcode::Binary][op];
                Head { fin, compressed: deflate && op > 0, opcode, mask, length }
            },
        )
    }

    proptest! {
        #[test]
        fn heads_survive_the_round_trip(head in any_head()) {
            let role = if head.mask.is_some() { Role::Server } else { Role::Client };
            let mut bytes = Vec::new();
            head.write(&mut bytes);
            prop_assert_eq!(Head::parse(&bytes, role).is_ok(), !head.compressed);
            prop_assert_eq!(Head::parse_extended(&bytes, role, true), Ok(HeadParse::Complete(head, bytes.len())));
            for cut in 0..bytes.len() {
                let partial = Head::parse_extended(&bytes[..cut], role, true);
                prop_assert!(matches!(partial, Ok(HeadParse::Needs(n)) if n > cut && n <= bytes.len()));
            }
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Head::parse(&bytes, Role::Server);
            let _ = Head::parse(&bytes, Role::Client);
        }
    }

    fn refused(bytes: &[u8], role: Role) -> bool {
        Head::parse(bytes, role).is_err()
    }

    #[test]
    fn whole_frames_waste_no_memory() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let bytes = frame(Opcode::Binary, &vec![0; length]);
            assert_eq!(bytes.len(), bytes.capacity(), "{length}");
        }
    }

    #[test]
    fn masks_are_for_clients_only() {
        assert!(refused(&[0x81, 0x01, b'a'], Role::Server));
        assert!(refused(&[0x81, 0x81, 0, 0, 0, 0, b'a'], Role::Client));
    }

    #[test]
    fn reserved_bits_and_opcodes_are_refused() {
        for first in [0xc1, 0xa1, 0x91, 0x83, 0x87, 0x8b, 0x8f] {
            assert!(refused(&[first, 0x80, 0, 0, 0, 0], Role::Server), "{first:x}");
        }
    }

    #[test]
    fn first_bit_begins_messages_only() {
        let refused =
            |first: u8| Head::parse_extended(&[first, 0x80, 0, 0, 0, 0], Role::Server, true).is_err();
        assert!(!refused(0xc1) && !refused(0x42));
        for first in [0xc0, 0x40, 0xc8, 0xc9, 0xca, 0xe1, 0xd2, 0xa1, 0x91] {
            assert!(refused(first), "{first:x}");
        }
    }

    #[test]
    fn control_frames_are_small_and_whole() {
        assert!(refused(&[0x09, 0x80, 0, 0, 0, 0], Role::Server));
        assert!(refused(&[0x89, 0xfe, 0, 126, 0, 0, 0, 0], Role::Server));
    }

    #[test]
    fn longer_lengths_than_needed_are_refused() {
        assert!(refused(&[0x82, 126, 0, 125], Role::Client));
        assert!(refused(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Role::Client));
        assert!(refused(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Role::Client));
    }
}
