//! Schemas of all plugins under one roof. Each manifest entry has a schema of its own, with its own `$defs`; here they
//! become definitions with names of their own, equal ones once. References are `#/$defs/NAME` until a document says
//! where its definitions are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::names::{Taken, pascal};

/// Where definitions are until a document has its own place for them.
const HERE: &str = "#/$defs/";

/// Whether a schema is of something that comes in or goes out: the same type may look different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// The definitions so far.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    pub(crate) defs: BTreeMap<String, Value>,
    taken: Taken,
    /// By plugin, own name and text with all that it refers to.
    known: HashMap<(String, String, String), String>,
}

impl Bundle {
    /// A definition of the hub's own, under exactly this name.
    pub(crate) fn add(&mut self, name: &str, schema: Value) {
        let name = self.taken.take(&[name.to_owned()]);
        self.defs.insert(name, schema);
    }

    /// Keeps names free of definitions.
    pub(crate) fn reserve(&mut self, names: &[&str]) {
        for name in names {
            self.taken.take(&[(*name).to_owned()]);
        }
    }

    /// Takes a schema in; gives a reference to it, or the schema itself where it is no more than a plain type. `hint`
    /// is its name if it has none.
    pub(crate) fn take(&mut self, plugin: &str, way: Way, hint: &str, schema: &Value) -> Value {
        let (root, title, defs) = parts(schema);
        let names = self.define(plugin, way, &defs);
        let itself = Value::Object(root);
        if !deserves_name(&itself, title.as_deref()) {
            return rewritten(&itself, &names, None);
        }
        let own = title.unwrap_or_else(|| hint.to_owned());
        let (name, new) = self.name(plugin, way, &own, closure(&itself, &defs));
        if new {
            let schema = rewritten(&itself, &names, Some(&name));
            self.defs.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("{HERE}{name}") })
    }

    /// Takes in what a schema refers to, and gives the schema itself.
    pub(crate) fn open(&mut self, plugin: &str, way: Way, schema: &Value) -> Value {
        let (root, _, defs) = parts(schema);
        let names = self.define(plugin, way, &defs);
        rewritten(&Value::Object(root), &names, None)
    }

    fn define(&mut self, plugin: &str, way: Way, defs: &Map<String, Value>) -> HashMap<String, String> {
        let mut names = HashMap::new();
        let mut fresh = Vec::new();
        for (own, schema) in defs {
            let (name, new) = self.name(plugin, way, own, closure(schema, defs));
            if new {
                fresh.push((name.clone(), schema));
            }
            names.insert(own.clone(), name);
        }
        for (name, schema) in fresh {
            let schema = rewritten(&sane(schema), &names, Some(&name));
            self.defs.insert(name, schema);
        }
        names
    }

    /// The name of a definition, and whether it is a new one.
    fn name(&mut self, plugin: &str, way: Way, own: &str, text: String) -> (String, bool) {
        let key = (plugin.to_owned(), own.to_owned(), text);
        if let Some(name) = self.known.get(&key) {
            return (name.clone(), false);
        }
        let base = format!("{}{}", pascal(plugin), pascal(own));
        let other = format!("{base}{}", if way == Way::In { "In" } else { "Out" });
        let name = self.taken.take(&[base, other]);
        self.known.insert(key, name.clone());
        (name, true)
    }
}

/// The definition behind a reference, or the schema itself.
pub(crate) fn resolved<'a>(schema: &'a Value, defs: &'a BTreeMap<String, Value>) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix(HERE));
    name.and_then(|name| defs.get(name)).unwrap_or(schema)
}

/// The name in a reference.
pub(crate) fn referred(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(HERE)
}

/// Of the definitions those that a document refers to, and that they refer to.
pub(crate) fn reachable(document: &Value, defs: &BTreeMap<String, Value>) -> Map<String, Value> {
    let mut reached: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut ahead = vec![document];
    while let Some(value) = ahead.pop() {
        refers(value, &mut |at| {
            if let Some((name, schema)) = at.strip_prefix(HERE).and_then(|name| defs.get_key_value(name))
                && reached.insert(name, schema).is_none()
            {
                ahead.push(schema);
            }
            false
        });
    }
    reached.into_iter().map(|(name, schema)| (name.to_owned(), schema.clone())).collect()
}

/// The same with references to where a document has its definitions.
pub(crate) fn placed(value: Value, place: &str) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| match (&*key, &value) {
                    ("$ref", Value::String(at)) if at.starts_with(HERE) => {
                        let at = format!("{place}{}", &at[HERE.len()..]);
                        (key, Value::String(at))
                    }
                    _ => (key, placed(value, place)),
                })
                .collect(),
        ),
        Value::Array(values) => Value::Array(values.into_iter().map(|value| placed(value, place)).collect()),
        other => other,
    }
}

/// A schema without its frame, its title, and its definitions.
fn parts(schema: &Value) -> (Map<String, Value>, Option<String>, Map<String, Value>) {
    let Value::Object(mut root) = sane(schema) else { return Default::default() };
    root.shift_remove("$schema");
    let title = root.shift_remove("title").and_then(|title| title.as_str().map(str::to_owned));
    let mut defs = Map::new();
    for place in ["$defs", "definitions"] {
        if let Some(Value::Object(some)) = root.shift_remove(place) {
            defs.extend(some);
        }
    }
    (root, title, defs)
}

