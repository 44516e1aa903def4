//! permessage-deflate (RFC 7692): offers and answers, what travels compressed both ways, and what must not.

use crate::{
    Class, MAX_PAYLOAD,
    deflate::{Ending, fixed, reaching_back, stored},
    peer::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Peer, RSV1, TEXT, frame},
};

const BASE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn offering(offer: &str) -> Peer {
    Peer::offering(&format!("Sec-WebSocket-Extensions: {offer}\r\n"))
}

/// A peer with compression and nothing special.
fn plain() -> Peer {
    offering("permessage-deflate; client_max_window_bits")
}

/// A message of `opcode`, compressed in one frame.
fn squeezed(opcode: u8, compressed: &[u8]) -> Vec<u8> {
    frame(FIN | RSV1 | opcode, compressed)
}

/// Text that shrinks, and that would refer far back if that were allowed.
fn prose(length: usize) -> Vec<u8> {
    let far = (0..9000).flat_map(|i| format!("word{} ", i * 7919 % 6007).into_bytes());
    far.cycle().take(length).collect()
}

/// Bytes that do not shrink.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Messages of every size there and back: what comes back inflates on its own, and does not refer back farther than
/// `window` bytes.
fn talk(peer: &mut Peer, window: usize) {
    let mut shrunk = 0;
    for size in [0, 64, 1023, 1024, 8192, 40_000] {
        for text in [true, false] {
            let (opcode, payload) = if text { (TEXT, prose(size)) } else { (BINARY, noise(size)) };
            peer.send(&squeezed(opcode, &fixed(&payload, 50, Ending::Flush)));
            shrunk += usize::from(peer.expect_message(opcode, &payload));
            peer.send(&frame(FIN | opcode, &payload));
            peer.expect_message(opcode, &payload);
        }
    }
    assert!(shrunk >= 3, "what is large and shrinks is compressed: {shrunk}");
    assert!(peer.reach <= window, "{} > {window}", peer.reach);
}

#[test]
fn offers_that_can_be_kept_are_taken() {
    let mut class = Class::new("12/13 compression: offers taken");
    let mut offers: Vec<(String, String, usize)> = Vec::new();
    for server_no in ["", "; server_no_context_takeover"] {
        for client_no in ["", "; client_no_context_takeover"] {
            for client_bits in
                ["", "; client_max_window_bits", "; client_max_window_bits=9", "; client_max_window_bits=15"]
            {
                let offer = format!("permessage-deflate{server_no}{client_no}{client_bits}");
                offers.push((offer, BASE.to_owned(), 1 << 15));
            }
        }
    }
    for bits in 8..=15 {
        let answer = format!("{BASE}; server_max_window_bits={bits}");
        offers.push((
            format!("permessage-deflate; server_max_window_bits={bits}"),
            answer.clone(),
            1 << bits,
        ));
        let all = format!(
            "permessage-deflate; client_max_window_bits={bits}; server_max_window_bits={bits}; \
             client_no_context_takeover; server_no_context_takeover"
        );
        offers.push((all, answer, 1 << bits));
        offers.push((format!("permessage-deflate; client_max_window_bits={bits}"), BASE.to_owned(), 1 << 15));
    }
    for odd in [
        "Permessage-Deflate",
        "permessage-deflate;client_max_window_bits=\"12\"",
        " permessage-deflate ;client_max_window_bits",
    ] {
        offers.push((odd.to_owned(), BASE.to_owned(), 1 << 15));
    }
    let count = offers.len();
    for (offer, answer, window) in offers {
        class.case(offer.clone(), || {
            let mut peer = offering(&offer);
            assert_eq!(peer.extensions, answer);
            talk(&mut peer, window);
            peer.goodbye();
        });
    }
    assert_eq!(count, 43);
    class.done(43);
}

