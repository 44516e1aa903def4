//! `[socketio] recovery`: a table of bounds, or `true` or `false`.

use std::time::Duration;

use bytesize::ByteSize;
use exedra_hub::recovery::Recovery;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::switch::switch_or_table;

/// The longest window: what is kept for it is kept in memory.
const LONGEST: Duration = Duration::from_hours(1);

/// Whether clients whose link broke get their session back: same id, rooms, missed events (Socket.IO's Connection
/// State Recovery, for clients that know it: socket.io-client 4.6 or newer).
///
/// While it is on, every reliable event carries its offset as one more argument at the end, for all clients: handlers
/// that insist on their number of arguments, as those of python-socketio do, must allow for it. So it is off unless
/// asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveryConfig {
    /// They begin anew.
    #[default]
    Off,
    /// They do, within these bounds.
    Within(Bounds),
}

/// How much is kept for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// How long a client may be away.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// Events that are kept per room, and per session of those sent to it alone.
    pub max_events: usize,
    /// Bytes of everything that is kept.
    pub max_bytes: ByteSize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { window: Duration::from_mins(2), max_events: 1000, max_bytes: ByteSize::mib(64) }
    }
}

impl RecoveryConfig {
    /// What the hub is told. `heartbeat` is how long a broken link may go unnoticed.
    pub(super) fn rules(self, heartbeat: Duration) -> Option<Recovery> {
        match self {
            Self::Within(Bounds { window, max_events, max_bytes }) if !window.is_zero() => Some(Recovery {
                window,
                slack: heartbeat,
                max_events,
                max_bytes: usize::try_from(max_bytes.as_u64()).unwrap_or(usize::MAX),
            }),
            _ => None,
        }
    }

    /// Whether there is something to keep within the bounds, for not too long.
    pub fn is_possible(self) -> bool {
        match self {
            Self::Off => true,
            Self::Within(bounds) => bounds.window <= LONGEST && bounds.max_events > 0,
        }
    }
}

impl Serialize for RecoveryConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::Within(bounds) => bounds.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RecoveryConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a table with `window`, `max_events`, `max_bytes`, or true or false";
        Ok(switch_or_table(deserializer, expected)?.map_or(Self::Off, Self::Within))
    }
}

impl JsonSchema for RecoveryConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Recovery".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "boolean" },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                        "window": {
                            "type": "string",
                            "description": "How long a client may be away, up to 1h; `0s` turns recovery off.",
                            "default": "2m"
                        },
                        "max_events": {
                            "type": "integer",
                            "minimum": 1,
                            "description": "Events kept per room, and per session of those sent to it alone.",
                            "default": 1000
                        },
                        "max_bytes": {
                            "type": "string",
                            "description": "Bytes of everything that is kept.",
                            "default": "64MiB"
                        }
                    }
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_secs(85);

    fn read(json: &str) -> Option<RecoveryConfig> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn switch_or_table_is_read() {
        let usual = RecoveryConfig::Within(Bounds::default());
        assert_eq!(read("false"), Some(RecoveryConfig::Off));
        assert_eq!(read("true"), Some(usual));
        assert_eq!(read("{}"), Some(usual));
        let short = read(r#"{"window":"30s","max_events":5}"#).unwrap();
        let rules = short.rules(BEAT).unwrap();
        assert_eq!((rules.window.as_secs(), rules.max_events, rules.slack), (30, 5, BEAT));
        for bad in ["1", r#""2m""#, r#"{"windows":"2m"}"#, r#"{"window":"long"}"#, r#"{"max_events":-1}"#] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_what_it_writes() {
        for recovery in [RecoveryConfig::Off, RecoveryConfig::Within(Bounds::default())] {
            let json = serde_json::to_string(&recovery).unwrap();
            assert_eq!(read(&json), Some(recovery), "{json}");
        }
    }

    #[test]
    fn off_has_no_rules() {
        assert_eq!(RecoveryConfig::Off.rules(BEAT), None);
        assert_eq!(read(r#"{"window":"0s"}"#).unwrap().rules(BEAT), None);
    }

    #[test]
    fn endless_or_empty_bounds_are_impossible() {
        assert!(!read(r#"{"window":"61m"}"#).unwrap().is_possible());
        assert!(!read(r#"{"max_events":0}"#).unwrap().is_possible());
        assert!(read("true").unwrap().is_possible() && RecoveryConfig::Off.is_possible());
    }
}
