//! What waits for a link: a queue bounded in bytes that the hub fills and the gateway empties.
//!
//! A link is one TCP connection or one polling session; all its namespaces share the outbox. Pushing never waits.
//! When the budget is spent the outbox closes itself as [`CloseReason::SlowConsumer`] and forgets what waited.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::{Class, CloseReason, Frame};

/// The queue of one link.
#[derive(Debug)]
pub struct Outbox {
    /// Held for a few instructions only, never across a wake.
    state: Mutex<State>,
    /// Bytes that may wait.
    budget: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// Sum of the frames' sizes in `waiting`.
    bytes: usize,
    /// Bytes that the gateway has taken so far.
    taken: u64,
    /// Set once; later pushes are refused.
    closed: Option<CloseReason>,
    /// Who writes the link, when it has nothing to do.
    writer: Option<Waker>,
}

#[derive(Debug)]
struct Entry {
    frame: Frame,
    class: Class,
}

/// What became of a pushed frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits for the link.
    Queued,
    /// It took the place of an older one with the same key.
    Replaced,
    /// The link was busy and the frame volatile.
    Dropped,
    /// The budget is spent; the link is being closed.
    Overflow,
    /// The link had been closed before.
    Closed,
}

impl Outbox {
    /// An empty queue that holds up to `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Self { state: Mutex::default(), budget }
    }

    /// Queues a frame and wakes the writer.
    pub fn push(&self, frame: &Frame, class: Class) -> Pushed {
        let (outcome, waker) = self.state.lock().push(frame, class, self.budget);
        if let Some(waker) = waker {
            waker.wake();
        }
        outcome
    }

    /// Ends the link once what waits has been written; for [`CloseReason::SlowConsumer`] and
    /// [`CloseReason::TransportLost`] what waits is forgotten. The first reason stays.
    pub fn close(&self, reason: CloseReason) {
        let waker = {
            let mut state = self.state.lock();
            state.close(reason);
            state.writer.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes all that waits, in order, appending it to `into`. Ready with `None` when something was taken,
    /// with the reason when the outbox is closed and empty; pending when nothing waits.
    pub fn poll_take(&self, cx: &mut Context<'_>, into: &mut Vec<Frame>) -> Poll<Option<CloseReason>> {
        let mut state = self.state.lock();
        if state.take(into) {
            return Poll::Ready(None);
        }
        match (state.closed, &mut state.writer) {
            (Some(reason), _) => return Poll::Ready(Some(reason)),
            (None, Some(waker)) => waker.clone_from(cx.waker()),
            (None, writer) => *writer = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes what waits without waiting for more. Gives the reason once the outbox is closed and empty.
    pub fn take_now(&self, into: &mut Vec<Frame>) -> Option<CloseReason> {
        let mut state = self.state.lock();
        if state.take(into) { None } else { state.closed }
    }

    /// The reason, once closed.
    pub fn closed(&self) -> Option<CloseReason> {
        self.state.lock().closed
    }

    /// How many bytes may wait.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Bytes that have been taken so far.
    pub fn taken(&self) -> u64 {
        self.state.lock().taken
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

// === impl State ===

impl State {
    fn take(&mut self, into: &mut Vec<Frame>) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        into.extend(self.waiting.drain(..).map(|entry| entry.frame));
        self.taken += self.bytes as u64;
        self.bytes = 0;
        if self.waiting.capacity() > 64 {
            self.waiting.shrink_to(8); // an idle link keeps no burst's memory
        }
        true
    }

    fn push(&mut self, frame: &Frame, class: Class, budget: usize) -> (Pushed, Option<Waker>) {
        if self.closed.is_some() {
            return (Pushed::Closed, None);
        }
        let size = frame.size();
        match class {
            Class::Volatile if !self.waiting.is_empty() => return (Pushed::Dropped, None),
            Class::Latest(_) => {
                if let Some(entry) = self.waiting.iter_mut().find(|entry| entry.class == class) {
                    self.bytes = self.bytes + size - entry.frame.size();
                    entry.frame = frame.clone();
                    return (Pushed::Replaced, None);
                }
            }
            Class::Reliable | Class::Volatile => {}
        }
        if self.bytes + size > budget {
            self.close(CloseReason::SlowConsumer);
            return (Pushed::Overflow, self.writer.take());
        }
        self.bytes += size;
        self.waiting.push_back(Entry { frame: frame.clone(), class });
        (Pushed::Queued, self.writer.take())
    }

    fn close(&mut self, reason: CloseReason) {
        if self.closed.is_none() {
            self.closed = Some(reason);
            if matches!(reason, CloseReason::SlowConsumer | CloseReason::TransportLost) {
                self.waiting = VecDeque::new();
                self.bytes = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Part;

    fn frame(text: &'static str) -> Frame {
        Frame::one(Part { wire: text.into(), header: 0, binary: false })
    }

    fn taken(outbox: &Outbox) -> Vec<String> {
        let mut frames = Vec::new();
        outbox.take_now(&mut frames);
        frames.iter().map(|f| String::from_utf8_lossy(&f.parts()[0].wire).into_owned()).collect()
    }

    #[test]
    fn keeps_reliable_frames_in_order() {
        let outbox = Outbox::new(100);
        for text in ["a", "b", "c"] {
            assert_eq!(outbox.push(&frame(text), Class::Reliable), Pushed::Queued);
        }
        assert_eq!(taken(&outbox), ["a", "b", "c"]);
        assert_eq!((outbox.bytes(), outbox.taken()), (0, 3));
    }

    #[test]
    fn newest_of_a_key_replaces() {
        let outbox = Outbox::new(100);
        let key = Class::latest("room", "score", "ann");
        outbox.push(&frame("old"), key);
        outbox.push(&frame("between"), Class::Reliable);
        assert_eq!(outbox.push(&frame("newer"), key), Pushed::Replaced);
        assert_eq!(taken(&outbox), ["newer", "between"]);
    }

    #[test]
    fn volatile_yields_to_a_busy_link() {
        let outbox = Outbox::new(100);
        assert_eq!(outbox.push(&frame("first"), Class::Volatile), Pushed::Queued);
        assert_eq!(outbox.push(&frame("second"), Class::Volatile), Pushed::Dropped);
    }

    #[test]
    fn spent_budget_closes_the_link() {
        let outbox = Outbox::new(5);
        assert_eq!(outbox.push(&frame("12345"), Class::Reliable), Pushed::Queued);
        assert_eq!(outbox.push(&frame("6"), Class::Reliable), Pushed::Overflow);
        assert_eq!(outbox.closed(), Some(CloseReason::SlowConsumer));
        assert_eq!(outbox.push(&frame("7"), Class::Reliable), Pushed::Closed);
        assert!(taken(&outbox).is_empty());
    }

    #[test]
    fn close_lets_the_rest_be_written() {
        let outbox = Outbox::new(100);
        outbox.push(&frame("bye"), Class::Reliable);
        outbox.close(CloseReason::Kicked);
        outbox.close(CloseReason::Internal);
        assert_eq!(taken(&outbox), ["bye"]);
        assert_eq!(outbox.take_now(&mut Vec::new()), Some(CloseReason::Kicked));
    }
}
