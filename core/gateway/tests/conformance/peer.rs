//! A WebSocket client that sends any bytes, right or wrong, and takes the server's frames apart itself.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use crate::{inflate::inflate, server};

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a length is written.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Seven,
    Sixteen,
    SixtyFour,
}

impl Form {
    fn shortest(length: usize) -> Self {
        match length {
            0..=125 => Self::Seven,
            126..=65_535 => Self::Sixteen,
            _ => Self::SixtyFour,
        }
    }
}

/// A masked frame whose first byte is `first`, its length in a form of choice.
pub(crate) fn formed(first: u8, payload: &[u8], form: Form) -> Vec<u8> {
    let mut out = head(first, payload.len() as u64, form);
    let key = [0x37, 0xfa, payload.len() as u8, 0x3d];
    out.extend(key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A masked frame whose first byte is `first`.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    formed(first, payload, Form::shortest(payload.len()))
}

/// First byte and length of a masked frame, without the key.
pub(crate) fn head(first: u8, length: u64, form: Form) -> Vec<u8> {
    let mut out = vec![first];
    match form {
        Form::Seven => out.push(0x80 | length as u8),
        Form::Sixteen => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        Form::SixtyFour => {
            out.push(0x80 | 127);
            out.extend(length.to_be_bytes());
        }
    }
    out
}

/// The payload of a close frame.
pub(crate) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason].concat()
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// One connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
    /// What the server answered to the offer of extensions; empty without.
    pub(crate) extensions: String,
    /// The farthest that a compressed byte of the server has referred back.
    pub(crate) reach: usize,
}

/// Sends a request and gives the head of the answer, status line first, in lower case, with the open stream.
pub(crate) fn ask(request: &str) -> (String, TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(server()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let (mut read, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(read[..end].to_vec()).unwrap().to_ascii_lowercase();
            return (head, stream, read.split_off(end + 4));
        }
        match stream.read(&mut piece).unwrap() {
            0 => return (String::from_utf8(read).unwrap().to_ascii_lowercase(), stream, Vec::new()),
            n => read.extend_from_slice(&piece[..n]),
        }
    }
}

/// A header of an answer's head.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

impl Peer {
    /// A connection without extensions.
    pub(crate) fn open() -> Self {
        Self::offering("")
    }

    /// A connection with these header lines in its handshake.
    pub(crate) fn offering(headers: &str) -> Self {
        let (head, stream, unread) = ask(&format!(
            "GET /chat HTTP/1.1\r\nHost: echo.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        ));
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        let extensions = header(&head, "sec-websocket-extensions").unwrap_or_default().to_owned();
        Self { stream, unread, extensions, reach: 0 }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends in pieces of `size` bytes, each a write of its own.
    pub(crate) fn send_chopped(&mut self, bytes: &[u8], size: usize) {
        bytes.chunks(size).for_each(|piece| self.send(piece));
    }

    /// The next frame; none at the end of the stream.
    pub(crate) fn frame(&mut self) -> Option<Got> {
        let [first, second] = self.take(2)?.try_into().unwrap();
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let length = match second {
            126 => usize::from(u16::from_be_bytes(self.take(2)?.try_into().unwrap())),
            127 => u64::from_be_bytes(self.take(8)?.try_into().unwrap()) as usize,
            short => usize::from(short),
        };
        let smallest = [0, 126, 65_536][usize::from(second.saturating_sub(125))];
        assert!(length >= smallest, "the shortest form is used");
        Some(Got { first, payload: self.take(length)? })
    }

    /// Expects a frame.
    pub(crate) fn expect(&mut self, first: u8, payload: &[u8]) {
        let got = self.frame().expect("a frame, not the end");
        let same = got.first == first && got.payload == payload;
        assert!(same, "got {:x} of {} bytes: {:?}", got.first, got.payload.len(), got.payload.get(..64));
    }

    /// Expects a message, whole, compressed or not, and whatever the server made of it. Whether it was compressed.
    pub(crate) fn expect_message(&mut self, opcode: u8, payload: &[u8]) -> bool {
        let got = self.frame().expect("a message, not the end");
        let compressed = got.first & RSV1 != 0;
        assert_eq!(got.first & !RSV1, FIN | opcode, "{:?}", got.payload.get(..64));
        assert!(!compressed || self.extensions.contains("permessage-deflate"));
        let plain = if compressed {
            let inflated = inflate(&got.payload);
            self.reach = self.reach.max(inflated.reach);
            inflated.plain
        } else {
            got.payload
        };
        assert!(plain == payload, "{} bytes instead of {}", plain.len(), payload.len());
        compressed
    }

    /// Expects a close frame with that code and then the end of the stream, without closing on this side first.
    pub(crate) fn expect_end(mut self, code: Option<u16>) {
        let got = self.frame().expect("a close frame, not the end");
        assert_eq!(got.first, FIN | CLOSE, "{got:?}");
        assert_eq!(got.payload.first_chunk().map(|code| u16::from_be_bytes(*code)), code, "{got:?}");
        assert!(std::str::from_utf8(got.payload.get(2..).unwrap_or_default()).is_ok());
        assert_eq!(self.frame(), None, "nothing follows a close frame");
    }

    /// Expects the end of the stream without a word.
    pub(crate) fn expect_silent_end(mut self) {
        assert_eq!(self.frame(), None);
    }

    /// A closing handshake that this side begins: the server answers with the same code and ends the stream.
    pub(crate) fn goodbye(mut self) {
        self.send(&frame(FIN | CLOSE, &close(1000, b"")));
        self.expect_end(Some(1000));
    }

    /// Ends this side's half of the stream.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut piece = vec![0; 256 * 1024];
        while self.unread.len() < count {
            match self.stream.read(&mut piece) {
                Ok(0) => {
                    assert!(self.unread.is_empty(), "the stream ends inside of a frame");
                    return None;
                }
                Ok(n) => self.unread.extend_from_slice(&piece[..n]),
                Err(error) => panic!("reading: {error}"),
            }
        }
        let rest = self.unread.split_off(count);
        Some(std::mem::replace(&mut self.unread, rest))
    }
}
