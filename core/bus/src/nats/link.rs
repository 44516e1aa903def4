//! The client's events, as metrics, log lines and a wake-up for those who wait.

use std::sync::atomic::{AtomicBool, Ordering};

use exedra_hub::metrics::Metrics;
use tokio::sync::Notify;

use super::Event;

/// What the client's events tell.
#[derive(Default)]
pub(super) struct Link {
    /// Woken at every change.
    changed: Notify,
    was_up: AtomicBool,
    closed: AtomicBool,
}

impl Link {
    /// Takes an event in, and counts it.
    pub(super) fn tell(&self, event: &Event, metrics: &Metrics) {
        match event {
            Event::Connected => {
                metrics.bus_up.set(1);
                if self.was_up.swap(true, Ordering::SeqCst) {
                    metrics.bus_reconnects.inc();
                }
                tracing::info!("the bus is up");
            }
            Event::Disconnected => {
                metrics.bus_up.set(0);
                tracing::warn!("the bus is down; local delivery goes on");
            }
            Event::Closed => metrics.bus_up.set(0),
            Event::LameDuckMode => tracing::warn!("the bus's server is about to stop"),
            Event::SlowConsumer(id) => tracing::warn!(id, "the bus dropped messages before they were read"),
            Event::ServerError(error) => tracing::warn!(%error, "the bus's server complains"),
            Event::ClientError(error) => tracing::warn!(%error, "the bus's client complains"),
            Event::Draining => {}
        }
        self.note(event);
    }

    /// The same for a connection that is not counted.
    pub(super) fn note(&self, event: &Event) {
        if matches!(event, Event::Closed) {
            self.closed.store(true, Ordering::SeqCst);
        }
        self.changed.notify_waiters();
    }

    /// Wakes those who wait.
    pub(super) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Ends at the next event.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether the connection has been closed for good.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}
