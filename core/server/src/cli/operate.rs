//! Commands for a running hub: they talk to its admin API. The token comes from the configuration (a file, or the
//! environment variable `EXEDRA_ADMIN__TOKEN`), never from an argument that every user of the machine could read.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Failure, print};
use crate::config::{Config, Problem};

/// How long the hub may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const MAX_ANSWER: u64 = 1 << 20;

/// Turns a plugin of a running hub on or off.
pub(super) fn switch(
    config: &Config,
    admin: Option<SocketAddr>,
    name: &str,
    on: bool,
) -> Result<(), Failure> {
    let turn = if on { "enable" } else { "disable" };
    let said = ask(config, admin, name, turn)?;
    let closed = said["closed"].as_u64().unwrap_or(0);
    let state = said["state"].as_str().unwrap_or(turn);
    let connections = if closed == 1 { "connection" } else { "connections" };
    print(&match said["changed"].as_bool() {
        Some(true) => format!("{name} is {state}; {closed} {connections} closed\n"),
        _ => format!("{name} was {state} before\n"),
    })
}

/// Puts a newer version of a plugin in its place.
pub(super) fn reload(config: &Config, admin: Option<SocketAddr>, name: &str) -> Result<(), Failure> {
    let said = ask(config, admin, name, "reload")?;
    let text = |key: &str| said[key].as_str().unwrap_or("?").to_owned();
    if said["changed"].as_bool() != Some(true) {
        return print(&format!("{name} {} is what runs already\n", text("version")));
    }
    let number = |key: &str| said[key].as_u64().unwrap_or(0);
    let connections = match number("closed") {
        0 => "its connections stay".to_owned(),
        1 => "1 connection closed, to connect again".to_owned(),
        closed => format!("{closed} connections closed, to connect again"),
    };
    let generation = number("generation");
    print(&format!("{name} is {} now, generation {generation}; {connections}\n", text("version")))
}

/// Asks a running hub to do something with one of its plugins.
fn ask(config: &Config, admin: Option<SocketAddr>, name: &str, what: &str) -> Result<Value, Failure> {
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') || name.is_empty() {
        return Err(Problem::new("NAME", "a plugin's name is a-z, 0-9 and hyphens").into());
    }
    let token = config.admin_token().map_err(|why| Problem::new("admin.token_file", why))?;
    let address = reachable(admin.unwrap_or(config.admin.listen));
    let done = what.trim_end_matches('e');
    let said = post(address, &format!("/api/plugins/{name}/{what}"), token.as_ref());
    Ok(said.with_context(|| format!("the plugin {name} cannot be {done}ed"))?)
}

/// A hub that listens on every address is reached on this machine's own.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// One request without a body, and its answer's JSON.
fn post(address: SocketAddr, path: &str, token: Option<&SecretString>) -> anyhow::Result<Value> {
    let nobody = || format!("no hub answers on {address} (admin.listen)");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(nobody)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let bearer = token.map(|token| format!("Authorization: Bearer {}\r\n", token.expose_secret()));
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nX-Exedra-Intent: cli\r\nContent-Length: 0\r\n\
         Connection: close\r\n{}\r\n",
        bearer.unwrap_or_default()
    );
    stream.write_all(request.as_bytes()).with_context(nobody)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).with_context(nobody)?;
    judge(&String::from_utf8_lossy(&answer)).with_context(|| format!("the hub on {address}"))
}

/// The JSON of a success; what a problem says is the error.
fn judge(answer: &str) -> anyhow::Result<Value> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| anyhow!("no HTTP answer"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    let said: Value = serde_json::from_str(body).unwrap_or_default();
    if status == "200" {
        return Ok(said);
    }
    Err(anyhow!("{} ({status})", said["detail"].as_str().unwrap_or("refused without a word")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_is_reached_locally() {
        let reach = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reach("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(reach("[::]:1"), "[::1]:1");
        assert_eq!(reach("10.0.0.1:1"), "10.0.0.1:1");
    }

    #[test]
    fn problem_becomes_the_error() {
        let said = judge("HTTP/1.1 404 Not Found\r\nx: y\r\n\r\n{\"detail\":\"no such plugin is loaded\"}");
        assert_eq!(said.unwrap_err().to_string(), "no such plugin is loaded (404)");
        assert!(judge("nonsense").is_err());
        assert_eq!(judge("HTTP/1.1 200 OK\r\n\r\n{\"closed\":1}").unwrap()["closed"], 1);
    }
}
