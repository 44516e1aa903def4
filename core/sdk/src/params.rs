//! Path segments and query strings as serde sees them: text that becomes a number or a bool where one is asked for.

use std::{fmt, str::FromStr};

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
    value::StrDeserializer,
};
use serde_json::{Map, Value};

/// Reads a `T` from names and texts.
pub(crate) fn from_map<T: DeserializeOwned>(map: &Map<String, Value>) -> Result<T, Trouble> {
    let pairs = map.iter().filter(|(_, value)| !value.is_null());
    let pairs: Vec<(&str, String)> = pairs.map(|(name, value)| (name.as_str(), text_of(value))).collect();
    T::deserialize(Pairs(&pairs))
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What is wrong, for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble(String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

impl de::Error for Trouble {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// All pairs: a struct or map by names, a tuple in order, or the only value.
struct Pairs<'a>(&'a [(&'a str, String)]);

impl<'a> Pairs<'a> {
    fn only(&self) -> Result<Text<'a>, Trouble> {
        match self.0 {
            [(name, value)] => Ok(Text { name, value }),
            pairs => Err(Trouble(format!("one value is expected, there are {}", pairs.len()))),
        }
    }
}

macro_rules! only {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
            self.only()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Pairs<'_> {
    type Error = Trouble;

    only! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_identifier
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_map(Walk { rest: self.0.iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        self.deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_seq(Walk { rest: self.0.iter(), value: None })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Trouble> {
        if len != self.0.len() {
            return Err(Trouble(format!("{len} values are expected, there are {}", self.0.len())));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        if self.0.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_unit()
    }
}

/// The pairs one after another.
struct Walk<'a> {
    rest: std::slice::Iter<'a, (&'a str, String)>,
    value: Option<Text<'a>>,
}

impl<'de> MapAccess<'de> for Walk<'_> {
    type Error = Trouble;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Trouble> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(Text { name, value });
        let key: StrDeserializer<'_, Trouble> = (*name).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Trouble> {
        match self.value.take() {
            Some(value) => seed.deserialize(value),
            None => Err(Trouble("a value without a name".into())),
        }
    }
}

impl<'de> SeqAccess<'de> for Walk<'_> {
    type Error = Trouble;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Trouble> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Text { name, value }).map(Some)
    }
}

/// One text.
#[derive(Clone, Copy)]
struct Text<'a> {
    name: &'a str,
    value: &'a str,
}

impl Text<'_> {
    fn parsed<T: FromStr>(self, what: &str) -> Result<T, Trouble> {
        self.value.parse().map_err(|_| Trouble(format!("`{}` must be {what}", self.name)))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $what:literal),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
            visitor.$visit(self.parsed($what)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Trouble;

    numbers! {
        deserialize_bool visit_bool "true or false",
        deserialize_i8 visit_i8 "a small whole number",
        deserialize_i16 visit_i16 "a whole number",
        deserialize_i32 visit_i32 "a whole number",
        deserialize_i64 visit_i64 "a whole number",
        deserialize_i128 visit_i128 "a whole number",
        deserialize_u8 visit_u8 "a small whole number, not negative",
        deserialize_u16 visit_u16 "a whole number, not negative",
        deserialize_u32 visit_u32 "a whole number, not negative",
        deserialize_u64 visit_u64 "a whole number, not negative",
        deserialize_u128 visit_u128 "a whole number, not negative",
        deserialize_f32 visit_f32 "a number",
        deserialize_f64 visit_f64 "a number"
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_str(self.value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Trouble> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Trouble> {
        visitor.visit_enum(self.value.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn read<T: DeserializeOwned>(value: Value) -> Result<T, Trouble> {
        from_map(value.as_object().unwrap())
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Severity {
        High,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default)]
    struct Filter {
        since: Option<u64>,
        severity: Option<Severity>,
        limit: u32,
        text: String,
    }

    impl Default for Filter {
        fn default() -> Self {
            Self { since: None, severity: None, limit: 50, text: String::new() }
        }
    }

    #[test]
    fn single_values_need_one_segment() {
        assert_eq!(read::<String>(json!({"id": "7"})).unwrap(), "7");
        assert_eq!(read::<u32>(json!({"id": "7"})).unwrap(), 7);
        assert!(read::<String>(json!({"a": "1", "b": "2"})).is_err());
    }

    #[test]
    fn tuples_follow_the_route() {
        assert_eq!(read::<(String, i8)>(json!({"a": "x", "b": "-2"})).unwrap(), ("x".into(), -2));
        assert!(read::<(String, i8)>(json!({"a": "x"})).is_err());
    }

    #[test]
    fn structs_read_by_name() {
        let filter: Filter =
            read(json!({"since": "12", "severity": "high", "text": "5", "more": "?"})).unwrap();
        assert_eq!(
            filter,
            Filter { since: Some(12), severity: Some(Severity::High), limit: 50, text: "5".into() }
        );
        assert_eq!(read::<Filter>(json!({})).unwrap(), Filter::default());
        let trouble = read::<Filter>(json!({"limit": "many"})).unwrap_err();
        assert_eq!(trouble.to_string(), "`limit` must be a whole number, not negative");
        assert!(read::<Filter>(json!({"severity": "purple"})).is_err());
    }
}
