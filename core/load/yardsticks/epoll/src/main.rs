//! The floor under every figure of fan-out: one thread, level-triggered epoll, and per event one `write` to each
//! member, of a frame that is ready. It speaks just enough WebSocket, Engine.IO and Socket.IO for the load tester
//! (`core/load`) to take it for a server: tokens are not looked at, rooms are one, nobody is pinged.
//!
//! `yardstick-epoll PORTS_FILE [--lose N]`: `--lose` skips every Nth delivery, which the load tester must notice.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, RawFd},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const OPEN: &[u8] =
    br#"0{"sid":"yardstick","upgrades":[],"pingInterval":600000,"pingTimeout":600000,"maxPayload":1000000}"#;

struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    upgraded: bool,
}

struct Server {
    epoll: RawFd,
    clients: HashMap<RawFd, Client>,
    /// Sockets in the room, in order of joining.
    room: Vec<RawFd>,
    /// Every how many deliveries one is left out; 0 for none.
    lose: u64,
    deliveries: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let ports_file = arguments.next().expect("usage: yardstick-epoll PORTS_FILE [--lose N]");
    let lose = match arguments.next().as_deref() {
        Some("--lose") => arguments.next().and_then(|n| n.parse().ok()).expect("--lose takes a number"),
        _ => 0,
    };
    raise_file_limit();
    let listener = TcpListener::bind("127.0.0.1:0").expect("cannot listen");
    listener.set_nonblocking(true).expect("cannot listen");
    // SAFETY: plain calls with an open descriptor; `listen` again only makes the backlog larger.
    let epoll = unsafe {
        libc::listen(listener.as_raw_fd(), 4096);
        libc::epoll_create1(libc::EPOLL_CLOEXEC)
    };
    assert!(epoll >= 0, "no epoll");
    let mut server = Server { epoll, clients: HashMap::new(), room: Vec::new(), lose, deliveries: 0 };
    server.watch(listener.as_raw_fd());
    let ports = format!(
        r#"{{"public":"{}","pid":{}}}"#,
        listener.local_addr().expect("no address"),
        std::process::id()
    );
    std::fs::write(ports_file, ports).expect("cannot write the ports file");
    server.run(&listener);
}

fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live value of the right type.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

