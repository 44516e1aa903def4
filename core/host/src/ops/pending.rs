//! Operations that take time: started by a plugin, driven on the executor, ended by exactly one call of `done`.

use std::{
    collections::HashMap,
    ffi::c_void,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use exedra_abi::{Done, OpId, RawResult, Status};
use exedra_hub::{Refusal, Task};
use futures_util::future::{AbortHandle, Abortable};
use parking_lot::Mutex;
use serde::Serialize;

use super::status_of;
use crate::{
    answer::{self, Answer},
    instance::Instance,
    logbook,
};

/// How an operation ends.
pub(super) type Outcome = Result<Answer, Failure>;

/// How an operation fails: a status, and what there is to say about it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) answer: Answer,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self { status, answer: Answer::default() }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        #[derive(Serialize)]
        struct Meta<'a> {
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            code: Option<&'a str>,
        }
        let meta = Meta { message: &refusal.message, code: refusal.own_code.as_deref() };
        let meta = serde_json::to_vec(&meta).map(Bytes::from).unwrap_or_default();
        Self { status: status_of(&refusal), answer: Answer { meta, ..Answer::default() } }
    }
}

/// The operations of one instance that have not reported their end.
#[derive(Default)]
pub(crate) struct Operations(Mutex<Live>);

#[derive(Default)]
struct Live {
    last: OpId,
    handles: HashMap<OpId, AbortHandle>,
}

impl Operations {
    fn begin(&self, handle: AbortHandle, limit: usize) -> Option<OpId> {
        let mut live = self.0.lock();
        if live.handles.len() >= limit {
            return None;
        }
        live.last += 1;
        let op = live.last;
        live.handles.insert(op, handle);
        Some(op)
    }

    fn end(&self, op: OpId) {
        self.0.lock().handles.remove(&op);
    }

    /// Asks for an early end; `done` comes with `CANCELLED`, unless the operation has just ended.
    pub(crate) fn cancel(&self, op: OpId) {
        let handle = self.0.lock().handles.get(&op).cloned();
        handle.iter().for_each(AbortHandle::abort);
    }

    /// Cancels all.
    pub(crate) fn cancel_all(&self) {
        let handles: Vec<AbortHandle> = self.0.lock().handles.values().cloned().collect();
        handles.iter().for_each(AbortHandle::abort);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().handles.len()
    }
}

/// Looks once whether the operation is over; if so answers into `out`, else goes on as [`start`].
///
/// # Safety
/// `out` and `op` must be null or writable, `done` as the plugin gave it.
pub(super) unsafe fn now_or_later(
    instance: &Arc<Instance>,
    mut work: Task<Outcome>,
    out: *mut RawResult,
    done: Done,
    op: *mut OpId,
) -> Result<Status, Status> {
    if out.is_null() || done.call.is_none() {
        return Err(Status::INVALID);
    }
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        // SAFETY: the caller vouches for `out`.
        Poll::Ready(Ok(answer)) => unsafe { answer::fill(out, answer) },
        // The text of a failure stays here: whoever only looks at the status has nothing to release.
        Poll::Ready(Err(failure)) => {
            let code = Answer::code(failure.answer.code);
            // SAFETY: as above.
            unsafe { answer::fill(out, code) }?;
            Err(failure.status)
        }
        // SAFETY: as above.
        Poll::Pending => unsafe { start(instance, work, done, op) },
    }
}

/// Starts an operation that reports its end through `done`.
///
/// # Safety
/// `op` must be null or writable, `done` as the plugin gave it.
pub(super) unsafe fn start(
    instance: &Arc<Instance>,
    work: Task<Outcome>,
    done: Done,
    op: *mut OpId,
) -> Result<Status, Status> {
    let call = done.call.ok_or(Status::INVALID)?;
    if !instance.takes_work() {
        return Err(Status::SHUTTING_DOWN);
    }
    let (abort, registration) = AbortHandle::new_pair();
    let number = instance.operations.begin(abort, instance.limit).ok_or(Status::BUSY)?;
    if !op.is_null() {
        // SAFETY: the caller vouches for it; written before `done` can come.
        unsafe { op.write(number) };
    }
    let report = Report { instance: instance.clone(), op: number, call, user: done.user, outcome: None };
    let drive = async move {
        let mut report = report;
        report.outcome = Some(match Abortable::new(work, registration).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Status::CANCELLED.into()),
        });
        let instance = report.instance.clone();
        let _inside =
            poll_fn(|cx| instance.gate.poll_enter(cx, || instance.enter("done", |p| p.reports()))).await;
        drop(report);
    };
    instance.executor.spawn(drive).detach();
    Ok(Status::PENDING)
}

/// Owes the plugin one call of `done`; dropping it makes the call, whatever happened before.
struct Report {
    instance: Arc<Instance>,
    op: OpId,
    call: unsafe extern "C" fn(*mut c_void, Status, *mut RawResult),
    user: *mut c_void,
    /// None when the operation was dropped or panicked.
    outcome: Option<Outcome>,
}

// SAFETY: the contract says that `done` is called on any thread of the hub, and `user` is only handed back.
unsafe impl Send for Report {}

impl Drop for Report {
    fn drop(&mut self) {
        let (status, answer) = match self.outcome.take() {
            Some(Ok(answer)) => (Status::OK, answer),
            Some(Err(failure)) => (failure.status, failure.answer),
            None if std::thread::panicking() => (Status::INTERNAL, Answer::default()),
            None => (Status::CANCELLED, Answer::default()),
        };
        logbook::reports();
        let made = catch_unwind(AssertUnwindSafe(|| answer::give(answer)));
        let mut raw = made.unwrap_or(RawResult::EMPTY);
        {
            let _inside = self.instance.visit("done");
            // SAFETY: the plugin gave function and argument for this call, which is made once; it takes the
            // contents of `raw` over.
            unsafe { (self.call)(self.user, status, &raw mut raw) }
        }
        self.instance.operations.end(self.op);
    }
}
