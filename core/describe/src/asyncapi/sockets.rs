//! Socket.IO namespaces and plain WebSocket endpoints as channels.

use exedra_hub::manifest::{AuthMode, Event, Manifest};
use serde_json::{Map, Value, json};

use super::pen::{Message, Pen, at, operation};
use crate::{
    Facts,
    bundle::resolved,
    catalog::{Catalog, Space},
    words::{Arguments, acknowledgements, auth_word, one_of, parameters, summary},
};

/// A namespace, and all that passes there.
pub(super) fn namespace(pen: &mut Pen, facts: &Facts, space: &Space<'_>) {
    let name = if space.path == "/" { "socketio_root".to_owned() } else { format!("socketio{}", space.path) };
    let plugins: Vec<_> = space.plugins.iter().map(|manifest| &manifest.name).collect();
    let channel = json!({
        "address": space.path,
        "title": format!("Namespace {}", space.path),
        "description": "A Socket.IO namespace.",
        "servers": [{"$ref": "#/servers/socketio"}],
        "messages": {},
        "x-socketio": {"namespace": space.path, "path": facts.socketio_path, "auth": auth_word(space.auth), "plugins": plugins},
    });
    let channel = pen.channel(&name, with_parameters(channel, space.path));
    for manifest in &space.plugins {
        for event in &manifest.events {
            event_in(pen, &channel, space, manifest, event);
        }
        for emit in &manifest.emits {
            let arguments = Arguments::of_emit(emit);
            let asked = emit.answer.clone();
            let message = Message {
                id: format!("out.{}.{}", manifest.name, emit.name),
                name: &emit.name,
                summary: summary(&emit.description, &emit.name),
                payload: payload(&arguments),
                more: json!({"x-socketio": socketio(manifest, &emit.name, &arguments, asked.is_some())}),
            };
            let sent = pen.message(&channel, message);
            let mut operation = operation("send", &channel, sent, manifest, &emit.description, &emit.name);
            if let Some(answer) = asked {
                let id = format!("answer.{}.{}", manifest.name, emit.name);
                let ack = ack(pen, &channel, id, &emit.name, answer);
                operation["reply"] = json!({"channel": at(&channel), "messages": [ack]});
            }
            pen.operation(&format!("send.{channel}.{}.{}", manifest.name, emit.name), operation);
        }
    }
}

fn event_in(pen: &mut Pen, channel: &str, space: &Space<'_>, manifest: &Manifest, event: &Event) {
    let arguments = Arguments::of_event(event);
    let message = Message {
        id: format!("in.{}.{}", manifest.name, event.name),
        name: &event.name,
        summary: summary(&event.description, &event.name),
        payload: payload(&arguments),
        more: json!({"x-socketio": socketio(manifest, &event.name, &arguments, true)}),
    };
    let received = pen.message(channel, message);
    let answers = acknowledgements(event).into_iter().flatten().collect();
    let ack =
        ack(pen, channel, format!("ack.{}.{}", manifest.name, event.name), &event.name, one_of(answers));
    let mut operation = operation("receive", channel, received, manifest, &event.description, &event.name);
    operation["reply"] = json!({"channel": at(channel), "messages": [ack]});
    secure(&mut operation, space.auth);
    pen.operation(&format!("receive.{channel}.{}.{}", manifest.name, event.name), operation);
}

fn ack(pen: &mut Pen, channel: &str, id: String, event: &str, payload: Value) -> Value {
    let (name, about) = (format!("{event} acknowledgement"), "Only when it is asked for.");
    pen.message(channel, Message { id, name: &name, summary: about, payload, more: json!({}) })
}

