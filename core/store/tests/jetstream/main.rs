//! The store in JetStream on real nats-servers: the suite of all stores, several nodes, and servers that are killed,
//! frozen, cut off, lax or not what was asked for.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod answers;
mod bucket;
mod copies;
mod disk;
mod faults;
mod nats;
mod nodes;
mod proxy;

use exedra_store::conformance;
use nats::{Disk, Server};

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let server = Server::start(Disk::Always).await;
    conformance::run_all(server.open().await).await;
}
