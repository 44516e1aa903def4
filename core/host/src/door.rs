//! What a plugin is given at `create`: the host table and, behind its `instance`, the way to the instance. A door is
//! never freed, so that a plugin's own thread may knock late; it finds `SHUTTING_DOWN` then.
#![expect(unsafe_code, reason = "the functions are called by plugins")]

use std::{
    mem::size_of,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{Arc, Weak},
};

use exedra_abi::{ABI_MAJOR, ABI_MINOR, CallId, Host, OpId, RawResult, Slice, Status};

use crate::{
    answer::{self, Answer},
    instance::Instance,
    log, logbook, ops,
    task::{self, PluginTask, RawTask},
};

/// The table and what its `instance` points to. `#[repr(C)]` is not needed: plugins see only the table.
pub(crate) struct Door {
    table: Host,
    instance: Weak<Instance>,
}

impl Door {
    /// Builds the door of an instance; a few hundred bytes that stay for the life of the process.
    pub(crate) fn build(instance: Weak<Instance>) -> *const Host {
        let door = Box::leak(Box::new(Self { table: table(), instance }));
        door.table.instance = ptr::from_ref(door).cast_mut().cast();
        &raw const door.table
    }
}

fn table() -> Host {
    Host {
        struct_size: size_of::<Host>() as u32,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        instance: ptr::null_mut(),
        get_extension: Some(get_extension),
        complete: Some(complete),
        spawn: Some(spawn),
        waker_clone: Some(task::waker_clone),
        waker_wake: Some(task::waker_wake),
        waker_drop: Some(task::waker_drop),
        cancel: Some(cancel),
        log: Some(log::log),
        max_log_level: log::level(),
    }
}

/// The instance behind a host table.
///
/// # Safety
/// `host` must be null or a table of [`Door::build`].
pub(crate) unsafe fn behind(host: *const Host) -> Result<Arc<Instance>, Status> {
    if host.is_null() || !host.is_aligned() {
        return Err(Status::INVALID);
    }
    // SAFETY: the caller vouches for the table, and doors live for ever.
    let door = unsafe { (*host).instance.cast_const().cast::<Door>() };
    if door.is_null() {
        return Err(Status::INVALID);
    }
    // SAFETY: as above.
    unsafe { &*door }.instance.upgrade().ok_or(Status::SHUTTING_DOWN)
}

unsafe extern "C" fn get_extension(_: *const Host, id: Slice) -> *const std::ffi::c_void {
    let found = catch_unwind(|| {
        // SAFETY: the plugin lends the name for the call.
        unsafe { ops::text(id, 128) }.map_or(ptr::null(), ops::table)
    });
    found.unwrap_or(ptr::null())
}

unsafe extern "C" fn complete(
    host: *const Host,
    call: CallId,
    status: Status,
    result: *mut RawResult,
) -> Status {
    // First of all, because it is taken over whatever comes next.
    // SAFETY: the plugin gives the result away.
    let answer = catch_unwind(|| unsafe { answer::take_given(result) });
    // SAFETY: the plugin passes the table that it was given.
    unsafe {
        ops::guarded(host, "complete", |instance| {
            logbook::call_completed(instance, call);
            let (status, answer) = match answer {
                Ok(Ok(answer)) => (status, answer),
                Ok(Err(fault)) => {
                    logbook::bad_answer("complete", &fault.to_string());
                    tracing::warn!(plugin = &*instance.name, %fault, "a call was completed with a damaged result");
                    (Status::INTERNAL, Answer::default())
                }
                Err(_) => (Status::INTERNAL, Answer::default()),
            };
            if instance.calls.complete(call, status, answer) { Ok(Status::OK) } else { Err(Status::GONE) }
        })
    }
}

/// Whatever status but OK it gives, the task has not been taken over and stays the plugin's.
unsafe extern "C" fn spawn(host: *const Host, task: *const exedra_abi::Task, owner: CallId) -> Status {
    // SAFETY: the plugin passes the table that it was given and a task that it gives away.
    unsafe {
        ops::guarded(host, "spawn", |instance| {
            let raw = RawTask::read(task).ok_or(Status::INVALID)?;
            if !instance.takes_work() {
                return Err(Status::SHUTTING_DOWN);
            }
            let key = instance.tasks.reserve(instance.limit).ok_or(Status::BUSY)?;
            if owner != 0 && !instance.calls.own(owner, key) {
                instance.tasks.forget(key);
                return Err(Status::GONE);
            }
            let future = PluginTask::new(instance.clone(), key, owner, raw);
            let (runnable, handle) = instance.executor.prepare(future);
            instance.tasks.keep(key, handle);
            runnable.schedule();
            Ok(Status::OK)
        })
    }
}

unsafe extern "C" fn cancel(host: *const Host, op: OpId) {
    // SAFETY: the plugin passes the table that it was given.
    let _ = unsafe {
        ops::guarded(host, "cancel", |instance| {
            instance.operations.cancel(op);
            Ok(Status::OK)
        })
    };
}

/// Runs `f`, so that nothing unwinds into a plugin.
pub(crate) fn contained(f: impl FnOnce() -> Result<Status, Status>) -> Status {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(status) | Err(status)) => status,
        Err(_) => {
            tracing::error!("a function of the hub panicked when a plugin called it");
            Status::INTERNAL
        }
    }
}
