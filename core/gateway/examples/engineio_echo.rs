//! An Engine.IO server that echoes: what the official protocol suite expects on port 3000.

use std::{net::Ipv4Addr, time::Duration};

use clap::Parser;

#[derive(Parser)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

// One thread: requests are taken in the order in which they arrive, which the suite relies on.
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let addr = (Ipv4Addr::UNSPECIFIED, Args::parse().port).into();
    let (interval, timeout) = (Duration::from_millis(300), Duration::from_millis(200));
    let addr = exedra_gateway::echo::engineio_echo(addr, interval, timeout, 1_000_000).await?;
    announce(addr);
    std::future::pending().await
}

#[expect(clippy::print_stdout, reason = "whoever started us waits for this line")]
fn announce(addr: std::net::SocketAddr) {
    println!("listening on {addr}");
}
