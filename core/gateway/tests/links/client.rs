//! A client that sees every byte: raw TCP, and WebSocket frames made by hand.

use std::{net::SocketAddr, time::Duration};

use exedra_wire::websocket::{Close, Decoder, Item, Opcode, Role, client_frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Nothing in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends one request on a connection of its own.
pub(crate) async fn http(addr: SocketAddr, request: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nhost: hub.test\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    parse(&String::from_utf8(answer).unwrap())
}

/// A GET.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> Answer {
    http(addr, &format!("GET {path}"), "", "").await
}

fn parse(answer: &str) -> Answer {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// A WebSocket client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    decoder: Decoder,
    unread: Vec<u8>,
    /// Bytes that came in since the handshake.
    pub(crate) read: usize,
}

impl Client {
    /// Opens a WebSocket; the refusal when it is not accepted.
    pub(crate) async fn open(addr: SocketAddr, path: &str, headers: &str) -> Result<Self, Answer> {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: hub.test\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match timeout(PATIENCE, stream.read_u8()).await.unwrap() {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        let mut answer = parse(&String::from_utf8(head).unwrap());
        if answer.status == 101 {
            let deflate = answer.head.contains("sec-websocket-extensions: permessage-deflate;");
            let decoder = Decoder::new(Role::Client, 64 << 20).inflating(deflate);
            return Ok(Self { stream, decoder, unread: Vec::new(), read: 0 });
        }
        let length: usize = answer
            .head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        timeout(PATIENCE, stream.read_exact(&mut body)).await.unwrap().unwrap();
        answer.body = String::from_utf8(body).unwrap();
        Err(answer)
    }

    /// Opens a Socket.IO session that has read its OPEN packet.
    pub(crate) async fn socketio(addr: SocketAddr) -> Self {
        let path = "/socket.io/?EIO=4&transport=websocket";
        let mut client = Self::open(addr, path, "").await.expect("a session");
        assert!(client.text().await.starts_with("0{"));
        client
    }

    /// Opens a Socket.IO session and connects to a namespace, past its `auth` event.
    pub(crate) async fn connected(addr: SocketAddr, namespace: &str) -> Self {
        let mut client = Self::socketio(addr).await;
        client.send(&format!("40{namespace}")).await;
        assert!(client.text().await.starts_with(&format!("40{namespace}{{\"sid\":")));
        assert!(client.text().await.contains("\"auth\""));
        client
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.raw(&client_frame(Opcode::Text, text.as_bytes(), [1, 2, 3, 4])).await;
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.unwrap().unwrap();
    }

    /// The next item; none when the server has gone.
    pub(crate) async fn item(&mut self) -> Option<Item> {
        loop {
            let mut input = &self.unread[..];
            let item = self.decoder.feed(&mut input).expect("the server keeps to the protocol");
            let used = self.unread.len() - input.len();
            self.unread.drain(..used);
            if item.is_some() {
                return item;
            }
            let mut buffer = vec![0; 64 * 1024];
            match timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("the server says something") {
                Ok(0) | Err(_) => return None,
                Ok(read) => {
                    self.read += read;
                    self.unread.extend_from_slice(&buffer[..read]);
                }
            }
        }
    }

    /// The next text message, heartbeats left out.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.item().await {
                Some(Item::Text(text)) if text == "2" => self.send("3").await,
                Some(Item::Text(text)) => return text,
                other => panic!("expected text, got {other:?}"),
            }
        }
    }

    /// Reads until the server closes; its code, if it gave one.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.item().await {
                Some(Item::Close(close)) => return close.map(|Close { code, .. }| code),
                Some(_) => {}
                None => return None,
            }
        }
    }
}
