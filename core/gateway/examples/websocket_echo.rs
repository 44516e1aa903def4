//! A WebSocket server that echoes whole messages: what RFC 6455 conformance suites expect.

use std::net::Ipv4Addr;

use clap::Parser;

#[derive(Parser)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value_t = 9001)]
    port: u16,
    /// Largest message in bytes.
    #[arg(long, default_value_t = 32 << 20)]
    max_payload: usize,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let addr = (Ipv4Addr::UNSPECIFIED, args.port).into();
    announce(exedra_gateway::echo::websocket_echo(addr, args.max_payload).await?);
    std::future::pending().await
}

#[expect(clippy::print_stdout, reason = "whoever started us waits for this line")]
fn announce(addr: std::net::SocketAddr) {
    println!("listening on {addr}");
}
