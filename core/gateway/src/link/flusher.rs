//! Writes what comes into the outboxes of many links in one go, instead of waking a task for each: a broadcast then
//! costs one wake for all its members, and a member little more than its `send`.
//!
//! A list is bounded by the links: each stands on it at most once, and what it has waits in its outbox.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{runtime::Handle, task::AbortHandle};

use super::pipe::Pipe;

/// Links that are written to before the thread's other tasks get their turn: about a millisecond.
const TURN: usize = 256;

/// Links that are brought into the cache together.
const AHEAD: usize = 16;
/// How long a flusher rests between two long rounds.
const REST: Duration = Duration::from_millis(1);

/// The flushers of a gateway: one for each worker of the runtime, with its share of the links.
#[derive(Debug)]
pub(crate) struct Flushers {
    flushers: Box<[Arc<Flusher>]>,
    tasks: Box<[AbortHandle]>,
    next: AtomicUsize,
}

/// The list of one flusher.
#[derive(Debug, Default)]
pub(crate) struct Flusher {
    /// Held for a few instructions only.
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    /// Links whose outbox has something new, in the order in which it came.
    pipes: Vec<Arc<Pipe>>,
    /// The flusher's task while it has nothing to do.
    idle: Option<Waker>,
    /// Nobody looks at the list any more.
    gone: bool,
}

impl Flushers {
    /// Starts the tasks in the runtime of the caller; they end when the flushers are dropped.
    pub(crate) fn start() -> Self {
        let workers = Handle::current().metrics().num_workers().max(1);
        let flushers: Box<[_]> = (0..workers).map(|_| Arc::<Flusher>::default()).collect();
        let tasks =
            flushers.iter().map(|flusher| tokio::spawn(Round::of(flusher).run()).abort_handle()).collect();
        Self { flushers, tasks, next: AtomicUsize::new(0) }
    }

    /// The flusher for a new link.
    pub(super) fn next(&self) -> Arc<Flusher> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.flushers[next % self.flushers.len()].clone()
    }
}

impl Drop for Flushers {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Flusher {
    /// Notes a link to be written to.
    pub(super) fn list(&self, pipe: Arc<Pipe>) {
        let mut list = self.list.lock();
        if list.gone {
            drop(list);
            return pipe.give_back();
        }
        list.pipes.push(pipe);
        let idle = list.idle.take();
        drop(list);
        if let Some(idle) = idle {
            idle.wake();
        }
    }

    fn poll_any(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut list = self.list.lock();
        if list.pipes.is_empty() {
            list.idle = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

/// The links that are being written to. Dropped, it leaves all links to their own tasks.
struct Round {
    flusher: Arc<Flusher>,
    /// In reverse order, between [`Round::begin`] and the end of the round.
    pipes: Vec<Arc<Pipe>>,
}

impl Round {
    fn of(flusher: &Arc<Flusher>) -> Self {
        Self { flusher: flusher.clone(), pipes: Vec::new() }
    }

    async fn run(mut self) {
        loop {
            poll_fn(|cx| self.flusher.poll_any(cx)).await;
            // What else is ready comes first, on this thread and on others that wait for its core: a little later
            // a link may have several frames for one write.
            std::thread::yield_now();
            tokio::task::yield_now().await;
            let links = self.begin();
            while self.next() {
                tokio::task::yield_now().await;
            }
            // Broadcasts come faster than they are written one by one: with a rest, the next round takes them
            // together, which is less work. One that comes alone never meets this.
            if links >= TURN && self.flusher.list.lock().pipes.len() >= TURN {
                tokio::time::sleep(REST).await;
            }
        }
    }

    /// Takes the list and says how long it is; the memory of the last round becomes the next list.
    fn begin(&mut self) -> usize {
        std::mem::swap(&mut self.pipes, &mut self.flusher.list.lock().pipes);
        self.pipes.reverse();
        self.pipes.len()
    }

    /// Writes to some links; whether there are more.
    fn next(&mut self) -> bool {
        for at in 0..TURN {
            if at % AHEAD == 0 {
                let next = &self.pipes[self.pipes.len().saturating_sub(AHEAD)..];
                next.iter().for_each(|pipe| pipe.look_ahead());
                next.iter().for_each(|pipe| pipe.look_further());
            }
            let Some(pipe) = self.pipes.pop() else { return false };
            pipe.flush();
        }
        !self.pipes.is_empty()
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        let mut list = self.flusher.list.lock();
        list.gone = true;
        let listed = std::mem::take(&mut list.pipes);
        drop(list);
        for pipe in listed.into_iter().chain(self.pipes.drain(..)) {
            pipe.give_back();
        }
    }
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("List").field("pipes", &self.pipes.len()).field("gone", &self.gone).finish()
    }
}
