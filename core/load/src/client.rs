//! One Socket.IO client over WebSocket. It holds a socket and little else, so that a process can be thousands of
//! them: it reads through a buffer of the thread and keeps only what is incomplete.

mod handshake;
mod packet;

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
};

use exedra_wire::websocket::{Decoder, Item, Opcode, Role, client_frame};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncRead, AsyncWriteExt, Interest, ReadBuf},
    net::TcpStream,
};

use crate::{LoadError, target::Target};
pub(crate) use packet::{Heard, Packets, Ticket};

/// Largest message that a server may send us.
const MAX_MESSAGE: usize = 16 << 20;
/// Bytes that are read at once.
const READ: usize = 64 * 1024;

thread_local! {
    /// Where all clients of the thread read into; nothing stays in it.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// A connected client.
pub(crate) struct Client {
    /// Its number, and so its user and source.
    pub(crate) index: usize,
    stream: TcpStream,
    decoder: Decoder,
    /// What was read together with what was asked for. Bounded by one read of the socket.
    heard: VecDeque<String>,
    packets: Arc<Packets>,
    last_ack: u64,
    /// None where the server cannot give a session back. Boxed: most runs have none.
    ticket: Option<Box<Ticket>>,
}

impl Client {
    /// Connects, opens a session and joins the namespace; with a ticket, as a client whose link broke.
    pub(crate) async fn connect(
        target: &Target,
        packets: &Arc<Packets>,
        index: usize,
        ticket: Option<&Ticket>,
    ) -> Result<Self, LoadError> {
        let token = target.token(index)?;
        let opened = handshake::open(target, index).await.map_err(|why| LoadError::Connect { index, why })?;
        let mut client = Self {
            index,
            stream: opened.stream,
            decoder: Decoder::new(Role::Client, MAX_MESSAGE),
            heard: VecDeque::new(),
            packets: packets.clone(),
            last_ack: 0,
            ticket: None,
        };
        client.consume(&opened.early)?;
        client.greet(token.as_deref(), ticket).await.map_err(|error| match error {
            LoadError::Usage(_) => error,
            error => LoadError::Connect { index, why: error.to_string() },
        })?;
        Ok(client)
    }

    /// From the server's OPEN to its CONNECT.
    async fn greet(&mut self, token: Option<&str>, ticket: Option<&Ticket>) -> Result<(), LoadError> {
        match self.next().await? {
            Heard::Open => {}
            other => return Err(LoadError::Protocol(format!("{other:?} instead of OPEN"))),
        }
        let connect = self.packets.connect(token, ticket);
        self.send(&connect).await?;
        match self.next().await? {
            Heard::Connected(pid) => {
                let offset = ticket.and_then(|ticket| ticket.offset.clone());
                self.ticket = pid.map(|pid| Box::new(Ticket { pid, offset }));
                Ok(())
            }
            other => Err(LoadError::Protocol(format!("{other:?} instead of CONNECT"))),
        }
    }

    /// Sends a text, a whole Engine.IO packet.
    pub(crate) async fn send(&mut self, text: &str) -> Result<(), LoadError> {
        let frame = client_frame(Opcode::Text, text.as_bytes(), rand::random());
        self.stream.write_all(&frame).await.map_err(ended)
    }

    /// Sends an event and waits for its acknowledgement; events that come before it are dropped.
    pub(crate) async fn call(&mut self, event: &str, argument: &RawValue) -> Result<String, LoadError> {
        self.last_ack += 1;
        let number = self.last_ack;
        let text = self.packets.event(event, argument, Some(number));
        self.send(&text).await?;
        loop {
            if let Heard::Ack(id, answer) = self.next().await?
                && id == number
            {
                return if answer.starts_with(r#"[{"error""#) {
                    Err(LoadError::Failed(answer))
                } else {
                    Ok(answer)
                };
            }
        }
    }

    /// The next thing the server says; heartbeats are answered on the way.
    pub(crate) async fn next(&mut self) -> Result<Heard, LoadError> {
        loop {
            while let Some(text) = self.heard.pop_front() {
                match self.packets.hear(text)? {
                    Heard::Ping => self.send("3").await?,
                    heard => {
                        self.note_offset(&heard);
                        return Ok(heard);
                    }
                }
            }
            self.read().await?;
        }
    }

    /// What this client would show to have its session back.
    pub(crate) fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_deref()
    }

    fn note_offset(&mut self, heard: &Heard) {
        if let (Some(ticket), Heard::Event(arguments)) = (&mut self.ticket, heard)
            && let Ok(arguments) = serde_json::from_str::<Vec<&RawValue>>(arguments)
            && let Some(last) = arguments.last()
            && let Ok(text) = serde_json::from_str(last.get())
        {
            ticket.offset = Some(text);
        }
    }

    /// Answers the heartbeats that have come, without waiting; for a client that only sends. What else came is dropped.
    pub(crate) async fn attend(&mut self) -> Result<(), LoadError> {
        poll_fn(|cx| {
            loop {
                match pin!(self.next()).poll(cx) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Ready(Ok(())),
                }
            }
        })
        .await
    }

    /// Waits, without reading, until the server has reset the connection. Does not see a server that closes in order:
    /// its end is behind what was not read.
    pub(crate) async fn reset(&self) {
        while let Ok(ready) = self.stream.ready(Interest::ERROR).await {
            if ready.is_error() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Reads once.
    async fn read(&mut self) -> Result<(), LoadError> {
        poll_fn(|cx| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
                Poll::Ready(match read {
                    Ok(()) if buffer.filled().is_empty() => {
                        Err(LoadError::Ended("the server closed it".into()))
                    }
                    Ok(()) => self.consume(buffer.filled()),
                    Err(error) => Err(ended(error)),
                })
            })
        })
        .await
    }

    fn consume(&mut self, mut bytes: &[u8]) -> Result<(), LoadError> {
        while !bytes.is_empty() {
            match self.decoder.feed(&mut bytes) {
                Ok(Some(Item::Text(text))) => self.heard.push_back(text),
                Ok(Some(Item::Close(close))) => {
                    let why = close.map_or_else(String::new, |close| format!(" ({close:?})"));
                    return Err(LoadError::Ended(format!("the server said goodbye{why}")));
                }
                Ok(Some(_)) => {} // binary, pings and pongs of WebSocket: nothing that a scenario waits for
                Ok(None) => break,
                Err(violation) => return Err(LoadError::Protocol(violation.to_string())),
            }
        }
        Ok(())
    }
}

fn ended(error: std::io::Error) -> LoadError {
    LoadError::Ended(error.to_string())
}
