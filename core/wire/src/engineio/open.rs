//! What a server says when a session opens.

use serde::{Deserialize, Serialize};

/// The OPEN packet's content. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// The session's id. While it may be polled, whoever knows it can read and write the session.
    pub sid: String,
    /// Transports that the session may move to.
    pub upgrades: Vec<String>,
    /// Time between two pings.
    pub ping_interval: u64,
    /// Longest time for the pong.
    pub ping_timeout: u64,
    /// Largest message or polling body in bytes.
    pub max_payload: u64,
}

impl Open {
    /// The packet as text, its type character included.
    pub fn packet(&self) -> String {
        // A struct of strings and numbers always has a JSON form.
        format!("0{}", serde_json::to_string(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_clients_expect() {
        let open = Open {
            sid: "x".into(),
            upgrades: vec!["websocket".into()],
            ping_interval: 300,
            ping_timeout: 200,
            max_payload: 1_000_000,
        };
        assert_eq!(
            open.packet(),
            r#"0{"sid":"x","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}"#
        );
        assert_eq!(serde_json::from_str::<Open>(&open.packet()[1..]).unwrap(), open);
    }
}
