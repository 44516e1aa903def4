//! Points in time as clients see them: the text that `Date.toJSON()` gives in JavaScript, and strings in the schema.

use std::borrow::Cow;

use exedra_sdk::time::iso8601;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// Milliseconds since 1970 that serialise as `2024-05-06T07:08:09.010Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&iso8601(self.0))
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_like_javascript() {
        let text = serde_json::to_string(&Timestamp(1_709_164_800_010)).unwrap();
        assert_eq!(text, r#""2024-02-29T00:00:00.010Z""#);
    }
}