#[test]
fn first_offer_that_can_be_kept_wins() {
    let mut class = Class::new("12/13 compression: many offers");
    let narrow = &format!("{BASE}; server_max_window_bits=10");
    for (offers, answer) in [
        ("permessage-deflate; nonsense, permessage-deflate", BASE),
        ("x-other, permessage-deflate; server_max_window_bits=10, permessage-deflate", narrow),
        ("permessage-deflate, permessage-deflate; server_max_window_bits=10", BASE),
        (
            "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=10",
            narrow,
        ),
        ("x-webkit-deflate-frame, x; a=\"1, permessage-deflate; b\", permessage-deflate", BASE),
    ] {
        class.case(offers, || {
            let mut peer = offering(offers);
            assert_eq!(peer.extensions, answer);
            talk(&mut peer, 1 << 15);
            peer.goodbye();
        });
    }
    class.case("in two headers", || {
        let peer = Peer::offering(
            "Sec-WebSocket-Extensions: permessage-deflate; a=b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
        );
        assert_eq!(peer.extensions, BASE);
        peer.goodbye();
    });
    class.done(6);
}

#[test]
fn offers_that_make_no_sense_are_declined() {
    let mut class = Class::new("12/13 compression: declined");
    for parameters in [
        "unknown",
        "unknown=1",
        "",
        "server_no_context_takeover=1",
        "server_no_context_takeover=\"\"",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits=10; client_max_window_bits",
        "server_max_window_bits=10; server_max_window_bits=10",
        "server_max_window_bits=10; server_max_window_bits=11",
        "server_max_window_bits",
        "server_max_window_bits=",
        "server_max_window_bits=0",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=+10",
        "server_max_window_bits=1e1",
        "server_max_window_bits=-9",
        "server_max_window_bits=\"10",
        "client_max_window_bits=",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "client_max_window_bits=ten",
    ] {
        class.case(parameters, || {
            let mut peer = offering(&format!("permessage-deflate; {parameters}"));
            assert_eq!(peer.extensions, "");
            let payload = prose(5000);
            peer.send(&frame(FIN | TEXT, &payload));
            peer.expect(FIN | TEXT, &payload);
            peer.send(&squeezed(TEXT, &stored(b"not agreed on", 100)));
            peer.expect_end(Some(1002));
        });
    }
    for other in ["x-webkit-deflate-frame", "permessage-bzip2", "deflate", "permessage-deflatex"] {
        class.case(other, || {
            let peer = offering(other);
            assert_eq!(peer.extensions, "");
            peer.goodbye();
        });
    }
    class.done(31);
}

