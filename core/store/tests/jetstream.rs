//! The store in JetStream on a real nats-server: the suite of all stores, several nodes, and servers that are killed,
//! frozen, too old or lax.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod nats;

use exedra_store::conformance;
use nats::{Server, Sync};

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let server = Server::start(Sync::Always).await;
    conformance::run_all(server.open().await).await;
}
