//! The gateway, driven through its port by clients that see every byte, on a hub with a plugin that echoes.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod client;
mod compression;
mod endpoints;
mod limits;
mod plugins;
mod polling;
mod recovery;
mod requests;
mod socketio;
mod websocket;

use std::{net::SocketAddr, time::Duration};

use exedra_gateway::{Gateway, GatewayConfig};
use exedra_hub::Limits;

/// A running gateway.
struct Server {
    gateway: Gateway,
    addr: SocketAddr,
}

impl Server {
    async fn start() -> Self {
        Self::with(Limits::default(), |_| ()).await
    }

    /// Heartbeats are far apart, so that no test meets one by chance.
    async fn with(limits: Limits, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let mut config = GatewayConfig::default();
        config.socketio.ping_interval = Duration::from_secs(3600);
        config.origins = vec!["https://good.example".into()];
        change(&mut config);
        let pages = axum::Router::new().route("/page", axum::routing::get(async || "a page"));
        let hub = plugins::echo_hub(limits);
        let gateway = Gateway::bind(([127, 0, 0, 1], 0).into(), hub, config, pages).await.unwrap();
        Self { addr: gateway.local_addr(), gateway }
    }
}
