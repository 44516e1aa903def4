//! Whether a nats-server writes to the disk before it acknowledges. By default it does so every two minutes, and a
//! power failure takes what came since; only its monitoring data tell.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};

/// How long one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// What the servers say of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// An acknowledged write is on the disk.
    Always,
    /// An acknowledged write may be lost; the sentence says where.
    Lax(String),
    /// Nobody knows; the sentence says why.
    Unknown(String),
}

/// Asks the monitoring addresses (`http://host:8222`) of all servers. `connected_to` is the id of the server that the
/// hub is connected to, if it is known: it must be one of them, or it is another system that answers.
pub async fn durability(monitors: &[String], connected_to: Option<&str>) -> Durability {
    if monitors.is_empty() {
        return Durability::Unknown("nats.monitor is not set".to_owned());
    }
    let (mut unknown, mut ids) = (None, Vec::new());
    for monitor in monitors {
        match ask(monitor).await {
            Ok(server) => match server.judged(monitor) {
                Durability::Always => ids.push(server.server_id),
                lax @ Durability::Lax(_) => return lax,
                Durability::Unknown(why) => unknown = Some(why),
            },
            Err(why) => unknown = Some(format!("{monitor} does not say: {why}")),
        }
    }
    if let Some(why) = unknown {
        return Durability::Unknown(why);
    }
    match connected_to {
        Some(id) if !ids.iter().any(|known| known == id) => {
            Durability::Unknown("nats.monitor leaves out the server that the hub is connected to".to_owned())
        }
        _ => Durability::Always,
    }
}

/// The part of `/varz` that matters here.
#[derive(Debug, Deserialize)]
struct Server {
    #[serde(default)]
    server_id: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Debug, Default, Deserialize)]
struct JetStream {
    config: Option<Config>,
}

#[derive(Debug, Deserialize)]
struct Config {
    /// Nanoseconds.
    sync_interval: Option<u64>,
    #[serde(default)]
    sync_always: bool,
}

impl Server {
    fn judged(&self, monitor: &str) -> Durability {
        match &self.jetstream.config {
            None => Durability::Unknown(format!("JetStream is off at {monitor}")),
            Some(Config { sync_always: true, .. }) => Durability::Always,
            Some(Config { sync_interval: Some(interval), .. }) => Durability::Lax(format!(
                "the server at {monitor} writes to the disk only every {} s: set `sync_interval: always` in its \
                 `jetstream` section",
                Duration::from_nanos(*interval).as_secs()
            )),
            Some(Config { sync_interval: None, .. }) => {
                Durability::Unknown(format!("the server at {monitor} does not say how it writes"))
            }
        }
    }
}

async fn ask(monitor: &str) -> Result<Server, String> {
    let answer = timeout(PATIENCE, get(&format!("{}/varz", monitor.trim_end_matches('/')))).await;
    let body = answer.map_err(|_| "no answer".to_owned())??;
    serde_json::from_slice(&body).map_err(|error| format!("no monitoring data: {error}"))
}

async fn get(address: &str) -> Result<Bytes, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let uri: Uri = address.parse().map_err(|_| "not an address".to_owned())?;
    let host = uri.host().ok_or("not an address")?;
    let at = (host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(at).await.map_err(|error| said(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    let request = Request::get(uri.path())
        .header(header::HOST, uri.authority().map_or(host, |authority| authority.as_str()))
        .body(Empty::<Bytes>::new())
        .map_err(|error| said(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| said(&error))?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| said(&error))
    };
    // The connection ends with the answer.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(said(&error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A monitor that gives one answer.
    async fn monitor(answer: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).await.unwrap();
            assert!(asked[..length].starts_with(b"GET /varz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        format!("http://{address}/")
    }

    async fn varz(config: &str) -> String {
        let body = format!(r#"{{"server_id":"S","jetstream":{{{config}}},"other":1}}"#);
        monitor(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await
    }

    const ALWAYS: &str = r#""config":{"sync_interval":120000000000,"sync_always":true}"#;
    const LAX: &str = r#""config":{"sync_interval":120000000000}"#;

    #[tokio::test]
    async fn server_says_how_it_writes() {
        assert_eq!(durability(&[varz(ALWAYS).await], Some("S")).await, Durability::Always);
        let lax = durability(&[varz(LAX).await], Some("S")).await;
        assert!(
            matches!(&lax, Durability::Lax(why) if why.contains("120 s") && why.contains("always")),
            "{lax:?}"
        );
        for config in ["", r#""config":{"max_memory":1}"#] {
            assert!(
                matches!(durability(&[varz(config).await], None).await, Durability::Unknown(_)),
                "{config}"
            );
        }
    }

    #[tokio::test]
    async fn one_lax_server_is_enough() {
        let all = [varz(ALWAYS).await, varz(LAX).await];
        assert!(matches!(durability(&all, None).await, Durability::Lax(_)));
        let all = [varz(ALWAYS).await, varz("").await];
        assert!(matches!(durability(&all, None).await, Durability::Unknown(_)));
    }

    #[tokio::test]
    async fn another_system_says_nothing() {
        assert!(matches!(durability(&[varz(ALWAYS).await], Some("T")).await, Durability::Unknown(_)));
    }

    #[tokio::test]
    async fn bad_answers_are_unknown() {
        let answers = [
            "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi!".to_owned(),
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX),
            format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(2 * MAX_ANSWER)),
            "SSH-2.0\r\n".to_owned(),
            String::new(),
        ];
        for answer in answers {
            let found = durability(&[monitor(answer).await], None).await;
            assert!(matches!(found, Durability::Unknown(_)), "{found:?}");
        }
        for address in ["http://127.0.0.1:1", "http://", "nonsense", "http://no such host"] {
            assert!(
                matches!(durability(&[address.to_owned()], None).await, Durability::Unknown(_)),
                "{address}"
            );
        }
        assert!(matches!(durability(&[], None).await, Durability::Unknown(_)));
    }
}
