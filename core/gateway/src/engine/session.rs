//! A session that is polled: who may do what with it, and its end. Requests come on any thread; each step takes the
//! lock for a few instructions and calls the owner outside of it.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use exedra_hub::{Class, CloseReason, Frame, outbox::Outbox};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::Sessions;
use crate::{
    frames,
    heart::{Heart, Tick},
    link::{Keep, Rules},
    owner::Owner,
};

/// How often a session that nobody polls looks whether the hub has closed it.
const LOOK: Duration = Duration::from_secs(1);
/// A poll that crossed the client's own goodbye on the way still gets an answer.
const CROSSED: Duration = Duration::from_millis(500);

/// A polling session.
pub(crate) struct Session {
    sid: Box<str>,
    pub(super) outbox: Arc<Outbox>,
    /// Never locked while the owner is called.
    pub(super) state: Mutex<State>,
    /// Wakes [`Session::watch`] when the session has ended.
    ended: Notify,
    sessions: Sessions,
}

pub(super) struct State {
    /// Away while a POST is being read to it.
    pub(super) owner: Option<Box<dyn Owner>>,
    pub(super) heart: Heart,
    settle_by: Option<Instant>,
    keep: Option<Keep>,
    /// A GET is waiting.
    pub(super) polling: bool,
    /// A POST is being read.
    pub(super) posting: bool,
    /// A WebSocket has probed.
    probed: bool,
    /// The waiting GET.
    pub(super) poller: Option<Waker>,
    pub(super) ending: Option<Ending>,
}

/// How a session has ended for those that poll it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client said goodbye: a poll ends with a noop.
    Left,
    /// It lives on over WebSocket: the same.
    Moved,
    /// It is over: a poll ends with a close.
    Closed,
}

/// What a poll is answered with.
pub(super) enum Polled {
    /// Frames, and whether the session is closed behind them.
    Frames(Vec<Frame>, bool),
    /// A noop.
    Noop,
    /// A close.
    Close,
}

/// Keeps the id of a session that has moved known, so that nobody else can come with it.
pub(crate) struct KnownId(Arc<Session>);

impl Drop for KnownId {
    fn drop(&mut self) {
        self.0.forget();
    }
}

/// What a WebSocket link gets from the session that moves to it.
pub(crate) struct Moved {
    pub(crate) owner: Box<dyn Owner>,
    pub(crate) heart: Heart,
    pub(crate) settle_by: Option<Instant>,
    pub(crate) keep: Keep,
}

