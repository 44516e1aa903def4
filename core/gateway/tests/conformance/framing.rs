//! Frames: lengths and their forms, reserved bits, opcodes, masks, and bytes that come in any pieces.

use crate::{
    Class,
    peer::{BINARY, CLOSE, CONTINUATION, FIN, Form, PING, Peer, RSV1, TEXT, formed, frame, head},
};

#[test]
fn every_length_comes_back() {
    let mut class = Class::new("1 framing");
    for opcode in [TEXT, BINARY] {
        for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537] {
            class.case(format!("{length} bytes of {opcode}"), || {
                let mut peer = Peer::open();
                let payload = vec![b'*'; length];
                peer.send(&frame(FIN | opcode, &payload));
                peer.expect(FIN | opcode, &payload);
                peer.goodbye();
            });
        }
        class.case("in pieces of 997 bytes", || {
            let mut peer = Peer::open();
            let payload = vec![b'*'; 65_536];
            peer.send_chopped(&frame(FIN | opcode, &payload), 997);
            peer.expect(FIN | opcode, &payload);
            peer.goodbye();
        });
        class.case("byte by byte", || {
            let mut peer = Peer::open();
            peer.send_chopped(&frame(FIN | opcode, &[b'*'; 200]), 1);
            peer.expect(FIN | opcode, &[b'*'; 200]);
            peer.goodbye();
        });
    }
    class.case("binary is any bytes", || {
        let mut peer = Peer::open();
        let all: Vec<u8> = (0..=255).collect();
        peer.send(&frame(FIN | BINARY, &all));
        peer.expect(FIN | BINARY, &all);
        peer.goodbye();
    });
    class.done(23);
}

#[test]
fn lengths_have_one_form() {
    let mut class = Class::new("1 framing: lengths");
    for (length, form) in [
        (0, Form::Sixteen),
        (125, Form::Sixteen),
        (0, Form::SixtyFour),
        (126, Form::SixtyFour),
        (65_535, Form::SixtyFour),
    ] {
        class.case(format!("{length} bytes in a longer form"), || {
            let mut peer = Peer::open();
            peer.send(&formed(FIN | BINARY, &vec![1; length], form));
            peer.expect_end(Some(1002));
        });
    }
    for length in [1_u64 << 63, u64::MAX] {
        class.case("a length beyond 63 bits", || {
            let mut peer = Peer::open();
            peer.send(&[head(FIN | BINARY, length, Form::SixtyFour), vec![0; 4]].concat());
            peer.expect_end(Some(1002));
        });
    }
    class.done(7);
}

#[test]
fn clients_must_mask() {
    let mut class = Class::new("1 framing: masks");
    for first in [FIN | TEXT, FIN | BINARY, FIN | PING, FIN | CLOSE, TEXT] {
        for payload in [&b""[..], b"\x03\xe8"] {
            class.case(format!("{first:x} with {} bytes", payload.len()), || {
                let mut peer = Peer::open();
                peer.send(&[&[first, payload.len() as u8], payload].concat());
                peer.expect_end(Some(1002));
            });
        }
    }
    class.done(10);
}

#[test]
fn reserved_bits_fail_the_connection() {
    let mut class = Class::new("3 reserved bits");
    for bits in 1..8_u8 {
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            class.case(format!("bits {bits} on {opcode}"), || {
                let mut peer = Peer::open();
                peer.send(&frame(FIN | TEXT, b"before"));
                peer.send(&frame(FIN | bits << 4 | opcode, b""));
                peer.send(&frame(FIN | PING, b"after"));
                peer.expect(FIN | TEXT, b"before");
                peer.expect_end(Some(1002));
            });
        }
        class.case(format!("bits {bits} on a continuation"), || {
            let mut peer = Peer::open();
            peer.send(&frame(TEXT, b"begun"));
            peer.send_chopped(&frame(FIN | bits << 4 | CONTINUATION, b"x"), 1);
            peer.expect_end(Some(1002));
        });
    }
    class.case("the first bit without the extension", || {
        let mut peer = Peer::open();
        peer.send(&frame(FIN | RSV1 | TEXT, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]));
        peer.expect_end(Some(1002));
    });
    class.done(36);
}

#[test]
fn reserved_opcodes_fail_the_connection() {
    let mut class = Class::new("4 opcodes");
    for opcode in (3..8).chain(11..16) {
        for payload in [&b""[..], b"reserved"] {
            class.case(format!("{opcode} with {} bytes", payload.len()), || {
                let mut peer = Peer::open();
                let all =
                    [frame(FIN | TEXT, b"before"), frame(FIN | opcode, payload), frame(FIN | PING, b"after")];
                peer.send(&all.concat());
                peer.expect(FIN | TEXT, b"before");
                peer.expect_end(Some(1002));
            });
        }
    }
    class.done(20);
}
