//! Ids as they come: a room's is a number, a user's a text, and clients send either as the other. What is sent back to a
//! client is what it sent.

use exedra_sdk::prelude::*;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserializer, Serializer, de::Error as _};

/// The largest number that JavaScript counts exactly.
pub(crate) const LARGEST: u64 = (1 << 53) - 1;
/// Most characters of a user's id.
const MAX_USER_ID: usize = 128;

/// A room's id, and whether it came as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoomId {
    /// The number.
    pub number: u64,
    /// Whether it came as text: `"1"` instead of `1`.
    pub text: bool,
}

impl RoomId {
    /// As a number.
    pub(crate) fn number(number: u64) -> Self {
        Self { number, text: false }
    }

    /// Reads what stands in a path or a subject.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number: u64 = text.parse().ok().filter(|number| *number <= LARGEST)?;
        (number.to_string() == text).then_some(Self { number, text: true })
    }
}

impl Serialize for RoomId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.text { to.collect_str(&self.number) } else { to.serialize_u64(self.number) }
    }
}

impl<'de> Deserialize<'de> for RoomId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom("roomId must be a whole number, or one as text");
        match Value::deserialize(from)? {
            Value::Number(number) => {
                let whole = number.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0).map(|n| n as u64);
                let number = number.as_u64().or(whole).filter(|number| *number <= LARGEST);
                number.map(Self::number).ok_or_else(wrong)
            }
            Value::String(text) => Self::parse(&text).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

impl JsonSchema for RoomId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RoomId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [
            { "type": "integer", "minimum": 0, "maximum": LARGEST },
            { "type": "string", "pattern": "^(0|[1-9][0-9]{0,15})$" },
        ]})
    }
}

/// A user's id: text, or a number that is taken as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UserId(pub String);

impl UserId {
    /// Checks what somebody says to be.
    pub(crate) fn check(text: &str) -> Option<Self> {
        let fits = !text.trim().is_empty() && text.chars().count() <= MAX_USER_ID;
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(from)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return Err(D::Error::custom("userId must be text or a number")),
        };
        Self::check(&text).ok_or_else(|| D::Error::custom("userId must be 1 to 128 characters"))
    }
}

impl JsonSchema for UserId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UserId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [
            { "type": "string", "minLength": 1, "maxLength": 128 },
            { "type": "integer" },
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(value: Value) -> Option<RoomId> {
        serde_json::from_value(value).ok()
    }

    #[test]
    fn room_ids_echo_what_came() {
        for value in [json!(1), json!("1"), json!(0), json!(LARGEST), json!("42")] {
            assert_eq!(serde_json::to_value(room(value.clone()).unwrap()).unwrap(), value);
        }
        assert_eq!(room(json!(1.0)), Some(RoomId::number(1)));
        assert_eq!(room(json!("7")).unwrap().number, 7);
    }

    #[test]
    fn other_room_ids_are_refused() {
        for value in
            [json!("01"), json!(" 1"), json!("a"), json!(""), json!(-1), json!(1.5), json!(null), json!([1])]
        {
            assert_eq!(room(value.clone()), None, "{value}");
        }
        assert_eq!(room(json!(LARGEST + 1)), None);
        assert_eq!(room(json!("99999999999999999999")), None);
    }

    #[test]
    fn user_ids_become_text() {
        let user = |value| serde_json::from_value::<UserId>(value).ok().map(|id| id.0);
        assert_eq!(user(json!("123456789")), Some("123456789".to_owned()));
        assert_eq!(user(json!(123_456_789)), Some("123456789".to_owned()));
        for value in [json!(""), json!("a\nb"), json!("x".repeat(129)), json!(null), json!({})] {
            assert_eq!(user(value), None);
        }
    }
}