impl Session {
    /// A session that can be found by its id from now on.
    pub(super) fn new(
        sid: String,
        owner: Box<dyn Owner>,
        outbox: Arc<Outbox>,
        rules: &Rules,
        keep: Keep,
        sessions: Sessions,
    ) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            owner: Some(owner),
            heart: Heart::new(now, rules.pace),
            settle_by: Some(now + rules.settle),
            keep: Some(keep),
            polling: false,
            posting: false,
            probed: false,
            poller: None,
            ending: None,
        };
        let ended = Notify::new();
        let session = Arc::new(Self { sid: sid.into(), outbox, state: state.into(), ended, sessions });
        session.sessions.lock().insert(session.sid.clone(), session.clone());
        session
    }

    /// Ends the session, once: the owner is told, a waiting poll is answered, the id is forgotten.
    pub(super) fn end(&self, ending: Ending, reason: CloseReason) {
        let (owner, poller, lingers) = {
            let mut state = self.state.lock();
            if state.ending.is_some() {
                return;
            }
            state.ending = Some(ending);
            state.keep = None;
            (state.owner.take(), state.poller.take(), ending == Ending::Left && !state.polling)
        };
        if !lingers {
            self.forget();
        }
        if let Some(mut owner) = owner {
            owner.closed(reason);
        }
        self.outbox.close(reason);
        if let Some(poller) = poller {
            poller.wake();
        }
        self.ended.notify_one();
    }

    /// Forgets the id. That of a session that has moved is known for as long as its link lives.
    pub(super) fn forget(&self) {
        self.sessions.lock().remove(&self.sid);
    }

    /// Keeps the heart beating until the session has ended or moved.
    pub(super) fn watch(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let session = self.clone();
        async move {
            while let Some(deadline) = session.look() {
                tokio::select! {
                    () = tokio::time::sleep_until(deadline) => {}
                    () = session.ended.notified() => {}
                }
            }
            if session.ending() != Some(Ending::Moved) {
                tokio::time::sleep(CROSSED).await;
                session.forget();
            }
        }
    }

    /// Does what is due and gives the next time to look; none after the end.
    fn look(&self) -> Option<Instant> {
        let now = Instant::now();
        let (due, next) = self.state.lock().due(now)?;
        match due {
            Due::Nothing => {}
            Due::Ping => {
                self.outbox.push(&frames::engine_ping(), Class::Reliable);
            }
            Due::End(reason) => self.end(Ending::Closed, reason),
        }
        if let Some(reason) = self.outbox.closed() {
            let hopeless = matches!(reason, CloseReason::SlowConsumer | CloseReason::ShuttingDown);
            // Who is polling is told by the outbox. Who is not may still come for what waits.
            if !self.is_polled() && (hopeless || self.outbox.bytes() == 0) {
                self.end(Ending::Closed, reason);
            }
        }
        Some(next.min(now + LOOK))
    }

    // === polls (GET) ===

    /// Whether a WebSocket has probed.
    pub(super) fn is_probed(&self) -> bool {
        self.state.lock().probed
    }

    /// Whether it has ended or moved.
    pub(super) fn is_over(&self) -> bool {
        self.ending().is_some()
    }

    fn is_polled(&self) -> bool {
        self.state.lock().polling
    }

    fn ending(&self) -> Option<Ending> {
        self.state.lock().ending
    }

    /// Waits for something to answer a poll with.
    pub(super) fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Polled> {
        let mut state = self.state.lock();
        match state.ending {
            Some(Ending::Left | Ending::Moved) => return Poll::Ready(Polled::Noop),
            Some(Ending::Closed) => {
                drop(state);
                return Poll::Ready(self.last_frames());
            }
            None => {}
        }
        state.poller = Some(cx.waker().clone());
        let probed = state.probed;
        let mut frames = Vec::new();
        // Under the lock: once the session has moved, what waits is the WebSocket's, and so is the waker.
        match self.outbox.poll_take(cx, &mut frames) {
            Poll::Ready(None) => {
                let closed = self.outbox.take_now(&mut frames);
                Poll::Ready(Polled::Frames(frames, closed.is_some()))
            }
            Poll::Ready(Some(reason)) => {
                drop(state);
                self.end(Ending::Closed, reason);
                Poll::Ready(Polled::Close)
            }
            Poll::Pending if probed => Poll::Ready(Polled::Noop),
            Poll::Pending => Poll::Pending,
        }
    }

    /// What waited when the session was closed, then the close.
    fn last_frames(&self) -> Polled {
        let mut frames = Vec::new();
        self.outbox.take_now(&mut frames);
        if frames.is_empty() { Polled::Close } else { Polled::Frames(frames, true) }
    }

    // === the move to WebSocket ===

    /// A WebSocket probes: a waiting poll ends. False when another has probed already.
    pub(super) fn begin_move(&self) -> bool {
        let poller = {
            let mut state = self.state.lock();
            if state.probed || state.ending.is_some() {
                return false;
            }
            state.probed = true;
            state.poller.take()
        };
        if let Some(poller) = poller {
            poller.wake();
        }
        true
    }

    /// The probing WebSocket went away; polling goes on.
    pub(super) fn abandon_move(&self) {
        self.state.lock().probed = false;
    }

    /// Whether a WebSocket may still probe.
    pub(super) fn may_move(&self) -> bool {
        let state = self.state.lock();
        !state.probed && state.ending.is_none()
    }

    /// Hands everything to the WebSocket.
    pub(super) fn finish_move(self: &Arc<Self>) -> Option<Moved> {
        let (moved, poller) = {
            let mut state = self.state.lock();
            if state.ending.is_some() || state.owner.is_none() || state.keep.is_none() {
                return None;
            }
            state.ending = Some(Ending::Moved);
            let (owner, mut keep) = (state.owner.take()?, state.keep.take()?);
            keep.id = Some(KnownId(self.clone()));
            let moved = Moved { owner, keep, heart: state.heart.clone(), settle_by: state.settle_by };
            (moved, state.poller.take())
        };
        if let Some(poller) = poller {
            poller.wake();
        }
        self.ended.notify_one();
        Some(moved)
    }
}

// === impl State ===

/// What a look at the clock found.
enum Due {
    Nothing,
    Ping,
    End(CloseReason),
}

impl State {
    fn due(&mut self, now: Instant) -> Option<(Due, Instant)> {
        if self.ending.is_some() {
            return None;
        }
        if self.settle_by.is_some_and(|by| now >= by) {
            self.settle_by = None;
            if self.owner.as_ref().is_some_and(|owner| !owner.settled()) {
                return Some((Due::End(CloseReason::ConnectTimeout), now));
            }
        }
        if self.posting {
            self.heart.resume(now); // the answer may be in a body that waits behind this one
        }
        let due = match self.heart.tick(now) {
            Tick::Nothing => Due::Nothing,
            Tick::Ping => Due::Ping,
            Tick::Dead => Due::End(CloseReason::PingTimeout),
        };
        let next = [Some(self.heart.deadline()), self.settle_by].into_iter().flatten().min();
        next.map(|next| (due, next))
    }
}