/// An endpoint, and all that passes there.
pub(super) fn endpoint(pen: &mut Pen, catalog: &Catalog, space: &Space<'_>) {
    let channel = json!({
        "address": space.path,
        "title": format!("WebSocket {}", space.path),
        "description": "Plain WebSocket: one JSON object per text frame. `action` says what a client wants, `type` what it is told.",
        "servers": [{"$ref": "#/servers/websocket"}],
        "messages": {},
    });
    let channel = pen.channel(&format!("websocket{}", space.path), with_parameters(channel, space.path));
    for manifest in &space.plugins {
        for event in manifest.events.iter().filter(|event| event.name != "*") {
            let message = Message {
                id: format!("in.{}.{}", manifest.name, event.name),
                name: &event.name,
                summary: summary(&event.description, &event.name),
                payload: framed(catalog, "action", &event.name, &Arguments::of_event(event)),
                more: json!({"x-websocket": {"action": event.name, "plugin": manifest.name}}),
            };
            let received = pen.message(&channel, message);
            let mut operation =
                operation("receive", &channel, received, manifest, &event.description, &event.name);
            secure(&mut operation, space.auth);
            pen.operation(&format!("receive.{channel}.{}.{}", manifest.name, event.name), operation);
        }
        for emit in &manifest.emits {
            let message = Message {
                id: format!("out.{}.{}", manifest.name, emit.name),
                name: &emit.name,
                summary: summary(&emit.description, &emit.name),
                payload: framed(catalog, "type", &emit.name, &Arguments::of_emit(emit)),
                more: json!({"x-websocket": {"type": emit.name, "plugin": manifest.name}}),
            };
            let sent = pen.message(&channel, message);
            let operation = operation("send", &channel, sent, manifest, &emit.description, &emit.name);
            pen.operation(&format!("send.{channel}.{}.{}", manifest.name, emit.name), operation);
        }
    }
}

fn secure(operation: &mut Value, auth: AuthMode) {
    if auth == AuthMode::Required {
        operation["security"] = json!([{"$ref": "#/components/securitySchemes/token"}]);
    }
}

fn with_parameters(mut channel: Value, path: &str) -> Value {
    for name in parameters(path) {
        channel["parameters"][name]["description"] = format!("`{name}` of the path.").into();
    }
    channel
}

fn socketio(manifest: &Manifest, event: &str, arguments: &Arguments, ack: bool) -> Value {
    let arguments = match arguments {
        Arguments::Any => json!("any"),
        Arguments::These(these) => json!(these.len()),
    };
    json!({"event": event, "plugin": manifest.name, "arguments": arguments, "acknowledgement": ack})
}

/// One argument as it is; none or several as a list.
fn payload(arguments: &Arguments) -> Value {
    match arguments {
        Arguments::Any => json!({"description": "Any arguments."}),
        Arguments::These(these) => match these.as_slice() {
            [] => json!({"type": "null", "description": "No arguments."}),
            [one] => one.clone(),
            several => json!({
                "type": "array",
                "description": "The arguments, in order.",
                "minItems": several.len(),
                "maxItems": several.len(),
                "items": several,
            }),
        },
    }
}

/// An event as a frame: its name is one more field of its payload.
pub(crate) fn framed(catalog: &Catalog, field: &str, name: &str, arguments: &Arguments) -> Value {
    let tag = if name == "*" { json!({"type": "string"}) } else { json!({"const": name}) };
    let alone = json!({"type": "object", "properties": {field: tag}, "required": [field]});
    let Arguments::These(these) = arguments else { return alone };
    let Some(one) = these.first() else { return alone };
    let known = resolved(one, &catalog.defs);
    let Some(properties) = known.get("properties").and_then(Value::as_object) else {
        return json!({"allOf": [alone, one]});
    };
    let mut whole = known.clone();
    let mut all = Map::from_iter([(field.to_owned(), tag)]);
    all.extend(properties.clone());
    whole["properties"] = Value::Object(all);
    let mut required = vec![Value::from(field)];
    required.extend(known["required"].as_array().into_iter().flatten().cloned());
    whole["required"] = required.into();
    whole
}
