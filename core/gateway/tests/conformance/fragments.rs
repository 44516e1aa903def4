//! Messages in several frames, and what may stand between these.

use crate::{
    Class,
    peer::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Peer, TEXT, close, frame},
};

/// Pieces of a message; the empty ones count too.
const PIECES: [&[u8]; 5] = [b"fragment1", b"", b"fragment3", b"4", b"fragment5"];

fn fragments(opcode: u8) -> Vec<Vec<u8>> {
    let last = PIECES.len() - 1;
    let first_byte = |i| if i == 0 { opcode } else { CONTINUATION } | if i == last { FIN } else { 0 };
    PIECES.iter().enumerate().map(|(i, piece)| frame(first_byte(i), piece)).collect()
}

#[test]
fn fragments_make_one_message() {
    let mut class = Class::new("5 fragmentation");
    for opcode in [TEXT, BINARY] {
        for size in [4096, 7, 1] {
            class.case(format!("{opcode} in pieces of {size}"), || {
                let mut peer = Peer::open();
                peer.send_chopped(&fragments(opcode).concat(), size);
                peer.expect(FIN | opcode, &PIECES.concat());
                peer.goodbye();
            });
            class.case("with pings between", || {
                let mut peer = Peer::open();
                for (i, fragment) in fragments(opcode).iter().enumerate() {
                    peer.send_chopped(fragment, size);
                    peer.send_chopped(&frame(FIN | PING, &[i as u8]), size);
                }
                for i in 0..PIECES.len() as u8 - 1 {
                    peer.expect(FIN | PONG, &[i]);
                }
                peer.expect(FIN | opcode, &PIECES.concat());
                peer.expect(FIN | PONG, &[PIECES.len() as u8 - 1]);
                peer.goodbye();
            });
        }
        class.case("nothing but empty fragments", || {
            let mut peer = Peer::open();
            peer.send(&frame(opcode, b""));
            (0..20).for_each(|_| peer.send(&frame(CONTINUATION, b"")));
            peer.send(&frame(FIN | CONTINUATION, b""));
            peer.expect(FIN | opcode, b"");
            peer.goodbye();
        });
        class.case("one message after the other", || {
            let mut peer = Peer::open();
            peer.send(&[fragments(opcode), fragments(opcode)].concat().concat());
            peer.expect(FIN | opcode, &PIECES.concat());
            peer.expect(FIN | opcode, &PIECES.concat());
            peer.goodbye();
        });
        class.case("closed in the middle", || {
            let mut peer = Peer::open();
            peer.send(&frame(opcode, b"begun"));
            peer.send(&frame(FIN | CLOSE, &close(1001, b"leaving")));
            peer.expect_end(Some(1001));
        });
    }
    class.done(18);
}

#[test]
fn fragments_out_of_place_fail() {
    let mut class = Class::new("5 fragmentation: wrong");
    for opcode in [PING, PONG, CLOSE] {
        class.case(format!("control frame {opcode} in fragments"), || {
            let mut peer = Peer::open();
            peer.send(&frame(opcode, b""));
            peer.send(&frame(FIN | CONTINUATION, b""));
            peer.expect_end(Some(1002));
        });
    }
    for first in [CONTINUATION, FIN | CONTINUATION] {
        for size in [4096, 1] {
            class.case(format!("{first:x} with nothing to continue"), || {
                let mut peer = Peer::open();
                peer.send_chopped(&frame(first, b"of nothing"), size);
                peer.send_chopped(&frame(FIN | TEXT, b"after"), size);
                peer.expect_end(Some(1002));
            });
            class.case(format!("{first:x} behind a whole message"), || {
                let mut peer = Peer::open();
                let whole = [frame(TEXT, b"a"), frame(FIN | CONTINUATION, b"b"), frame(first, b"c")];
                peer.send_chopped(&whole.concat(), size);
                peer.expect(FIN | TEXT, b"ab");
                peer.expect_end(Some(1002));
            });
        }
    }
    for (begun, second) in
        [(TEXT, TEXT), (TEXT, BINARY), (BINARY, TEXT), (BINARY, FIN | BINARY), (TEXT, FIN | TEXT)]
    {
        class.case(format!("{second:x} while {begun:x} goes on"), || {
            let mut peer = Peer::open();
            peer.send(&frame(begun, b"begun"));
            peer.send(&frame(second, b"another"));
            peer.expect_end(Some(1002));
        });
    }
    class.done(16);
}
