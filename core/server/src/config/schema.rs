//! The JSON Schema of the configuration, and what is made from it: the commented file of `config defaults`, the
//! default values of `config show`, and the wish of a key for a string. The Rust types are the one source.

use std::{fmt::Write, sync::OnceLock};

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::{Config, show::inline};

/// The JSON Schema, without references.
pub fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
        // Sizes write themselves rounded; what is shown here must mean exactly the default.
        for (key, default) in [
            ("socketio/properties/max_payload/default", "1MB"),
            ("socketio/properties/compression/default/threshold", "1KiB"),
            ("limits/properties/outbound_buffer/default", "1MiB"),
        ] {
            if let Some(property) = schema.pointer_mut(&format!("/properties/{key}")) {
                *property = Value::from(default);
            }
        }
        schema
    })
}

/// The schema as `config schema` prints it.
pub fn schema_text() -> String {
    let mut text = serde_json::to_string_pretty(schema()).unwrap_or_default();
    text.push('\n');
    text
}

/// The schema of one key, none for unknown keys and inside a plugin's settings.
fn at(path: &[String]) -> Option<&'static Value> {
    let mut node = schema();
    for part in path {
        let properties = node.get("properties").and_then(|p| p.get(part));
        node = properties.or_else(|| node.get("additionalProperties").filter(|a| a.is_object()))?;
    }
    Some(node)
}

/// Whether a key takes a string and nothing else.
pub(crate) fn wants_string(path: &[String]) -> bool {
    match at(path).and_then(|node| node.get("type")) {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().all(|kind| kind == "string" || kind == "null"),
        _ => false,
    }
}

/// The defaults of a table: values of its keys, tables inside it filled in the same way.
pub(crate) fn defaults_of(node: &Value) -> Map<String, Value> {
    let mut values = Map::new();
    for (key, property) in properties(node) {
        let value = match property.get("default") {
            Some(default) if !is_table(property) => default.clone(),
            _ if is_table(property) => Value::Object(defaults_of(property)),
            _ => Value::Null,
        };
        values.insert(key.clone(), value);
    }
    values
}

/// The defaults of a plugin's table.
pub(crate) fn plugin_defaults() -> Map<String, Value> {
    let plugin = schema().pointer("/properties/plugins/additionalProperties");
    plugin.map(defaults_of).unwrap_or_default()
}

fn properties(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    node.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Whether a property is a section: a table with keys of its own, that is there even when nobody writes it.
fn is_table(property: &Value) -> bool {
    property.get("type").is_some_and(|kind| kind == "object") && property.get("properties").is_some()
}

/// A full file with every key, its description and its default.
pub fn defaults_text() -> String {
    let mut text = String::from(
        "# Every setting with its default. Settings that are commented out have none.\n\
         # Order: defaults < files in the order given < environment (EXEDRA_SERVER__LISTEN) < --set KEY=VALUE.\n",
    );
    write_table(&mut text, schema(), "");
    text.push_str("\n# One table for each plugin.\n");
    if let Some(plugin) = schema().pointer("/properties/plugins/additionalProperties") {
        let mut table = String::new();
        write_table(&mut table, plugin, "plugins.NAME");
        for line in table.lines() {
            match line {
                "" => text.push('\n'),
                line if line.starts_with('#') => {
                    let _ = writeln!(text, "{line}");
                }
                line => {
                    let _ = writeln!(text, "# {line}");
                }
            }
        }
    }
    text
}

fn write_table(text: &mut String, node: &Value, name: &str) {
    if !name.is_empty() {
        text.push('\n');
        describe(text, node);
        let _ = writeln!(text, "[{name}]");
    }
    for (key, property) in properties(node).filter(|(_, p)| !is_table(p)) {
        describe(text, property);
        match property.get("default") {
            Some(value) if !value.is_null() => {
                let _ = writeln!(text, "{key} = {}", inline(value));
            }
            _ => {
                let _ = writeln!(text, "# {key} = {}", sample(property));
            }
        }
    }
    for (key, property) in properties(node).filter(|(_, p)| is_table(p)) {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        write_table(text, property, &name);
    }
}

fn describe(text: &mut String, node: &Value) {
    for line in node.get("description").and_then(Value::as_str).unwrap_or_default().lines() {
        let _ = writeln!(text, "# {line}");
    }
}

fn sample(property: &Value) -> &'static str {
    let kind = property.get("type").map(Value::to_string).unwrap_or_default();
    match kind {
        _ if kind.contains("array") => "[]",
        _ if kind.contains("object") => "{}",
        _ if kind.contains("integer") => "0",
        _ if kind.contains("boolean") => "false",
        _ => "\"\"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{load, toml_spans};

    #[test]
    fn defaults_file_is_valid() {
        let text = defaults_text();
        assert!(toml_spans::parse(&text).errors.is_empty(), "{text}");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("defaults.toml");
        std::fs::write(&file, text).unwrap();
        let loaded = load(&[file], &[]).unwrap();
        let default = crate::config::Config::default();
        assert_eq!(loaded.config.limits.outbound_buffer, default.limits.outbound_buffer);
        assert_eq!(loaded.config.socketio, default.socketio);
    }

    #[test]
    fn every_key_has_a_description() {
        fn walk(node: &Value, path: &str, missing: &mut Vec<String>) {
            for (key, property) in properties(node) {
                let path = format!("{path}.{key}");
                if property.get("description").is_none() {
                    missing.push(path.clone());
                }
                walk(property, &path, missing);
            }
        }
        let mut missing = Vec::new();
        walk(schema(), "", &mut missing);
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn strings_are_told_from_numbers() {
        let wants = |key: &str| wants_string(&key.split('.').map(str::to_owned).collect::<Vec<_>>());
        assert!(wants("auth.secret") && wants("server.listen") && wants("plugins.echo.library"));
        assert!(!wants("limits.connections") && !wants("plugins.echo.settings") && !wants("no.such"));
    }
}
