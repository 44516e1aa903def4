//! Futures that the hub drives: its waker as a Rust waker, our future as its task.

use std::{
    ffi::c_void,
    future::Future,
    mem::size_of,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use exedra_abi as abi;
use exedra_abi::{CallId, Status};

use super::{
    give,
    guard::{contained, guarded},
    link::{Door, offered},
};
use crate::{Result, answer::Outcome, plugin::Finish};

/// What a task does: ends a call, or nothing that anybody waits for.
pub(crate) enum Work {
    /// The rest of a handler; the answer completes the call.
    Call(CallId, Finish),
    /// `hub.spawn`.
    Free(Pin<Box<dyn Future<Output = ()> + Send>>),
}

struct State {
    door: Arc<Door>,
    /// `None` once it is over: a future that has panicked must not be polled again.
    work: Option<Work>,
    /// The last waker; the hub mostly brings the same one again.
    waker: Option<(Arc<HubWaker>, Waker)>,
}

/// Hands a future to the hub.
pub(crate) fn spawn(door: &Arc<Door>, work: Work) -> Result<()> {
    let owner = match &work {
        Work::Call(call, _) => *call,
        Work::Free(_) => 0,
    };
    let state = Box::into_raw(Box::new(State { door: Arc::clone(door), work: Some(work), waker: None }));
    let task = abi::Task {
        struct_size: size_of::<abi::Task>() as u32,
        reserved: 0,
        data: state.cast(),
        poll: Some(poll),
        drop: Some(drop_task),
    };
    let spawned = door.with(|link| {
        let spawn = offered(link.table.spawn, "tasks")?;
        // SAFETY: the host copies the struct; `state` is its now, until it calls `drop`.
        Ok(unsafe { spawn(link.host, &raw const task, owner) })
    });
    let refused = match spawned {
        Ok(Status::OK) => return Ok(()),
        Ok(status) => crate::Error::from_hub(status, b""),
        Err(error) => error,
    };
    // SAFETY: a task that was not accepted is not dropped by the hub.
    contained(|| drop(unsafe { Box::from_raw(state) }));
    Err(refused)
}

/// Never at the same time as itself or `drop_task` for the same task.
unsafe extern "C" fn poll(data: *mut c_void, waker: *const abi::Waker) -> Status {
    // SAFETY: the box of `spawn`; the hub polls a task from one thread at a time and not after `drop`.
    let state = unsafe { &mut *data.cast::<State>() };
    let Some(mut work) = state.work.take() else { return Status::OK };
    match guarded(|| turn(state, &mut work, waker)) {
        Ok(Ok(Poll::Pending)) => {
            state.work = Some(work);
            Status::PENDING
        }
        Ok(Ok(Poll::Ready(None))) => Status::OK,
        Ok(Ok(Poll::Ready(Some(outcome)))) => end(state, work, give::outcome(outcome), Status::OK),
        Ok(Err(error)) => end(state, work, give::outcome(Err(error)), Status::INTERNAL),
        Err(message) => end(state, work, give::panicked(&message), Status::PANICKED),
    }
}

/// One poll. Inside a `Ready`: the answer, when the work is for a call.
fn turn(state: &mut State, work: &mut Work, waker: *const abi::Waker) -> Result<Poll<Option<Outcome>>> {
    let waker = local_waker(state, waker)?;
    let mut cx = Context::from_waker(&waker);
    Ok(match work {
        Work::Call(_, finish) => finish.poll(&mut cx).map(Some),
        Work::Free(future) => future.as_mut().poll(&mut cx).map(|()| None),
    })
}

/// Completes the call, if there is one, and drops the work where a panic of its destructor hurts nobody. The status
/// is for work that nobody waits for; a completed call has said everything.
fn end(state: &State, work: Work, result: (Status, abi::RawResult), status: Status) -> Status {
    let status = match &work {
        Work::Call(call, _) => {
            complete(&state.door, *call, result);
            Status::OK
        }
        Work::Free(_) => {
            give::take_back(result.1);
            status
        }
    };
    contained(|| drop(work));
    status
}

fn complete(door: &Door, call: CallId, (status, mut result): (Status, abi::RawResult)) {
    let told = door.with(|link| {
        let complete = offered(link.table.complete, "completion")?;
        // SAFETY: the result is ours to give, and is taken over whatever the answer is.
        Ok(unsafe { complete(link.host, call, status, &raw mut result) })
    });
    if told.is_err() {
        give::take_back(result);
    }
}

/// Once, after the last poll. Dropping is cancelling.
unsafe extern "C" fn drop_task(data: *mut c_void) {
    contained(|| {
        // SAFETY: the box of `spawn`, dropped once.
        drop(unsafe { Box::from_raw(data.cast::<State>()) });
    });
}

fn local_waker(state: &mut State, waker: *const abi::Waker) -> Result<Waker> {
    if let Some((held, local)) = &state.waker
        && std::ptr::eq(held.raw, waker)
    {
        return Ok(local.clone());
    }
    let held = state.door.with(|link| {
        let table = &link.table;
        let clone = offered(table.waker_clone, "wakers")?;
        let (wake, drop) = (offered(table.waker_wake, "wakers")?, offered(table.waker_drop, "wakers")?);
        // SAFETY: the hub lent us the waker for this poll; the clone is a reference of our own.
        Ok(Arc::new(HubWaker { raw: unsafe { clone(waker) }, wake, drop }))
    })?;
    let local = Waker::from(Arc::clone(&held));
    state.waker = Some((held, local.clone()));
    Ok(local)
}

/// A reference to a waker of the hub. Its functions do not need the host table, so it may outlive the door.
struct HubWaker {
    raw: *const abi::Waker,
    wake: unsafe extern "C" fn(*const abi::Waker),
    drop: unsafe extern "C" fn(*const abi::Waker),
}

// SAFETY: waker functions are tagged [any].
unsafe impl Send for HubWaker {}
// SAFETY: as above.
unsafe impl Sync for HubWaker {}

impl Wake for HubWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // SAFETY: we hold a reference; waking takes none and only schedules.
        unsafe { (self.wake)(self.raw) };
    }
}

impl Drop for HubWaker {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference of `local_waker`.
        unsafe { (self.drop)(self.raw) };
    }
}
