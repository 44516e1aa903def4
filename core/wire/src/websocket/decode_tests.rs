//! What a decoder takes and refuses, whole and cut into pieces.

use proptest::prelude::*;

use super::*;
use crate::websocket::{client_frame, frame};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn server(limit: usize) -> Decoder {
    Decoder::new(Role::Server, limit)
}

/// A client's frame that does not end its message.
fn fragment(opcode: Opcode, payload: &[u8], fin: bool) -> Vec<u8> {
    let mut bytes = client_frame(opcode, payload, KEY);
    if !fin {
        bytes[0] &= 0x7f;
    }
    bytes
}

fn decode(decoder: &mut Decoder, mut bytes: &[u8]) -> Result<Vec<Item>, Violation> {
    let mut items = Vec::new();
    while let Some(item) = decoder.feed(&mut bytes)? {
        items.push(item);
    }
    assert!(bytes.is_empty());
    Ok(items)
}

fn bytewise(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<Item>, Violation> {
    let mut items = Vec::new();
    for byte in bytes {
        items.extend(decode(decoder, &[*byte])?);
    }
    Ok(items)
}

fn any_message() -> impl Strategy<Value = Item> {
    prop_oneof![
        any::<String>().prop_map(Item::Text),
        proptest::collection::vec(any::<u8>(), 0..400).prop_map(|v| Item::Binary(v.into())),
    ]
}

proptest! {
    #[test]
    fn messages_survive_any_cut(messages in proptest::collection::vec(any_message(), 0..4), pieces in 1usize..40) {
        let mut bytes = Vec::new();
        for message in &messages {
            match message {
                Item::Text(text) => bytes.extend(client_frame(Opcode::Text, text.as_bytes(), KEY)),
                Item::Binary(data) => bytes.extend(client_frame(Opcode::Binary, data, KEY)),
                _ => {}
            }
        }
        let mut decoder = server(1 << 20);
        let mut items = Vec::new();
        for piece in bytes.chunks(pieces) {
            items.extend(decode(&mut decoder, piece)?);
        }
        prop_assert_eq!(items, messages);
        prop_assert!(decoder.is_idle());
    }

    #[test]
    fn fragments_join_whatever_their_cut(text: String, cut in 1usize..9, pieces in 1usize..20) {
        let mut bytes = Vec::new();
        let mut opcode = Opcode::Text;
        for piece in text.as_bytes().chunks(cut) {
            bytes.extend(fragment(opcode, piece, false));
            bytes.extend(client_frame(Opcode::Ping, b"between", KEY));
            opcode = Opcode::Continuation;
        }
        bytes.extend(fragment(opcode, b"", true));
        let mut decoder = server(1 << 20);
        let mut items = Vec::new();
        for piece in bytes.chunks(pieces) {
            items.extend(decode(&mut decoder, piece)?);
        }
        prop_assert_eq!(items.pop(), Some(Item::Text(text)));
        prop_assert!(items.iter().all(|i| *i == Item::Ping("between".into())));
        prop_assert!(decoder.is_idle());
    }

    #[test]
    fn hostile_bytes_never_panic(bytes: Vec<u8>, pieces in 1usize..20) {
        let mut decoder = server(100);
        for mut piece in bytes.chunks(pieces) {
            while let Ok(Some(_)) = decoder.feed(&mut piece) {}
        }
    }
}

#[test]
fn client_reads_what_a_server_writes() {
    let mut decoder = Decoder::new(Role::Client, 100);
    let items = decode(&mut decoder, &frame(Opcode::Text, "grüezi".as_bytes()));
    assert_eq!(items, Ok(vec![Item::Text("grüezi".into())]));
}

#[test]
fn declared_length_is_enough_to_refuse() {
    let bytes = client_frame(Opcode::Binary, &[0; 101], KEY);
    assert_eq!(decode(&mut server(100), &bytes[..6]), Err(Violation::TooLarge));
    assert!(decode(&mut server(101), &bytes).is_ok());
}

#[test]
fn fragments_share_one_limit() {
    let mut decoder = server(100);
    assert_eq!(decode(&mut decoder, &fragment(Opcode::Binary, &[0; 60], false)), Ok(vec![]));
    let second = fragment(Opcode::Continuation, &[0; 41], true);
    assert_eq!(decode(&mut decoder, &second), Err(Violation::TooLarge));
}

#[test]
fn huge_declared_length_reserves_nothing() {
    let mut bytes = Vec::new();
    Head { fin: true, compressed: false, opcode: Opcode::Binary, mask: Some(KEY), length: 1 << 30 }
        .write(&mut bytes);
    bytes.push(1);
    let mut decoder = server(u32::MAX as usize);
    assert_eq!(decode(&mut decoder, &bytes), Ok(vec![]));
    let kept = decoder.partial.as_ref().and_then(|p| p.message.as_ref()).map(|m| m.data.capacity());
    assert!(kept.is_some_and(|capacity| capacity < 64));
}

#[test]
fn bad_utf8_fails_before_the_end() {
    let mut decoder = server(1000);
    assert_eq!(decode(&mut decoder, &fragment(Opcode::Text, b"caf\xc3", false)), Ok(vec![]));
    let next = fragment(Opcode::Continuation, b"\xc3 and more that never comes", false);
    assert_eq!(bytewise(&mut decoder, &next[..8]), Err(Violation::Utf8));
}

#[test]
fn half_a_character_is_no_text() {
    assert_eq!(decode(&mut server(100), &client_frame(Opcode::Text, b"\xe2\x82", KEY)), Err(Violation::Utf8));
    let mut decoder = server(100);
    assert_eq!(decode(&mut decoder, &fragment(Opcode::Text, b"\xe2\x82", false)), Ok(vec![]));
    assert_eq!(decode(&mut decoder, &fragment(Opcode::Continuation, b"", true)), Err(Violation::Utf8));
}

#[test]
fn fragments_must_follow_the_rules() {
    let lone = fragment(Opcode::Continuation, b"x", true);
    assert!(decode(&mut server(100), &lone).is_err());
    let mut decoder = server(100);
    assert!(decode(&mut decoder, &fragment(Opcode::Text, b"x", false)).is_ok());
    assert!(decode(&mut decoder, &fragment(Opcode::Text, b"y", true)).is_err());
}

#[test]
fn close_is_read_byte_by_byte() {
    let bytes = client_frame(Opcode::Close, &Close::encode(1001, "gone"), KEY);
    let items = bytewise(&mut server(100), &bytes);
    assert_eq!(items, Ok(vec![Item::Close(Some(Close { code: 1001, reason: "gone".into() }))]));
}

// === compressed messages ===

use crate::websocket::deflate::{Window, compress};

/// A client's compressed message in fragments of `cut` bytes, with a ping between them.
fn compressed(opcode: Opcode, payload: &[u8], cut: usize) -> Vec<u8> {
    let small = compress(payload, Window::Wide).unwrap();
    let pieces: Vec<&[u8]> = small.chunks(cut).collect();
    let mut bytes = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        let opcode = if i == 0 { opcode } else { Opcode::Continuation };
        let start = bytes.len();
        bytes.extend(fragment(opcode, piece, i + 1 == pieces.len()));
        bytes[start] |= if i == 0 { 0x40 } else { 0 };
        if i + 1 < pieces.len() {
            bytes.extend(client_frame(Opcode::Ping, b"between", KEY));
        }
    }
    bytes
}

