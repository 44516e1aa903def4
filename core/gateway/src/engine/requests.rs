//! What a request holds of a session: the poll that waits, or the owner while a body is read to it. Dropped early
//! (the client has gone away), each ends the session.

use std::sync::Arc;

use exedra_hub::CloseReason;
use tokio::time::Instant;

use super::session::{Ending, Session};
use crate::owner::Owner;

impl Session {
    /// Begins a poll. `None` when the session is over, or is over because of this second poll at a time.
    pub(super) fn begin_poll(self: &Arc<Self>) -> Option<PollGuard> {
        let trouble = {
            let mut state = self.state.lock();
            let trouble = match state.ending {
                Some(Ending::Left) => None, // this poll crossed the goodbye on the way
                Some(_) => return None,
                None if state.heart.is_dead(Instant::now()) => Some(CloseReason::PingTimeout),
                None if state.polling => Some(CloseReason::ProtocolError),
                None => None,
            };
            state.polling |= trouble.is_none();
            trouble
        };
        match trouble {
            Some(reason) => {
                self.end(Ending::Closed, reason);
                None
            }
            None => Some(PollGuard { session: self.clone(), answered: false }),
        }
    }

    /// Takes the owner out to read a body to it. `None` when the session is over, or is over because of this
    /// second POST at a time.
    pub(super) fn begin_post(self: &Arc<Self>) -> Option<Post> {
        let taken = {
            let mut state = self.state.lock();
            if state.ending.is_some() {
                return None;
            }
            if state.heart.is_dead(Instant::now()) {
                Err(CloseReason::PingTimeout)
            } else {
                let owner = state.owner.take(); // away already while another POST is being read
                state.posting |= owner.is_some();
                owner.ok_or(CloseReason::ProtocolError)
            }
        };
        match taken {
            Ok(owner) => Some(Post { session: self.clone(), owner: Some(owner) }),
            Err(reason) => {
                self.end(Ending::Closed, reason);
                None
            }
        }
    }
}

/// A waiting poll. Dropped without an answer, the client has gone away.
pub(super) struct PollGuard {
    session: Arc<Session>,
    answered: bool,
}

impl PollGuard {
    /// The poll is being answered.
    pub(super) fn answered(mut self) {
        self.answered = true;
        let mut state = self.session.state.lock();
        state.polling = false;
        state.poller = None;
        let over = state.ending.is_some_and(|ending| ending != Ending::Moved);
        drop(state);
        if over {
            self.session.forget();
        }
    }
}

impl Drop for PollGuard {
    fn drop(&mut self) {
        if !self.answered {
            self.session.state.lock().polling = false;
            self.session.end(Ending::Closed, CloseReason::TransportLost);
        }
    }
}

/// A body being read to the owner. Dropped before [`Post::done`], the client has gone away.
pub(super) struct Post {
    session: Arc<Session>,
    owner: Option<Box<dyn Owner>>,
}

impl Post {
    /// Who the body is read to.
    pub(super) fn owner(&mut self) -> Option<&mut Box<dyn Owner>> {
        self.owner.as_mut()
    }

    /// The client gave a sign of life.
    pub(super) fn alive(&self) {
        self.session.state.lock().heart.alive(Instant::now);
    }

    /// The body was read; with an ending, it was the last one.
    pub(super) fn done(mut self, ending: Option<(Ending, CloseReason)>) {
        self.give_back();
        if let Some((ending, reason)) = ending {
            self.session.end(ending, reason);
        }
    }

    fn give_back(&mut self) {
        let Some(mut owner) = self.owner.take() else { return };
        let mut state = self.session.state.lock();
        state.posting = false;
        if state.ending.is_some() {
            drop(state);
            // The session ended meanwhile and could not tell the owner.
            owner.closed(self.session.outbox.closed().unwrap_or(CloseReason::TransportLost));
        } else {
            state.owner = Some(owner);
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if self.owner.is_some() {
            self.give_back();
            self.session.end(Ending::Closed, CloseReason::TransportLost);
        }
    }
}
