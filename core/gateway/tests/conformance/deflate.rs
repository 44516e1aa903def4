//! DEFLATE written (RFC 1951) as clients may write it: stored, with the fixed code, finished or flushed, referring
//! back or not. It need not be small, it must be right, or wrong on purpose.

/// Writes bits, lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    free: usize,
}

impl Bits {
    fn put(&mut self, value: usize, count: usize) {
        for i in 0..count {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            *self.bytes.last_mut().unwrap() |= ((value >> i & 1) as u8) << (8 - self.free);
            self.free -= 1;
        }
    }

    /// A Huffman code: highest bit first.
    fn code(&mut self, code: usize, count: usize) {
        (0..count).rev().for_each(|i| self.put(code >> i & 1, 1));
    }

    /// A literal or length in the fixed code.
    fn symbol(&mut self, symbol: usize) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    /// Four bytes from so far back.
    fn four_from(&mut self, distance: usize) {
        self.symbol(258);
        let mut symbol = 0;
        while symbol < 29 && first_distance(symbol + 1) <= distance {
            symbol += 1;
        }
        self.code(symbol, 5);
        self.put(distance - first_distance(symbol), (symbol / 2).saturating_sub(1));
    }
}

fn first_distance(symbol: usize) -> usize {
    if symbol < 4 { symbol + 1 } else { ((2 + symbol % 2) << (symbol / 2 - 1)) + 1 }
}

/// What ends a message.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    /// An empty stored block, its last four bytes left out (RFC 7692, 7.2.1).
    Flush,
    /// The last block says that it is the last (7.2.3.4).
    Finish,
}

/// One block in the fixed code. Four bytes that stood exactly `back` before are referred to; 0: nothing is.
pub(crate) fn fixed(plain: &[u8], back: usize, ending: Ending) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(usize::from(matches!(ending, Ending::Finish)), 1);
    bits.put(1, 2);
    let mut at = 0;
    while at < plain.len() {
        let again =
            back >= 4 && at >= back && plain[at..].len() >= 4 && plain[at - back..][..4] == plain[at..][..4];
        if again {
            bits.four_from(back);
            at += 4;
        } else {
            bits.symbol(usize::from(plain[at]));
            at += 1;
        }
    }
    bits.symbol(256);
    match ending {
        Ending::Flush => bits.put(0, 3),
        // A finished stream is filled up to a byte; then an empty block begins.
        Ending::Finish => bits.bytes.push(0),
    }
    bits.bytes
}

/// Stored blocks of at most `size` bytes each.
pub(crate) fn stored(plain: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for block in plain.chunks(size) {
        let length = block.len() as u16;
        out.push(0);
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.push(0);
    out
}

/// A reference to `distance` bytes before the message: right only for who keeps the context.
pub(crate) fn reaching_back(distance: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(0, 1);
    bits.put(1, 2);
    bits.four_from(distance);
    bits.symbol(256);
    bits.put(0, 3);
    bits.bytes
}
