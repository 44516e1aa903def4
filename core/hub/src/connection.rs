//! One connection: a client in a namespace, or on a plain WebSocket endpoint. Several may share a link.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_channel::oneshot;
use parking_lot::Mutex;

use crate::{
    Class, CloseReason, Format, Frame, Inbound,
    account::Account,
    mailbox::Mailbox,
    outbox::{Outbox, Pushed},
    port::{ConnFacts, PluginId},
    recovery::Session,
    rooms::RoomKey,
    table::Space,
};

/// A connection's handle. Numbers are never used twice, so a late use finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a client answered to a request: a JSON array of arguments and attachments.
pub type Answer = (Bytes, Vec<Bytes>);

/// Frames pass straight to the outbox only in this state.
const OPEN: u8 = 1;
/// The client has not seen CONNECT yet: frames are held.
const HELD: u8 = 0;
/// Nothing is sent any more.
const CLOSED: u8 = 2;

/// A connection. The gateway and the hub share it; plugins only know its [`ConnId`].
pub struct Connection {
    facts: Arc<ConnFacts>,
    pub(crate) space: Arc<Space>,
    pub(crate) format: Arc<dyn Format>,
    outbox: Arc<Outbox>,
    /// What it has sent so far.
    pub(crate) account: Account,
    /// What it is found again by when its link breaks; `None` when it cannot be.
    pub(crate) session: Option<Session>,
    /// Read without a lock by every broadcast; written under `state` only.
    gate: AtomicU8,
    /// Taken before any room's lock, never after.
    pub(crate) state: Mutex<State>,
    /// What the client sent and no plugin has handled yet.
    pub(crate) mailbox: Mutex<Mailbox<Work>>,
}

/// What changes in the life of a connection.
#[derive(Default)]
pub(crate) struct State {
    /// What waits until the client has seen CONNECT. Boxed: an open connection has none.
    held: Option<Box<Held>>,
    /// The rooms that the connection is in.
    pub(crate) rooms: Vec<Place>,
    /// Notes of plugins.
    pub(crate) data: Vec<(PluginId, Bytes)>,
    /// Who waits for the client's acknowledgements. Boxed: most connections never have one.
    asked: Option<Box<Asked>>,
}

#[derive(Default)]
struct Held {
    /// What plugins emitted; as bounded as the outbox.
    frames: Vec<(Frame, Class)>,
    bytes: usize,
    /// What is to be done then.
    after_open: Option<Box<dyn FnOnce() + Send>>,
}

/// A connection's place in a room.
pub(crate) struct Place {
    pub(crate) key: RoomKey,
    /// The last recoverable event before it joined; 0 where there are none.
    pub(crate) since: u64,
    /// The same as other nodes understand it; empty for a hub that runs alone.
    pub(crate) since_offset: Arc<str>,
}

#[derive(Default)]
struct Asked {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

/// What waits in a connection's mailbox.
pub(crate) enum Work {
    /// The client sent an event; when, on the monotonic clock.
    Event(Inbound, Duration),
    /// The connection has ended; the last item.
    End(CloseReason),
}

impl Connection {
    pub(crate) fn new(
        facts: ConnFacts,
        space: Arc<Space>,
        format: Arc<dyn Format>,
        outbox: Arc<Outbox>,
        session: Option<Session>,
        now: SystemTime,
    ) -> Arc<Self> {
        Arc::new(Self {
            facts: Arc::new(facts),
            space,
            format,
            outbox,
            account: Account::opened(now),
            session,
            gate: AtomicU8::new(HELD),
            state: Mutex::default(),
            mailbox: Mutex::default(),
        })
    }

    /// What plugins may know of it.
    pub fn facts(&self) -> &Arc<ConnFacts> {
        &self.facts
    }

    /// Its handle.
    pub fn id(&self) -> ConnId {
        self.facts.id
    }

    /// The queue of its link.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// What the client shows to get its session back should its link break; `None` when that cannot be.
    pub fn pid(&self) -> Option<String> {
        self.session.map(|session| session.pid())
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.gate.load(Ordering::Acquire) == CLOSED
    }

    /// The member key in rooms: the user's id, or the public id of an anonymous connection.
    pub fn user(&self) -> Arc<str> {
        match &self.facts.identity {
            Some(identity) => identity.user_id.clone(),
            None => self.facts.public_id.clone(),
        }
    }

    /// When its identity ends.
    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.facts.identity.as_ref().and_then(|identity| identity.expires_at)
    }

