//! `cargo xtask book`: writes the book's configuration reference from the settings' JSON Schema, or says that the
//! committed one differs.
//!
//! The schema is the hub's own (a test of the hub holds the two together), so what a setting means is said in one
//! place, its comment in the code. Everything else in the book is written by hand.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::workspace::Workspace;

/// What the hub prints with `exedra config schema`.
const SCHEMA: &str = "config/exedra.schema.json";
/// What is made of it.
const PAGE: &str = "examples/book/src/configuration.md";

const OPENING: &str = "\
# Configuration

<!-- Written by `cargo xtask book` from config/exedra.schema.json. -->

One TOML file is enough; [config/exedra.toml](../../../config/exedra.toml), [config/production.toml](../../../config/production.toml)
and [config/cluster.toml](../../../config/cluster.toml) are there to begin with. Several files may be given; of what they say twice, the
last one holds. Over them stands the environment (`EXEDRA_SERVER__LISTEN` is `server.listen`), over that `--set KEY=VALUE`.
";

/// Writes the page, or with `check` only compares.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<ExitCode> {
    let wanted = wanted(&workspace.root)?;
    let page = workspace.root.join(PAGE);
    if fs::read_to_string(&page).is_ok_and(|there| there == wanted) {
        return Ok(ExitCode::SUCCESS);
    }
    if check {
        println!("differs: {PAGE}");
        eprintln!("hint: `cargo xtask book` writes it from {SCHEMA}");
        return Ok(ExitCode::FAILURE);
    }
    fs::write(&page, wanted).with_context(|| format!("cannot write {PAGE}"))?;
    println!("written: {PAGE}");
    Ok(ExitCode::SUCCESS)
}

fn wanted(root: &Path) -> Result<String> {
    let schema = fs::read_to_string(root.join(SCHEMA)).with_context(|| format!("cannot read {SCHEMA}"))?;
    page(&serde_json::from_str(&schema).with_context(|| format!("{SCHEMA} is not JSON"))?)
}

/// The page of a schema: a section for each table, a row for each setting.
fn page(schema: &Value) -> Result<String> {
    let mut text = format!("{OPENING}\n{}\n", said(schema));
    for (name, table) in properties(schema).context("the schema has no properties")? {
        section(&mut text, name, table, 2)?;
    }
    Ok(text)
}

fn section(text: &mut String, name: &str, table: &Value, depth: usize) -> Result<()> {
    let settings = properties(table).with_context(|| format!("{name} is no table"))?;
    write!(text, "\n{} `[{name}]`\n\n{}\n", "#".repeat(depth), said(table))?;
    let is_table = |setting: &&Value| properties(setting).is_some() && setting.get("default").is_none();
    let rows = settings
        .iter()
        .filter(|(_, setting)| !is_table(setting))
        .fold(String::new(), |rows, one| rows + &row(one.0, one.1));
    if !rows.is_empty() {
        write!(text, "\n| setting | default | meaning |\n|---|---|---|\n{rows}")?;
    }
    for (key, inner) in settings.iter().filter(|(_, setting)| is_table(setting)) {
        section(text, &format!("{name}.{key}"), inner, depth + 1)?;
    }
    match table.get("additionalProperties").filter(|other| other.is_object()) {
        Some(other) => section(text, &format!("{name}.NAME"), other, depth + 1),
        None => Ok(()),
    }
}

/// A setting's row, and one for each part of it where it may be a table as well as a word.
fn row(key: &str, setting: &Value) -> String {
    let mut rows = format!("| `{key}` | {} | {} |\n", default(setting), meaning(setting));
    for (part, inner) in choices(setting).filter_map(properties).flatten() {
        rows += &row(&format!("{key}.{part}"), inner);
    }
    rows
}

/// The description, the words that may be chosen, and the range.
fn meaning(setting: &Value) -> String {
    let words = setting.get("items").into_iter().flat_map(choices).chain(choices(setting));
    let words =
        words.filter_map(|choice| Some(format!("`{}`: {}", choice.get("const")?.as_str()?, said(choice))));
    let listed = setting["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let listed: Vec<_> = listed.map(|word| format!("`{word}`")).collect();
    let mut parts = vec![said(setting)];
    parts.extend(words);
    if !listed.is_empty() {
        parts.push(format!("One of {}.", listed.join(", ")));
    }
    if let (Some(least), Some(most)) = (setting["minimum"].as_u64(), setting["maximum"].as_u64()) {
        parts.push(format!("From {least} to {most}."));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

/// The default as TOML would have it; nothing for what is absent unless somebody says it.
fn default(setting: &Value) -> String {
    match setting.get("default").and_then(toml) {
        Some(value) => format!("`{value}`"),
        None => String::new(),
    }
}

fn toml(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Object(table) if table.is_empty() => Some("{}".to_owned()),
        Value::Object(table) => {
            let pairs = table.iter().filter_map(|(key, value)| Some(format!("{key} = {}", toml(value)?)));
            Some(format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", ")))
        }
        Value::Array(list) => {
            Some(format!("[{}]", list.iter().filter_map(toml).collect::<Vec<_>>().join(", ")))
        }
        other => Some(other.to_string()),
    }
}

/// The description on one line, safe in a table.
fn said(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    schema.get("oneOf").and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    /// Every key of a schema, wherever it is.
    fn keys(schema: &Value, found: &mut Vec<String>) {
        if let Some(properties) = properties(schema) {
            for (key, inner) in properties {
                found.push(key.clone());
                keys(inner, found);
            }
        }
        choices(schema).chain(schema.get("additionalProperties")).for_each(|inner| keys(inner, found));
    }

    #[test]
    fn committed_page_is_current() {
        let there = fs::read_to_string(root().join(PAGE)).unwrap();
        assert!(there == wanted(root()).unwrap(), "run: cargo xtask book");
    }

    #[test]
    fn every_setting_is_on_the_page() {
        let text = fs::read_to_string(root().join(SCHEMA)).unwrap();
        let mut schema: Value = serde_json::from_str(&text).unwrap();
        let written = page(&schema).unwrap();
        let mut found = Vec::new();
        keys(&schema, &mut found);
        assert!(found.len() > 60, "{found:?}");
        for key in found {
            let named = [format!("`{key}`"), format!(".{key}`"), format!("[{key}]"), format!(".{key}]")];
            assert!(named.iter().any(|name| written.contains(name)), "{key} is missing");
        }
        // What is new or changed in the schema changes the page.
        schema["properties"]["server"]["properties"]["novelty"] = json!({ "type": "string", "default": "x" });
        assert!(page(&schema).unwrap().contains("| `novelty` | `\"x\"` |"));
    }

    #[test]
    fn rows_say_default_choices_and_range() {
        let setting = json!({
            "description": "How\nmuch | many.",
            "oneOf": [
                { "const": "few", "description": "Not many." },
                { "type": "object", "properties": { "most": { "type": "integer", "minimum": 1, "maximum": 5, "default": 3 } } }
            ],
            "default": { "most": 3 }
        });
        assert_eq!(
            row("much", &setting),
            "| `much` | `{ most = 3 }` | How much \\| many. `few`: Not many. |\n\
             | `much.most` | `3` | From 1 to 5. |\n"
        );
    }

    #[test]
    fn absent_defaults_stay_empty() {
        assert_eq!(row("url", &json!({ "type": ["string", "null"], "default": null })), "| `url` |  |  |\n");
    }

    #[test]
    fn schema_without_settings_refused() {
        assert!(page(&json!({ "type": "object" })).is_err());
    }
}
