//! One turn of a link: write, make room, read, look at the clock; until nothing moves.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll, ready},
};

use exedra_hub::{Class, CloseReason};
use exedra_wire::{
    engineio::{Kind, split},
    websocket::{Item, Violation},
};
use tokio::time::{Instant, Sleep};

use super::{
    Link, Protocol, STALL, Stage,
    end::{End, Farewell},
    writer::Wrote,
};
use crate::{engine::Moved, frames, heart::Tick, owner::Flow};

/// Bytes that a thread reads at once.
const READ: usize = 64 * 1024;

thread_local! {
    /// Where the links of this thread read into; nothing stays in it between turns.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

impl Link {
    /// Moves whatever can be moved. Ready when the link has ended.
    pub(super) fn turn(&mut self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<End> {
        loop {
            let moved = self.write(cx).and_then(|()| self.make_room(cx)).and_then(|()| self.read(cx));
            match moved {
                Err(end) => return Poll::Ready(end),
                Ok(Poll::Ready(())) => continue,
                Ok(Poll::Pending) => {}
            }
            if let Err(end) = ready!(self.look_at_clock(cx, sleep.as_mut())) {
                return Poll::Ready(end);
            }
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        // A probing client's outbox is still being polled over HTTP.
        let talking = matches!(self.stage, Stage::Talking(_));
        match self.pipe.poll_write(cx, talking, &mut self.ping) {
            Ok((_, Wrote::All)) => self.stalled_by = None,
            Ok((_, Wrote::Closed(reason))) => return Err(End::because(reason)),
            Ok((written, Wrote::Blocked)) => {
                if talking
                    && let Poll::Ready(reason @ (CloseReason::SlowConsumer | CloseReason::TransportLost)) =
                        self.pipe.outbox.poll_closed(cx)
                {
                    return Err(End { reason, farewell: Farewell::Silence });
                }
                if written > 0 || self.stalled_by.is_none() {
                    self.stalled_by = Some(Instant::now() + STALL);
                }
            }
            Err(_) => return Err(End::lost()),
        }
        Ok(())
    }

    /// Looks whether a full owner has room again.
    fn make_room(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        if let (true, Stage::Talking(owner)) = (self.blocked, &mut self.stage)
            && let Poll::Ready(room) = owner.poll_room(cx)
        {
            room.map_err(End::because)?;
            self.blocked = false;
            self.heart.resume(Instant::now());
        }
        Ok(())
    }

    /// Reads once. Ready when something was read and there may be more.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, End> {
        if self.blocked {
            return Ok(Poll::Pending);
        }
        if !self.unread.is_empty() {
            let unread = std::mem::take(&mut self.unread);
            self.consume(&unread)?;
            return Ok(Poll::Ready(()));
        }
        BUFFER.with_borrow_mut(|buffer| match self.pipe.poll_read(cx, buffer) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(read)) if read > 0 => {
                (self.pipe.rules.received)(read);
                self.consume(&buffer[..read])?;
                Ok(Poll::Ready(()))
            }
            Poll::Ready(_) => Err(End::lost()),
        })
    }

    /// Decodes bytes and acts on what is whole, until the owner is full.
    fn consume(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            match self.decoder.feed(&mut bytes) {
                Ok(Some(item)) => self.item(item)?,
                Ok(None) => return Ok(()),
                Err(violation) => return Err(End::violation(violation)),
            }
            if self.blocked {
                self.unread = bytes.to_vec();
                return Ok(());
            }
        }
        Ok(())
    }

    fn item(&mut self, item: Item) -> Result<(), End> {
        self.heart.alive(Instant::now);
        let flow = match (item, &mut self.stage) {
            // Each in its turn, within the budget of what waits: who floods and does not read is cut.
            (Item::Ping(payload), Stage::Talking(_)) => {
                self.pipe.outbox.push(&frames::pong(&payload), Class::Reliable);
                return Ok(());
            }
            (Item::Ping(payload), Stage::Probing(_)) => {
                self.ping = Some(payload);
                return Ok(());
            }
            (Item::Pong(_), _) => return Ok(()),
            (Item::Close(close), _) => {
                let farewell = Farewell::Echo(close.map(|close| close.code));
                return Err(End { reason: CloseReason::ClientLeft, farewell });
            }
            (Item::Text(text), _) if self.pipe.rules.protocol == Protocol::EngineIo => {
                return self.packet(text);
            }
            (Item::Text(text), Stage::Talking(owner)) => owner.text(text),
            (Item::Binary(data), Stage::Talking(owner)) => owner.binary(data),
            (Item::Text(_) | Item::Binary(_), Stage::Probing(_)) => Err(CloseReason::ProtocolError),
        };
        self.obey(flow)
    }

    fn obey(&mut self, flow: Result<Flow, CloseReason>) -> Result<(), End> {
        match flow {
            Ok(Flow::More) => Ok(()),
            Ok(Flow::Full) => {
                self.blocked = true;
                Ok(())
            }
            Err(reason) => Err(End::because(reason)),
        }
    }

    /// An Engine.IO packet.
    fn packet(&mut self, mut text: String) -> Result<(), End> {
        let Ok((kind, content)) = split(&text) else { return Err(End::because(CloseReason::ProtocolError)) };
        match (kind, &mut self.stage) {
            (Kind::Message, Stage::Talking(owner)) => {
                text.remove(0);
                let flow = owner.text(text);
                self.obey(flow)
            }
            (Kind::Pong | Kind::Noop | Kind::Upgrade, Stage::Talking(_)) => Ok(()),
            (Kind::Close, _) => Err(End::goodbye()),
            (Kind::Ping, Stage::Probing(probe)) if content == "probe" => {
                probe.begin().map_err(End::because)?;
                self.pipe.push(frames::packet("3probe"));
                Ok(())
            }
            (Kind::Upgrade, Stage::Probing(probe)) => {
                let moved = probe.finish().map_err(End::because)?;
                self.move_in(moved);
                Ok(())
            }
            _ => Err(End::because(CloseReason::ProtocolError)),
        }
    }

    /// Becomes the link of a session that was polling.
    fn move_in(&mut self, Moved { owner, heart, settle_by, keep }: Moved) {
        self.stage = Stage::Talking(owner);
        self.heart = heart;
        self.settle_by = settle_by;
        self.keep = Some(keep);
    }

    /// Waits for the next deadline and does what is due. Ready with `Ok` when something was done.
    fn look_at_clock(&mut self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<Result<(), End>> {
        let Some(deadline) = self.deadline() else { return Poll::Pending };
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        ready!(sleep.poll(cx));
        Poll::Ready(self.due(Instant::now()))
    }

    fn deadline(&self) -> Option<Instant> {
        let beating = !self.blocked && matches!(self.stage, Stage::Talking(_));
        let heart = beating.then(|| self.heart.deadline());
        [heart, self.settle_by, self.stalled_by].into_iter().flatten().min()
    }

    fn due(&mut self, now: Instant) -> Result<(), End> {
        if self.stalled_by.is_some_and(|by| now >= by) {
            return Err(End { reason: CloseReason::SlowConsumer, farewell: Farewell::Silence });
        }
        if self.settle_by.take_if(|by| now >= *by).is_some() {
            let settled = matches!(&self.stage, Stage::Talking(owner) if owner.settled());
            if !settled {
                return Err(End::because(CloseReason::ConnectTimeout));
            }
        }
        if self.blocked || matches!(self.stage, Stage::Probing(_)) {
            return Ok(());
        }
        match self.heart.tick(now) {
            Tick::Nothing => {}
            Tick::Dead => return Err(End::because(CloseReason::PingTimeout)),
            Tick::Ping => self.pipe.push(match self.pipe.rules.protocol {
                Protocol::EngineIo => frames::engine_ping(),
                Protocol::Plain => frames::ping(),
            }),
        }
        Ok(())
    }
}

impl End {
    fn violation(violation: Violation) -> Self {
        let reason = match violation {
            Violation::TooLarge => CloseReason::TooLarge,
            Violation::Protocol(_) | Violation::Utf8 | Violation::Deflate => CloseReason::ProtocolError,
        };
        Self { reason, farewell: Farewell::Code(violation.close_code()) }
    }
}
