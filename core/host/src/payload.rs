//! Payloads held against the JSON Schemas that a manifest declares for them, before the plugin is called.

use exedra_hub::{manifest::Manifest, port::Call};
use jsonschema::Validator;
use serde_json::{Value, value::RawValue};

use crate::LoadError;

/// Bytes of a sentence about a payload.
const SENTENCE: usize = 300;

/// The schemas of one plugin, by handler; `None` where nothing is declared.
#[derive(Debug)]
pub(crate) struct Payloads {
    events: Vec<Option<Validator>>,
    routes: Vec<Option<Validator>>,
    injects: Vec<Option<Validator>>,
    rpcs: Vec<Option<Validator>>,
}

impl Payloads {
    /// Prepares the schemas of a manifest.
    pub(crate) fn of(manifest: &Manifest) -> Result<Self, LoadError> {
        let prepared = |what: String, schema: Option<&Value>| {
            schema.map(jsonschema::validator_for).transpose().map_err(|error| LoadError::PayloadSchema {
                plugin: manifest.name.clone(),
                reason: format!("{what}: {error}"),
            })
        };
        let event =
            |e: &exedra_hub::manifest::Event| prepared(format!("event {}", e.name), e.schema.as_ref());
        let route =
            |r: &exedra_hub::manifest::Route| prepared(format!("{} {}", r.method, r.path), r.schema.as_ref());
        let inject =
            |i: &exedra_hub::manifest::Inject| prepared(format!("inject {}", i.event), i.schema.as_ref());
        let rpc = |r: &exedra_hub::manifest::Rpc| prepared(format!("rpc {}", r.method), r.schema.as_ref());
        described(manifest)?;
        Ok(Self {
            events: manifest.events.iter().map(event).collect::<Result<_, _>>()?,
            routes: manifest.routes.iter().map(route).collect::<Result<_, _>>()?,
            injects: manifest.injects.iter().map(inject).collect::<Result<_, _>>()?,
            rpcs: manifest.rpcs.iter().map(rpc).collect::<Result<_, _>>()?,
        })
    }

    /// What is wrong with the payload of a call; `None` when nothing is, or nothing is declared for it.
    pub(crate) fn problem(&self, call: &Call) -> Option<String> {
        let (validators, handler, payload, is_list) = match call {
            Call::Event { handler, message, .. } => (&self.events, handler, &message.args, true),
            Call::Http { handler, request, .. } => (&self.routes, handler, &request.body, false),
            Call::Inject { handler, payload, .. } => (&self.injects, handler, payload, false),
            Call::Rpc { handler, payload, .. } => (&self.rpcs, handler, payload, false),
            _ => return None,
        };
        let validator = validators.get(*handler as usize)?.as_ref()?;
        let value = if is_list { first_of(payload) } else { body_of(payload) };
        match value {
            Ok(value) => validator.iter_errors(&value).next().map(|error| sentence(&error)),
            Err(error) => Some(format!("the payload is not JSON: {error}")),
        }
    }
}

/// Schemas that only documents are made of must be schemas too: a document with one that is none is of use to nobody.
fn described(manifest: &Manifest) -> Result<(), LoadError> {
    let events = manifest.events.iter().flat_map(|event| {
        let all = event.args.iter().flatten().chain(&event.ack).chain(&event.refusal);
        all.map(move |schema| (format!("event {}", event.name), schema))
    });
    let emits = manifest.emits.iter().flat_map(|emit| {
        let all = emit.args.iter().flatten().chain(&emit.schema).chain(&emit.answer);
        all.map(move |schema| (format!("emit {}", emit.name), schema))
    });
    let routes = manifest.routes.iter().flat_map(|route| {
        let headers = route.headers.iter().filter_map(|header| header.schema.as_ref());
        let all = headers.chain(&route.response).chain(&route.query);
        all.map(move |schema| (format!("{} {}", route.method, route.path), schema))
    });
    let injects = manifest.injects.iter().flat_map(|inject| {
        let headers = inject.headers.iter().filter_map(|header| header.schema.as_ref());
        headers.map(move |schema| (format!("inject {}", inject.event), schema))
    });
    let rpcs = manifest
        .rpcs
        .iter()
        .flat_map(|rpc| rpc.answer.iter().map(move |s| (format!("rpc {}", rpc.method), s)));
    let outs = manifest
        .outs
        .iter()
        .flat_map(|out| out.schema.iter().map(move |s| (format!("out {}", out.event), s)));
    let asks = manifest.asks.iter().flat_map(|ask| {
        ask.schema.iter().chain(&ask.answer).map(move |s| (format!("ask {}.{}", ask.service, ask.method), s))
    });
    let mut all = events.chain(emits).chain(routes).chain(injects).chain(rpcs).chain(outs).chain(asks);
    match all.find(|(_, schema)| !jsonschema::meta::is_valid(schema)) {
        Some((what, _)) => Err(LoadError::PayloadSchema {
            plugin: manifest.name.clone(),
            reason: format!("{what}: not a JSON Schema"),
        }),
        None => Ok(()),
    }
}

