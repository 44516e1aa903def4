//! Servers without a hub that send back what they get: what protocol conformance suites talk to.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use exedra_hub::{Class, CloseReason, Frame, outbox::Outbox};
use http::Request;
use hyper::body::Incoming;

use crate::{
    admission::Admission,
    config::{LinkLimits, Transport},
    engine::EngineIo,
    frames,
    heart::Pace,
    link::{Keep, Opening, Protocol, Rules, Stage},
    links::Links,
    listener::{Listener, Serve, ServeFuture, Visit},
    owner::{Flow, Opener, Owner},
    request::{Handshake, switch_to_websocket},
    rest,
};

/// Bytes that may wait for one client.
const BUDGET: usize = 64 << 20;
/// The smallest message that is compressed.
const COMPRESS_FROM: usize = 1024;

/// An Engine.IO server that echoes messages at `/engine.io/`, until the process ends. Gives its address.
///
/// # Errors
/// The address cannot be listened at.
pub async fn engineio_echo(
    addr: SocketAddr,
    ping_interval: Duration,
    ping_timeout: Duration,
    max_payload: usize,
) -> io::Result<SocketAddr> {
    let links = Links::start();
    let engine = EngineIo {
        rules: rules(Protocol::EngineIo, ping_interval, ping_timeout, max_payload),
        transports: vec![Transport::Websocket, Transport::Polling],
        outbound_buffer: BUDGET,
        opener: Arc::new(EchoOpener),
        door: Admission::new(LinkLimits::default(), None),
        links: links.clone(),
        sessions: Arc::default(),
    };
    Ok(Listener::start(addr, 0, links, Arc::new(EngineEcho(engine)))?.local_addr())
}

/// A WebSocket server that echoes whole messages of up to `max_payload` bytes, until the process ends.
///
/// # Errors
/// The address cannot be listened at.
pub async fn websocket_echo(addr: SocketAddr, max_payload: usize) -> io::Result<SocketAddr> {
    let links = Links::start();
    let (interval, timeout) = (Duration::from_secs(25), Duration::from_secs(60));
    let echo = PlainEcho {
        rules: rules(Protocol::Plain, interval, timeout, max_payload),
        door: Admission::new(LinkLimits::default(), None),
        links: links.clone(),
    };
    Ok(Listener::start(addr, 0, links, Arc::new(echo))?.local_addr())
}

fn rules(protocol: Protocol, interval: Duration, timeout: Duration, max_payload: usize) -> Arc<Rules> {
    Arc::new(Rules {
        protocol,
        pace: Pace { interval, timeout },
        settle: Duration::from_secs(10),
        max_payload,
        compress_from: Some(COMPRESS_FROM),
        received: Box::new(|_| ()),
        sent: Box::new(|_| ()),
    })
}

struct EngineEcho(EngineIo);

impl Serve for EngineEcho {
    fn serve(self: Arc<Self>, request: Request<Incoming>, visit: Visit) -> ServeFuture {
        Box::pin(async move {
            match request.uri().path() {
                "/engine.io/" | "/engine.io" => self.0.serve(request, visit.peer, visit).await,
                _ => rest::not_found(),
            }
        })
    }
}

struct PlainEcho {
    rules: Arc<Rules>,
    door: Arc<Admission>,
    links: Arc<Links>,
}

impl Serve for PlainEcho {
    fn serve(self: Arc<Self>, mut request: Request<Incoming>, visit: Visit) -> ServeFuture {
        Box::pin(async move {
            let (response, deflate) = match switch_to_websocket(&request, true) {
                Ok(switched) => switched,
                Err(refusal) => return *refusal,
            };
            match self.door.enter(visit.peer) {
                Err(denied) => rest::denied(denied),
                Ok(ticket) => {
                    let outbox = Arc::new(Outbox::new(BUDGET));
                    let keep = Some(Keep::new(ticket, self.links.register(&outbox)));
                    let stage = Stage::Talking(Box::new(Echo { outbox: outbox.clone(), prefix: "" }));
                    let rules = self.rules.clone();
                    let opening = Opening { stage, outbox, rules, deflate, keep, place: visit.place };
                    opening.start(&self.links, &mut request);
                    response
                }
            }
        })
    }
}

struct EchoOpener;

impl Opener for EchoOpener {
    fn open(&self, _: Handshake, outbox: Arc<Outbox>) -> Box<dyn Owner> {
        Box::new(Echo { outbox, prefix: "4" })
    }
}

struct Echo {
    outbox: Arc<Outbox>,
    /// What stands before a text message.
    prefix: &'static str,
}

impl Owner for Echo {
    fn text(&mut self, text: String) -> Result<Flow, CloseReason> {
        let frame = Frame::one(frames::text(&[self.prefix.as_bytes(), text.as_bytes()]));
        self.outbox.push(&frame, Class::Reliable);
        Ok(Flow::More)
    }

    fn binary(&mut self, data: Bytes) -> Result<Flow, CloseReason> {
        self.outbox.push(&Frame::one(frames::binary(&data)), Class::Reliable);
        Ok(Flow::More)
    }

    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        Poll::Ready(Ok(()))
    }

    fn closed(&mut self, _: CloseReason) {}
}
