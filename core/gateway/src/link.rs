//! One WebSocket connection and its task: the socket, a small state, and what is incomplete or unwritten.
//!
//! An idle link owns no buffer: it reads through a buffer of the thread, and frames leave from the outbox directly,
//! written by the flusher. The task is there for everything else: it reads, and writes on where a socket was full.
//! While the owner has no room, the link does not read (so TCP slows the client down) but goes on writing, and its
//! heart rests: silence means nothing while we do not listen.

mod end;
mod flusher;
mod pipe;
mod turn;
mod writer;

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use exedra_hub::{CloseReason, outbox::Outbox};
use exedra_wire::websocket::{Decoder, Role, deflate::Window};
use http::Request;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::Instant};

pub(crate) use flusher::Flushers;

use crate::{
    admission::Ticket,
    engine::{KnownId, Probe},
    heart::{Heart, Pace},
    links::{Links, Registered},
    listener::Place,
    owner::Owner,
    squeeze::Squeeze,
};

/// A write without progress for this long ends the link. With what kernels take before a write stands still, a
/// reader that stops is cut within ten seconds.
pub(crate) const STALL: Duration = Duration::from_secs(7);
/// The answer to an upgrade request must be on its way by then.
const UPGRADE: Duration = Duration::from_secs(10);

/// What messages mean on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Each message is an Engine.IO packet, heartbeats too.
    EngineIo,
    /// Messages are the owner's; heartbeats are WebSocket pings.
    Plain,
}

/// What all links of a kind share.
pub(crate) struct Rules {
    /// What messages mean.
    pub(crate) protocol: Protocol,
    /// The heartbeat.
    pub(crate) pace: Pace,
    /// Longest time until the owner is settled.
    pub(crate) settle: Duration,
    /// Largest message.
    pub(crate) max_payload: usize,
    /// The smallest message that is compressed for links that take it; none when compression is off.
    pub(crate) compress_from: Option<usize>,
    /// Told the bytes that came in.
    pub(crate) received: Meter,
    /// Told the bytes that went out.
    pub(crate) sent: Meter,
}

/// Counts bytes.
pub(crate) type Meter = Box<dyn Fn(usize) + Send + Sync>;

/// What a link or session holds on to for as long as it lives.
pub(crate) struct Keep {
    /// Its place under the limits of links.
    _ticket: Ticket,
    /// Its entry in the list of all links.
    _registered: Registered,
    /// The id under which it was polled before.
    pub(crate) id: Option<KnownId>,
}

impl Keep {
    /// What a new link holds.
    pub(crate) fn new(ticket: Ticket, registered: Registered) -> Self {
        Self { _ticket: ticket, _registered: registered, id: None }
    }
}

/// A link's state.
pub(crate) struct Link {
    pipe: Arc<pipe::Pipe>,
    stage: Stage,
    decoder: Decoder,
    /// The newest ping of the client's that is not answered yet; older ones need no answer.
    ping: Option<Bytes>,
    /// What was read but must wait until the owner has room; empty otherwise.
    unread: Vec<u8>,
    /// Whether the owner has no room.
    blocked: bool,
    heart: Heart,
    /// When the owner must be settled, until it was looked at.
    settle_by: Option<Instant>,
    /// When the write that makes no progress ends the link.
    stalled_by: Option<Instant>,
    keep: Option<Keep>,
    /// The socket's place under the limit of open sockets.
    _place: Arc<Place>,
}

/// Who is on the link.
pub(crate) enum Stage {
    /// A session.
    Talking(Box<dyn Owner>),
    /// A client that wants to move its polling session here.
    Probing(Probe),
}

/// A link whose handshake is being answered.
pub(crate) struct Opening {
    pub(crate) stage: Stage,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) rules: Arc<Rules>,
    /// What was agreed on with [`crate::request::switch_to_websocket`]; none without permessage-deflate.
    pub(crate) deflate: Option<Window>,
    /// None for a probing client: its session holds it.
    pub(crate) keep: Option<Keep>,
    /// The socket's place under the limit of open sockets.
    pub(crate) place: Arc<Place>,
}

impl Opening {
    /// Waits for the raw stream and runs the link on it, in tasks of their own. Call it before the request is
    /// answered; the answer must be 101.
    pub(crate) fn start<B>(self, links: &Arc<Links>, request: &mut Request<B>) {
        let upgrade = hyper::upgrade::on(request);
        let running = links.clone();
        links.spawn(async move {
            match regain(upgrade).await {
                // A task of its own, so that a living link does not pay for the room that its opening needed.
                Some((stream, early)) => {
                    let flusher = running.flushers().next();
                    running.spawn(Link::new(stream, self, flusher).run(early));
                }
                None => self.give_up(),
            }
        });
    }

    fn give_up(self) {
        if let Stage::Talking(mut owner) = self.stage {
            owner.closed(CloseReason::TransportLost);
        }
    }
}

/// Gets the raw stream back from hyper once the 101 is written, with what was read beyond the handshake.
async fn regain(upgrade: OnUpgrade) -> Option<(TcpStream, Bytes)> {
    let upgraded = tokio::time::timeout(UPGRADE, upgrade).await.ok()?.ok()?;
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

impl Link {
    /// Boxed, because a future would hold it twice.
    fn new(stream: TcpStream, opening: Opening, flusher: Arc<flusher::Flusher>) -> Box<Self> {
        let Opening { stage, outbox, rules, deflate, keep, place } = opening;
        let squeeze = deflate.zip(rules.compress_from).map(|(window, from)| Squeeze::new(window, from));
        let now = Instant::now();
        Box::new(Self {
            decoder: Decoder::new(Role::Server, rules.max_payload).inflating(deflate.is_some()),
            heart: Heart::new(now, rules.pace),
            settle_by: Some(now + rules.settle),
            pipe: pipe::Pipe::new(stream, outbox, rules, squeeze, flusher),
            stage,
            ping: None,
            unread: Vec::new(),
            blocked: false,
            stalled_by: None,
            keep,
            _place: place,
        })
    }

    /// Runs the link to its end. `early` is what came in together with the handshake.
    async fn run(mut self: Box<Self>, early: Bytes) {
        self.unread = early.to_vec(); // a copy: `early` is a piece of hyper's read buffer
        drop(early);
        let end = match &mut self.stage {
            Stage::Probing(probe) if !probe.may_begin() => end::End::because(CloseReason::ProtocolError),
            Stage::Probing(_) => self.live().await,
            Stage::Talking(owner) => {
                owner.opened();
                self.live().await
            }
        };
        // The goodbye needs more room than the life before; it is boxed so that living links do not pay for it.
        Box::pin(self.end(end)).await;
    }

    async fn live(&mut self) -> end::End {
        let mut sleep = pin!(tokio::time::sleep_until(self.heart.deadline()));
        std::future::poll_fn(|cx| self.turn(cx, sleep.as_mut())).await
    }
}

impl Drop for Link {
    /// However the link ended: outbox and pipe hold each other for as long as the outbox is open.
    fn drop(&mut self) {
        if let Stage::Talking(_) = self.stage {
            self.pipe.outbox.close(CloseReason::TransportLost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_task<F: Future>(_: impl FnOnce(Box<Link>, Bytes) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn idle_link_is_small() {
        let (link, pipe) = (size_of::<Link>(), size_of::<pipe::Pipe>());
        assert!(link + pipe <= 384, "{link} + {pipe}");
        assert!(size_of_task(Link::run) <= 256, "{}", size_of_task(Link::run));
    }
}
