//! permessage-deflate (RFC 7692), every message compressed on its own.
//!
//! Both sides are held to "no context takeover": a message that is compressed once is right for every link, and no
//! link owns a compressor. Compressor and decompressor belong to the thread and are reset for each message.

mod inflate;
mod offer;

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::{Head, Opcode};

pub(super) use inflate::inflate;
pub use offer::{Agreed, negotiate};

/// What ends a message that was flushed; it is left out on the wire (RFC 7692, 7.2.1).
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];
/// Room for a frame's head before the compressed bytes.
const HEAD: usize = 10;

/// How far back compressed bytes may refer, as the other side can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// 32 KiB: what clients take that do not ask for less.
    Wide,
    /// 512 bytes, of which a compressor uses 250, since it keeps room to look ahead: right for every client that asks
    /// for less than 32 KiB, 256 bytes included, so that all of them share one compressed form.
    Narrow,
}

impl Window {
    /// How many there are.
    pub const COUNT: usize = 2;

    fn bits(self) -> u8 {
        match self {
            Self::Wide => 15,
            Self::Narrow => 9,
        }
    }

    fn of_bits(bits: u8) -> Self {
        if bits == Self::Wide.bits() { Self::Wide } else { Self::Narrow }
    }
}

thread_local! {
    /// One per window, made when first needed; nothing of a message stays in it.
    static COMPRESSORS: RefCell<[Option<Compress>; Window::COUNT]> = const { RefCell::new([None, None]) };
}

/// A message's payload, compressed on its own, as it stands in a frame with the first reserved bit.
///
/// `None` when it would not become smaller: then it is better sent as it is.
pub fn compress(payload: &[u8], window: Window) -> Option<Vec<u8>> {
    compressed_after(0, payload, window)
}

/// A whole compressed message in one frame as a server sends it; `None` when it would not become smaller.
pub fn compressed_frame(opcode: Opcode, payload: &[u8], window: Window) -> Option<Vec<u8>> {
    let mut out = compressed_after(HEAD, payload, window)?;
    let length = out.len() - HEAD;
    let mut head = Vec::with_capacity(HEAD);
    Head { fin: true, compressed: true, opcode, mask: None, length: length as u64 }.write(&mut head);
    let unused = HEAD - head.len();
    out[unused..HEAD].copy_from_slice(&head);
    out.drain(..unused);
    out.shrink_to_fit();
    Some(out)
}

