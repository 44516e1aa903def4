//! The threads that plugins run on: their calls, their tasks, and the hub's own tasks that make those calls. Kept
//! apart from the threads of the gateway, so that a slow plugin slows only plugins.
//!
//! A thread publishes in its [`Seat`] which plugin's code it is in and since when; the watchdog reads the seats.
//! The queue holds a task at most once at a time, so it is bounded by the number of tasks that live, and those
//! are bounded where they are made.

use std::{
    cell::{Cell, OnceCell},
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use async_task::Runnable;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::{Mutex, RwLock};

use crate::health::Health;

/// What a thread does inside a plugin, for logs.
pub(crate) type Kind = &'static str;

const INSIDE: u64 = 1;
const STUCK: u64 = 2;

/// What one thread publishes about itself.
#[derive(Default)]
struct Seat {
    /// Number of the visit, times four, with [`INSIDE`] and [`STUCK`]. Only the seat's thread changes the number,
    /// and the watchdog sets `STUCK` only on the visit that it has looked at.
    visit: AtomicU64,
    plugin: AtomicUsize,
    kind: Mutex<Kind>,
    /// Microseconds since the executor began.
    since: AtomicU64,
}

thread_local! {
    static HERE: OnceCell<(usize, Arc<Seat>)> = const { OnceCell::new() };
    /// How often this thread has entered a plugin without leaving it.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Whether the calling thread is in a plugin's code.
pub(crate) fn is_visiting() -> bool {
    DEPTH.get() > 0
}

/// Whether the calling thread is one of any executor's.
pub(crate) fn is_thread() -> bool {
    HERE.with(|here| here.get().is_some())
}

enum Work {
    Run(Runnable),
    Stop,
}

/// The executor; cloning shares it.
#[derive(Clone)]
pub(crate) struct Executor(Arc<Shared>);

struct Shared {
    sender: Sender<Work>,
    receiver: Receiver<Work>,
    seats: Mutex<Vec<Arc<Seat>>>,
    plugins: RwLock<Vec<Arc<Health>>>,
    /// Threads to end because one that was replaced has come back.
    surplus: AtomicUsize,
    made: AtomicUsize,
    /// Runnables that wait or run.
    pending: AtomicUsize,
    closed: AtomicBool,
    began: Instant,
}

impl Executor {
    /// Starts `threads` threads, and says what stopped it when it became fewer.
    pub(crate) fn start(threads: usize) -> (Self, Option<io::Error>) {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let executor = Self(Arc::new(Shared {
            sender,
            receiver,
            seats: Mutex::default(),
            plugins: RwLock::default(),
            surplus: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            began: Instant::now(),
        }));
        let failed = (0..threads).find_map(|_| executor.add_thread().err());
        (executor, failed)
    }

    /// Adds a thread.
    fn add_thread(&self) -> io::Result<()> {
        let shared = self.0.clone();
        let seat = Arc::new(Seat::default());
        let name = format!("plugins-{}", shared.made.fetch_add(1, Ordering::Relaxed));
        shared.seats.lock().push(seat.clone());
        let started = thread::Builder::new().name(name).spawn({
            let seat = seat.clone();
            move || work(&shared, &seat)
        });
        started.map(drop).inspect_err(|_| self.0.leave_seat(&seat))
    }

    /// Makes a future known without running it; `schedule` the runnable to begin.
    pub(crate) fn prepare<F>(&self, future: F) -> (Runnable, async_task::Task<F::Output>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let shared = self.0.clone();
        async_task::spawn(future, move |runnable| shared.push(runnable))
    }

    /// Runs a future to its end, unless the returned handle is dropped.
    pub(crate) fn spawn<F>(&self, future: F) -> async_task::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (runnable, task) = self.prepare(future);
        runnable.schedule();
        task
    }

    /// Whether the calling thread is one of this executor's.
    pub(crate) fn is_here(&self) -> bool {
        HERE.with(|here| here.get().is_some_and(|(id, _)| *id == self.id()))
    }

    /// Publishes that this thread is in the plugin's code until the guard is dropped. Within another visit, or on
    /// a thread of somebody else, the guard does nothing.
    pub(crate) fn enter<'a>(&'a self, health: &'a Health, kind: Kind) -> Inside<'a> {
        let outermost = DEPTH.get() == 0 && self.is_here();
        DEPTH.set(DEPTH.get() + 1);
        if outermost {
            HERE.with(|here| {
                if let Some((_, seat)) = here.get() {
                    seat.plugin.store(health.index, Ordering::Relaxed);
                    *seat.kind.lock() = kind;
                    seat.since.store(self.0.now(), Ordering::Relaxed);
                    let number = seat.visit.load(Ordering::Relaxed) + 4;
                    // Sequentially consistent: whoever stops a plugin changes its phase first and looks at the
                    // seats then, while a visitor takes the seat first and looks at the phase then.
                    seat.visit.store(number | INSIDE, Ordering::SeqCst);
                }
            });
        }
        Inside { executor: self, health, outermost }
    }

    /// Whether any thread is in the plugin's code.
    pub(crate) fn is_inside(&self, plugin: usize) -> bool {
        let inside = |seat: &Arc<Seat>| {
            seat.visit.load(Ordering::SeqCst) & INSIDE != 0 && seat.plugin.load(Ordering::Relaxed) == plugin
        };
        self.0.seats.lock().iter().any(inside)
    }

    /// Whether nothing runs and nothing waits to run.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.pending.load(Ordering::SeqCst) == 0
    }

    /// Makes an instance known to the watchdog, under the index that it gets. It stays known.
    pub(crate) fn watch(&self, health: impl FnOnce(usize) -> Health) -> Arc<Health> {
        let mut plugins = self.0.plugins.write();
        let health = Arc::new(health(plugins.len()));
        plugins.push(health.clone());
        health
    }

    /// One look of the watchdog at every thread.
    pub(crate) fn inspect(&self, warn_after: Duration, stuck_after: Duration) {
        let seats: Vec<Arc<Seat>> = self.0.seats.lock().clone();
        let now = self.0.now();
        for seat in seats {
            let visit = seat.visit.load(Ordering::SeqCst);
            let since = seat.since.load(Ordering::Relaxed);
            let plugin = self.0.plugins.read().get(seat.plugin.load(Ordering::Relaxed)).cloned();
            let kind = *seat.kind.lock();
            let (Some(plugin), INSIDE) = (plugin, visit & (INSIDE | STUCK)) else { continue };
            let spent = Duration::from_micros(now.saturating_sub(since));
            if spent >= stuck_after {
                self.replace(&seat, visit, &plugin, kind, spent);
            } else if spent >= warn_after && seat.visit.load(Ordering::SeqCst) == visit {
                plugin.slow(kind, spent);
            }
        }
    }

    /// Gives up on a thread until it comes back, and starts another one in its place.
    fn replace(&self, seat: &Seat, visit: u64, plugin: &Health, kind: Kind, spent: Duration) {
        if seat.visit.compare_exchange(visit, visit | STUCK, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return; // it has just come back
        }
        plugin.stuck(kind, spent);
        if let Err(error) = self.add_thread() {
            tracing::error!(%error, "a stuck plugin thread could not be replaced");
        }
    }

    /// Lets the threads end once they are out of the plugins; what waits is dropped.
    pub(crate) fn close(&self) {
        if self.0.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        for _ in 0..self.0.seats.lock().len() {
            let _ = self.0.sender.send(Work::Stop);
        }
    }

    fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    fn push(&self, runnable: Runnable) {
        if self.closed.load(Ordering::SeqCst) {
            return; // dropping it drops the future
        }
        self.pending.fetch_add(1, Ordering::SeqCst);
        let _ = self.sender.send(Work::Run(runnable));
    }

    fn leave_seat(&self, seat: &Arc<Seat>) {
        self.seats.lock().retain(|other| !Arc::ptr_eq(other, seat));
    }

    /// Whether the calling thread is one too many.
    fn is_surplus(&self) -> bool {
        let less = |surplus: usize| surplus.checked_sub(1);
        self.surplus.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}

/// A thread's life.
fn work(shared: &Arc<Shared>, seat: &Arc<Seat>) {
    HERE.with(|here| {
        let _ = here.set((Arc::as_ptr(shared) as usize, seat.clone()));
    });
    while let Ok(Work::Run(runnable)) = shared.receiver.recv() {
        let closed = shared.closed.load(Ordering::SeqCst);
        let run = || if closed { false } else { runnable.run() };
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            tracing::error!("a task of the hub panicked on a plugin thread; the thread goes on");
        }
        shared.pending.fetch_sub(1, Ordering::SeqCst);
        if shared.is_surplus() {
            break;
        }
    }
    shared.leave_seat(seat);
    if shared.closed.load(Ordering::SeqCst) && shared.seats.lock().is_empty() {
        // The queue holds the executor through its tasks; emptying it lets both go.
        while shared.receiver.try_recv().is_ok() {}
    }
}

