//! Time that stands still until a test turns it.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use exedra_hub::{Task, port::Clock};
use parking_lot::Mutex;

/// 2026-01-20T10:30:00Z: where every test begins.
const BEGINNING: Duration = Duration::from_secs(1_768_905_000);

/// A clock with hands for the test.
#[derive(Default)]
pub(super) struct TestClock(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    elapsed: Duration,
    next: u64,
    sleepers: BTreeMap<(Duration, u64), Waker>,
}

impl TestClock {
    /// When the first sleeper wants to be woken.
    pub(super) fn first_alarm(&self) -> Option<Duration> {
        self.0.state.lock().sleepers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Turns the clock and wakes whoever has slept long enough.
    pub(super) fn set(&self, to: Duration) {
        let mut due = Vec::new();
        {
            let mut state = self.0.state.lock();
            state.elapsed = state.elapsed.max(to);
            let first_later = (state.elapsed + Duration::from_nanos(1), 0);
            let later = state.sleepers.split_off(&first_later);
            due.extend(std::mem::replace(&mut state.sleepers, later).into_values());
        }
        due.into_iter().for_each(Waker::wake);
    }
}

impl Clock for TestClock {
    fn elapsed(&self) -> Duration {
        self.0.state.lock().elapsed
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + BEGINNING + self.elapsed()
    }

    fn sleep(&self, after: Duration) -> Task {
        let at = self.elapsed().saturating_add(after);
        Box::pin(Sleep { clock: self.0.clone(), at, key: None })
    }
}

struct Sleep {
    clock: Arc<Inner>,
    at: Duration,
    key: Option<(Duration, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.state.lock();
        if state.elapsed >= self.at {
            return Poll::Ready(());
        }
        let key = self.key.unwrap_or_else(|| {
            state.next += 1;
            (self.at, state.next)
        });
        self.key = Some(key);
        state.sleepers.insert(key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.clock.state.lock().sleepers.remove(&key);
        }
    }
}
