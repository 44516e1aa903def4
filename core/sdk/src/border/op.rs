//! Operations that take time: an ordinary Rust future over the contract's `done` callback.
//!
//! The callback may come before the starting call has returned, from another thread, and comes exactly once, also
//! after a cancel. So its `user` is one reference of a shared cell, freed in exactly one place, and the future may
//! be dropped at any moment.

use std::{
    ffi::c_void,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use exedra_abi::{Done, OpId, RawResult, Status};

use super::{
    given::Given,
    guard::contained,
    link::{Door, Link},
};
use crate::Result;

enum State {
    /// The waker is the local one, so `join!` and `select!` inside a plugin work as everywhere.
    Waiting(Option<Waker>),
    Ended(Result<Given>),
    Taken,
}

struct Cell(Mutex<State>);

impl Cell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A started operation.
pub(crate) struct Op {
    door: Arc<Door>,
    cell: Arc<Cell>,
    /// The operation to cancel when this is dropped early.
    pending: Option<OpId>,
}

impl Op {
    /// Starts an operation. `begin` makes the one call of the contract.
    pub(crate) fn start(
        door: &Arc<Door>,
        begin: impl FnOnce(&Link, *mut RawResult, Done, *mut OpId) -> Result<Status>,
    ) -> Result<Self> {
        let cell = Arc::new(Cell(Mutex::new(State::Waiting(None))));
        let user = Arc::into_raw(Arc::clone(&cell)).cast_mut().cast::<c_void>();
        let mut out = RawResult::EMPTY;
        let mut id: OpId = 0;
        let began = door.with(|link| begin(link, &raw mut out, Done { call: Some(done), user }, &raw mut id));
        if let Ok(Status::PENDING) = began {
            return Ok(Self { door: Arc::clone(door), cell, pending: Some(id) });
        }
        // SAFETY: after any other status `done` is never called, so this reference is ours again.
        drop(unsafe { Arc::from_raw(user.cast_const().cast::<Cell>()) });
        // SAFETY: `out` is ours, and whatever the hub has put into it was given to us.
        let given = unsafe { Given::take(&raw const out) };
        *cell.lock() = State::Ended(given.check(began?));
        Ok(Self { door: Arc::clone(door), cell, pending: None })
    }
}

impl Future for Op {
    type Output = Result<Given>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.cell.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ended(outcome) => {
                drop(state);
                self.pending = None;
                Poll::Ready(outcome)
            }
            State::Waiting(_) => {
                *state = State::Waiting(Some(cx.waker().clone()));
                Poll::Pending
            }
            State::Taken => Poll::Ready(Err(crate::Error::internal("an operation was polled after its end"))),
        }
    }
}

impl Drop for Op {
    fn drop(&mut self) {
        let Some(id) = self.pending else { return };
        // What arrives from now on is released by the cell.
        let waiting = matches!(*self.cell.lock(), State::Waiting(_));
        if waiting {
            let _late = self.door.with(|link| {
                if let Some(cancel) = link.table.cancel {
                    // SAFETY: [any]; a number that is over already has no effect.
                    unsafe { cancel(link.host, id) };
                }
                Ok(())
            });
        }
    }
}

/// `[any]` The hub says how an operation ended.
unsafe extern "C" fn done(user: *mut c_void, status: Status, result: *mut RawResult) {
    contained(|| {
        // SAFETY: the reference that `start` leaked; `done` comes once.
        let cell = unsafe { Arc::from_raw(user.cast_const().cast::<Cell>()) };
        // SAFETY: the result is ours to release now.
        let given = unsafe { Given::take(result) };
        let before = std::mem::replace(&mut *cell.lock(), State::Ended(given.check(status)));
        // Outside of the lock: a waker is somebody else's code.
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
    });
}
