//! The smallest payload that a JSON Schema allows, to call a handler with; and payloads that nobody should send.

use serde_json::{Map, Value, json};

/// How deep schemas are followed; those that name themselves have an end too.
const DEPTH: usize = 12;

/// A value that the schema allows, as small as can be told without solving riddles. None when it does not validate.
pub(super) fn sample(schema: &Value) -> Option<Value> {
    let value = Sampler { root: schema }.of(schema, 0);
    let validator = jsonschema::validator_for(schema).ok()?;
    validator.is_valid(&value).then_some(value)
}

struct Sampler<'a> {
    root: &'a Value,
}

impl Sampler<'_> {
    fn of(&self, schema: &Value, depth: usize) -> Value {
        let Value::Object(schema) = schema else { return Value::Null };
        if depth > DEPTH {
            return Value::Null;
        }
        if let Some(value) = given(schema) {
            return value;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.of(target, depth + 1));
        }
        for kind in ["oneOf", "anyOf"] {
            if let Some(first) = schema.get(kind).and_then(Value::as_array).and_then(|all| all.first()) {
                return merged(self.of(first, depth + 1), self.typed(schema, depth));
            }
        }
        let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        parts.fold(self.typed(schema, depth), |value, part| merged(self.of(part, depth + 1), value))
    }

    fn typed(&self, schema: &Map<String, Value>, depth: usize) -> Value {
        let number = |key: &str| schema.get(key).and_then(Value::as_u64).unwrap_or(0) as usize;
        match kind(schema) {
            "object" => {
                let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
                let property = |name: &str| schema.get("properties").and_then(|all| all.get(name));
                let filled = required.filter_map(Value::as_str).map(|name| {
                    (name.to_owned(), property(name).map_or(Value::Null, |schema| self.of(schema, depth + 1)))
                });
                Value::Object(filled.collect())
            }
            "array" => {
                let item = schema.get("items").map_or(Value::Null, |items| self.of(items, depth + 1));
                Value::Array(vec![item; number("minItems").min(64)])
            }
            "string" => text(schema, number("minLength").min(1024)),
            "integer" | "number" => least(schema),
            "boolean" => Value::Bool(true),
            _ => Value::Null,
        }
    }
}

/// A value that the schema names itself.
fn given(schema: &Map<String, Value>) -> Option<Value> {
    let first = |key: &str| schema.get(key).and_then(Value::as_array).and_then(|all| all.first());
    schema
        .get("const")
        .or_else(|| first("enum"))
        .or_else(|| first("examples"))
        .or_else(|| schema.get("default"))
        .cloned()
}

fn kind(schema: &Map<String, Value>) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.contains_key("properties") || schema.contains_key("required") => "object",
        _ => "null",
    }
}

fn text(schema: &Map<String, Value>, least: usize) -> Value {
    let known = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("date") => "2026-01-01",
        Some("email") => "ann@example.com",
        Some("uri" | "url") => "https://example.com/",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ if least == 0 => "check",
        _ => "",
    };
    if known.is_empty() { Value::from("c".repeat(least)) } else { Value::from(known) }
}

fn least(schema: &Map<String, Value>) -> Value {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let least = number("minimum").or_else(|| number("exclusiveMinimum").map(|least| least + 1.0));
    let value = least.or_else(|| number("maximum").filter(|most| *most < 0.0)).unwrap_or(0.0);
    // Whole numbers are written as such: 0 is an integer, 0.0 is not to everybody.
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

/// Objects with the fields of both; else the first that says something.
fn merged(one: Value, two: Value) -> Value {
    match (one, two) {
        (Value::Object(mut one), Value::Object(two)) => {
            for (key, value) in two {
                one.entry(key).or_insert(value);
            }
            Value::Object(one)
        }
        (Value::Null, two) => two,
        (one, _) => one,
    }
}

/// Texts that are JSON, and that nobody who means well would send.
pub(super) fn odd() -> Vec<String> {
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let long = format!("\"{}\"", "x".repeat(64 << 10));
    let odd = [
        "null",
        "{}",
        "[]",
        "0",
        "-1",
        "1e308",
        "true",
        "\"\"",
        "\"\\u0000\"",
        "\"\\ud83d\\ude00 \u{202e}\"",
        r#"{"":null}"#,
        r#"{"__proto__":{"a":1},"constructor":[]}"#,
        r#"[{"a":[1,{"b":"c"}]},"d"]"#,
    ];
    odd.into_iter().map(str::to_owned).chain([deep, long]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_fit_their_schemas() {
        for (schema, value) in [
            (
                json!({"type": "object", "properties": {"a": {"type": "string", "minLength": 3}}, "required": ["a"]}),
                json!({"a": "ccc"}),
            ),
            (json!({"type": ["null", "integer"], "minimum": 7}), json!(7)),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"enum": ["x", "y"]}}}), json!("x")),
            (json!({"type": "array", "minItems": 2, "items": {"type": "boolean"}}), json!([true, true])),
            (
                json!({"oneOf": [{"type": "object", "properties": {"kind": {"const": "k"}}, "required": ["kind"]}]}),
                json!({"kind": "k"}),
            ),
            (json!({"type": "number", "exclusiveMinimum": 0}), json!(1)),
        ] {
            assert_eq!(sample(&schema), Some(value), "{schema}");
        }
    }

    #[test]
    fn riddles_are_left_alone() {
        assert_eq!(sample(&json!({"type": "string", "pattern": "^[0-9]{3}-[a-f]$"})), None);
        let endless = json!({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}});
        assert_eq!(sample(&endless), None);
    }

    #[test]
    fn odd_payloads_are_json() {
        assert!(odd().iter().all(|text| serde_json::from_str::<Value>(text).is_ok()));
    }
}