/// The first argument of an event; a missing one counts as null.
fn first_of(args: &[u8]) -> serde_json::Result<Value> {
    let args: Vec<&RawValue> = serde_json::from_slice(args)?;
    args.first().map_or(Ok(Value::Null), |first| serde_json::from_str(first.get()))
}

/// A body; none counts as null.
fn body_of(body: &[u8]) -> serde_json::Result<Value> {
    if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(body) }
}

/// What is wrong and where. Values are masked: what came in has no business in answers and logs.
fn sentence(error: &jsonschema::ValidationError<'_>) -> String {
    let mut text = match error.instance_path().to_string() {
        path if path.is_empty() => error.masked().to_string(),
        path => format!("{path}: {}", error.masked()),
    };
    text.truncate(text.floor_char_boundary(SENTENCE));
    text
}

#[cfg(test)]
mod tests {
    use exedra_hub::manifest::{Emit, Inject, Rpc};
    use serde_json::json;

    use super::*;

    fn payloads(schema: Value) -> Payloads {
        let inject = Inject { event: "score".into(), schema: Some(schema), ..Inject::default() };
        let rpc = Rpc { method: "get".into(), ..Rpc::default() };
        let manifest = Manifest { injects: vec![inject], rpcs: vec![rpc], ..Manifest::default() };
        Payloads::of(&manifest).unwrap()
    }

    fn injected(payload: &'static str) -> Call {
        Call::Inject {
            handler: 0,
            room: "r".into(),
            event: "score".into(),
            headers: Vec::new(),
            payload: payload.into(),
        }
    }

    #[test]
    fn problem_says_where_and_hides_values() {
        let payloads = payloads(json!({
            "type": "object",
            "properties": {"scale": {"type": "number", "maximum": 100}},
            "required": ["scale"],
        }));
        assert_eq!(payloads.problem(&injected(r#"{"scale": 100}"#)), None);
        let problem = payloads.problem(&injected(r#"{"scale": 12345}"#)).unwrap();
        assert!(problem.starts_with("/scale: ") && !problem.contains("12345"), "{problem}");
        assert!(payloads.problem(&injected(r#"[1]"#)).is_some(), "a list is no object");
        assert!(payloads.problem(&injected("")).is_some());
        assert!(payloads.problem(&injected("{")).unwrap().contains("not JSON"));
    }

    #[test]
    fn undeclared_payloads_pass() {
        let payloads = payloads(json!({"type": "object"}));
        let call = Call::Rpc { handler: 0, method: "get".into(), payload: "nonsense".into() };
        assert_eq!(payloads.problem(&call), None);
    }

    #[test]
    fn broken_schema_is_named() {
        let inject = Inject { event: "x".into(), schema: Some(json!({"type": 7})), ..Inject::default() };
        let manifest = Manifest { name: "p".into(), injects: vec![inject], ..Manifest::default() };
        let error = Payloads::of(&manifest).unwrap_err().to_string();
        assert!(error.contains("inject x"), "{error}");
        let emit = Emit { name: "y".into(), schema: Some(json!({"type": 7})), ..Emit::default() };
        let manifest = Manifest { name: "p".into(), emits: vec![emit], ..Manifest::default() };
        let error = Payloads::of(&manifest).unwrap_err().to_string();
        assert!(error.contains("emit y"), "{error}");
    }
}
