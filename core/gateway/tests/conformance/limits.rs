//! Large messages, many small ones, many fragments; and what is too large.

use crate::{
    Class, MAX_PAYLOAD,
    peer::{BINARY, CONTINUATION, FIN, Form, Peer, TEXT, frame, head},
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The same message in fragments of `size` bytes.
fn fragmented(opcode: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let pieces = payload.len().div_ceil(size);
    let first_byte = |i| if i == 0 { opcode } else { CONTINUATION } | if i + 1 == pieces { FIN } else { 0 };
    payload.chunks(size).enumerate().flat_map(|(i, piece)| frame(first_byte(i), piece)).collect()
}

/// Sends while another thread reads: nothing here depends on what the kernel holds.
fn echo(opcode: u8, payload: &[u8], wire: &[u8], size: usize) {
    let mut peer = Peer::open();
    let mut writer = peer.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            wire.chunks(size).for_each(|piece| std::io::Write::write_all(&mut writer, piece).unwrap());
        });
        peer.expect(FIN | opcode, payload);
    });
    peer.goodbye();
}

#[test]
fn large_messages_come_back() {
    let mut class = Class::new("9 limits");
    for opcode in [TEXT, BINARY] {
        for size in [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB] {
            class.case(format!("{size} bytes"), || {
                let payload = vec![b'*'; size];
                echo(opcode, &payload, &frame(FIN | opcode, &payload), 1 << 30);
            });
        }
        let payload = vec![b'*'; 4 * MIB];
        for size in [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB] {
            class.case(format!("4 MiB in fragments of {size}"), || {
                echo(opcode, &payload, &fragmented(opcode, &payload, size), 1 << 30);
            });
        }
        for size in [64, 128, 256, 512, 1024, 2048] {
            class.case(format!("1 MiB in writes of {size}"), || {
                echo(opcode, &payload[..MIB], &frame(FIN | opcode, &payload[..MIB]), size);
            });
        }
        class.case("64 KiB in fragments of 1300", || {
            echo(opcode, &payload[..64 * KIB], &fragmented(opcode, &payload[..64 * KIB], 1300), 1 << 30);
        });
        class.case("16 MiB of fragments of a kilobyte", || {
            let payload = vec![b'*'; 16 * MIB];
            echo(opcode, &payload, &fragmented(opcode, &payload, KIB), 1 << 30);
        });
        for size in [0, 16, 64, 256, 1024, 4096] {
            class.case(format!("500 round trips of {size}"), || {
                let mut peer = Peer::open();
                for _ in 0..500 {
                    peer.send(&frame(FIN | opcode, &payload[..size]));
                    peer.expect(FIN | opcode, &payload[..size]);
                }
                peer.goodbye();
            });
        }
    }
    class.done(58);
}

#[test]
fn too_large_closes_with_1009() {
    let mut class = Class::new("9 limits: too large");
    for length in [MAX_PAYLOAD as u64 + 1, 1 << 32, (1 << 63) - 1] {
        class.case(format!("a declared length of {length}"), || {
            let mut peer = Peer::open();
            peer.send(&[head(FIN | BINARY, length, Form::SixtyFour), vec![0; 4]].concat());
            peer.expect_end(Some(1009)); // the head is enough
        });
    }
    class.case("one byte too many in fragments", || {
        let mut peer = Peer::open();
        peer.send(&frame(BINARY, &vec![0; MAX_PAYLOAD]));
        peer.send(&frame(CONTINUATION, b""));
        peer.send(&head(FIN | CONTINUATION, 1, Form::Seven));
        peer.send(&[0; 5]);
        peer.expect_end(Some(1009));
    });
    class.done(4);
}
