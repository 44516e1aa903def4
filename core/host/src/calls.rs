//! Calls that are under way. A call has a place here from before `dispatch` until its reply has been taken, because
//! a plugin may complete it from another thread before `dispatch` has returned. Places are used again; the number
//! that the plugin holds carries a generation, so that a late use is recognised.

use std::task::{Poll, Waker};

use exedra_abi::{CallId, Status};
use parking_lot::Mutex;

use crate::{answer::Answer, task::TaskKey};

const SHARDS: usize = 16;
/// Places per shard that a number can name; far above any `calls_in_flight`.
const PLACES: usize = 1 << 24;

/// How a parked call has ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The plugin completed it.
    Completed(Status, Answer),
    /// The hub gave it up.
    GivenUp,
}

#[derive(Default)]
enum State {
    #[default]
    Free,
    Open {
        waker: Option<Waker>,
        /// Tasks that end with the call when it is cancelled.
        tasks: Vec<TaskKey>,
    },
    Over(Ended),
}

#[derive(Default)]
struct Place {
    generation: u32,
    state: State,
}

#[derive(Default)]
struct Shard {
    places: Vec<Place>,
    free: Vec<u32>,
}

/// The calls of one instance.
pub(crate) struct Calls {
    shards: [Mutex<Shard>; SHARDS],
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// A place for a new call; none when all numbers are taken.
    pub(crate) fn open(&self) -> Option<CallId> {
        let at = here();
        let mut shard = self.shards[at].lock();
        let index = match shard.free.pop() {
            Some(index) => index,
            None if shard.places.len() < PLACES => {
                shard.places.push(Place::default());
                shard.places.len() as u32 - 1
            }
            None => return None,
        };
        let place = &mut shard.places[index as usize];
        place.state = State::Open { waker: None, tasks: Vec::new() };
        Some(number(place.generation, index, at))
    }

    /// Ends a call; `false` when it is over already, and the answer is dropped then.
    pub(crate) fn complete(&self, call: CallId, status: Status, answer: Answer) -> bool {
        self.end(call, Ended::Completed(status, answer))
    }

    fn end(&self, call: CallId, ended: Ended) -> bool {
        let waker = self.with(call, |state| match state {
            State::Open { waker, .. } => {
                let waker = waker.take();
                *state = State::Over(ended);
                Ok(waker)
            }
            // Handed back, so that a plugin's `release` is not called under the lock.
            _ => Err(ended),
        });
        match waker {
            Some(Ok(waker)) => {
                waker.into_iter().for_each(Waker::wake);
                true
            }
            _ => false,
        }
    }

    /// The end of a call, once it is there.
    pub(crate) fn poll(&self, call: CallId, waker: &Waker) -> Poll<Ended> {
        self.with(call, |state| match std::mem::take(state) {
            State::Over(ended) => Poll::Ready(ended),
            State::Open { tasks, .. } => {
                *state = State::Open { waker: Some(waker.clone()), tasks };
                Poll::Pending
            }
            State::Free => Poll::Ready(Ended::GivenUp),
        })
        .unwrap_or(Poll::Ready(Ended::GivenUp))
    }

    /// Binds a task to an open call; `false` when it is over already.
    pub(crate) fn own(&self, call: CallId, task: TaskKey) -> bool {
        self.with(call, |state| match state {
            State::Open { tasks, .. } => {
                tasks.push(task);
                true
            }
            _ => false,
        })
        .unwrap_or(false)
    }

    /// Gives the place back. Returns the tasks of a call that was still open.
    pub(crate) fn close(&self, call: CallId) -> Vec<TaskKey> {
        let (generation, index, at) = parts(call);
        let Some(shard) = self.shards.get(at) else { return Vec::new() };
        let mut shard = shard.lock();
        let Some(place) = shard.places.get_mut(index as usize).filter(|p| p.generation == generation) else {
            return Vec::new();
        };
        let state = std::mem::take(&mut place.state);
        place.generation = place.generation.wrapping_add(1);
        shard.free.push(index);
        drop(shard); // an answer in `state` may call the plugin's `release`
        match state {
            State::Open { tasks, .. } => tasks,
            _ => Vec::new(),
        }
    }

    /// Gives up every open call.
    pub(crate) fn give_up(&self) {
        for (at, shard) in self.shards.iter().enumerate() {
            let open = |(index, place): (usize, &Place)| {
                matches!(place.state, State::Open { .. }).then(|| number(place.generation, index as u32, at))
            };
            let calls: Vec<CallId> = shard.lock().places.iter().enumerate().filter_map(open).collect();
            for call in calls {
                self.end(call, Ended::GivenUp);
            }
        }
    }

    fn with<T>(&self, call: CallId, f: impl FnOnce(&mut State) -> T) -> Option<T> {
        let (generation, index, at) = parts(call);
        let mut shard = self.shards.get(at)?.lock();
        let place = shard.places.get_mut(index as usize)?;
        (call != 0 && place.generation == generation).then(|| f(&mut place.state))
    }
}

/// Never 0, which stands for no call: 32 bits of generation, 24 of index, 8 of shard plus one.
fn number(generation: u32, index: u32, shard: usize) -> CallId {
    (u64::from(generation) << 32) | (u64::from(index) << 8) | (shard as u64 + 1)
}

fn parts(call: CallId) -> (u32, u32, usize) {
    ((call >> 32) as u32, (call >> 8) as u32 & 0xff_ffff, ((call & 0xff) as usize).wrapping_sub(1))
}

/// The shard of this thread, so that threads seldom meet.
fn here() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
    SHARD.with(|shard| *shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_completion_is_late() {
        let calls = Calls::new();
        let call = calls.open().unwrap();
        assert!(calls.complete(call, Status::OK, Answer::default()));
        assert!(!calls.complete(call, Status::OK, Answer::default()));
        assert!(matches!(calls.poll(call, Waker::noop()), Poll::Ready(Ended::Completed(Status::OK, _))));
    }

    #[test]
    fn place_is_used_again_under_another_number() {
        let calls = Calls::new();
        let first = calls.open().unwrap();
        calls.close(first);
        let second = calls.open().unwrap();
        assert_ne!(first, second);
        assert!(!calls.complete(first, Status::OK, Answer::default()));
        assert!(calls.poll(second, Waker::noop()).is_pending());
    }

    #[test]
    fn made_up_numbers_are_gone() {
        let calls = Calls::new();
        for call in [0, 1, 0xff, u64::MAX, 7 << 32] {
            assert!(!calls.complete(call, Status::OK, Answer::default()), "{call}");
            assert!(calls.close(call).is_empty());
        }
    }

    #[test]
    fn closing_open_call_returns_tasks() {
        let calls = Calls::new();
        let call = calls.open().unwrap();
        assert!(calls.own(call, TaskKey(3)));
        assert_eq!(calls.close(call), [TaskKey(3)]);
        assert!(!calls.own(call, TaskKey(4)));
    }
}
