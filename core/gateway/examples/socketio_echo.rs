//! A gateway on a hub whose plugin echoes: what the official Socket.IO suite expects on port 3000.

use std::{net::Ipv4Addr, time::Duration};

use clap::Parser;
use exedra_gateway::{Gateway, GatewayConfig, SocketIoConfig};
use exedra_hub::Limits;

#[path = "../tests/links/plugins.rs"]
mod plugins;

#[derive(Parser)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Milliseconds between two heartbeats.
    #[arg(long, default_value_t = 300)]
    ping_interval: u64,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let addr = (Ipv4Addr::UNSPECIFIED, args.port).into();
    let socketio = SocketIoConfig {
        ping_interval: Duration::from_millis(args.ping_interval),
        ping_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(1000),
        ..SocketIoConfig::default()
    };
    let config = GatewayConfig { socketio, ..GatewayConfig::default() };
    let hub = plugins::echo_hub(Limits::default());
    let gateway = Gateway::bind(addr, hub, config, axum::Router::new()).await?;
    announce(gateway.local_addr());
    std::future::pending().await
}

#[expect(clippy::print_stdout, reason = "whoever started us waits for this line")]
fn announce(addr: std::net::SocketAddr) {
    println!("listening on {addr}");
}
