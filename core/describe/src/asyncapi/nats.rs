//! NATS subjects as channels: what services inject, ask for and are told.

use exedra_hub::manifest::{Header, Manifest};
use serde_json::{Map, Value, json};

use super::pen::{Message, Pen, at, operation};
use crate::{
    Facts,
    words::{one_of, summary},
};

/// The channel of answers: their address comes with the request.
const REPLIES: &str = "nats_replies";

/// What is said of a subject.
struct Words<'a> {
    kind: &'a str,
    event: &'a str,
    description: &'a str,
}

/// All subjects of a plugin.
pub(super) fn subjects(pen: &mut Pen, facts: &Facts, manifest: &Manifest) {
    let (plugin, prefix) = (&manifest.name, &facts.prefix);
    for inject in &manifest.injects {
        let (address, event) = subject(prefix, "in", plugin, &inject.event);
        let body = match (&inject.body_type, &inject.schema) {
            (Some(_), _) => json!({"type": "string", "format": "binary"}),
            (None, Some(schema)) => schema.clone(),
            (None, None) => json!({}),
        };
        let mut more = json!({});
        if let Some(kind) = &inject.body_type {
            more["contentType"] = kind.clone().into();
        }
        if !inject.headers.is_empty() {
            more["headers"] = headers(&inject.headers);
        }
        let words = Words { kind: "in", event: &inject.event, description: &inject.description };
        let refused = json!({"anyOf": [{"$ref": "#/$defs/Taken"}, {"$ref": "#/$defs/Refused"}]});
        on_nats(pen, "receive", manifest, &words, (address, event), (body, more), Some(refused));
    }
    for rpc in &manifest.rpcs {
        let words = Words { kind: "rpc", event: &rpc.method, description: &rpc.description };
        let body = rpc.schema.clone().unwrap_or_else(|| json!({}));
        let answer = one_of(
            [rpc.answer.clone(), Some(json!({"$ref": "#/$defs/Refused"}))].into_iter().flatten().collect(),
        );
        let address = format!("{prefix}.rpc.{plugin}.{}", rpc.method);
        on_nats(pen, "receive", manifest, &words, (address, false), (body, json!({})), Some(answer));
    }
    for out in &manifest.outs {
        let (address, event) = subject(prefix, "out", plugin, &out.event);
        let words = Words { kind: "out", event: &out.event, description: &out.description };
        let body = out.schema.clone().unwrap_or_else(|| json!({}));
        on_nats(pen, "send", manifest, &words, (address, event), (body, json!({})), None);
    }
    for ask in &manifest.asks {
        let event = format!("{}.{}", ask.service, ask.method);
        let words = Words { kind: "ask", event: &event, description: &ask.description };
        let body = ask.schema.clone().unwrap_or_else(|| json!({}));
        let answer = one_of(
            [ask.answer.clone(), Some(json!({"$ref": "#/$defs/Refused"}))].into_iter().flatten().collect(),
        );
        let address = format!("{prefix}.rpc.{}.{}", ask.service, ask.method);
        on_nats(pen, "send", manifest, &words, (address, false), (body, json!({})), Some(answer));
    }
    if !manifest.injects.is_empty() {
        let words = Words {
            kind: "dlq",
            event: "refused",
            description: "An injected event that was refused, as it came.",
        };
        let more = json!({"headers": {
            "type": "object",
            "properties": {
                "Exedra-Reason": {"type": "string", "description": "Why, for people."},
                "Exedra-Code": {"type": "string", "description": "Why, for programs."},
                "Exedra-Room": {"type": "string", "description": "The room of its subject."},
                "Exedra-Event": {"type": "string", "description": "The event of its subject."},
            },
            "required": ["Exedra-Reason", "Exedra-Code", "Exedra-Room", "Exedra-Event"],
        }});
        let address = format!("{prefix}.dlq.{plugin}");
        on_nats(pen, "send", manifest, &words, (address, false), (json!({}), more), None);
    }
}

/// One subject, one message, and its answer. An address has a room where it has braces, and an event when it says.
fn on_nats(
    pen: &mut Pen,
    action: &str,
    manifest: &Manifest,
    words: &Words<'_>,
    (address, any_event): (String, bool),
    (body, more): (Value, Value),
    answer: Option<Value>,
) {
    let id = format!("{}.{}.{}", words.kind, manifest.name, words.event);
    let mut channel = json!({
        "address": address,
        "title": id,
        "description": "A NATS subject.",
        "servers": [{"$ref": "#/servers/nats"}],
        "messages": {},
        "x-nats": {"kind": words.kind, "plugin": manifest.name, "event": words.event},
    });
    if address.contains("{room}") {
        channel["parameters"]["room"]["description"] = encoded("The room").into();
    }
    if any_event {
        channel["parameters"]["event"]["description"] = encoded("The event").into();
    }
    let channel = pen.channel(&format!("nats.{id}"), channel);
    let message = Message {
        id: words.event.to_owned(),
        name: words.event,
        summary: summary(words.description, words.event),
        payload: body,
        more,
    };
    let sent = pen.message(&channel, message);
    let mut operation = operation(action, &channel, sent, manifest, words.description, words.event);
    if let Some(answer) = answer {
        operation["reply"] = reply(pen, &id, answer);
    }
    pen.operation(&format!("{action}.nats.{id}"), operation);
}

fn reply(pen: &mut Pen, id: &str, payload: Value) -> Value {
    if !pen.channels.contains_key(REPLIES) {
        let channel = json!({
            "address": null,
            "title": "Answers",
            "description": "Where a request says that it wants its answer.",
            "servers": [{"$ref": "#/servers/nats"}],
            "messages": {},
        });
        pen.channel(REPLIES, channel);
    }
    let message = Message {
        id: id.to_owned(),
        name: &format!("{id} answer"),
        summary: "The answer to a request.",
        payload,
        more: json!({}),
    };
    let answer = pen.message(REPLIES, message);
    json!({
        "address": {"location": "$message.header#/reply", "description": "The reply subject of the request."},
        "channel": at(REPLIES),
        "messages": [answer],
    })
}

/// The address of an event of a room, and whether the event is a parameter too.
fn subject(prefix: &str, kind: &str, plugin: &str, event: &str) -> (String, bool) {
    let any = event == "*";
    let event = if any { "{event}".to_owned() } else { token(event) };
    (format!("{prefix}.{kind}.{plugin}.{{room}}.{event}"), any)
}

/// A name as a token of a subject.
fn token(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            token.push(char::from(byte));
        } else {
            token.push_str(&format!("={byte:02X}"));
        }
    }
    token
}

fn encoded(what: &str) -> String {
    format!(
        "{what}: `A-Z a-z 0-9 - _` stand for themselves, every other byte is `=XX` in hexadecimal digits."
    )
}

fn headers(headers: &[Header]) -> Value {
    let required: Vec<_> =
        headers.iter().filter(|header| header.required).map(|header| &header.name).collect();
    let properties: Map<_, _> = headers
        .iter()
        .map(|header| {
            let schema = match &header.schema {
                Some(schema) => json!({
                    "type": "string",
                    "description": header.description,
                    "contentMediaType": "application/json",
                    "x-json": schema,
                }),
                None => json!({"type": "string", "description": header.description}),
            };
            (header.name.clone(), schema)
        })
        .collect();
    json!({"type": "object", "properties": properties, "required": required})
}
