//! WebSocket streams. Of the input the first byte says who reads and with which limit, the second how the stream is
//! cut; the rest is the stream itself, and in another pass the messages that are to be written.

use bytes::Bytes;
use exedra_wire::websocket::{
    Close, Decoder, Head, Item, MAX_CONTROL, Opcode, Role, Violation, apply_mask, client_frame,
    deflate::{Window, compress, compressed_frame},
    frame,
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// Small, so that they are reached, and one that inflated bytes reach.
const LIMITS: [usize; 4] = [0, 20, 300, 70_000];

/// How a stream is read.
#[derive(Clone, Copy)]
struct Setting {
    role: Role,
    deflate: bool,
    limit: usize,
    /// Bytes that come at once.
    cut: usize,
}

/// What came of a stream: the items before its end or a violation, and whether it is between messages.
#[derive(Debug, PartialEq)]
struct Outcome {
    items: Vec<Item>,
    violation: Option<Violation>,
    idle: bool,
}

/// A stream means the same however it is cut, nothing is larger than the limit, and what is written is read back.
///
/// # Panics
/// When that does not hold.
pub fn websocket_frames(input: &[u8]) {
    let [first, second, stream @ ..] = input else { return };
    let setting = Setting {
        role: if first & 1 == 0 { Role::Server } else { Role::Client },
        deflate: first & 2 != 0,
        limit: LIMITS[usize::from(first >> 2 & 3)],
        cut: usize::from(*second).max(2),
    };
    foreign(setting, stream);
    own(setting, stream);
}

/// Bytes of anyone.
fn foreign(setting: Setting, stream: &[u8]) {
    let whole = read(setting, stream, stream.len().max(1));
    for item in &whole.items {
        assert!(size(item) <= setting.limit.max(MAX_CONTROL), "{item:?} is larger than {}", setting.limit);
    }
    assert_eq!(read(setting, stream, 1), whole, "byte by byte it is another stream");
    assert_eq!(read(setting, stream, setting.cut), whole, "in pieces it is another stream");
    let written: Vec<u8> = whole.items.iter().flat_map(|item| write(setting, item)).collect();
    let again = read(Setting { limit: usize::MAX, ..setting }, &written, setting.cut);
    assert_eq!(again, Outcome { items: whole.items, violation: None, idle: true });
}

/// Messages made of the input: each begins with a byte for its kind and one for its length.
fn own(setting: Setting, mut input: &[u8]) {
    let (mut items, mut written) = (Vec::new(), Vec::new());
    while let [kind, length, rest @ ..] = input {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        input = rest;
        let text = String::from_utf8_lossy(payload).into_owned();
        let ping: Bytes = payload[..payload.len().min(MAX_CONTROL)].to_vec().into();
        let item = match kind & 7 {
            0 => Item::Text(text),
            1 => Item::Binary(payload.to_vec().into()),
            2 => Item::Text(text.repeat(usize::from(kind >> 3))),
            3 => Item::Binary(payload.repeat(usize::from(*kind)).into()),
            4 => Item::Ping(ping),
            5 => Item::Pong(ping),
            6 => Item::Close(None),
            _ => Item::Close(Close::parse(&Close::encode(1000 + u16::from(kind >> 7), &text)).ok().flatten()),
        };
        if kind & 0x40 != 0 && matches!(item, Item::Text(_) | Item::Binary(_)) {
            written.extend(fragments(setting, &item, setting.cut));
            items.extend(pings(setting, &item));
        } else {
            written.extend(write(setting, &item));
        }
        items.push(item);
    }
    let read = read(Setting { limit: usize::MAX, ..setting }, &written, setting.cut);
    assert_eq!(read, Outcome { items, violation: None, idle: true }, "what was written was not read back");
}

fn read(setting: Setting, stream: &[u8], cut: usize) -> Outcome {
    let mut decoder = Decoder::new(setting.role, setting.limit).inflating(setting.deflate);
    let mut items = Vec::new();
    for mut piece in stream.chunks(cut) {
        loop {
            match decoder.feed(&mut piece) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(violation) => return Outcome { items, violation: Some(violation), idle: false },
            }
        }
        assert!(piece.is_empty(), "bytes were left");
    }
    Outcome { items, violation: None, idle: decoder.is_idle() }
}

/// One frame by the side that the setting does not read for, compressed where that was agreed on and helps.
fn write(setting: Setting, item: &Item) -> Vec<u8> {
    let (opcode, payload) = parts(item);
    let message = matches!(opcode, Opcode::Text | Opcode::Binary);
    match setting.role {
        Role::Client if setting.deflate && message => {
            compressed_frame(opcode, &payload, Window::Narrow).unwrap_or_else(|| frame(opcode, &payload))
        }
        Role::Client => frame(opcode, &payload),
        Role::Server => match compress(&payload, Window::Wide).filter(|_| setting.deflate && message) {
            Some(small) => bits(opcode, &small, Some(KEY), (true, true)),
            None => client_frame(opcode, &payload, KEY),
        },
    }
}

/// A message in pieces of `cut` bytes, with a ping before all but the first.
fn fragments(setting: Setting, item: &Item, cut: usize) -> Vec<u8> {
    let (opcode, payload) = parts(item);
    let small = compress(&payload, Window::Wide).filter(|_| setting.deflate);
    let compressed = small.is_some();
    let payload = small.unwrap_or(payload);
    let mask = (setting.role == Role::Server).then_some(KEY);
    let mut bytes = Vec::new();
    let mut rest = &payload[..];
    loop {
        let first = bytes.is_empty();
        let (piece, after) = rest.split_at(rest.len().min(cut));
        rest = after;
        let opcode = if first { opcode } else { Opcode::Continuation };
        if !first {
            bytes.extend(bits(Opcode::Ping, b"between", mask, (true, false)));
        }
        bytes.extend(bits(opcode, piece, mask, (rest.is_empty(), first && compressed)));
        if rest.is_empty() {
            return bytes;
        }
    }
}

/// The pings that [`fragments`] puts into a message.
fn pings(setting: Setting, item: &Item) -> Vec<Item> {
    let (_, payload) = parts(item);
    let payload = compress(&payload, Window::Wide).filter(|_| setting.deflate).unwrap_or(payload);
    let between = payload.len().div_ceil(setting.cut).max(1) - 1;
    vec![Item::Ping(b"between"[..].to_vec().into()); between]
}

fn bits(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>, (fin, compressed): (bool, bool)) -> Vec<u8> {
    let mut out = Vec::new();
    Head { fin, compressed, opcode, mask, length: payload.len() as u64 }.write(&mut out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut out[start..], key, 0);
    }
    out
}

fn parts(item: &Item) -> (Opcode, Vec<u8>) {
    match item {
        Item::Text(text) => (Opcode::Text, text.clone().into_bytes()),
        Item::Binary(data) => (Opcode::Binary, data.to_vec()),
        Item::Ping(data) => (Opcode::Ping, data.to_vec()),
        Item::Pong(data) => (Opcode::Pong, data.to_vec()),
        Item::Close(None) => (Opcode::Close, Vec::new()),
        Item::Close(Some(close)) => (Opcode::Close, Close::encode(close.code, &close.reason)),
    }
}

fn size(item: &Item) -> usize {
    parts(item).1.len()
}
