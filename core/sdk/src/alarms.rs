//! Many deadlines, one task: what is done about connections that stay silent, without a sleeping task for each.
//!
//! Putting a deadline off, which happens with every word that somebody says, is one write into a map: the list in order
//! of time is only touched when the old time comes, or when the new one is earlier.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    future::poll_fn,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use futures_util::{
    future::{Either, select},
    task::AtomicWaker,
};

use crate::{Hub, Result};

/// Alarms by number, for example by [`Conn::id`](crate::Conn::id). They belong to this instance of the plugin: what must
/// outlive it belongs into the store.
pub struct Alarms {
    hub: Hub,
    state: Mutex<State>,
    /// Wakes whoever waits when something is due before it seemed.
    earlier: AtomicWaker,
}

/// Pure: time comes in.
#[derive(Debug, Default)]
struct State {
    all: HashMap<u64, Alarm>,
    list: BTreeSet<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Alarm {
    wanted: u64,
    /// Where it stands in the list: at `wanted` or before.
    listed: u64,
}

impl Alarms {
    /// No alarms.
    pub fn new(hub: Hub) -> Self {
        Self { hub, state: Mutex::default(), earlier: AtomicWaker::new() }
    }

    /// Sets an alarm, or moves it, to a time in milliseconds since 1970.
    pub fn set(&self, key: u64, at_ms: u64) {
        let is_first = self.state().set(key, at_ms);
        if is_first {
            self.earlier.wake();
        }
    }

    /// Takes an alarm out.
    pub fn clear(&self, key: u64) {
        self.state().clear(key);
    }

    /// How many are set.
    pub fn len(&self) -> usize {
        self.state().all.len()
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until something is due, and takes it out. For one task at a time.
    ///
    /// # Errors
    /// When the hub is stopping.
    pub async fn ring(&self) -> Result<Vec<u64>> {
        loop {
            let due = self.state().take(self.hub.now_ms());
            if !due.is_empty() {
                return Ok(due);
            }
            self.wait().await?;
        }
    }

    async fn wait(&self) -> Result<()> {
        let first = self.state().first();
        let sooner = pin!(poll_fn(|cx| {
            self.earlier.register(cx.waker());
            let now_first = self.state().first();
            let is_sooner = now_first.is_some_and(|at| first.is_none_or(|first| at < first));
            if is_sooner { Poll::Ready(()) } else { Poll::Pending }
        }));
        let Some(first) = first else {
            sooner.await;
            return Ok(());
        };
        let left = first.saturating_sub(self.hub.now_ms());
        match select(pin!(self.hub.sleep(Duration::from_millis(left))), sooner).await {
            Either::Left((slept, _)) => slept,
            Either::Right(_) => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Says whether the alarm is the first of all now, and was not at this time before.
    fn set(&mut self, key: u64, wanted: u64) -> bool {
        match self.all.get_mut(&key) {
            Some(alarm) if wanted >= alarm.listed => {
                alarm.wanted = wanted;
                return false;
            }
            Some(alarm) => {
                self.list.remove(&(alarm.listed, key));
            }
            None => {}
        }
        self.all.insert(key, Alarm { wanted, listed: wanted });
        self.list.insert((wanted, key));
        self.first() == Some(wanted)
    }

    fn clear(&mut self, key: u64) {
        if let Some(alarm) = self.all.remove(&key) {
            self.list.remove(&(alarm.listed, key));
        }
        if self.all.capacity() > 1024 && self.all.len() < self.all.capacity() / 8 {
            self.all.shrink_to_fit(); // a wave that has left keeps no memory
        }
    }

    fn first(&self) -> Option<u64> {
        self.list.first().map(|(at, _)| *at)
    }

    fn take(&mut self, now: u64) -> Vec<u64> {
        let mut due = Vec::new();
        while let Some((at, key)) = self.list.first().copied().filter(|(at, _)| *at <= now) {
            self.list.remove(&(at, key));
            let Some(alarm) = self.all.get_mut(&key) else { continue };
            if alarm.wanted > now {
                alarm.listed = alarm.wanted;
                self.list.insert((alarm.listed, key));
            } else {
                self.all.remove(&key);
                due.push(key);
            }
        }
        due
    }
}

impl fmt::Debug for Alarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarms").field("set", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_ring_in_order() {
        let mut state = State::default();
        assert!(state.set(1, 200));
        assert!(state.set(2, 100));
        assert!(!state.set(3, 300));
        assert_eq!(state.first(), Some(100));
        assert_eq!(state.take(200), [2, 1]);
        assert_eq!((state.take(299).len(), state.take(300)), (0, vec![3]));
        assert!(state.all.is_empty() && state.list.is_empty());
    }

    #[test]
    fn put_off_alarms_ring_once() {
        let mut state = State::default();
        state.set(1, 100);
        assert!(!state.set(1, 500), "later needs no waking");
        assert_eq!(state.take(100), Vec::<u64>::new());
        assert_eq!(state.first(), Some(500));
        assert!(state.set(1, 300), "earlier does");
        assert_eq!(state.take(300), [1]);
        assert_eq!(state.take(1000), Vec::<u64>::new());
    }

    #[test]
    fn cleared_alarms_leave_nothing() {
        let mut state = State::default();
        (0..10_000).for_each(|key| {
            state.set(key, key);
        });
        (0..10_000).for_each(|key| state.clear(key));
        assert_eq!((state.all.len(), state.first()), (0, None));
        assert!(state.all.capacity() < 2048);
    }
}
