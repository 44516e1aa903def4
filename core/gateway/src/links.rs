//! All links that live, so that a stop can reach and await them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use exedra_hub::{CloseReason, outbox::Outbox};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::link::Flushers;

/// How long tasks may take to end after the last link was closed: a client that does not read is given up by then.
const FAREWELL: Duration = Duration::from_secs(3);
/// Links that are closed together while a drain is spread over its time.
const TOGETHER: u32 = 16;

/// The links and tasks of a gateway.
#[derive(Debug)]
pub(crate) struct Links {
    /// Bounded by the limit of connections: an entry lives as long as its link.
    outboxes: Mutex<HashMap<u64, Weak<Outbox>>>,
    next: AtomicU64,
    tasks: TaskTracker,
    flushers: Flushers,
    /// Cancelled when no new link may begin.
    stopping: CancellationToken,
    /// Cancelled when nobody is listened to any more: whoever comes until then is told when to come back.
    silent: CancellationToken,
}

/// A link's entry; dropping it takes it out.
#[derive(Debug)]
pub(crate) struct Registered {
    links: Arc<Links>,
    id: u64,
}

impl Links {
    /// No links yet, and what writes to them, in the runtime of the caller.
    pub(crate) fn start() -> Arc<Self> {
        Arc::new(Self {
            outboxes: Mutex::default(),
            next: AtomicU64::default(),
            tasks: TaskTracker::new(),
            flushers: Flushers::start(),
            stopping: CancellationToken::new(),
            silent: CancellationToken::new(),
        })
    }

    /// What writes to the links.
    pub(crate) fn flushers(&self) -> &Flushers {
        &self.flushers
    }

    /// Enters a link.
    pub(crate) fn register(self: &Arc<Self>, outbox: &Arc<Outbox>) -> Registered {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.outboxes.lock().insert(id, Arc::downgrade(outbox));
        Registered { links: self.clone(), id }
    }

    /// Runs a task that a stop waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// The sign that the gateway is stopping.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// The sign that nobody is to be let in at all, not even to be sent away.
    pub(crate) fn silent(&self) -> &CancellationToken {
        &self.silent
    }

    /// Closes all links, spread over `over`, and waits for their tasks; those that do not end are left behind.
    pub(crate) async fn drain(&self, over: Duration) {
        self.stopping.cancel();
        let outboxes: Vec<_> = self.outboxes.lock().values().cloned().collect();
        let start = tokio::time::Instant::now();
        let count = u32::try_from(outboxes.len()).unwrap_or(u32::MAX).max(1);
        for (i, outbox) in (0u32..).zip(outboxes) {
            if i % TOGETHER == 0 {
                tokio::time::sleep_until(start + over / count * i).await;
            }
            if let Some(outbox) = outbox.upgrade() {
                outbox.close(CloseReason::ShuttingDown);
            }
        }
        for outbox in self.outboxes.lock().values().filter_map(Weak::upgrade) {
            outbox.close(CloseReason::ShuttingDown); // came in while the others were being closed
        }
        self.silent.cancel();
        self.tasks.close();
        if tokio::time::timeout(FAREWELL, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "some links did not end in time");
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.links.outboxes.lock().remove(&self.id);
    }
}
