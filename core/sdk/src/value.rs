//! Small values of payloads that check themselves when they are read, so that nothing out of its range gets further
//! than the border: ids, texts and dates as they come from outside, each with its JSON Schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::time::parse_iso8601;

/// The longest id in characters, and in bytes: a room's name still fits around it.
const ID_LENGTH: (usize, usize) = (128, 240);

/// An id: 1 to 128 characters (240 bytes), none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Id(pub String);

/// A date and time as it came, known to be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct When(pub String);

/// A text of 1 to `MOST` characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Text<const MOST: usize>(pub String);

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(value: String) -> Result<Self, Self::Error> {
        let (characters, bytes) = ID_LENGTH;
        let fits = !value.is_empty() && value.len() <= bytes && value.chars().count() <= characters;
        if fits && !value.chars().any(char::is_control) {
            Ok(Self(value))
        } else {
            Err("an id is 1 to 128 characters without control characters")
        }
    }
}

impl TryFrom<String> for When {
    type Error = &'static str;

    fn try_from(value: String) -> Result<Self, Self::Error> {
        match parse_iso8601(&value) {
            Some(_) => Ok(Self(value)),
            None => Err("a timestamp is a date and time as in 2026-01-20T10:30:00Z"),
        }
    }
}

impl<const MOST: usize> TryFrom<String> for Text<MOST> {
    type Error = String;

    fn try_from(value: String) -> Result<Self, Self::Error> {
        if (1..=MOST).contains(&value.chars().count()) {
            Ok(Self(value))
        } else {
            Err(format!("a text here is 1 to {MOST} characters"))
        }
    }
}

macro_rules! schemas {
    ($($name:ident $([$most:ident])? = $schema:tt),* $(,)?) => {$(
        impl $(<const $most: usize>)? JsonSchema for $name $(<$most>)? {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schemas!(
    Id = { "type": "string", "minLength": 1, "maxLength": 128 },
    When = { "type": "string", "format": "date-time" },
    Text[MOST] = { "type": "string", "minLength": 1, "maxLength": MOST },
);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_short_and_printable() {
        for good in ["1", "123456789", "a b/c.*", &"é".repeat(120)] {
            assert!(Id::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "a\0", &"x".repeat(129), &"💬".repeat(100)] {
            assert!(Id::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(serde_json::from_value::<Id>(json!(7)).is_err());
    }

    #[test]
    fn dates_and_texts_are_checked() {
        assert!(serde_json::from_value::<When>(json!("2026-01-20T10:30:00Z")).is_ok());
        assert!(serde_json::from_value::<When>(json!("yesterday")).is_err());
        assert!(serde_json::from_value::<Text<3>>(json!("abc")).is_ok());
        assert!(serde_json::from_value::<Text<3>>(json!("abcd")).is_err());
        assert!(serde_json::from_value::<Text<3>>(json!("")).is_err());
    }
}