#[test]
fn any_right_stream_is_read() {
    let mut class = Class::new("12/13 compression: streams");
    let long = prose(70_000);
    let streams: Vec<(&str, Vec<u8>, &[u8])> = vec![
        ("the example of the RFC", vec![0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
        ("its stored block", vec![0, 5, 0, 0xfa, 0xff, b'H', b'e', b'l', b'l', b'o', 0], b"Hello"),
        ("its finished block", vec![0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], b"Hello"),
        (
            "its two blocks",
            vec![0xf2, 0x48, 0x05, 0, 0, 0, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            b"Hello",
        ),
        ("nothing in one byte", vec![0], b""),
        ("nothing in a block", fixed(b"", 0, Ending::Flush), b""),
        ("a finished stream", fixed(b"finished", 0, Ending::Finish), b"finished"),
        ("many stored blocks", stored(&long, 1000), &long),
        (
            "a reference to 32,768 bytes back",
            fixed(&[&long[..32_768], &long[..32_768]].concat(), 32_768, Ending::Flush),
            &[],
        ),
    ];
    for (what, compressed, payload) in &streams {
        let twice = [&long[..32_768], &long[..32_768]].concat();
        let payload = if payload.is_empty() && compressed.len() > 1000 { &twice } else { *payload };
        class.case(*what, || {
            let mut peer = plain();
            peer.send(&squeezed(TEXT, compressed));
            peer.expect_message(TEXT, payload);
            peer.send_chopped(&squeezed(BINARY, compressed), 1.max(compressed.len() / 50));
            peer.expect_message(BINARY, payload);
            peer.goodbye();
        });
        class.case(format!("{what}, in fragments with pings between"), || {
            let mut peer = plain();
            let size = 1.max(compressed.len() / 7);
            let pieces: Vec<_> = compressed.chunks(size).collect();
            for (i, piece) in pieces.iter().enumerate() {
                let first = if i == 0 { RSV1 | TEXT } else { CONTINUATION };
                peer.send(&frame(first, piece));
                peer.send(&frame(FIN | PING, b"between"));
                peer.expect(FIN | PONG, b"between");
            }
            peer.send(&frame(FIN | CONTINUATION, b""));
            peer.expect_message(TEXT, payload);
            peer.goodbye();
        });
    }
    class.case("compressed and not, in turns", || {
        let mut peer = plain();
        for i in 0..200 {
            let payload = format!("message {i}").repeat(1 + i % 40);
            let compressed = fixed(payload.as_bytes(), 9, Ending::Flush);
            let wire =
                if i % 3 == 0 { frame(FIN | TEXT, payload.as_bytes()) } else { squeezed(TEXT, &compressed) };
            peer.send(&wire);
            peer.expect_message(TEXT, payload.as_bytes());
        }
        peer.goodbye();
    });
    class.done(19);
}

#[test]
fn wrong_streams_and_bits_fail() {
    let mut class = Class::new("12/13 compression: wrong");
    let whole = fixed(&prose(3000), 0, Ending::Flush);
    let wrong_streams: Vec<(&str, Vec<u8>, u16)> = vec![
        ("no DEFLATE", b"\x07\xff\xff\xff\xff\xff".to_vec(), 1007),
        ("cut in the middle", whole[..whole.len() / 2].to_vec(), 1007),
        ("nothing at all", Vec::new(), 1007),
        ("a reference to the message before", reaching_back(4), 1007),
        ("no UTF-8", fixed(b"\xff\xfe", 0, Ending::Flush), 1007),
        ("half a character", stored("grü".as_bytes().split_last().unwrap().1, 100), 1007),
    ];
    for (what, compressed, code) in wrong_streams {
        class.case(what, || {
            let mut peer = plain();
            peer.send(&squeezed(TEXT, &fixed(b"before it", 0, Ending::Flush)));
            peer.expect_message(TEXT, b"before it");
            peer.send(&squeezed(TEXT, &compressed));
            peer.expect_end(Some(code));
        });
    }
    for (what, wire) in [
        ("a compressed ping", frame(FIN | RSV1 | PING, b"\0")),
        ("a compressed close", frame(FIN | RSV1 | CLOSE, b"\x03\xe8")),
        (
            "the bit on a continuation",
            [frame(RSV1 | TEXT, &whole[..9]), frame(FIN | RSV1 | CONTINUATION, &whole[9..])].concat(),
        ),
        ("the bit late", [frame(TEXT, b"plain"), frame(FIN | RSV1 | CONTINUATION, b"\0")].concat()),
        ("another bit", frame(FIN | RSV1 | 0x20 | TEXT, &whole)),
        ("the third bit", frame(FIN | 0x10 | TEXT, b"x")),
    ] {
        class.case(what, || {
            let mut peer = plain();
            peer.send(&wire);
            peer.expect_end(Some(1002));
        });
    }
    class.case("a bomb", || {
        let mut peer = plain();
        // 258 zeros take a few bits; here four bytes at a time do for as much as the limit and one more block.
        let bomb = fixed(&vec![b'0'; MAX_PAYLOAD + 100], 4, Ending::Flush);
        peer.send(&squeezed(BINARY, &bomb));
        peer.expect_end(Some(1009));
    });
    class.done(13);
}