proptest! {
    #[test]
    fn compressed_messages_survive_any_cut(seed in "\\PC{1,40}", cut in 1usize..60, pieces in 1usize..60) {
        let text = seed.repeat(60);
        let mut bytes = compressed(Opcode::Text, text.as_bytes(), cut);
        bytes.extend(compressed(Opcode::Binary, text.as_bytes(), cut));
        bytes.extend(client_frame(Opcode::Text, b"plain", KEY));
        let mut decoder = server(1 << 20).inflating(true);
        let mut items = Vec::new();
        for piece in bytes.chunks(pieces) {
            items.extend(decode(&mut decoder, piece)?);
        }
        items.retain(|item| *item != Item::Ping("between".into()));
        let binary = Item::Binary(text.clone().into_bytes().into());
        prop_assert_eq!(items, vec![Item::Text(text), binary, Item::Text("plain".into())]);
        prop_assert!(decoder.is_idle());
    }
}

#[test]
fn compression_must_be_agreed_on() {
    let bytes = compressed(Opcode::Text, &[b'x'; 500], 1000);
    assert!(decode(&mut server(1000), &bytes).is_err());
    assert!(decode(&mut server(1000).inflating(true), &bytes).is_ok());
}

#[test]
fn inflated_size_has_the_same_limit() {
    let bytes = compressed(Opcode::Binary, &[0; 1001], 1 << 20);
    assert_eq!(decode(&mut server(1000).inflating(true), &bytes), Err(Violation::TooLarge));
    assert!(decode(&mut server(1001).inflating(true), &bytes).is_ok());
    let bomb = compressed(Opcode::Text, &vec![b'0'; 10 << 20], 1000);
    assert_eq!(decode(&mut server(100_000).inflating(true), &bomb), Err(Violation::TooLarge));
}

#[test]
fn inflated_text_must_be_utf8() {
    let mut bad = vec![b'x'; 500];
    bad[400] = 0xff;
    for cut in [10, 1000] {
        let mut decoder = server(1000).inflating(true);
        assert_eq!(decode(&mut decoder, &compressed(Opcode::Text, &bad, cut)), Err(Violation::Utf8));
        let mut decoder = server(1000).inflating(true);
        assert!(decode(&mut decoder, &compressed(Opcode::Binary, &bad, cut)).is_ok());
    }
    let half = [&[b'x'; 500][..], &[0xe2, 0x82]].concat();
    let mut decoder = server(1000).inflating(true);
    assert_eq!(decode(&mut decoder, &compressed(Opcode::Text, &half, 1000)), Err(Violation::Utf8));
}

#[test]
fn garbage_cannot_be_inflated() {
    let mut bytes = client_frame(Opcode::Text, b"this is not deflate", KEY);
    bytes[0] |= 0x40;
    let outcome = decode(&mut server(1000).inflating(true), &bytes);
    assert_eq!(outcome, Err(Violation::Deflate));
    assert_eq!(Violation::Deflate.close_code(), 1007);
}
