//! The documents of small and of hostile manifests. That real ones are valid by the tools of each kind, an end-to-end
//! test holds.

use exedra_hub::manifest::{AuthMode, Emit, Event, Inject, Manifest, Namespace, Route};
use serde_json::{Value, json};

use super::*;

fn facts() -> Facts {
    Facts {
        version: "1.2.3".into(),
        public: "127.0.0.1:3000".into(),
        socketio_path: "/socket.io/".into(),
        nats: Vec::new(),
        prefix: "exedra".into(),
    }
}

fn greeter() -> Manifest {
    let name = json!({"title": "String", "type": "string"});
    let greeted = json!({"title": "Greeted", "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    Manifest {
        name: "greeter".into(),
        namespaces: vec![Namespace { path: "/".into(), auth: AuthMode::Required }],
        events: vec![Event {
            name: "greet".into(),
            schema: Some(name),
            ack: Some(greeted.clone()),
            ..Event::default()
        }],
        emits: vec![
            Emit {
                name: "greeted".into(),
                schema: Some(greeted),
                description: "Somebody was.".into(),
                ..Emit::default()
            },
            Emit { name: "tick".into(), args: Some(Vec::new()), ..Emit::default() },
        ],
        injects: vec![Inject { event: "say".into(), ..Inject::default() }],
        routes: vec![Route { method: "GET".into(), path: "/hello/{id}".into(), ..Route::default() }],
        ..Manifest::default()
    }
}

fn written(format: Format, manifests: Vec<Manifest>) -> String {
    let plugins: Vec<Install> = manifests.into_iter().map(Install::from).collect();
    document(format, &facts(), &plugins)
}

fn value(format: Format, manifests: Vec<Manifest>) -> Value {
    serde_json::from_str(&written(format, manifests)).unwrap()
}

/// Every reference leads somewhere.
fn follow_all(document: &Value) {
    fn walk(document: &Value, here: &Value) {
        match here {
            Value::Object(map) => {
                if let Some(at) = map.get("$ref").and_then(Value::as_str) {
                    let at = at.strip_prefix('#').unwrap();
                    assert!(document.pointer(at).is_some(), "{at}");
                }
                map.values().for_each(|value| walk(document, value));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(document, value)),
            _ => {}
        }
    }
    walk(document, document);
}

#[test]
fn events_are_typed() {
    let text = written(Format::TypeScript, vec![greeter()]);
    assert!(text.contains("export interface ServerToClientEvents {\n"), "{text}");
    assert!(
        text.contains("  /** Somebody was. */\n  \"greeted\": (payload: GreeterGreeted) => void;"),
        "{text}"
    );
    assert!(text.contains("  \"tick\": () => void;"), "{text}");
    let greet =
        "  \"greet\": (payload: string, acknowledge?: (answer: GreeterGreeted | Refused) => void) => void;";
    assert!(text.contains(greet), "{text}");
}

#[test]
fn references_lead_somewhere() {
    for format in [Format::AsyncApi, Format::OpenApi, Format::JsonSchema] {
        follow_all(&value(format, vec![greeter()]));
    }
}

#[test]
fn events_of_one_name_are_told_apart() {
    let mut other = greeter();
    other.name = "other".into();
    other.events.clear();
    let text = written(Format::TypeScript, vec![greeter(), other]);
    assert!(text.contains("\"greeted\": (payload: GreeterGreeted | OtherGreeted) => void;"), "{text}");
    assert_eq!(text.matches("\"greeted\":").count(), 1);
}

#[test]
fn hub_and_its_refusals_are_described() {
    let document = value(Format::OpenApi, vec![greeter()]);
    let get = &document["paths"]["/hello/{id}"]["get"];
    assert_eq!(get["parameters"][0]["name"], "id");
    assert_eq!(get["security"], json!([{"token": []}]));
    assert!(get["responses"]["204"].is_object() && get["responses"]["401"].is_object(), "{get}");
    let document = value(Format::AsyncApi, vec![greeter()]);
    assert_eq!(document["channels"]["nats.in.greeter.say"]["address"], "exedra.in.greeter.{room}.say");
    assert!(document["channels"]["nats.dlq.greeter.refused"].is_object());
    assert_eq!(document["operations"]["receive.socketio_root.greeter.greet"]["action"], "receive");
}

#[test]
fn configuration_takes_precedence() {
    let plugin = Install {
        manifest: greeter().into(),
        namespace: Some("/elsewhere".into()),
        auth: Some(AuthMode::None),
    };
    let document: Value = serde_json::from_str(&document(Format::AsyncApi, &facts(), &[plugin])).unwrap();
    let channel = &document["channels"]["socketio_elsewhere"];
    assert_eq!((&channel["address"], &channel["x-socketio"]["auth"]), (&json!("/elsewhere"), &json!("none")));
}

#[test]
fn hostile_manifests_break_nothing() {
    let evil = "*/ }; declare const x: 1 /*\u{2028}\n\"'`${~1/";
    let mut manifest = greeter();
    manifest.name = "Refused".into();
    manifest.description = evil.into();
    for description in [&mut manifest.events[0].description, &mut manifest.emits[0].description] {
        *description = evil.into();
    }
    manifest.emits[1].name = evil.into();
    manifest.events[0].ack =
        Some(json!({"title": evil, "type": "object", "properties": {evil: {"$ref": "#/nowhere"}}}));
    manifest.routes[0].query = Some(json!(7));
    for format in [Format::AsyncApi, Format::OpenApi, Format::JsonSchema] {
        follow_all(&value(format, vec![manifest.clone(), greeter()]));
    }
    let text = written(Format::TypeScript, vec![manifest]);
    for line in text.lines().filter(|line| line.contains("declare const")) {
        // In a comment that has not ended, or in a string.
        let before = &line[..line.find("declare const").unwrap_or_default()];
        let in_string = before.trim_start().starts_with('"');
        assert!(in_string || (before.contains("/**") && !before.contains("*/")), "{line}");
    }
}
