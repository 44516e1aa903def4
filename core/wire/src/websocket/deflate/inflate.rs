//! Reads a compressed message back, piece by piece and within a limit.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::{super::Violation, FLUSHED};

/// An empty last block. Behind it a message must be at its end; one that was cut is not.
const LAST: [u8; 5] = [1, 0, 0, 0xff, 0xff];
/// Bytes that are inflated at once.
const PIECE: usize = 16 * 1024;

thread_local! {
    /// The decompressor of the thread and what it writes to.
    static INFLATER: RefCell<Option<Box<Inflater>>> = const { RefCell::new(None) };
}

struct Inflater {
    codec: Decompress,
    piece: [u8; PIECE],
}

/// Inflates a message that was compressed on its own and gives it to `take` in pieces, `limit` bytes at most.
pub(in super::super) fn inflate(
    payload: &[u8],
    limit: usize,
    mut take: impl FnMut(&[u8]) -> Result<(), Violation>,
) -> Result<(), Violation> {
    INFLATER.with_borrow_mut(|inflater| {
        let inflater = inflater
            .get_or_insert_with(|| Box::new(Inflater { codec: Decompress::new(false), piece: [0; PIECE] }));
        inflater.codec.reset(false);
        let mut room = limit;
        let mut take = |piece: &[u8]| {
            room = room.checked_sub(piece.len()).ok_or(Violation::TooLarge)?;
            take(piece)
        };
        let tail = [&FLUSHED[..], &LAST].concat();
        inflater.feed(payload, &mut take)?;
        if inflater.feed(&tail, &mut take)? { Ok(()) } else { Err(Violation::Deflate) }
    })
}

impl Inflater {
    /// Inflates `input` to its end; whether a last block ends there too.
    fn feed(
        &mut self,
        mut input: &[u8],
        take: &mut impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<bool, Violation> {
        loop {
            let (before_in, before_out) = (self.codec.total_in(), self.codec.total_out());
            let status = self
                .codec
                .decompress(input, &mut self.piece, FlushDecompress::None)
                .map_err(|_| Violation::Deflate)?;
            let used = (self.codec.total_in() - before_in) as usize;
            let made = (self.codec.total_out() - before_out) as usize;
            take(&self.piece[..made])?;
            input = &input[used..];
            match status {
                Status::StreamEnd => {
                    // Some flush with a last block (RFC 7692, 7.2.3.4): what follows begins anew.
                    self.codec.reset(false);
                    if input.is_empty() {
                        return Ok(true);
                    }
                }
                _ if input.is_empty() && made < PIECE => return Ok(false),
                _ if used == 0 && made == 0 => return Err(Violation::Deflate),
                _ => {}
            }
        }
    }
}
