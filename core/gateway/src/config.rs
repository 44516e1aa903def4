//! The settings of the gateway: `[socketio]` and its part of `[limits]`, as users write them.

mod compression;
mod recovery;
mod switch;

use std::time::Duration;

use bytesize::ByteSize;
use exedra_hub::recovery::Recovery;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use compression::Compression;
pub use recovery::{Bounds, RecoveryConfig};

/// Everything that the gateway is told.
#[derive(Debug, Clone, Default)]
pub struct GatewayConfig {
    /// `[socketio]`.
    pub socketio: SocketIoConfig,
    /// The gateway's part of `[limits]`.
    pub limits: LinkLimits,
    /// Origins that may connect from elsewhere, exact (`https://example.com:8443`), or `*` for all.
    pub origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// `[socketio]`: how Socket.IO clients are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SocketIoConfig {
    /// The path that clients connect to.
    pub path: String,
    /// Time between two heartbeats; also of plain WebSocket links.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub ping_interval: Duration,
    /// Longest time that a client may take to answer a heartbeat.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub ping_timeout: Duration,
    /// Longest time until a client has joined its first namespace, and for a plugin to let it in.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// The transports that clients may use; with both, polling sessions may move to WebSocket.
    pub transports: Vec<Transport>,
    /// Largest message or polling body, attachments together; larger ones end the connection.
    #[schemars(with = "String")]
    pub max_payload: ByteSize,
    /// Messages and polling answers from `threshold` on (1KiB if not said) are compressed for clients that ask for
    /// it, on plain WebSocket links too; `false` switches it off.
    pub compression: Compression,
    /// Whether clients whose link broke get their session back, within `window` (2m if not said), with up to
    /// `max_events` missed events per room; off unless asked for, because every reliable event then carries its offset
    /// as one more argument.
    pub recovery: RecoveryConfig,
}

impl Default for SocketIoConfig {
    fn default() -> Self {
        Self {
            path: "/socket.io/".into(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            transports: vec![Transport::Websocket, Transport::Polling],
            max_payload: ByteSize::mb(1),
            compression: Compression::default(),
            recovery: RecoveryConfig::default(),
        }
    }
}

impl SocketIoConfig {
    /// What cannot work, each with its key; empty when all is well.
    pub fn problems(&self) -> Vec<&'static str> {
        let rules = [
            (self.path.starts_with('/'), "socketio.path must start with `/`"),
            (!self.ping_interval.is_zero(), "socketio.ping_interval must not be zero"),
            (!self.ping_timeout.is_zero(), "socketio.ping_timeout must not be zero"),
            (!self.connect_timeout.is_zero(), "socketio.connect_timeout must not be zero"),
            (!self.transports.is_empty(), "socketio.transports must name at least one"),
            (self.max_payload.as_u64() >= 1024, "socketio.max_payload must be at least 1KiB"),
            (self.compression.is_possible(), "socketio.compression.threshold must be at least 256B"),
            (
                self.recovery.is_possible(),
                "socketio.recovery needs a window of at most 1h and max_events of at least 1",
            ),
        ];
        rules.into_iter().filter_map(|(holds, problem)| (!holds).then_some(problem)).collect()
    }

    /// What the hub is to keep for clients whose link broke; `None` when nothing.
    pub fn recovery(&self) -> Option<Recovery> {
        self.recovery.rules(self.ping_interval + self.ping_timeout)
    }

    /// The largest message in bytes, never beyond what a decoder counts.
    pub(crate) fn max_payload(&self) -> usize {
        usize::try_from(self.max_payload.as_u64()).unwrap_or(usize::MAX).min(u32::MAX as usize)
    }
}

/// A way for Socket.IO packets to travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// One WebSocket.
    Websocket,
    /// HTTP requests that wait.
    Polling,
}

/// The gateway's part of `[limits]`. For each, 0 means no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkLimits {
    /// Links at the same time; one more is answered 503.
    pub connections: usize,
    /// Links at the same time from one address (IPv6: one /64); one more is answered 429.
    pub connections_per_ip: usize,
    /// New links per second; more are answered 503 and may try again.
    pub connects_per_second: u32,
    /// Events per second and link; a faster link is read more slowly, no event is lost.
    pub events_per_second: u32,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self { connections: 15_000, connections_per_ip: 0, connects_per_second: 0, events_per_second: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_what_users_read() {
        let json = serde_json::to_value(SocketIoConfig::default()).unwrap();
        assert_eq!(json["path"], "/socket.io/");
        assert_eq!(json["ping_interval"], "25s");
        assert_eq!(json["transports"], serde_json::json!(["websocket", "polling"]));
        assert_eq!(SocketIoConfig::default().max_payload(), 1_000_000);
    }

    #[test]
    fn impossible_settings_are_named() {
        assert!(SocketIoConfig::default().problems().is_empty());
        let config: SocketIoConfig =
            serde_json::from_str(r#"{"path":"x","transports":[],"ping_interval":"0s","max_payload":"1B"}"#)
                .unwrap();
        assert_eq!(config.problems().len(), 4);
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(serde_json::from_str::<LinkLimits>(r#"{"conections":1}"#).is_err());
        let limits: LinkLimits = serde_json::from_str(r#"{"connections":1}"#).unwrap();
        assert_eq!(limits.connections, 1);
    }
}
