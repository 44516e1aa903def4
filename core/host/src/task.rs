//! A plugin's tasks: polled on the executor with a waker of ours, never twice at once, and dropped exactly once, on
//! an executor thread, when they end, when their call is cancelled, or when the instance stops.
#![expect(unsafe_code, reason = "calls the plugin's poll and drop, and lends it counted wakers")]

use std::{
    collections::HashMap,
    ffi::c_void,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use exedra_abi::{CallId, Status};
use exedra_hub::Reach;
use parking_lot::Mutex;

use crate::{
    answer::Answer,
    instance::Instance,
    logbook,
    reach::{self, Within},
};

/// A task's number within its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TaskKey(pub(crate) u64);

type Handle = async_task::Task<()>;

/// The tasks of one instance that have not been dropped yet.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    next: u64,
    /// `None` while the task is being made, or once it has been cancelled and waits to be dropped.
    live: HashMap<TaskKey, Entry>,
}

enum Entry {
    Made(Handle),
    Reserved,
    Cancelled,
}

impl Tasks {
    /// Makes place for a task; none when `limit` live already.
    pub(crate) fn reserve(&self, limit: usize) -> Option<TaskKey> {
        let mut entries = self.0.lock();
        if entries.live.len() >= limit {
            return None;
        }
        entries.next += 1;
        let key = TaskKey(entries.next);
        entries.live.insert(key, Entry::Reserved);
        Some(key)
    }

    /// Keeps the task, unless it has been cancelled meanwhile.
    pub(crate) fn keep(&self, key: TaskKey, handle: Handle) {
        let mut entries = self.0.lock();
        let cancelled = match entries.live.get_mut(&key) {
            Some(entry @ Entry::Reserved) => {
                *entry = Entry::Made(handle);
                None
            }
            _ => Some(handle),
        };
        drop(entries);
        drop(cancelled);
    }

    /// Asks for the task's early end; dropping its handle makes the executor drop it.
    pub(crate) fn cancel(&self, key: TaskKey) {
        let handle = self.0.lock().live.get_mut(&key).map(|entry| std::mem::replace(entry, Entry::Cancelled));
        drop(handle);
    }

    /// Cancels all.
    pub(crate) fn cancel_all(&self) {
        let keys: Vec<TaskKey> = self.0.lock().live.keys().copied().collect();
        keys.into_iter().for_each(|key| self.cancel(key));
    }

    /// Forgets a task that has been dropped.
    pub(crate) fn forget(&self, key: TaskKey) {
        let entry = self.0.lock().live.remove(&key);
        if let Some(Entry::Made(handle)) = entry {
            handle.detach();
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().live.len()
    }
}

/// A task as the plugin described it.
pub(crate) struct RawTask {
    data: *mut c_void,
    poll: unsafe extern "C" fn(*mut c_void, *const exedra_abi::Waker) -> Status,
    drop: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: the contract says that threads may change between polls, and only one future holds the task.
unsafe impl Send for RawTask {}

impl RawTask {
    /// Copies the plugin's description, if it is complete.
    ///
    /// # Safety
    /// `task` must be null or point to a task that starts with its size.
    pub(crate) unsafe fn read(task: *const exedra_abi::Task) -> Option<Self> {
        if task.is_null() || !task.is_aligned() {
            return None;
        }
        // SAFETY: every task starts with its size.
        let size = unsafe { task.cast::<u32>().read() } as usize;
        if size < size_of::<exedra_abi::Task>() {
            return None;
        }
        // SAFETY: it is at least as large as ours.
        let task = unsafe { &*task };
        Some(Self { data: task.data, poll: task.poll?, drop: task.drop? })
    }
}

/// A plugin's task as a future. Making one takes the task over: its `drop` is called when the future is dropped.
pub(crate) struct PluginTask {
    instance: Arc<Instance>,
    key: TaskKey,
    owner: CallId,
    raw: RawTask,
    /// How far the room messages go that it sends: as when it was made.
    reach: Reach,
    /// Made by the first poll; the executor's waker stays the same for the life of a task.
    waker: Option<Arc<Waker>>,
}

impl PluginTask {
    pub(crate) fn new(instance: Arc<Instance>, key: TaskKey, owner: CallId, raw: RawTask) -> Self {
        Self { instance, key, owner, raw, reach: reach::now(), waker: None }
    }

    /// A task that has ended answers for its call, in case it has not done so. A panic is counted once: by the call
    /// that it ends, or here.
    fn ended(&self, status: Status) {
        let panicked = status == Status::PANICKED;
        let status = if panicked { status } else { Status::INTERNAL };
        let told = self.instance.calls.complete(self.owner, status, Answer::default());
        if panicked && !told {
            self.instance.panicked("task", "in a task");
        }
    }
}

impl Future for PluginTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !matches!(&this.waker, Some(waker) if waker.will_wake(cx.waker())) {
            this.waker = Some(Arc::new(cx.waker().clone()));
        }
        let Some(waker) = &this.waker else { return Poll::Pending };
        let instance = &*this.instance;
        let Poll::Ready(inside) = instance.gate.poll_enter(cx, || instance.enter("task", |p| p.polls()))
        else {
            return Poll::Pending;
        };
        let _reach = Within::new(this.reach);
        // SAFETY: the task is alive, `&mut self` keeps other polls away, and the waker outlives the call.
        let status = unsafe { (this.raw.poll)(this.raw.data, Arc::as_ptr(waker).cast()) };
        drop(inside);
        if status == Status::PENDING {
            return Poll::Pending;
        }
        this.ended(status);
        Poll::Ready(())
    }
}

impl Drop for PluginTask {
    fn drop(&mut self) {
        {
            let _inside = self.instance.visit("drop");
            // SAFETY: the task was taken over once and this is its only drop, after the last poll.
            unsafe { (self.raw.drop)(self.raw.data) }
        }
        self.instance.tasks.forget(self.key);
    }
}

/// `waker_clone` of the host table.
pub(crate) unsafe extern "C" fn waker_clone(waker: *const exedra_abi::Waker) -> *const exedra_abi::Waker {
    if !waker.is_null() {
        logbook::waker_cloned(waker as usize);
        // SAFETY: every waker that plugins see comes from an `Arc<Waker>` that is alive here.
        unsafe { Arc::increment_strong_count(waker.cast::<Waker>()) }
    }
    waker
}

/// `waker_wake` of the host table. Puts the task into the queue; nothing is polled here.
pub(crate) unsafe extern "C" fn waker_wake(waker: *const exedra_abi::Waker) {
    if waker.is_null() {
        return;
    }
    // SAFETY: as above, and the caller holds a count during the call.
    let waker = unsafe { &*waker.cast::<Waker>() };
    let woken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake_by_ref()));
    if woken.is_err() {
        tracing::error!("waking a plugin's task panicked");
    }
}

/// `waker_drop` of the host table.
pub(crate) unsafe extern "C" fn waker_drop(waker: *const exedra_abi::Waker) {
    if waker.is_null() || !logbook::waker_dropped(waker as usize) {
        return;
    }
    let dropped = std::panic::catch_unwind(|| {
        // SAFETY: gives back the count that `waker_clone` took.
        unsafe { Arc::decrement_strong_count(waker.cast::<Waker>()) }
    });
    if dropped.is_err() {
        tracing::error!("dropping a plugin's waker panicked");
    }
}
