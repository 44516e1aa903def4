//! What a NATS server says of itself, for `exedra doctor`: its version and whether it has JetStream come with every
//! connection; whether acknowledged writes are on the disk, only its monitoring port knows.

use std::time::{Duration, Instant};

use exedra_hub::port::BusError;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::unavailable;
use crate::{NatsConfig, Visitor};

/// How long the monitoring port may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer of the monitoring port.
const MAX_ANSWER: u64 = 1 << 20;

/// A server's facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Its name.
    pub name: String,
    /// Its version, as `2.15.1`.
    pub version: String,
    /// The largest message that it takes, in bytes.
    pub max_payload: usize,
    /// Whether it has JetStream.
    pub jetstream: bool,
    /// How long a message takes to it and back.
    pub round_trip: Duration,
    /// What its monitoring port says of JetStream's writes; none when `nats.monitor` is not set.
    pub sync: Option<Result<DiskSync, String>>,
}

/// When JetStream puts acknowledged writes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskSync {
    /// Before it acknowledges them.
    Always,
    /// So often; what was acknowledged since may be lost with the power.
    Every(Duration),
}

/// Asks the server.
///
/// # Errors
/// [`BusError::Unavailable`] with a sentence, as [`Visitor::connect`].
pub async fn survey(config: &NatsConfig) -> Result<Survey, BusError> {
    let visitor = Visitor::connect(config, "exedra/doctor").await?;
    let began = Instant::now();
    visitor.client.flush().await.map_err(unavailable)?;
    let round_trip = began.elapsed();
    let server = visitor.client.server_info();
    let sync = match &config.monitor {
        Some(monitor) => Some(sync_of(monitor).await),
        None => None,
    };
    Ok(Survey {
        name: server.server_name,
        version: server.version,
        max_payload: server.max_payload,
        jetstream: server.jetstream,
        round_trip,
        sync,
    })
}

#[derive(Deserialize)]
struct Varz {
    jetstream: Option<JetStream>,
}

#[derive(Deserialize)]
struct JetStream {
    config: Option<JetStreamConfig>,
}

#[derive(Deserialize)]
struct JetStreamConfig {
    #[serde(default)]
    sync_always: bool,
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
}

/// What the monitoring port says.
///
/// # Errors
/// A sentence: it cannot be asked, or knows nothing of JetStream.
async fn sync_of(monitor: &str) -> Result<DiskSync, String> {
    let answer =
        timeout(PATIENCE, get(monitor, "/varz")).await.map_err(|_| "no answer in time".to_owned())??;
    read(&answer)
}

fn read(varz: &[u8]) -> Result<DiskSync, String> {
    let varz: Varz =
        serde_json::from_slice(varz).map_err(|error| format!("/varz cannot be read: {error}"))?;
    let config = varz.jetstream.and_then(|jetstream| jetstream.config).ok_or("JetStream is not on")?;
    Ok(if config.sync_always {
        DiskSync::Always
    } else {
        DiskSync::Every(Duration::from_nanos(config.sync_interval))
    })
}

/// One plain request. HTTP/1.0, so that the answer comes in one piece.
async fn get(monitor: &str, path: &str) -> Result<Vec<u8>, String> {
    let Some(rest) = monitor.strip_prefix("http://") else {
        return Err("the monitoring port is asked over http:// only".to_owned());
    };
    let (host, base) =
        rest.split_once('/').map_or((rest, ""), |(host, base)| (host, base.trim_end_matches('/')));
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain(host) || !plain(base) {
        return Err("the address is none".to_owned());
    }
    let said = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(&address).await.map_err(said)?;
    let slash = if base.is_empty() { "" } else { "/" };
    let request = format!("GET {slash}{base}{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(said)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await.map_err(said)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no HTTP answer")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    match head.split(' ').nth(1) {
        Some("200") => Ok(answer.split_off(end + 4)),
        status => Err(format!("it answers {}", status.unwrap_or("nothing"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_is_read() {
        let with = |config: &str| read(format!(r#"{{"jetstream": {{"config": {config}}}}}"#).as_bytes());
        assert_eq!(with(r#"{"sync_always": true, "sync_interval": 5}"#), Ok(DiskSync::Always));
        let every = with(r#"{"sync_interval": 120000000000}"#);
        assert_eq!(every, Ok(DiskSync::Every(Duration::from_secs(120))));
        assert!(read(b"{\"jetstream\": {}}").is_err() && read(b"[").is_err());
    }

    #[tokio::test]
    async fn strange_addresses_are_refused() {
        for monitor in ["https://x", "x:1", "http://a b", "http://x/\r\nEvil: 1"] {
            assert!(sync_of(monitor).await.is_err(), "{monitor}");
        }
    }
}
