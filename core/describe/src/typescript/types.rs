//! Schemas as types of TypeScript, and the little that makes text of them safe.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::bundle::referred;

/// Deepest type that is written out.
const DEPTH: usize = 32;

/// A schema as a type.
pub(super) fn ty(schema: &Value, depth: usize) -> String {
    if depth > DEPTH {
        return "unknown".to_owned();
    }
    if let Some(name) = referred(schema) {
        return name.to_owned();
    }
    if let Some(value) = schema.get("const") {
        return literal(value);
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return union(values.iter().map(literal).collect());
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(Value::Array(choices)) = schema.get(key) {
            let choice = union(choices.iter().map(|one| ty(one, depth + 1)).collect());
            return if schema["properties"].is_object() {
                format!("{} & ({choice})", record(schema, "", depth, false))
            } else {
                choice
            };
        }
    }
    if let Some(Value::Array(parts)) = schema.get("allOf") {
        let parts: Vec<_> = parts.iter().map(|one| format!("({})", ty(one, depth + 1))).collect();
        return if parts.is_empty() { "unknown".to_owned() } else { parts.join(" & ") };
    }
    match &schema["type"] {
        Value::String(kind) => of_kind(kind, schema, depth),
        Value::Array(kinds) => {
            union(kinds.iter().filter_map(Value::as_str).map(|kind| of_kind(kind, schema, depth)).collect())
        }
        _ if schema["properties"].is_object() => record(schema, "", depth, false),
        _ if schema.get("not").is_some() => "never".to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn of_kind(kind: &str, schema: &Value, depth: usize) -> String {
    match kind {
        "string" if schema["format"] == "binary" => "Binary".to_owned(),
        "string" => "string".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "array" => match (&schema["prefixItems"], &schema["items"]) {
            (Value::Array(items), _) => {
                let items: Vec<_> = items.iter().map(|one| ty(one, depth + 1)).collect();
                format!("[{}]", items.join(", "))
            }
            (_, items) => format!("Array<{}>", ty(items, depth + 1)),
        },
        "object" => record(schema, "", depth, false),
        _ => "unknown".to_owned(),
    }
}

/// An object with its properties. `refuses`: it says that it is no success, so that the two can be told apart.
pub(super) fn record(schema: &Value, indent: &str, depth: usize, refuses: bool) -> String {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let more = match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => None,
        Some(Value::Object(of)) if !of.is_empty() => Some(ty(&Value::Object(of.clone()), depth + 1)),
        Some(_) => Some("unknown".to_owned()),
        None => None,
    };
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    if properties.is_empty() && !refuses {
        let more =
            more.or_else(|| schema.get("additionalProperties").is_none().then(|| "unknown".to_owned()));
        return more.map_or_else(
            || "Record<string, never>".to_owned(),
            |more| format!("{{ [name: string]: {more} }}"),
        );
    }
    let inside = format!("{indent}{}", "  ".repeat(depth + 1));
    let mut text = "{\n".to_owned();
    if refuses {
        let _ = writeln!(text, "{inside}success?: undefined;");
    }
    for (name, property) in properties {
        comment(&mut text, &inside, property["description"].as_str().unwrap_or_default());
        let mark = if required.contains(&name.as_str()) { "" } else { "?" };
        let _ = writeln!(text, "{inside}{}{mark}: {};", quoted(name), ty(property, depth + 1));
    }
    // Known members must fit what is said of all: types of their own would not, so all may be anything then.
    if let Some(more) = more {
        let all = if more == "unknown" { more } else { "unknown".to_owned() };
        let _ = writeln!(text, "{inside}[name: string]: {all};");
    }
    let _ = write!(text, "{indent}{}}}", "  ".repeat(depth));
    text
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Number(_) | Value::Bool(_) | Value::Null => value.to_string(),
        Value::Array(_) | Value::Object(_) => "unknown".to_owned(),
    }
}

fn union(mut types: Vec<String>) -> String {
    let mut seen = Vec::new();
    types.retain(|one| {
        let new = !seen.contains(one);
        seen.push(one.clone());
        new
    });
    if types.is_empty() { "never".to_owned() } else { types.join(" | ") }
}

/// A doc comment; at the outermost level with a line before it.
pub(super) fn comment(text: &mut String, indent: &str, about: &str) {
    if indent.is_empty() {
        text.push('\n');
    }
    let about = line(about);
    if !about.is_empty() {
        let _ = writeln!(text, "{indent}/** {about} */");
    }
}

/// One line that ends no comment.
pub(super) fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("*/", "*\u{200b}/")
}

pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}