impl Server {
    fn watch(&self, fd: RawFd) {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
        // SAFETY: the pointer is to a live value of the right type.
        let done = unsafe { libc::epoll_ctl(self.epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        assert_eq!(done, 0, "epoll_ctl");
    }

    fn run(&mut self, listener: &TcpListener) {
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
        loop {
            // SAFETY: the buffer is live and of the length given.
            let ready = unsafe { libc::epoll_wait(self.epoll, events.as_mut_ptr(), 1024, -1) };
            for event in events.iter().take(ready.max(0) as usize).copied().collect::<Vec<_>>() {
                let fd = event.u64 as RawFd;
                if fd == listener.as_raw_fd() {
                    self.accept(listener);
                } else if !self.read(fd) {
                    self.clients.remove(&fd);
                    self.room.retain(|member| *member != fd);
                }
            }
        }
    }

    fn accept(&mut self, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            let _ = stream.set_nodelay(true);
            stream.set_nonblocking(true).expect("a socket that cannot be set up");
            self.watch(stream.as_raw_fd());
            self.clients
                .insert(stream.as_raw_fd(), Client { stream, unread: Vec::new(), upgraded: false });
        }
    }

    /// Reads once and acts on what is whole; false when the client has gone.
    fn read(&mut self, fd: RawFd) -> bool {
        let mut buffer = [0; 16 * 1024];
        let Some(client) = self.clients.get_mut(&fd) else { return true };
        match client.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(read) => client.unread.extend_from_slice(&buffer[..read]),
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
        if !client.upgraded && !client.upgrade() {
            return true;
        }
        while let Some(client) = self.clients.get_mut(&fd) {
            match client.frame() {
                Some((0x8, _)) => return false,
                Some((0x1, text)) => self.packet(fd, &text),
                Some(_) => {}
                None => break,
            }
        }
        true
    }

    fn packet(&mut self, fd: RawFd, text: &[u8]) {
        let Some((kind, rest)) = split(text) else { return };
        match kind {
            b"40" => self.answer(fd, format!(r#"40{}{{"sid":"{fd}"}}"#, namespace(rest))),
            b"42" => {
                let namespace = namespace(rest);
                let rest = &rest[namespace.len()..];
                let ack: String =
                    rest.iter().take_while(|b| b.is_ascii_digit()).map(|&b| char::from(b)).collect();
                if rest[ack.len()..].starts_with(br#"["join""#) {
                    self.room.push(fd);
                } else if rest[ack.len()..].starts_with(br#"["publish""#) {
                    self.publish(&namespace, &rest[ack.len()..]);
                }
                if !ack.is_empty() {
                    self.answer(fd, format!("43{namespace}{ack}[{{}}]"));
                }
            }
            _ => {}
        }
    }

    fn answer(&mut self, fd: RawFd, text: String) {
        if let Some(client) = self.clients.get_mut(&fd) {
            let _ = client.stream.write_all(&frame(text.as_bytes()));
        }
    }

    /// What is measured: one frame, and one `write` of it per member.
    fn publish(&mut self, namespace: &str, arguments: &[u8]) {
        let key = br#""payload":"#;
        let Some(at) = arguments.windows(key.len()).position(|window| window == key) else { return };
        let payload = &arguments[at + key.len()..arguments.len() - 2];
        let mut text = format!(r#"42{namespace}["tick","#).into_bytes();
        text.extend_from_slice(payload);
        text.push(b']');
        let frame = frame(&text);
        for &member in &self.room {
            self.deliveries += 1;
            if self.lose != 0 && self.deliveries.is_multiple_of(self.lose) {
                continue;
            }
            // SAFETY: the buffer is live and of the length given; the descriptor is open while in the room.
            let written = unsafe { libc::write(member, frame.as_ptr().cast(), frame.len()) };
            assert_eq!(written, frame.len() as isize, "a member's socket is full: the load is too high");
        }
    }
}

impl Client {
    /// Answers the handshake once it is whole.
    fn upgrade(&mut self) -> bool {
        let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
        });
        let digest = Sha1::new().chain_update(key.unwrap_or_default()).chain_update(GUID).finalize();
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            STANDARD.encode(digest)
        )
        .into_bytes();
        answer.extend_from_slice(&frame(OPEN));
        let _ = self.stream.write_all(&answer);
        self.unread.drain(..end + 4);
        self.upgraded = true;
        true
    }

    /// The next whole frame, unmasked.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&first, &second) = (self.unread.first()?, self.unread.get(1)?);
        let (length, start) = match second & 0x7f {
            126 => (u16::from_be_bytes(self.unread.get(2..4)?.try_into().ok()?) as usize, 4),
            127 => (u64::from_be_bytes(self.unread.get(2..10)?.try_into().ok()?) as usize, 10),
            short => (short as usize, 2),
        };
        let mask: [u8; 4] = self.unread.get(start..start + 4)?.try_into().ok()?;
        let mut payload = self.unread.get(start + 4..start + 4 + length)?.to_vec();
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[i % 4];
        }
        self.unread.drain(..start + 4 + length);
        Some((first & 0x0f, payload))
    }
}

/// The two characters of an Engine.IO message with a Socket.IO packet, and what follows.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    text.split_at_checked(2)
}

/// The namespace with its comma, as it stands at the start of a packet; empty for the main one.
fn namespace(rest: &[u8]) -> String {
    if rest.first() != Some(&b'/') {
        return String::new();
    }
    let end = rest.iter().position(|&b| b == b',').map_or(rest.len(), |at| at + 1);
    String::from_utf8_lossy(&rest[..end]).into_owned()
}

/// A server's text frame.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x81];
    match payload.len() {
        short @ 0..=125 => out.push(short as u8),
        length => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}
