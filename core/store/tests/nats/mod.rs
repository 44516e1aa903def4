//! A nats-server as operators should run it, and stores on it.

use std::{sync::Arc, time::Duration};

use exedra_bus::{Line, NatsConfig, dial, testing::NatsServer};
use exedra_hub::{metrics::Metrics, port::Store};
use exedra_store::{JetStreamConfig, JetStreamStore};
use tokio::time::{sleep, timeout};

pub(crate) const SOON: Duration = Duration::from_secs(15);

/// How a server keeps what it acknowledges.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sync {
    Always,
    /// As a server without a setting does it.
    Late,
}

/// A nats-server with JetStream and a monitor.
pub(crate) struct Server {
    pub(crate) nats: NatsServer,
    monitor: u16,
}

impl Server {
    pub(crate) async fn start(sync: Sync) -> Self {
        let monitor = free_port();
        let sync = match sync {
            Sync::Always => "sync_interval: always",
            Sync::Late => "",
        };
        let text = format!("http: \"127.0.0.1:{monitor}\"\nmax_payload: 2MB\njetstream {{ {sync} }}\n");
        Self { nats: NatsServer::start_configured(&text).await, monitor }
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

    pub(crate) async fn line(&self) -> Line {
        let config = NatsConfig { url: Some(self.nats.url()), ..NatsConfig::default() };
        dial(&config, "node", "store").await.unwrap()
    }

    /// A store that is open.
    pub(crate) async fn open(&self) -> Arc<JetStreamStore> {
        let store = self.start_store(self.config()).await;
        well(&*store).await;
        store
    }

    pub(crate) async fn start_store(&self, config: JetStreamConfig) -> Arc<JetStreamStore> {
        self.start_counted(config, Metrics::new()).await
    }

    pub(crate) async fn start_counted(
        &self,
        config: JetStreamConfig,
        metrics: Arc<Metrics>,
    ) -> Arc<JetStreamStore> {
        let line = self.line().await;
        JetStreamStore::start(line.client, line.up, config, metrics).await.unwrap()
    }
}

/// Waits until a store says of itself what is wanted.
pub(crate) async fn reach(store: &dyn Store, wanted: impl Fn(Option<String>) -> bool) {
    let reached = async {
        while !wanted(store.trouble()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, reached).await.unwrap_or_else(|_| panic!("the store stays at {:?}", store.trouble()));
}

/// Waits until nothing is wrong.
pub(crate) async fn well(store: &dyn Store) {
    reach(store, |trouble| trouble.is_none()).await;
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