/// Compresses behind `room` bytes that are left for a head.
fn compressed_after(room: usize, payload: &[u8], window: Window) -> Option<Vec<u8>> {
    COMPRESSORS.with_borrow_mut(|compressors| {
        let slot = &mut compressors[window as usize];
        let compressor = slot
            .get_or_insert_with(|| Compress::new_with_window_bits(Compression::new(4), false, window.bits()));
        compressor.reset();
        // More than the payload is never wanted, so there is no room for more.
        let mut out = vec![0; room + payload.len() + FLUSHED.len()];
        let status = compressor.compress(payload, &mut out[room..], FlushCompress::Sync).ok()?;
        let whole = compressor.total_in() == payload.len() as u64 && status == Status::Ok;
        let written = room + usize::try_from(compressor.total_out()).ok()?;
        if !whole || written == out.len() {
            return None;
        }
        out.truncate(written);
        out.ends_with(&FLUSHED).then(|| out.truncate(written - FLUSHED.len()))?;
        Some(out)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Violation, *};

    fn inflated(payload: &[u8], limit: usize) -> Result<Vec<u8>, Violation> {
        let mut out = Vec::new();
        inflate(payload, limit, |piece| {
            out.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(out)
    }

    proptest! {
        #[test]
        fn messages_survive_the_round_trip(seed: Vec<u8>, times in 1usize..200, narrow: bool) {
            let payload = seed.repeat(times);
            let window = if narrow { Window::Narrow } else { Window::Wide };
            if let Some(small) = compress(&payload, window) {
                prop_assert!(small.len() < payload.len());
                prop_assert_eq!(inflated(&small, payload.len()), Ok(payload));
            }
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            prop_assert!(inflated(&bytes, 1000).is_ok_and(|out| out.len() <= 1000) || inflated(&bytes, 1000).is_err());
        }
    }

    #[test]
    fn repeats_shrink_and_noise_does_not() {
        assert!(compress(&[b'x'; 2000], Window::Wide).is_some_and(|small| small.len() < 50));
        let mut state = 1u32;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        let noise: Vec<u8> = (0..2000).map(|_| noise()).collect();
        assert_eq!(compress(&noise, Window::Wide), None);
        assert_eq!(compress(b"", Window::Wide), None);
        assert_eq!(compress(b"Hi", Window::Wide), None);
    }

    #[test]
    fn messages_leave_nothing_behind() {
        let payload = b"the same message, the same bytes, the same message".repeat(30);
        let first = compress(&payload, Window::Wide).unwrap();
        assert_eq!(compress(&payload, Window::Wide).unwrap(), first);
        assert_eq!(inflated(&first, 1 << 20).unwrap(), payload);
        assert_eq!(inflated(&first, 1 << 20).unwrap(), payload);
    }

    #[test]
    fn narrow_bytes_fit_the_smallest_window() {
        let payload: Vec<u8> = (0..40_000u32).flat_map(|i| (i % 3000).to_be_bytes()).collect();
        let small = compress(&payload, Window::Narrow).unwrap();
        let mut strict = flate2::Decompress::new_with_window_bits(false, 9);
        let mut out = Vec::with_capacity(payload.len() + 1);
        let mut fed = small.clone();
        fed.extend_from_slice(&FLUSHED);
        // In pieces, so that the decompressor must live from its window and not from the output.
        let (mut at, mut piece) = (0, [0; 64]);
        while out.len() < payload.len() {
            let (before_in, before_out) = (strict.total_in(), strict.total_out());
            strict.decompress(&fed[at..], &mut piece, flate2::FlushDecompress::None).unwrap();
            at += (strict.total_in() - before_in) as usize;
            out.extend_from_slice(&piece[..(strict.total_out() - before_out) as usize]);
        }
        assert_eq!(out, payload);
    }

    #[test]
    fn whole_frames_carry_the_bit() {
        let frame = compressed_frame(Opcode::Text, &[b'x'; 2000], Window::Wide).unwrap();
        assert_eq!(frame[0], 0xc1);
        assert_eq!(frame[1] as usize, frame.len() - 2);
        assert_eq!(inflated(&frame[2..], 2000).unwrap(), [b'x'; 2000]);
    }

    #[test]
    fn examples_of_the_rfc_are_read() {
        let hello = Ok(b"Hello".to_vec());
        assert_eq!(inflated(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 5), hello);
        assert_eq!(inflated(&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], 5), hello);
        assert_eq!(inflated(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], 5), hello);
        let two_blocks = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflated(&two_blocks, 5), hello);
        assert_eq!(inflated(&[0x00], 0), Ok(Vec::new()));
    }

    #[test]
    fn takeover_of_context_is_refused() {
        // The RFC's second "Hello", which refers to the first.
        assert_eq!(inflated(&[0xf2, 0x00, 0x11, 0x00, 0x00], 100), Err(Violation::Deflate));
    }

    #[test]
    fn cut_messages_are_refused() {
        let small = compress(&b"a sentence that is said twice, ".repeat(50), Window::Wide).unwrap();
        for cut in 0..small.len() {
            assert!(inflated(&small[..cut], 1 << 20).is_err(), "{cut}");
        }
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        let bomb = compress(&vec![0; 10 << 20], Window::Wide).unwrap();
        assert!(bomb.len() < 64 << 10);
        let mut most = 0;
        let outcome = inflate(&bomb, 100_000, |piece| {
            most += piece.len();
            Ok(())
        });
        assert_eq!(outcome, Err(Violation::TooLarge));
        assert!(most <= 100_000, "{most}");
    }
}
