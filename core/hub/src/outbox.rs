//! What waits for a link: a queue bounded in bytes that the hub fills and the gateway empties.
//!
//! A link is one TCP connection or one polling session; all its namespaces share the outbox. Pushing never waits.
//! When the budget is spent the outbox closes itself as [`CloseReason::SlowConsumer`] and forgets what waited.

use std::task::{Context, Poll, Waker};

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
    /// The oldest frame that waits; mostly it is the only one, and then nothing else is in memory.
    first: Option<Entry>,
    /// What waits behind it.
    more: Vec<Entry>,
    /// Sum of the sizes of the frames that wait.
    bytes: usize,
    /// Bytes that the gateway has taken so far.
    taken: u64,
    /// Set once; later pushes are refused.
    closed: Option<CloseReason>,
    /// Who writes the link, when it has nothing to do or the socket is full.
    writer: Option<Waker>,
    /// Whether the socket is full: then the end concerns the writer, and one more frame does not.
    stuck: bool,
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
        state.wait(cx.waker(), false).map(Some)
    }

    /// For a writer whose socket is full: the reason, once closed; else the task is woken when it closes, and not
    /// before. Without this nobody would look at a link whose budget is spent until its socket moves again.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let mut state = self.state.lock();
        state.wait(cx.waker(), true)
    }

    /// Takes all that waits, in order, and has `writer` woken by what comes next. Gives the reason when the outbox is
    /// closed: then nothing comes after what was taken, and nobody is woken any more.
    pub fn take_and_wait(
        &self,
        writer: impl FnOnce() -> Waker,
        into: &mut Vec<Frame>,
    ) -> Option<CloseReason> {
        let mut state = self.state.lock();
        state.take(into);
        if state.closed.is_none() {
            state.writer = Some(writer());
            state.stuck = false;
        }
        state.closed
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
    /// Has the writer woken by the end, and, unless it is `stuck`, by the next frame.
    fn wait(&mut self, waker: &Waker, stuck: bool) -> Poll<CloseReason> {
        if let Some(reason) = self.closed {
            return Poll::Ready(reason);
        }
        self.stuck = stuck;
        match &mut self.writer {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Poll::Pending
    }

    fn take(&mut self, into: &mut Vec<Frame>) -> bool {
        let Some(first) = self.first.take() else { return false };
        into.push(first.frame);
        if !self.more.is_empty() {
            // Its memory goes too: an idle link keeps nothing.
            into.extend(std::mem::take(&mut self.more).into_iter().map(|entry| entry.frame));
        }
        self.taken += self.bytes as u64;
        self.bytes = 0;
        true
    }

    fn push(&mut self, frame: &Frame, class: Class, budget: usize) -> (Pushed, Option<Waker>) {
        if self.closed.is_some() {
            return (Pushed::Closed, None);
        }
        let size = frame.size();
        match class {
            Class::Volatile if self.first.is_some() => return (Pushed::Dropped, None),
            Class::Latest(_) => {
                let mut waiting = self.first.iter_mut().chain(&mut self.more);
                if let Some(entry) = waiting.find(|entry| entry.class == class) {
                    let bytes = self.bytes - entry.frame.size() + size;
                    if bytes <= budget {
                        self.bytes = bytes;
                        entry.frame = frame.clone();
                        return (Pushed::Replaced, None);
                    }
                    self.close(CloseReason::SlowConsumer);
                    return (Pushed::Overflow, self.writer.take());
                }
            }
            Class::Reliable | Class::Volatile => {}
        }
        if self.bytes + size > budget {
            self.close(CloseReason::SlowConsumer);
            return (Pushed::Overflow, self.writer.take());
        }
        self.bytes += size;
        let entry = Entry { frame: frame.clone(), class };
        match self.first {
            None => self.first = Some(entry),
            Some(_) => self.more.push(entry),
        }
        (Pushed::Queued, if self.stuck { None } else { self.writer.take() })
    }

    fn close(&mut self, reason: CloseReason) {
        if self.closed.is_none() {
            self.closed = Some(reason);
            if matches!(reason, CloseReason::SlowConsumer | CloseReason::TransportLost) {
                (self.first, self.more) = (None, Vec::new());
                self.bytes = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

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
    fn newest_counts_against_the_budget() {
        let outbox = Outbox::new(5);
        let key = Class::latest("room", "score", "ann");
        outbox.push(&frame("old"), key);
        assert_eq!(outbox.push(&frame("12345"), key), Pushed::Replaced);
        assert_eq!(outbox.push(&frame("123456"), key), Pushed::Overflow);
        assert_eq!((outbox.bytes(), outbox.closed()), (0, Some(CloseReason::SlowConsumer)));
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
    fn stuck_writer_is_woken_by_the_end_only() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let count = std::sync::Arc::new(Count(0.into()));
        let woken = || count.0.load(std::sync::atomic::Ordering::Relaxed);
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let outbox = Outbox::new(5);
        assert!(outbox.poll_closed(&mut cx).is_pending());
        outbox.push(&frame("12345"), Class::Reliable);
        assert_eq!(woken(), 0);
        outbox.push(&frame("6"), Class::Reliable);
        assert_eq!(woken(), 1);
        assert_eq!(outbox.poll_closed(&mut cx), Poll::Ready(CloseReason::SlowConsumer));
        let idle = Outbox::new(5);
        assert!(
            idle.poll_closed(&mut cx).is_pending() && idle.poll_take(&mut cx, &mut Vec::new()).is_pending()
        );
        idle.push(&frame("1"), Class::Reliable);
        assert_eq!(woken(), 2);
    }

    #[test]
    fn whoever_took_is_woken_by_the_next() {
        let outbox = Outbox::new(100);
        let writer = Arc::new(Woken::default());
        let take = |frames: &mut Vec<Frame>| outbox.take_and_wait(|| writer.clone().into(), frames);
        outbox.push(&frame("first"), Class::Reliable);
        let mut frames = Vec::new();
        assert_eq!(take(&mut frames), None);
        assert_eq!((frames.len(), writer.count()), (1, 0));
        outbox.push(&frame("second"), Class::Reliable);
        outbox.push(&frame("third"), Class::Reliable);
        assert_eq!(writer.count(), 1);
        take(&mut frames);
        outbox.close(CloseReason::Kicked);
        assert_eq!(writer.count(), 2);
        assert_eq!(take(&mut frames), Some(CloseReason::Kicked));
        assert_eq!(Arc::strong_count(&writer), 1, "a closed outbox holds on to nobody");
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Woken {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
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

#[cfg(test)]
#[path = "outbox_model_tests.rs"]
mod model;
