//! The two listeners: free, or a hub's already.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use super::Finding;
use crate::config::Config;

/// How long whoever listens there may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that is read.
const MAX_ANSWER: u64 = 4096;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    [("server.listen", config.server.listen, false), ("admin.listen", config.admin.listen, true)]
        .map(|(key, address, is_admin)| port(key, address, is_admin))
        .into()
}

fn port(key: &str, address: SocketAddr, is_admin: bool) -> Finding {
    if address.port() == 0 {
        return Finding::ok(key, format!("{address}: any free port"));
    }
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(key, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => taken(key, address, is_admin),
        Err(error) => Finding::fail(key, format!("{address}: {error}"))
            .hint("is it an address of this machine, and may this user take the port?"),
    }
}

/// Somebody listens there: a hub, or somebody else.
fn taken(key: &str, address: SocketAddr, is_admin: bool) -> Finding {
    let local = super::super::cli::reachable(address);
    // A hub says so on its admin port alone; on the public one any answer would do.
    if !is_admin {
        return Finding::ok(key, format!("{address} is taken; fine if it is by the hub"));
    }
    match readiness(local) {
        Some(true) => Finding::ok(key, format!("a hub is ready at {address}")),
        Some(false) => {
            let hint = format!("curl http://{local}/readyz says why");
            Finding::warn(key, format!("a hub at {address} is not ready")).hint(hint)
        }
        None => {
            let hint = "stop whoever listens there, or choose another port";
            Finding::fail(key, format!("{address} is taken by something that is no hub")).hint(hint)
        }
    }
}

/// Whether a hub is ready; none when it is no hub.
fn readiness(address: SocketAddr) -> Option<bool> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    // A peer that says something and then falls silent has said enough.
    let _ = stream.take(MAX_ANSWER).read_to_end(&mut answer);
    match String::from_utf8_lossy(&answer).split(' ').nth(1)? {
        "200" => Some(true),
        "503" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn taken_ports_are_noticed() {
        let squatter = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = squatter.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = squatter.accept().unwrap();
            let _ = stream.read(&mut [0; 512]);
            stream.write_all(b"SSH-2.0-not_a_hub\r\n").unwrap();
        });
        assert_eq!(port("admin.listen", address, true).level, Level::Fail);
        thread.join().unwrap();
        assert_eq!(port("admin.listen", "127.0.0.1:0".parse().unwrap(), true).level, Level::Ok);
    }
}
