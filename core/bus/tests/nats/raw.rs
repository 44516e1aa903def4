//! A bare NATS connection: what any client may send and what the server really carries.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

const SOON: Duration = Duration::from_secs(10);

/// A connection that speaks the protocol by hand.
pub(crate) struct Raw {
    stream: BufReader<TcpStream>,
}

/// A message as the server wrote it.
#[derive(Debug)]
pub(crate) struct RawMessage {
    pub(crate) subject: String,
    pub(crate) body: String,
}

impl Raw {
    pub(crate) async fn connect(address: &str) -> Self {
        let mut raw = Self { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) };
        raw.line().await;
        raw.send("CONNECT {\"verbose\":false,\"headers\":true}\r\n").await;
        raw
    }

    /// Subscribes, and returns once the server knows.
    pub(crate) async fn subscribe(&mut self, subject: &str) {
        self.send(&format!("SUB {subject} 1\r\nPING\r\n")).await;
        while self.line().await != "PONG" {}
    }

    pub(crate) async fn publish(&mut self, subject: &str, body: &str) {
        self.send(&format!("PUB {subject} {}\r\n{body}\r\n", body.len())).await;
    }

    pub(crate) async fn ask(&mut self, subject: &str, reply: &str, body: &str) {
        self.send(&format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len())).await;
    }

    pub(crate) async fn next(&mut self) -> RawMessage {
        loop {
            let line = self.line().await;
            let mut words = line.split(' ');
            match words.next() {
                Some("MSG" | "HMSG") => {
                    let subject = words.next().unwrap().to_owned();
                    let length: usize = words.next_back().unwrap().parse().unwrap();
                    let mut body = vec![0; length + 2];
                    self.stream.read_exact(&mut body).await.unwrap();
                    body.truncate(length);
                    return RawMessage { subject, body: String::from_utf8(body).unwrap() };
                }
                Some("PING") => self.send("PONG\r\n").await,
                _ => {}
            }
        }
    }

    async fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(SOON, self.stream.read_line(&mut line)).await.expect("a line in time").unwrap();
        line.trim_end().to_owned()
    }
}
