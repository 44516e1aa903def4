//! `config show`: the effective settings as TOML, each with where it came from. Secrets are never shown.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    layers::{Layers, Part, leaves},
    schema,
};

const REDACTED: &str = "<redacted>";

/// Whether the value at a path must not be seen: by its name, whoever gave it.
pub(crate) fn is_secret(path: &[String]) -> bool {
    let named = |part: &String| {
        let part = part.to_ascii_lowercase();
        let hidden = ["secret", "token", "password", "passwd", "apikey", "api_key", "private_key", "salt"];
        !part.ends_with("_file") && hidden.iter().any(|word| part.contains(word))
    };
    path.iter().any(named)
}

/// The settings as TOML text; with `origin` each line ends with a comment that says who set it.
pub(crate) fn text(merged: &Map<String, Value>, layers: &Layers, origin: bool) -> String {
    let mut text = String::new();
    write_table(&mut text, &effective(merged), &mut Vec::new(), layers, origin);
    text
}

/// One setting, for the console.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its name with dots.
    pub key: String,
    /// The value as TOML; none when it is not set or not shown.
    pub value: Option<String>,
    /// Whether it is set and not shown.
    pub secret: bool,
    /// Where it was set; none for defaults.
    pub origin: Option<String>,
}

/// The settings one by one, as `text` shows them.
pub(crate) fn settings(merged: &Map<String, Value>, layers: &Layers) -> Vec<Setting> {
    let mut settings = Vec::new();
    leaves(&effective(merged), &mut Vec::new(), &mut |path, value| {
        let secret = is_secret(path) && !value.is_null();
        let shown = (!secret && !value.is_null()).then(|| inline(&seen(value, false)));
        let names: Vec<_> = path.iter().map(|part| key(part)).collect();
        let origin = layers.place(path, Part::Value);
        settings.push(Setting { key: names.join("."), value: shown, secret, origin });
    });
    settings
}

/// What was set, on top of all defaults.
fn effective(merged: &Map<String, Value>) -> Map<String, Value> {
    let mut values = schema::defaults_of(schema::schema());
    if let (Some(Value::Object(base)), Some(Value::Object(given))) =
        (values.get_mut("plugins"), merged.get("plugins"))
    {
        for (name, _) in given.iter().filter(|(_, table)| table.is_object()) {
            base.insert(name.clone(), Value::Object(schema::plugin_defaults()));
        }
    }
    overlay(&mut values, merged);
    values
}

fn overlay(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => overlay(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

fn write_table(
    text: &mut String,
    table: &Map<String, Value>,
    path: &mut Vec<String>,
    layers: &Layers,
    origin: bool,
) {
    let is_section = |value: &Value| matches!(value, Value::Object(map) if !map.is_empty());
    if !path.is_empty() {
        let names: Vec<_> = path.iter().map(|part| key(part)).collect();
        let _ = writeln!(text, "{}[{}]", if text.is_empty() { "" } else { "\n" }, names.join("."));
    }
    for (name, value) in table.iter().filter(|(_, value)| !is_section(value)) {
        path.push(name.clone());
        write_line(text, name, value, path, layers, origin);
        path.pop();
    }
    for (name, value) in table {
        if let Value::Object(inner) = value
            && !inner.is_empty()
        {
            path.push(name.clone());
            write_table(text, inner, path, layers, origin);
            path.pop();
        }
    }
}

fn write_line(text: &mut String, name: &str, value: &Value, path: &[String], layers: &Layers, origin: bool) {
    let mut line = match value {
        Value::Null => format!("# {} is not set", key(name)),
        other => format!("{} = {}", key(name), inline(&seen(other, is_secret(path)))),
    };
    if origin && !value.is_null() {
        let place = layers.place(path, Part::Value).unwrap_or_else(|| "default".to_owned());
        line = format!("{line:<56} # {place}");
    }
    let _ = writeln!(text, "{line}");
}

/// A value as it may be seen: nothing of a secret, also of those in tables within arrays, and addresses like
/// `nats://user:password@host` without who and what.
fn seen(value: &Value, secret: bool) -> Value {
    match value {
        _ if secret => Value::from(REDACTED),
        Value::String(text) => Value::from(without_userinfo(text)),
        Value::Array(list) => list.iter().map(|value| seen(value, false)).collect(),
        Value::Object(table) => table
            .iter()
            .map(|(name, value)| (name.clone(), seen(value, is_secret(std::slice::from_ref(name)))))
            .collect(),
        other => other.clone(),
    }
}

fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#', ',']).next().unwrap_or(rest);
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{REDACTED}{}", without_next(&rest[at..])),
        None => format!("{scheme}://{}", without_next(rest)),
    }
}

/// A list of addresses in one string has the others behind commas.
fn without_next(rest: &str) -> String {
    match rest.split_once(',') {
        Some((first, others)) => format!("{first},{}", without_userinfo(others)),
        None => rest.to_owned(),
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { name.to_owned() } else { inline(&Value::from(name)) }
}

/// A value as TOML on one line.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let fields: Vec<_> = map
                .iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| format!("{} = {}", key(k), inline(v)))
                .collect();
            if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
        }
        Value::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::String(text) => toml::Value::from(text.as_str()).to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn userinfo_is_taken_out() {
        assert_eq!(
            without_userinfo("nats://a:b@h:1,nats://c:d@i"),
            "nats://<redacted>@h:1,nats://<redacted>@i"
        );
        assert_eq!(without_userinfo("https://h/x@y"), "https://h/x@y");
        assert_eq!(without_userinfo("plain"), "plain");
    }

    #[test]
    fn secrets_in_arrays_stay_hidden() {
        let hosts =
            serde_json::json!([{ "name": "a", "password": "x", "urls": ["nats://u:p@h"] }, [{ "token": 1 }]]);
        let hidden = r#"[{ name = "a", password = "<redacted>", urls = ["nats://<redacted>@h"] }, [{ token = "<redacted>" }]]"#;
        assert_eq!(inline(&seen(&hosts, false)), hidden);
        assert_eq!(inline(&seen(&hosts, true)), r#""<redacted>""#);
    }

    #[test]
    fn secrets_are_known_by_name() {
        let path = |key: &str| key.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_secret(&path("auth.secret")) && is_secret(&path("plugins.x.settings.api_key")));
        assert!(!is_secret(&path("auth.secret_file")) && !is_secret(&path("server.listen")));
    }
}
