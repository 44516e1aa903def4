//! The suite of all buses, on the one in memory and on a real nats-server.

use exedra_bus::{MemoryBus, NatsConfig, conformance, connect, testing::NatsServer};
use exedra_hub::{
    metrics::Metrics,
    port::{Bus, BusState},
};
use std::time::Duration;

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