    /// Lets frames through: first `first` (what tells the client that it is connected), then everything that was
    /// held. Call it once, when the client's first event would find the connection.
    pub fn open(&self, first: &Frame) {
        let mut state = self.state.lock();
        if self.gate.load(Ordering::Acquire) != HELD {
            return;
        }
        self.outbox.push(first, Class::Reliable);
        let held = state.held.take().map(|held| *held).unwrap_or_default();
        for (frame, class) in held.frames {
            self.outbox.push(&frame, class);
        }
        self.gate.store(OPEN, Ordering::Release);
        drop(state);
        if let Some(after) = held.after_open {
            after();
        }
    }

    /// Keeps something to be done until the client has seen CONNECT; gives it back when there is nothing to wait for.
    pub(crate) fn after_open<F: FnOnce() + Send + 'static>(&self, after: F) -> Result<(), F> {
        let mut state = self.state.lock();
        if self.gate.load(Ordering::Acquire) != HELD {
            return Err(after);
        }
        let held = state.held.get_or_insert_default();
        held.after_open.get_or_insert_with(|| Box::new(after));
        Ok(())
    }

    /// Queues a frame for the client.
    pub(crate) fn send(&self, frame: &Frame, class: Class) -> Pushed {
        match self.gate.load(Ordering::Acquire) {
            OPEN => self.outbox.push(frame, class),
            CLOSED => Pushed::Closed,
            _ => self.hold(frame, class),
        }
    }

    fn hold(&self, frame: &Frame, class: Class) -> Pushed {
        let mut state = self.state.lock();
        match self.gate.load(Ordering::Acquire) {
            OPEN => return self.outbox.push(frame, class), // opened while we waited for the lock
            CLOSED => return Pushed::Closed,
            _ => {}
        }
        let held = state.held.get_or_insert_default();
        if held.bytes + frame.size() > self.outbox.budget() {
            self.outbox.close(CloseReason::SlowConsumer);
            return Pushed::Overflow;
        }
        held.bytes += frame.size();
        held.frames.push((frame.clone(), class));
        Pushed::Queued
    }

    /// Holds what a client missed, before anything else is held. Call it before anybody else knows the connection.
    pub(crate) fn replay(&self, missed: Vec<Frame>) {
        let mut state = self.state.lock();
        let held = state.held.get_or_insert_default();
        held.bytes = missed.iter().map(Frame::size).sum();
        held.frames = missed.into_iter().map(|frame| (frame, Class::Reliable)).collect();
    }

    /// Ends it; `None` when it had ended before. What it leaves behind is the caller's to clear away.
    pub(crate) fn close(&self) -> Option<Remains> {
        let mut state = self.state.lock();
        let gate = self.gate.swap(CLOSED, Ordering::AcqRel);
        if gate == CLOSED {
            return None;
        }
        state.held = None;
        state.asked = None; // whoever waits for an acknowledgement sees the sender go
        Some(Remains {
            was_open: gate == OPEN,
            rooms: std::mem::take(&mut state.rooms),
            data: std::mem::take(&mut state.data),
            expires_at: self.expires_at(),
        })
    }

    /// Reserves a number for an acknowledgement; `None` when too many are awaited or the connection has ended.
    pub(crate) fn ask(&self, limit: usize) -> Option<(u64, oneshot::Receiver<Answer>)> {
        let mut state = self.state.lock();
        if self.is_closed() {
            return None;
        }
        let asked = state.asked.get_or_insert_default();
        asked.waiting.retain(|_, sender| !sender.is_canceled());
        if asked.waiting.len() >= limit {
            return None;
        }
        let number = asked.next;
        asked.next += 1;
        let (sender, receiver) = oneshot::channel();
        asked.waiting.insert(number, sender);
        Some((number, receiver))
    }

    /// Hands a client's acknowledgement to whoever waits for it; `false` when nobody does.
    pub(crate) fn answered(&self, number: u64, answer: Answer) -> bool {
        let sender = self.state.lock().asked.as_mut().and_then(|asked| asked.waiting.remove(&number));
        sender.is_some_and(|sender| sender.send(answer).is_ok())
    }
}

/// What a closed connection leaves behind.
pub(crate) struct Remains {
    /// Whether the client had seen CONNECT.
    pub(crate) was_open: bool,
    pub(crate) rooms: Vec<Place>,
    pub(crate) data: Vec<(PluginId, Bytes)>,
    pub(crate) expires_at: Option<SystemTime>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.facts.id)
            .field("namespace", &self.facts.namespace)
            .finish()
    }
}
