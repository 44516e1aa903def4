//! Reads a TOML text once: out come its values and, for every key, where it stands. The positions are what turns
//! "invalid value" into `file:line:col`.

use std::{collections::HashMap, ops::Range};

use serde_json::{Map, Number, Value};
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

/// The way to a value: keys, and indices of arrays.
pub(crate) type KeyPath = Vec<String>;

/// Where a key and its value stand, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// The key itself; for elements of arrays the element.
    pub(crate) key: Range<usize>,
    /// The value.
    pub(crate) value: Range<usize>,
}

/// A text that was read.
#[derive(Default)]
pub(crate) struct Parsed {
    pub(crate) values: Map<String, Value>,
    pub(crate) spans: HashMap<KeyPath, Span>,
    /// Sentences about syntax, with the byte where each applies.
    pub(crate) errors: Vec<(usize, String)>,
}

/// Reads a text; what can be read of a broken one is in the result, with the errors.
pub(crate) fn parse(text: &str) -> Parsed {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut parsed = Parsed {
        errors: errors.iter().map(|e| (e.span().map_or(0, |s| s.start), e.message().to_owned())).collect(),
        ..Parsed::default()
    };
    let mut spans = HashMap::new();
    parsed.values = walk_table(table.get_ref(), &mut Vec::new(), &mut spans);
    parsed.spans = spans;
    parsed
}

/// Line and column (in characters) of a byte, both counted from 1.
pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn walk_table(
    table: &DeTable<'_>,
    path: &mut KeyPath,
    spans: &mut HashMap<KeyPath, Span>,
) -> Map<String, Value> {
    let mut values = Map::new();
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        spans.insert(path.clone(), Span { key: key.span(), value: value.span() });
        values.insert(key.get_ref().to_string(), walk(value.get_ref(), path, spans));
        path.pop();
    }
    values
}

fn walk_array(array: &DeArray<'_>, path: &mut KeyPath, spans: &mut HashMap<KeyPath, Span>) -> Vec<Value> {
    let mut values = Vec::new();
    for (index, value) in array.iter().enumerate() {
        path.push(index.to_string());
        spans.insert(path.clone(), Span { key: value.span(), value: value.span() });
        values.push(walk(value.get_ref(), path, spans));
        path.pop();
    }
    values
}

fn walk(value: &DeValue<'_>, path: &mut KeyPath, spans: &mut HashMap<KeyPath, Span>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => number(integer),
        DeValue::Float(float) => {
            float.as_str().parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
        }
        DeValue::Boolean(boolean) => Value::Bool(*boolean),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(array) => Value::Array(walk_array(array, path, spans)),
        DeValue::Table(table) => Value::Object(walk_table(table, path, spans)),
    }
}

fn number(integer: &DeInteger<'_>) -> Value {
    let (digits, radix) = (integer.as_str(), integer.radix());
    let signed = i64::from_str_radix(digits, radix).ok().map(Value::from);
    signed.or_else(|| u64::from_str_radix(digits, radix).ok().map(Value::from)).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place() {
        let text = "[server]\nlisten = \"x\"\norigins = [1, 0x10]\n";
        let parsed = parse(text);
        let at = |path: &[&str]| {
            let path: KeyPath = path.iter().map(|s| (*s).to_owned()).collect();
            line_and_column(text, parsed.spans[&path].value.start)
        };
        assert_eq!(at(&["server", "listen"]), (2, 10));
        assert_eq!(at(&["server", "origins", "1"]), (3, 15));
        assert_eq!(parsed.values["server"]["origins"], serde_json::json!([1, 16]));
    }

    #[test]
    fn syntax_errors_come_together() {
        let parsed = parse("a = \nb = 1\nc = = 2\n");
        assert!(parsed.errors.len() >= 2, "{:?}", parsed.errors);
    }
}
