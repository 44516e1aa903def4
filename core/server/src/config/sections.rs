//! The sections of the configuration that belong to the binary itself. The text above each field is what the
//! schema, `config defaults` and editors show.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use ipnet::IpNet;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// The public listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port of Socket.IO, WebSocket and REST; port 0 takes a free one.
    #[schemars(with = "String", extend("default" = "127.0.0.1:3000"))]
    pub listen: SocketAddr,
    /// Folder with the demo pages, served at `/`; nothing is served when absent.
    pub examples: Option<PathBuf>,
    /// Serve `/openapi.json`, `/asyncapi.json` and `/types.d.ts`: what the plugins accept and emit.
    pub descriptions: bool,
    /// Networks whose `X-Forwarded-For` is believed, for example `["10.0.0.0/8"]`.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// How long closing all connections may take after SIGTERM; they are spread over it.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub drain: Duration,
    /// Not supported by this build: terminate TLS at a proxy.
    pub tls: TlsConfig,
    /// Which web pages may connect.
    pub cors: CorsConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            examples: None,
            descriptions: true,
            trusted_proxies: Vec::new(),
            drain: Duration::from_secs(10),
            tls: TlsConfig::default(),
            cors: CorsConfig::default(),
        }
    }
}

/// TLS of the public listener.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// PEM file with the certificate chain.
    pub cert: Option<PathBuf>,
    /// PEM file with the private key.
    pub key: Option<PathBuf>,
}

/// Cross-origin rules.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CorsConfig {
    /// Origins that may connect, such as `https://app.example.com`, beside the hub's own; also the allow-list of
    /// WebSocket and polling. `*` allows every origin.
    pub origins: Vec<String>,
}

/// What one hub, one address and one connection may use.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Connections in all; one more is answered 503. 0 means no limit, here and in the next three.
    pub connections: usize,
    /// Connections of one address (IPv6: of one /64); one more is answered 429.
    pub connections_per_ip: usize,
    /// New connections in a second; more are answered 503 and may try again.
    pub connects_per_second: u32,
    /// Events of one connection in a second; a faster one is read more slowly, nothing is lost.
    pub events_per_second: u32,
    /// Bytes that may wait for one connection; when full, it is closed as too slow.
    #[schemars(with = "String")]
    pub outbound_buffer: ByteSize,
    /// Events of one connection that may wait for the plugin; when full, the connection is not read.
    #[schemars(range(min = 1))]
    pub inbound_queue: usize,
    /// Rooms that one connection may be in; one more join is refused.
    #[schemars(range(min = 1))]
    pub rooms_per_connection: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections: 15_000,
            connections_per_ip: 0,
            connects_per_second: 0,
            events_per_second: 0,
            outbound_buffer: ByteSize::mib(1),
            inbound_queue: 256,
            rooms_per_connection: 64,
        }
    }
}

/// Where plugins keep what must survive.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `redb` keeps it in one local file; `jetstream` in NATS, where several hubs share it, and needs `nats.url` and
    /// nats-server 2.10 or newer.
    pub kind: StoreKind,
    /// The file of `redb`; its folder is made when missing. Temporary copies of plugins go beside it.
    pub path: PathBuf,
    /// Copies that `jetstream` keeps, on as many servers: 1, 3 or 5.
    #[schemars(range(min = 1, max = 5))]
    pub replicas: u8,
    /// With `always` a hub is not ready while its NATS servers acknowledge before they have written to the disk
    /// (`sync_interval: always` is missing there); needs `nats.monitor`, without which there is a warning. With `any`
    /// a power failure may take what was acknowledged in the last minutes. `redb` always writes first.
    pub durability: StoreDurability,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            kind: StoreKind::Redb,
            path: PathBuf::from("var/exedra.redb"),
            replicas: 1,
            durability: StoreDurability::Always,
        }
    }
}

/// The kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// One local file.
    Redb,
    /// NATS JetStream.
    Jetstream,
}

/// When a write counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreDurability {
    /// When it is on the disk.
    Always,
    /// When NATS says so.
    Any,
}

/// Several hubs as one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// Whether this hub is one of several nodes. Needs `nats.url`, a nats-server of 2.10 or newer with JetStream, and a
    /// `store.kind` that all nodes share. All nodes have the same configuration but for `node`.
    pub enabled: bool,
    /// Name of this node, in logs and in the console; random when absent.
    pub node: Option<String>,
    /// Within this time after a node has died its members are out of their rooms. 1s to 5m.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub lease: Duration,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self { enabled: false, node: None, lease: Duration::from_secs(5) }
    }
}

/// The listener for operators: metrics, health, administration. Keep it on loopback or a private network.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Address and port; port 0 takes a free one.
    #[schemars(with = "String", extend("default" = "127.0.0.1:9464"))]
    pub listen: SocketAddr,
    /// Bearer token of `/api`, at least 16 bytes. Prefer `token_file`. Needed outside loopback.
    #[schemars(with = "Option<String>")]
    pub token: Option<SecretString>,
    /// File with the bearer token; white space at its end does not count.
    pub token_file: Option<PathBuf>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)), token: None, token_file: None }
    }
}

/// The log, on stderr.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or with parts: `info,exedra_gateway=debug`.
    pub level: String,
    /// `json` is one object a line; `auto` is `pretty` on a terminal, else `json`.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}
