//! UTF-8: what is text, what is not, and that the first wrong byte ends the connection.

use crate::{
    Class,
    peer::{CONTINUATION, FIN, PING, PONG, Peer, TEXT, frame, head},
};

/// A word with characters of two and three bytes.
const WORD: &[u8] = "κόσμε\u{1f388}".as_bytes();

/// The first and last character of each length, and those around the surrogates; not all are assigned.
const CHARACTERS: [u32; 20] = [
    0, 1, 0x7f, 0x80, 0x7ff, 0x800, 0xfff, 0x1000, 0xd7ff, 0xe000, 0xfdd0, 0xfffd, 0xfffe, 0xffff, 0x1_0000,
    0x1_fffe, 0x3_ffff, 0x4_0000, 0xf_ffff, 0x10_ffff,
];

/// What no text holds, each with the place of the byte that settles it.
const WRONG: [(&[u8], usize); 28] = [
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"\xc0\xaf", 0),
    (b"\xc1\xbf", 0),
    (b"\xc3\x28", 1),
    (b"\xc3\xc3", 1),
    (b"\xce\xce\xba", 1),
    (b"\xe0\x80\xaf", 1),
    (b"\xe0\x9f\xbf", 1),
    (b"\xe2\x28\xa1", 1),
    (b"\xe2\x82\x28", 2),
    (b"\xe2\x82\xff", 2),
    (b"\xed\xa0\x80", 1),
    (b"\xed\xad\xbf", 1),
    (b"\xed\xbf\xbf", 1),
    (b"\xed\xa0\xbd\xed\xb8\x80", 1),
    (b"\xf0\x80\x80\xaf", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    (b"\xf0\x28\x8c\xbc", 1),
    (b"\xf0\x90\x28\xbc", 2),
    (b"\xf0\x90\x8c\x28", 3),
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf5\x80\x80\x80", 0),
    (b"\xf7\xbf\xbf\xbf", 0),
    (b"\xf8\x88\x80\x80\x80", 0),
    (b"\xfc\x84\x80\x80\x80\x80", 0),
    (b"\xfe", 0),
    (b"\xff", 0),
];

#[test]
fn text_comes_back_however_it_is_cut() {
    let mut class = Class::new("6 UTF-8: valid");
    for at in 0..=WORD.len() {
        class.case(format!("two fragments, cut at {at}"), || {
            let mut peer = Peer::open();
            peer.send(&frame(TEXT, &WORD[..at]));
            peer.send(&frame(FIN | CONTINUATION, &WORD[at..]));
            peer.expect(FIN | TEXT, WORD);
            peer.goodbye();
        });
    }
    class.case("a fragment for each byte", || {
        let mut peer = Peer::open();
        peer.send(&frame(TEXT, b""));
        WORD.iter().for_each(|byte| peer.send(&frame(CONTINUATION, &[*byte])));
        peer.send(&frame(FIN | CONTINUATION, b""));
        peer.expect(FIN | TEXT, WORD);
        peer.goodbye();
    });
    for character in CHARACTERS.map(|c| char::from_u32(c).unwrap()) {
        class.case(format!("character {:x}", character as u32), || {
            let text = format!("<{character}>");
            let mut peer = Peer::open();
            peer.send(&frame(FIN | TEXT, text.as_bytes()));
            peer.expect(FIN | TEXT, text.as_bytes());
            peer.send_chopped(&frame(FIN | TEXT, text.as_bytes()), 1);
            peer.expect(FIN | TEXT, text.as_bytes());
            peer.goodbye();
        });
    }
    class.done(WORD.len() + 22);
}

#[test]
fn wrong_text_closes_with_1007() {
    let mut class = Class::new("6 UTF-8: invalid");
    for (wrong, _) in WRONG {
        let text = [WORD, wrong, b"edited"].concat();
        class.case(format!("{wrong:x?} whole"), || {
            let mut peer = Peer::open();
            peer.send(&frame(FIN | TEXT, &text));
            peer.expect_end(Some(1007));
        });
        class.case(format!("{wrong:x?} in fragments of one byte"), || {
            let mut peer = Peer::open();
            peer.send(&frame(TEXT, b""));
            // The server closes meanwhile: what is sent into the closed connection matters to nobody.
            let sent = text.iter().map(|byte| frame(CONTINUATION, &[*byte])).collect::<Vec<_>>().concat();
            peer.send(&sent);
            peer.expect_end(Some(1007));
        });
    }
    for cut in [&b"\xce"[..], b"\xe2\x82", b"\xf0\x9f\x8e", b"\xf4"] {
        for first in [FIN | TEXT, TEXT] {
            class.case(format!("{cut:x?} at the end"), || {
                let mut peer = Peer::open();
                peer.send(&frame(first, &[WORD, cut].concat()));
                if first == TEXT {
                    peer.send(&frame(FIN | CONTINUATION, b""));
                }
                peer.expect_end(Some(1007));
            });
        }
    }
    class.done(2 * WRONG.len() + 8);
}

#[test]
fn first_wrong_byte_is_enough() {
    let mut class = Class::new("6 UTF-8: fails fast");
    for (wrong, settled) in WRONG {
        let (good, bad) = ([WORD, &wrong[..settled]].concat(), &wrong[settled..=settled]);
        class.case(format!("{wrong:x?} in an unfinished message"), || {
            let mut peer = Peer::open();
            peer.send(&frame(TEXT, &good));
            peer.send(&frame(FIN | PING, b"still good?"));
            peer.expect(FIN | PONG, b"still good?");
            peer.send(&frame(CONTINUATION, bad));
            peer.expect_end(Some(1007));
        });
        class.case(format!("{wrong:x?} in an unfinished frame"), || {
            let mut peer = Peer::open();
            let declared = (good.len() + 100) as u64;
            peer.send(&[head(FIN | TEXT, declared, crate::peer::Form::Seven), vec![0; 4]].concat());
            peer.send_chopped(&good, 1);
            peer.send(bad); // the mask is zero: these are the bytes themselves
            peer.expect_end(Some(1007));
        });
    }
    class.done(2 * WRONG.len());
}
