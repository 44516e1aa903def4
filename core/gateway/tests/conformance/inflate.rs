//! DEFLATE read back (RFC 1951), by the book and slowly: a second opinion on what the server compresses, which also
//! says how far back it refers.

/// What came of it.
pub(crate) struct Inflated {
    pub(crate) plain: Vec<u8>,
    /// The greatest distance of a reference.
    pub(crate) reach: usize,
}

/// Inflates the payload of one message (the flush's last four bytes left out) with nothing before it.
pub(crate) fn inflate(payload: &[u8]) -> Inflated {
    let bytes = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut bits = Bits { bytes: &bytes, at: 0 };
    let mut out = Inflated { plain: Vec::new(), reach: 0 };
    while bits.left() >= 3 {
        let last = bits.take(1) == 1;
        match bits.take(2) {
            0 => stored(&mut bits, &mut out),
            1 => coded(&mut bits, &mut out, &Code::new(&fixed_lengths()), &Code::new(&[5; 30])),
            2 => {
                let (literals, distances) = tables(&mut bits);
                coded(&mut bits, &mut out, &literals, &distances);
            }
            kind => panic!("a block of kind {kind}"),
        }
        assert!(!last, "the server flushes, it does not finish");
    }
    assert_eq!(bits.left(), 0, "nothing follows the flush");
    out
}

struct Bits<'b> {
    bytes: &'b [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    fn left(&self) -> usize {
        self.bytes.len() * 8 - self.at
    }

    fn take(&mut self, count: usize) -> usize {
        (0..count).map(|i| self.bit() << i).sum()
    }

    fn bit(&mut self) -> usize {
        let byte = *self.bytes.get(self.at / 8).expect("the message is not cut");
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        usize::from(bit)
    }
}

/// A canonical Huffman code: how many codes there are of each length, and the symbols in order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&s| lengths[s] > 0).collect();
        symbols.sort_by_key(|&s| lengths[s]);
        symbols.iter().for_each(|&s| counts[usize::from(lengths[s])] += 1);
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.bit();
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("no such code");
    }
}

fn fixed_lengths() -> Vec<u8> {
    [(8, 144), (9, 112), (7, 24), (8, 8)].iter().flat_map(|&(length, count)| vec![length; count]).collect()
}

fn stored(bits: &mut Bits<'_>, out: &mut Inflated) {
    bits.at = bits.at.next_multiple_of(8);
    let (length, check) = (bits.take(16), bits.take(16));
    assert_eq!(length ^ check, 0xffff);
    for _ in 0..length {
        let byte = bits.take(8) as u8;
        out.plain.push(byte);
    }
}

/// The codes that a block brings with it.
fn tables(bits: &mut Bits<'_>) -> (Code, Code) {
    let (literals, distances, codes) = (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
    let mut lengths = [0; 19];
    for &at in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].iter().take(codes) {
        lengths[at] = bits.take(3) as u8;
    }
    let code = Code::new(&lengths);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match code.read(bits) {
            16 => (*lengths.last().unwrap(), bits.take(2) + 3),
            17 => (0, bits.take(3) + 3),
            18 => (0, bits.take(7) + 11),
            length => (length as u8, 1),
        };
        lengths.extend(vec![value; times]);
    }
    (Code::new(&lengths[..literals]), Code::new(&lengths[literals..]))
}

fn coded(bits: &mut Bits<'_>, out: &mut Inflated, literals: &Code, distances: &Code) {
    loop {
        match literals.read(bits) {
            256 => return,
            literal @ 0..256 => out.plain.push(literal as u8),
            symbol => {
                let length = spread(symbol - 257, 4, 8, 3, bits);
                let symbol = distances.read(bits);
                let distance = spread(symbol, 2, 4, 1, bits);
                assert!(distance <= out.plain.len(), "a reference before the message");
                out.reach = out.reach.max(distance);
                for _ in 0..length {
                    out.plain.push(out.plain[out.plain.len() - distance]);
                }
            }
        }
    }
}

/// A length or distance from its symbol: the first `plain` symbols count singly, from then on each `group` symbols
/// take one bit more.
fn spread(symbol: usize, group: usize, plain: usize, smallest: usize, bits: &mut Bits<'_>) -> usize {
    if symbol < plain {
        return symbol + smallest;
    }
    if group == 4 && symbol == 28 {
        return 258;
    }
    let extra = symbol / group - 1;
    (((group + symbol % group) << extra) | bits.take(extra)) + smallest
}
