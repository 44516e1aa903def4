//! Routes as OpenAPI 3.1. Statuses, bodies and queries are what the manifest says; refusals are what it says beside
//! those that the hub makes by itself.

use std::collections::BTreeMap;

use exedra_hub::manifest::{AuthMode, Header, Manifest, Route};
use serde_json::{Map, Value, json};

use crate::{
    Facts,
    bundle::{placed, reachable, resolved},
    catalog::Catalog,
    names::{Taken, key},
    words::{code_of, parameters, summary},
};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

pub(crate) fn document(facts: &Facts, catalog: Catalog) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut ids = Taken::default();
    for plugin in &catalog.plugins {
        for route in &plugin.manifest.routes {
            let operation = operation(&plugin.manifest, route, &catalog, &mut ids);
            paths.entry(&route.path).or_default().insert(route.method.to_lowercase(), operation);
        }
    }
    let tags: Vec<_> = catalog
        .plugins
        .iter()
        .map(|plugin| &plugin.manifest)
        .filter(|manifest| !manifest.routes.is_empty())
        .map(|manifest| json!({"name": manifest.name, "description": summary(&manifest.description, &manifest.name)}))
        .collect();
    let schemas = reachable(&json!(paths), &catalog.defs);
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Exedra",
            "version": facts.version,
            "description": "The routes of this hub's plugins. What goes over sockets and NATS is in `/asyncapi.json`.",
        },
        "servers": [{"url": "/", "description": "This hub."}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The same token as on sockets.",
                },
            },
        },
    });
    placed(document, "#/components/schemas/")
}

fn operation(manifest: &Manifest, route: &Route, catalog: &Catalog, ids: &mut Taken) -> Value {
    let path = route.path.trim_matches('/').replace(['{', '}'], "").replace('/', "_");
    let id = ids.take(&[key(&format!("{}_{}_{path}", manifest.name, route.method.to_lowercase()))]);
    let parameters: Vec<Value> = parameters(&route.path)
        .into_iter()
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
        })
        .chain(query(route, catalog))
        .chain(route.headers.iter().map(header))
        .collect();
    let mut operation = json!({
        "operationId": id,
        "summary": summary(&route.description, &route.path),
        "tags": [manifest.name],
        "security": match route.auth {
            AuthMode::None => json!([]),
            AuthMode::Optional => json!([{"token": []}, {}]),
            AuthMode::Required => json!([{"token": []}]),
        },
        "responses": responses(route),
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if route.deprecated {
        operation["deprecated"] = true.into();
    }
    if let Some(body) = body(route) {
        operation["requestBody"] = body;
    }
    operation
}

fn query(route: &Route, catalog: &Catalog) -> Vec<Value> {
    let Some(query) = &route.query else { return Vec::new() };
    let query = resolved(query, &catalog.defs);
    let required: Vec<_> =
        query["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = query["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| {
            let mut schema = not_null(schema);
            let description = schema.as_object_mut().and_then(|schema| schema.shift_remove("description"));
            let mut parameter = json!({
                "name": name,
                "in": "query",
                "required": required.contains(&name.as_str()),
                "schema": schema,
            });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            parameter
        })
        .collect()
}

/// What is left out of a query is not there; it cannot be null.
fn not_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let Some(map) = schema.as_object_mut() else { return json!({}) };
    if map.get("default") == Some(&Value::Null) {
        map.shift_remove("default");
    }
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|one| one != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            map.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
        choices.retain(|one| one.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(one)] = choices.as_slice() {
            let one = one.clone();
            map.shift_remove("anyOf");
            map.extend(one);
        }
    }
    schema
}

fn header(header: &Header) -> Value {
    let mut parameter = json!({"name": header.name, "in": "header", "required": header.required});
    if !header.description.is_empty() {
        parameter["description"] = header.description.clone().into();
    }
    match &header.schema {
        Some(schema) => parameter["content"] = json!({JSON: {"schema": schema}}),
        None => parameter["schema"] = json!({"type": "string"}),
    }
    parameter
}

fn body(route: &Route) -> Option<Value> {
    let limit = format!("At most {} bytes.", route.body_limit);
    match (&route.body_type, &route.schema) {
        (Some(kind), _) => {
            Some(json!({"description": limit, "required": true, "content": {kind: {"schema": bytes()}}}))
        }
        (None, Some(schema)) => {
            let may_miss = schema["anyOf"].as_array().into_iter().flatten().any(|one| one["type"] == "null");
            Some(json!({"description": limit, "required": !may_miss, "content": {JSON: {"schema": schema}}}))
        }
        (None, None) => None,
    }
}

fn bytes() -> Value {
    json!({"type": "string", "format": "binary"})
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    for status in statuses(route) {
        let mut response = json!({"description": title(status)});
        match (&route.response_type, &route.response) {
            (Some(kind), schema) => {
                let schema = schema.clone().unwrap_or_else(bytes);
                response["content"] = json!({kind: {"schema": schema}});
            }
            (None, Some(schema)) if status != 204 => response["content"] = json!({JSON: {"schema": schema}}),
            _ => {}
        }
        responses.insert(status.to_string(), response);
    }
    for (status, codes) in refusals(route) {
        let schema = json!({"allOf": [
            {"$ref": "#/$defs/Problem"},
            {"type": "object", "properties": {"code": {"enum": codes}}},
        ]});
        let description = format!("{}: {}", title(status), codes.join(", "));
        let response = json!({"description": description, "content": {PROBLEM: {"schema": schema}}});
        responses.entry(status.to_string()).or_insert(response);
    }
    let refused = json!({
        "description": "Refused for another reason, by the hub or the plugin.",
        "content": {PROBLEM: {"schema": {"$ref": "#/$defs/Problem"}}},
    });
    responses.insert("default".into(), refused);
    Value::Object(responses)
}

fn statuses(route: &Route) -> Vec<u16> {
    let usable = |status: &u16| (200..300).contains(status);
    let mut statuses: Vec<u16> = route.statuses.iter().copied().filter(usable).collect();
    if statuses.is_empty() {
        statuses.push(if route.response.is_some() || route.response_type.is_some() { 200 } else { 204 });
    }
    statuses
}

/// Codes by status: the route's own, and those that the hub makes.
fn refusals(route: &Route) -> BTreeMap<u16, Vec<String>> {
    let mut codes: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    let mut add = |status: u16, code: String| {
        let list = codes.entry(status).or_default();
        if !list.contains(&code) {
            list.push(code);
        }
    };
    for error in route.errors.iter().filter(|error| (400..600).contains(&error.status)) {
        add(error.status, error.code.clone().unwrap_or_else(|| code_of(error.status).to_owned()));
    }
    let has_body = route.schema.is_some() || route.body_type.is_some();
    if has_body || route.query.is_some() || !route.headers.is_empty() {
        add(400, code_of(400).to_owned());
    }
    if has_body {
        add(413, code_of(413).to_owned());
    }
    if route.auth != AuthMode::None {
        add(401, code_of(401).to_owned());
    }
    codes
}

fn title(status: u16) -> &'static str {
    match status {
        201 => "Made",
        202 => "Taken",
        204 => "Done; there is nothing to say",
        400 => "Not valid",
        401 => "Without a valid token or key",
        403 => "Not allowed",
        404 => "Not there",
        409 => "In conflict with what is there",
        410 => "Not there any more",
        413 => "Too large",
        429 => "Too many",
        503 => "Not now",
        504 => "Not in time",
        200..300 => "Done",
        _ => "Refused",
    }
}
