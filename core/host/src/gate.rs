//! Where an instance is in its life, and who may enter its code now. `start` and `quiesce` must be alone with the
//! plugin, so tasks and callbacks that come meanwhile wait here until the phase changes.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// The phases, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Being created and started.
    Starting,
    /// Takes calls.
    Running,
    /// Takes no new calls; those under way go on.
    Draining,
    /// `quiesce` is alone with the plugin.
    Quiescing,
    /// Tasks are dropped, operations are told that they are cancelled.
    Ending,
    /// Nothing may enter any more.
    Gone,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Starting, Self::Running, Self::Draining, Self::Quiescing, Self::Ending, Self::Gone];

    /// Whether tasks are polled.
    pub(crate) fn polls(self) -> bool {
        matches!(self, Self::Running | Self::Draining)
    }

    /// Whether operations may report their end.
    pub(crate) fn reports(self) -> bool {
        matches!(self, Self::Running | Self::Draining | Self::Ending)
    }
}

/// The phase of one instance and who waits for the next one.
pub(crate) struct Gate {
    phase: AtomicU8,
    /// Bounded by the tasks and operations of the instance.
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { phase: AtomicU8::new(Phase::Starting as u8), waiting: Mutex::default() }
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::SeqCst)).min(Phase::ALL.len() - 1)]
    }

    /// Moves on and lets everybody who waits look again.
    pub(crate) fn set(&self, phase: Phase) {
        let mut waiting = self.waiting.lock();
        self.phase.store(phase as u8, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *waiting);
        drop(waiting);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Tries `enter`, which must look at the phase after it has made itself visible; waits while it gives nothing.
    pub(crate) fn poll_enter<T>(&self, cx: &Context<'_>, enter: impl Fn() -> Option<T>) -> Poll<T> {
        if let Some(entered) = enter() {
            return Poll::Ready(entered);
        }
        let mut waiting = self.waiting.lock();
        // The phase may have changed before the lock was ours; it cannot change now.
        match enter() {
            Some(entered) => Poll::Ready(entered),
            None => {
                waiting.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
