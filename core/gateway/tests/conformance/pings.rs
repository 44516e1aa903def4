//! Pings and pongs.

use crate::{
    Class,
    peer::{FIN, PING, PONG, Peer, TEXT, frame},
};

#[test]
fn every_ping_has_its_pong() {
    let mut class = Class::new("2 pings and pongs");
    let payloads =
        [&b""[..], b"are you there", &[0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff], &[0xfe; 125]];
    for (payload, size) in payloads.iter().flat_map(|payload| [(payload, 4096), (payload, 1)]) {
        class.case(format!("{} bytes in pieces of {size}", payload.len()), || {
            let mut peer = Peer::open();
            peer.send_chopped(&frame(FIN | PING, payload), size);
            peer.expect(FIN | PONG, payload);
            peer.goodbye();
        });
    }
    for size in [1 << 20, 1] {
        class.case(format!("ten in one go, in pieces of {size}"), || {
            let mut peer = Peer::open();
            let pings: Vec<_> =
                (0..10).map(|i| frame(FIN | PING, format!("payload-{i}").as_bytes())).collect();
            peer.send_chopped(&pings.concat(), size);
            (0..10).for_each(|i| peer.expect(FIN | PONG, format!("payload-{i}").as_bytes()));
            peer.goodbye();
        });
    }
    class.case("a thousand, with messages between", || {
        let mut peer = Peer::open();
        let each = |i: usize| [frame(FIN | PING, &i.to_be_bytes()), frame(FIN | TEXT, b"between")];
        peer.send(&(0..1000).flat_map(each).collect::<Vec<_>>().concat());
        for i in 0..1000_usize {
            peer.expect(FIN | PONG, &i.to_be_bytes());
            peer.expect(FIN | TEXT, b"between");
        }
        peer.goodbye();
    });
    for payload in [&b""[..], b"unasked for"] {
        class.case("a pong is not answered", || {
            let mut peer = Peer::open();
            peer.send(&frame(FIN | PONG, payload));
            peer.send(&frame(FIN | PING, b"asked"));
            peer.expect(FIN | PONG, b"asked");
            peer.goodbye();
        });
    }
    class.done(13);
}

#[test]
fn control_frames_are_short_and_whole() {
    let mut class = Class::new("2 pings: too large");
    for opcode in [PING, PONG, crate::peer::CLOSE] {
        for length in [126, 65_536] {
            for size in [1 << 20, 1000] {
                class.case(format!("{opcode} of {length} bytes"), || {
                    let mut peer = Peer::open();
                    peer.send_chopped(&frame(FIN | opcode, &vec![b'x'; length]), size);
                    peer.expect_end(Some(1002));
                });
            }
        }
    }
    class.done(12);
}
