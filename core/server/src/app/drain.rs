//! The way down, in the order that loses nothing: clients first, then the plugins that answer them, then the bus
//! and the store that those write to.

use std::time::Duration;

use exedra_hub::CloseReason;
use tokio::time::timeout;

use super::App;

/// What closing the links may take beyond the time over which it is spread.
const LINKS_GRACE: Duration = Duration::from_secs(4);
/// How long calls under way may take once no client is left.
const CALLS: Duration = Duration::from_secs(5);
/// How long one of the last steps may take.
const STEP: Duration = Duration::from_secs(5);

impl App {
    /// Takes the hub down. Readiness says so already, and goes on saying so until the end.
    pub(super) async fn drain(self) {
        let Self { loaded, hub, host, gateway, nats, tasks, .. } = self;
        let over = loaded.config.server.drain;
        hub.stop();
        tracing::info!(connections = hub.connection_count(), over = ?over, "closing connections");
        within("closing connections", over + LINKS_GRACE, gateway.drain(over)).await;
        let left = hub.disconnect_all(CloseReason::ShuttingDown);
        if left > 0 {
            tracing::warn!(left, "some clients did not read what waited for them and were given up");
        }

        hub.end_intake().await;
        tracing::info!("stopping plugins");
        let stopping = tokio::task::spawn_blocking(move || host.stop(CALLS));
        within("stopping plugins", CALLS + STEP, async move {
            if stopping.await.is_err() {
                tracing::error!("stopping the plugins panicked");
            }
        })
        .await;

        hub.part().await;
        if let Some(nats) = nats {
            tracing::info!("draining the bus");
            within("draining the bus", STEP, nats.drain()).await;
        }
        within("flushing the store", STEP, async {
            // Writes are answered in order, so an answer to this one means that all before it are durable.
            let last = hub.store().delete("exedra", "drain", None).await;
            if let Err(error) = last {
                tracing::error!(%error, "the store could not be flushed");
            }
        })
        .await;
        for task in tasks {
            task.abort();
        }
        tracing::info!("stopped");
    }
}

async fn within(step: &str, limit: Duration, work: impl Future<Output = ()>) {
    if timeout(limit, work).await.is_err() {
        tracing::warn!(step, "took too long; going on without it");
    }
}
