//! `[socketio] compression`: a table with a threshold, or `true` or `false`.

use bytesize::ByteSize;
use exedra_hub::frame::FORMS_FROM;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::switch::switch_or_table;

/// Whether what is large is compressed for clients that ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Nothing is.
    Off,
    /// Messages and polling answers of at least this many bytes are.
    From(ByteSize),
}

impl Default for Compression {
    fn default() -> Self {
        Self::From(Table::default().threshold)
    }
}

impl Compression {
    /// The smallest message that is compressed, when any is.
    pub(crate) fn threshold(self) -> Option<usize> {
        match self {
            Self::Off => None,
            Self::From(size) => Some(usize::try_from(size.as_u64()).unwrap_or(usize::MAX)),
        }
    }

    /// Whether the threshold is one that a frame's shared forms can serve.
    pub fn is_possible(self) -> bool {
        self.threshold().is_none_or(|threshold| threshold >= FORMS_FROM)
    }
}

/// The table.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    threshold: ByteSize,
}

impl Default for Table {
    fn default() -> Self {
        Self { threshold: ByteSize::kib(1) }
    }
}

impl Serialize for Compression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Off => serializer.serialize_bool(false),
            Self::From(threshold) => Table { threshold }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Compression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = switch_or_table(deserializer, "a table with `threshold`, or true or false")?;
        Ok(table.map_or(Self::Off, |Table { threshold }| Self::From(threshold)))
    }
}

impl JsonSchema for Compression {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Compression".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "boolean" },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": { "threshold": { "type": "string", "default": "1KiB" } }
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Compression> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn switch_or_table_is_read() {
        assert_eq!(read("false"), Some(Compression::Off));
        assert_eq!(read("true"), Some(Compression::default()));
        assert_eq!(read("{}"), Some(Compression::default()));
        assert_eq!(read(r#"{"threshold":"4KiB"}"#), Some(Compression::From(ByteSize::kib(4))));
        assert_eq!(Compression::default().threshold(), Some(1024));
        for bad in ["1", r#""1KiB""#, r#"{"treshold":"1KiB"}"#, r#"{"threshold":"much"}"#] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_what_it_writes() {
        for compression in [Compression::Off, Compression::default()] {
            let json = serde_json::to_string(&compression).unwrap();
            assert_eq!(read(&json), Some(compression), "{json}");
        }
    }

    #[test]
    fn tiny_thresholds_are_impossible() {
        assert!(!Compression::From(ByteSize::b(255)).is_possible());
        assert!(Compression::From(ByteSize::b(256)).is_possible() && Compression::Off.is_possible());
    }
}
