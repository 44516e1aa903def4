//! A plugin's own settings, checked against the schema that it declares: every problem, each at its place.

use serde_json::Value;

use super::{
    layers::{Layers, Part},
    problems::{Problem, Problems},
    show,
};

/// Checks a plugin's settings against the schema that it declares.
pub fn check_plugin_settings(layers: &Layers, name: &str, settings: &Value, schema: &Value) -> Vec<Problem> {
    let at = ["plugins".to_owned(), name.to_owned(), "settings".to_owned()];
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => {
            return vec![Problem::new(format!("plugin {name}"), format!("its schema is broken: {error}"))];
        }
    };
    let mut problems = Problems::default();
    for error in validator.iter_errors(settings) {
        let mut path = at.to_vec();
        path.extend(error.instance_path().as_str().split('/').skip(1).map(unescaped));
        let why = match allowed(schema, error.schema_path().as_str()) {
            _ if show::is_secret(&path) => error.masked().to_string(),
            Some(values) => format!("{} is not one of: {values}", error.instance()),
            None => error.to_string(),
        };
        if let Some(unknown) = unknown_keys(&error, &path, layers) {
            problems.extend(unknown);
        } else {
            problems.push(layers.problem(&path, Part::Value, why));
        }
    }
    problems.into_sorted()
}

/// The values that a list of alternatives allows, when each is one value.
fn allowed(schema: &Value, keyword: &str) -> Option<String> {
    let alternatives = schema.pointer(keyword)?.as_array().filter(|_| keyword.ends_with("Of"))?;
    let one = |alternative: &Value| match (alternative.get("const"), alternative.get("enum")) {
        (Some(value), _) => Some(vec![value.to_string()]),
        (None, Some(Value::Array(values))) => Some(values.iter().map(Value::to_string).collect()),
        _ => None,
    };
    let values: Option<Vec<_>> = alternatives.iter().map(one).collect();
    Some(values?.concat().join(", "))
}

fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// Unknown keys come as one error of their table; each gets its own place.
fn unknown_keys(
    error: &jsonschema::ValidationError<'_>,
    path: &[String],
    layers: &Layers,
) -> Option<Vec<Problem>> {
    let jsonschema::error::ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() else {
        return None;
    };
    let each = unexpected.iter().map(|name| {
        let mut path = path.to_vec();
        path.push(name.clone());
        layers
            .problem(&path, Part::Key, "unknown key")
            .hint("`exedra plugin inspect FILE` prints the settings")
    });
    Some(each.collect())
}
