//! The closing handshake: who says what, which codes may be said, and that nothing follows.

use std::time::{Duration, Instant};

use crate::{
    Class,
    peer::{CLOSE, FIN, PING, Peer, TEXT, close, frame},
};

#[test]
fn close_is_answered_and_is_the_last_word() {
    let mut class = Class::new("7 close handling");
    let goodbye = || frame(FIN | CLOSE, &close(1000, b"done"));
    class.case("behind a message", || {
        let mut peer = Peer::open();
        peer.send(&[frame(FIN | TEXT, b"last words"), goodbye()].concat());
        peer.expect(FIN | TEXT, b"last words");
        peer.expect_end(Some(1000));
    });
    class.case("behind a ping", || {
        let mut peer = Peer::open();
        peer.send(&[frame(FIN | PING, b"there?"), goodbye()].concat());
        peer.expect(FIN | crate::peer::PONG, b"there?");
        peer.expect_end(Some(1000));
    });
    class.case("behind a large message", || {
        let mut peer = Peer::open();
        let large = vec![b'x'; 256 * 1024];
        peer.send(&[frame(FIN | TEXT, &large), goodbye(), frame(FIN | PING, b"after")].concat());
        peer.expect(FIN | TEXT, &large);
        peer.expect_end(Some(1000));
    });
    for (what, after) in [
        ("another close", frame(FIN | CLOSE, &close(1001, b"again"))),
        ("a ping", frame(FIN | PING, b"after")),
        ("a message", frame(FIN | TEXT, b"after")),
        ("garbage", vec![0xff; 64]),
        ("a megabyte", vec![0x55; 1 << 20]),
    ] {
        class.case(format!("{what} behind it is not answered"), || {
            let mut peer = Peer::open();
            peer.send(&[goodbye(), after].concat());
            peer.expect_end(Some(1000));
        });
    }
    class.case("without a code", || {
        let mut peer = Peer::open();
        peer.send(&frame(FIN | CLOSE, b""));
        peer.expect_end(None);
    });
    for reason in [&b""[..], b"a reason", "grüße".as_bytes(), &[b'*'; 123]] {
        class.case(format!("a reason of {} bytes", reason.len()), || {
            let mut peer = Peer::open();
            peer.send_chopped(&frame(FIN | CLOSE, &close(1000, reason)), 5);
            peer.expect_end(Some(1000));
        });
    }
    class.case("the server ends the stream first, and at once", || {
        let (mut peer, start) = (Peer::open(), Instant::now());
        peer.send(&goodbye());
        peer.expect_end(Some(1000));
        assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    });
    for (what, said) in
        [("", vec![]), ("a message", frame(FIN | TEXT, b"x")), ("half a frame", vec![FIN | TEXT])]
    {
        class.case(format!("the stream ends without a close, behind {what}"), || {
            let mut peer = Peer::open();
            if !said.is_empty() {
                peer.send(&said);
            }
            if said.len() > 1 {
                peer.expect(FIN | TEXT, b"x");
            }
            peer.half_close();
            peer.expect_silent_end();
        });
    }
    class.done(17);
}

#[test]
fn codes_that_may_be_said_come_back() {
    let mut class = Class::new("7 close codes: valid");
    let codes = (1000..=1003).chain(1007..=1014).chain([3000, 3001, 3999, 4000, 4001, 4999]);
    for code in codes {
        class.case(code.to_string(), || {
            let mut peer = Peer::open();
            peer.send(&frame(FIN | CLOSE, &close(code, b"")));
            peer.expect_end(Some(code));
        });
    }
    class.done(18);
}

#[test]
fn what_may_not_be_said_is_an_error() {
    let mut class = Class::new("7 close codes: invalid");
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        for reason in [&b""[..], b"with a reason"] {
            class.case(code.to_string(), || {
                let mut peer = Peer::open();
                peer.send(&frame(FIN | CLOSE, &close(code, reason)));
                peer.expect_end(Some(1002));
            });
        }
    }
    class.case("one byte", || {
        let mut peer = Peer::open();
        peer.send(&frame(FIN | CLOSE, b"\x03"));
        peer.expect_end(Some(1002));
    });
    for reason in [&b"\xff"[..], b"cut \xe2\x82", b"surrogate \xed\xa0\x80"] {
        class.case(format!("the reason {reason:x?}"), || {
            let mut peer = Peer::open();
            peer.send(&frame(FIN | CLOSE, &close(1000, reason)));
            peer.expect_end(Some(1007));
        });
    }
    class.done(30);
}