/// A visit to a plugin's code.
pub(crate) struct Inside<'a> {
    executor: &'a Executor,
    health: &'a Health,
    outermost: bool,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
        if !self.outermost {
            return;
        }
        HERE.with(|here| {
            let Some((_, seat)) = here.get() else { return };
            let number = seat.visit.load(Ordering::Relaxed) & !(INSIDE | STUCK);
            if seat.visit.swap(number, Ordering::SeqCst) & STUCK != 0 {
                self.executor.0.surplus.fetch_add(1, Ordering::SeqCst);
                self.health.recovered();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        futures_util::future::FutureExt::now_or_never(future).expect("ready")
    }

    fn wait_until(what: impl Fn() -> bool) {
        let began = Instant::now();
        while !what() {
            assert!(began.elapsed() < Duration::from_secs(10), "waited too long");
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn watched(executor: &Executor) -> Arc<Health> {
        executor.watch(|index| Health::new(index, "echo", 5, Box::new(|_| {})))
    }

    #[test]
    fn thread_survives_panicking_task() {
        let executor = Executor::start(1).0;
        executor.spawn(async { panic!("on purpose") }).detach();
        let task = executor.spawn(async { 7 });
        wait_until(|| task.is_finished());
        assert_eq!(block_on(task), 7);
        executor.close();
    }

    #[test]
    fn stuck_thread_is_replaced() {
        let executor = Executor::start(1).0;
        let plugin = watched(&executor);
        let (release, wait) = crossbeam_channel::bounded::<()>(1);
        executor
            .spawn({
                let (executor, plugin) = (executor.clone(), plugin.clone());
                async move {
                    let _inside = executor.enter(&plugin, "event");
                    let _ = wait.recv();
                }
            })
            .detach();
        wait_until(|| executor.is_inside(0));
        executor.inspect(Duration::ZERO, Duration::ZERO);
        assert!(plugin.is_stuck());
        let other = executor.spawn(async {});
        wait_until(|| other.is_finished());
        release.send(()).unwrap();
        wait_until(|| !plugin.is_stuck() && executor.0.seats.lock().len() == 1);
        executor.close();
    }

    #[test]
    fn dropped_handle_drops_future() {
        let executor = Executor::start(1).0;
        let alive = Arc::new(());
        let held = alive.clone();
        let task = executor.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(task);
        wait_until(|| Arc::strong_count(&alive) == 1);
        executor.close();
    }
}