/// A schema as an object; what is no schema allows anything.
fn sane(schema: &Value) -> Value {
    match schema {
        Value::Object(_) => schema.clone(),
        Value::Bool(false) => json!({ "not": {} }),
        _ => json!({}),
    }
}

/// Whether it is worth a name of its own: it has parts, or refers to itself.
fn deserves_name(schema: &Value, title: Option<&str>) -> bool {
    let choice = ["oneOf", "anyOf", "allOf", "enum"].iter().any(|key| schema.get(*key).is_some());
    let made_up = title.is_none_or(|title| title.starts_with("Nullable_"));
    schema.get("properties").is_some() || (choice && !made_up) || refers(schema, &mut |at| at == "#")
}

/// Whether any reference in it is such.
fn refers(schema: &Value, such: &mut dyn FnMut(&str) -> bool) -> bool {
    match schema {
        Value::Object(map) => map.iter().any(|(key, value)| match (&**key, value) {
            ("$ref", Value::String(at)) => such(at),
            (_, value) => refers(value, such),
        }),
        Value::Array(values) => values.iter().any(|value| refers(value, such)),
        _ => false,
    }
}

/// A schema and all that it refers to, as a text: two schemas with the same are the same.
fn closure(schema: &Value, defs: &Map<String, Value>) -> String {
    let mut reached = BTreeSet::new();
    let mut ahead = vec![schema];
    while let Some(schema) = ahead.pop() {
        refers(schema, &mut |at| {
            if let Some((name, schema)) = local(at).and_then(|name| defs.get_key_value(name))
                && reached.insert(name.as_str())
            {
                ahead.push(schema);
            }
            false
        });
    }
    let mut text = schema.to_string();
    for name in reached {
        text.push_str(&format!("\n{name} {}", defs[name]));
    }
    text
}

/// The name of a definition beside the schema.
fn local(at: &str) -> Option<&str> {
    at.strip_prefix(HERE).or_else(|| at.strip_prefix("#/definitions/"))
}

/// References by their new names; one to the schema itself by `itself`, and one that leads nowhere allows anything.
fn rewritten(schema: &Value, names: &HashMap<String, String>, itself: Option<&str>) -> Value {
    match schema {
        Value::Object(map) => {
            let mut made = Map::new();
            for (key, value) in map {
                match (&**key, value) {
                    ("$ref", Value::String(at)) => {
                        let name = if at == "#" {
                            itself
                        } else {
                            local(at).and_then(|n| names.get(n)).map(String::as_str)
                        };
                        if let Some(name) = name {
                            made.insert(key.clone(), format!("{HERE}{name}").into());
                        }
                    }
                    ("$id" | "$anchor" | "$dynamicAnchor" | "$dynamicRef" | "$schema", Value::String(_)) => {}
                    _ => {
                        made.insert(key.clone(), rewritten(value, names, itself));
                    }
                }
            }
            Value::Object(made)
        }
        Value::Array(values) => {
            Value::Array(values.iter().map(|value| rewritten(value, names, itself)).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: &str) -> Value {
        json!({"$schema": "x", "title": "At", "type": "object", "properties": {"id": {"type": id}}})
    }

    #[test]
    fn equal_schemas_are_one() {
        let mut bundle = Bundle::default();
        let first = bundle.take("meet", Way::In, "x", &at("string"));
        assert_eq!(first, json!({"$ref": "#/$defs/MeetAt"}));
        assert_eq!(bundle.take("meet", Way::Out, "x", &at("string")), first);
        assert_eq!(bundle.take("meet", Way::Out, "x", &at("integer")), json!({"$ref": "#/$defs/MeetAtOut"}));
        assert_eq!(bundle.take("other", Way::In, "x", &at("string")), json!({"$ref": "#/$defs/OtherAt"}));
        assert_eq!(bundle.defs.len(), 3);
    }

    #[test]
    fn parts_are_found_again() {
        let mut bundle = Bundle::default();
        let list = json!({
            "title": "List", "type": "object",
            "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/At"}}, "next": {"$ref": "#"}},
            "$defs": {"At": {"type": "object", "properties": {"id": {"type": "string"}}}},
        });
        bundle.take("p", Way::Out, "x", &list);
        assert_eq!(bundle.defs["PList"]["properties"]["items"]["items"]["$ref"], "#/$defs/PAt");
        assert_eq!(bundle.defs["PList"]["properties"]["next"]["$ref"], "#/$defs/PList");
        assert_eq!(bundle.take("p", Way::In, "x", &at("string")), json!({"$ref": "#/$defs/PAt"}));
    }

    #[test]
    fn plain_types_stay_where_they_are() {
        let mut bundle = Bundle::default();
        let text = json!({"$schema": "x", "title": "String", "type": "string"});
        assert_eq!(bundle.take("p", Way::In, "x", &text), json!({"type": "string"}));
        assert_eq!(bundle.take("p", Way::In, "x", &Value::Bool(true)), json!({}));
        assert!(bundle.defs.is_empty());
    }

    #[test]
    fn nonsense_allows_anything() {
        let mut bundle = Bundle::default();
        for nonsense in [json!(7), json!("x"), json!([]), json!({"$ref": "http://elsewhere/x"}), Value::Null]
        {
            assert_eq!(bundle.take("p", Way::In, "x", &nonsense), json!({}), "{nonsense}");
        }
        assert_eq!(bundle.take("p", Way::In, "x", &json!({"$ref": "#/$defs/nosuch"})), json!({}));
    }
}
