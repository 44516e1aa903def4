//! The suite of all buses, on the one in memory and on a real nats-server.

use std::{sync::Arc, time::Duration};

use exedra_bus::{
    Commons, MemoryBus, NatsConfig, conformance, connect, connect_cluster, testing::NatsServer,
};
use exedra_hub::{
    metrics::Metrics,
    port::{Bus, BusState, Cluster},
    recovery::Recovery,
};

#[tokio::test]
async fn memory_conforms() {
    conformance::run_all(MemoryBus::new(Metrics::new())).await;
}

#[tokio::test]
async fn nats_conforms() {
    let server = NatsServer::start().await;
    let config = NatsConfig { url: Some(server.url()), ..NatsConfig::default() };
    let bus = connect(&config, "node", Metrics::new()).await.unwrap();
    while bus.state() == BusState::Down {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    conformance::run_all(bus).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_in_one_process() {
    let commons = Commons::new();
    conformance::cluster::run_all([commons.node(), commons.node(), commons.node()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_over_nats() {
    let server = NatsServer::start_jetstream().await;
    let config = NatsConfig { url: Some(server.url()), ..NatsConfig::default() };
    let second = Duration::from_secs(1);
    let rules = Recovery { window: second * 60, slack: second * 5, max_events: 1000, max_bytes: 1 << 24 };
    let node = async |name: &str| -> Arc<dyn Cluster> {
        let link: Arc<dyn Cluster> =
            connect_cluster(&config, name, 1, Some(&rules), &Metrics::new()).await.unwrap();
        link
    };
    conformance::cluster::run_all([node("a").await, node("b").await, node("c").await]).await;
}
