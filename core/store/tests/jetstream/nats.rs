//! A nats-server as operators should run it, and stores on it.

use std::{fmt::Write, sync::Arc, time::Duration};

use exedra_bus::{Line, NatsConfig, dial, testing::NatsServer};
use exedra_hub::{
    metrics::Metrics,
    port::{Store, StoreError},
};
use exedra_store::{JetStreamConfig, JetStreamStore};
use tokio::time::{sleep, timeout};

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// When a server writes what it acknowledges.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Disk {
    /// Before.
    Always,
    /// Some time after, as a server does it that was told nothing.
    Late,
}

/// A nats-server with JetStream and a monitor.
pub(crate) struct Server {
    pub(crate) nats: NatsServer,
    monitor: u16,
    disk: Disk,
}

impl Server {
    pub(crate) async fn start(disk: Disk) -> Self {
        Self::start_with(disk, "max_payload: 2MB\n").await
    }

    /// Starts a server with further settings.
    pub(crate) async fn start_with(disk: Disk, more: &str) -> Self {
        let monitor = free_port();
        let mut text = format!("http: \"127.0.0.1:{monitor}\"\n{more}");
        let sync = match disk {
            Disk::Always => "sync_interval: always",
            Disk::Late => "",
        };
        writeln!(text, "jetstream {{ {sync} }}").unwrap();
        Self { nats: NatsServer::start_configured(&text).await, monitor, disk }
    }

    pub(crate) fn monitor(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor)
    }

    pub(crate) fn config(&self) -> JetStreamConfig {
        JetStreamConfig {
            prefix: "exedra".to_owned(),
            replicas: 1,
            durable: true,
            monitors: vec![self.monitor()],
        }
    }

    /// A store that is open, and content with what the server does.
    pub(crate) async fn open(&self) -> Arc<JetStreamStore> {
        let durable = matches!(self.disk, Disk::Always);
        let store = self.start_store(JetStreamConfig { durable, ..self.config() }).await;
        well(&*store).await;
        store
    }

    pub(crate) async fn start_store(&self, config: JetStreamConfig) -> Arc<JetStreamStore> {
        start_store(&self.nats.url(), config, Metrics::new()).await
    }

    /// A connection for what no store does.
    pub(crate) async fn line(&self) -> Line {
        let mut line = dialled(&self.nats.url()).await;
        line.up.wait_for(|up| *up).await.unwrap();
        line
    }
}

async fn dialled(url: &str) -> Line {
    let config = NatsConfig { url: Some(url.to_owned()), ..NatsConfig::default() };
    dial(&config, "node", "store").await.unwrap()
}

pub(crate) async fn start_store(
    url: &str,
    config: JetStreamConfig,
    metrics: Arc<Metrics>,
) -> Arc<JetStreamStore> {
    let line = dialled(url).await;
    JetStreamStore::start(line.client, line.up, config, metrics).await.unwrap()
}

/// What the stream has, by NATS' own word.
pub(crate) async fn messages(line: &Line) -> u64 {
    let answer = line.client.request("$JS.API.STREAM.INFO.KV_exedra_store", "".into()).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    answer["state"]["messages"].as_u64().unwrap()
}

/// Waits until a store says of itself what is wanted.
pub(crate) async fn reach(store: &dyn Store, wanted: impl Fn(&str) -> bool) {
    let reached = async {
        while !wanted(&store.trouble().unwrap_or_default()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, reached).await.unwrap_or_else(|_| panic!("the store stays at {:?}", store.trouble()));
}

/// Waits until nothing is wrong.
pub(crate) async fn well(store: &dyn Store) {
    reach(store, str::is_empty).await;
}

pub(crate) fn is_unavailable<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
