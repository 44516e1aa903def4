//! Events as AsyncAPI 3: what goes over Socket.IO, plain WebSocket and NATS. The application that the document speaks
//! of is the hub: it receives what clients and services send. `x-socketio` says what AsyncAPI has no words for.

use exedra_hub::manifest::{AuthMode, Event, Header, Manifest};
use serde_json::{Map, Value, json};

use crate::{
    Facts,
    bundle::{placed, reachable, resolved},
    catalog::{Catalog, Space},
    names::{Taken, key},
    words::{Arguments, acknowledgements, auth_word, one_of, parameters, summary},
};

/// The channel of answers: their address comes with the request.
const REPLIES: &str = "nats_replies";

pub(crate) fn document(facts: &Facts, catalog: Catalog) -> Value {
    let mut pen = Pen::new(&catalog);
    for space in catalog.namespaces() {
        pen.namespace(facts, &space);
    }
    for space in catalog.endpoints() {
        pen.endpoint(&space);
    }
    for plugin in &catalog.plugins {
        pen.nats(facts, &plugin.manifest);
    }
    let Pen { channels, operations, .. } = pen;
    let tags: Vec<_> = catalog
        .plugins
        .iter()
        .map(|plugin| &plugin.manifest)
        .map(|manifest| json!({"name": manifest.name, "description": summary(&manifest.description, &manifest.name)}))
        .collect();
    let schemas = reachable(&json!(channels), &catalog.defs);
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Exedra",
            "version": facts.version,
            "description": "The events of this hub's plugins. Routes over HTTP are in `/openapi.json`.",
            "tags": tags,
        },
        "defaultContentType": "application/json",
        "servers": servers(facts, &catalog),
        "channels": channels,
        "operations": operations,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "`auth.token` of the Socket.IO handshake; on a WebSocket the header or `token` in the query.",
                },
            },
        },
    });
    placed(document, "#/components/schemas/")
}

fn servers(facts: &Facts, catalog: &Catalog) -> Value {
    let mut servers = Map::new();
    if !catalog.namespaces().is_empty() {
        let server = json!({
            "host": facts.public,
            "pathname": facts.socketio_path,
            "protocol": "socketio",
            "protocolVersion": "5",
            "description": "Socket.IO over WebSocket and long polling (Engine.IO 4).",
        });
        servers.insert("socketio".into(), server);
    }
    if !catalog.endpoints().is_empty() {
        let server = json!({"host": facts.public, "protocol": "ws", "description": "Plain WebSocket, JSON in text frames."});
        servers.insert("websocket".into(), server);
    }
    if facts.nats.is_empty() {
        let server = json!({
            "host": "127.0.0.1:4222",
            "protocol": "nats",
            "description": "For outside services, once `nats.url` is set: at present the bus is inside the hub.",
        });
        servers.insert("nats".into(), server);
    }
    for (host, at) in facts.nats.iter().zip(1..) {
        let name = if at == 1 { "nats".to_owned() } else { format!("nats{at}") };
        servers
            .insert(name, json!({"host": host, "protocol": "nats", "description": "For outside services."}));
    }
    Value::Object(servers)
}

/// Writes channels and operations.
struct Pen<'a> {
    catalog: &'a Catalog,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    taken: Taken,
}

/// A message of a channel.
struct Message<'a> {
    /// Its key in the channel.
    id: String,
    name: &'a str,
    summary: &'a str,
    payload: Value,
    /// Further fields.
    more: Value,
}

impl<'a> Pen<'a> {
    fn new(catalog: &'a Catalog) -> Self {
        Self { catalog, channels: Map::new(), operations: Map::new(), taken: Taken::default() }
    }

    /// Begins a channel; gives its key.
    fn channel(&mut self, name: &str, channel: Value) -> String {
        let name = self.taken.take(&[key(name)]);
        self.channels.insert(name.clone(), channel);
        name
    }

    /// Adds a message to a channel; gives a reference to it.
    fn message(&mut self, channel: &str, message: Message<'_>) -> Value {
        let Message { id, name, summary, payload, more } = message;
        let mut body = json!({"name": name, "title": name, "summary": summary, "payload": payload});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let messages = &mut self.channels[channel]["messages"];
        let mut free = Taken::default();
        for taken in messages.as_object().into_iter().flatten() {
            free.take(&[taken.0.clone()]);
        }
        let id = free.take(&[key(&id)]);
        messages[&id] = body;
        json!({"$ref": format!("#/channels/{channel}/messages/{id}")})
    }

    fn operation(&mut self, name: &str, operation: Value) {
        let name = self.taken.take(&[key(name)]);
        self.operations.insert(name, operation);
    }

    fn namespace(&mut self, facts: &Facts, space: &Space<'_>) {
        let name =
            if space.path == "/" { "socketio_root".to_owned() } else { format!("socketio{}", space.path) };
        let plugins: Vec<_> = space.plugins.iter().map(|manifest| &manifest.name).collect();
        let channel = json!({
            "address": space.path,
            "title": format!("Namespace {}", space.path),
            "description": "A Socket.IO namespace.",
            "servers": [{"$ref": "#/servers/socketio"}],
            "messages": {},
            "x-socketio": {"namespace": space.path, "path": facts.socketio_path, "auth": auth_word(space.auth), "plugins": plugins},
        });
        let channel = self.channel(&name, with_parameters(channel, space.path));
        for manifest in &space.plugins {
            for event in &manifest.events {
                self.event_in(&channel, space, manifest, event);
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
                let sent = self.message(&channel, message);
                let mut operation =
                    operation("send", &channel, sent, manifest, &emit.description, &emit.name);
                if let Some(answer) = asked {
                    let id = format!("answer.{}.{}", manifest.name, emit.name);
                    let ack = self.ack(&channel, id, &emit.name, answer);
                    operation["reply"] = json!({"channel": at(&channel), "messages": [ack]});
                }
                self.operation(&format!("send.{channel}.{}.{}", manifest.name, emit.name), operation);
            }
        }
    }

    fn event_in(&mut self, channel: &str, space: &Space<'_>, manifest: &Manifest, event: &Event) {
        let arguments = Arguments::of_event(event);
        let message = Message {
            id: format!("in.{}.{}", manifest.name, event.name),
            name: &event.name,
            summary: summary(&event.description, &event.name),
            payload: payload(&arguments),
            more: json!({"x-socketio": socketio(manifest, &event.name, &arguments, true)}),
        };
        let received = self.message(channel, message);
        let answers = acknowledgements(event).into_iter().flatten().collect();
        let ack =
            self.ack(channel, format!("ack.{}.{}", manifest.name, event.name), &event.name, one_of(answers));
        let mut operation =
            operation("receive", channel, received, manifest, &event.description, &event.name);
        operation["reply"] = json!({"channel": at(channel), "messages": [ack]});
        secure(&mut operation, space.auth);
        self.operation(&format!("receive.{channel}.{}.{}", manifest.name, event.name), operation);
    }

    fn ack(&mut self, channel: &str, id: String, event: &str, payload: Value) -> Value {
        let (name, about) = (format!("{event} acknowledgement"), "Only when it is asked for.");
        self.message(channel, Message { id, name: &name, summary: about, payload, more: json!({}) })
    }

    fn endpoint(&mut self, space: &Space<'_>) {
        let channel = json!({
            "address": space.path,
            "title": format!("WebSocket {}", space.path),
            "description": "Plain WebSocket: one JSON object per text frame. `action` says what a client wants, `type` what it is told.",
            "servers": [{"$ref": "#/servers/websocket"}],
            "messages": {},
        });
        let channel = self.channel(&format!("websocket{}", space.path), with_parameters(channel, space.path));
        for manifest in &space.plugins {
            for event in manifest.events.iter().filter(|event| event.name != "*") {
                let message = Message {
                    id: format!("in.{}.{}", manifest.name, event.name),
                    name: &event.name,
                    summary: summary(&event.description, &event.name),
                    payload: self.frame("action", &event.name, &Arguments::of_event(event)),
                    more: json!({"x-websocket": {"action": event.name, "plugin": manifest.name}}),
                };
                let received = self.message(&channel, message);
                let mut operation =
                    operation("receive", &channel, received, manifest, &event.description, &event.name);
                secure(&mut operation, space.auth);
                self.operation(&format!("receive.{channel}.{}.{}", manifest.name, event.name), operation);
            }
            for emit in &manifest.emits {
                let message = Message {
                    id: format!("out.{}.{}", manifest.name, emit.name),
                    name: &emit.name,
                    summary: summary(&emit.description, &emit.name),
                    payload: self.frame("type", &emit.name, &Arguments::of_emit(emit)),
                    more: json!({"x-websocket": {"type": emit.name, "plugin": manifest.name}}),
                };
                let sent = self.message(&channel, message);
                let operation = operation("send", &channel, sent, manifest, &emit.description, &emit.name);
                self.operation(&format!("send.{channel}.{}.{}", manifest.name, emit.name), operation);
            }
        }
    }

    /// An event as a frame: its name is one more field.
    fn frame(&self, field: &str, name: &str, arguments: &Arguments) -> Value {
        framed(self.catalog, field, name, arguments)
    }

    fn nats(&mut self, facts: &Facts, manifest: &Manifest) {
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
            self.on_nats("receive", manifest, &words, (address, event), (body, more), Some(refused));
        }
        for rpc in &manifest.rpcs {
            let words = Words { kind: "rpc", event: &rpc.method, description: &rpc.description };
            let body = rpc.schema.clone().unwrap_or_else(|| json!({}));
            let answer = one_of(
                [rpc.answer.clone(), Some(json!({"$ref": "#/$defs/Refused"}))]
                    .into_iter()
                    .flatten()
                    .collect(),
            );
            let address = format!("{prefix}.rpc.{plugin}.{}", rpc.method);
            self.on_nats("receive", manifest, &words, (address, false), (body, json!({})), Some(answer));
        }
        for out in &manifest.outs {
            let (address, event) = subject(prefix, "out", plugin, &out.event);
            let words = Words { kind: "out", event: &out.event, description: &out.description };
            let body = out.schema.clone().unwrap_or_else(|| json!({}));
            self.on_nats("send", manifest, &words, (address, event), (body, json!({})), None);
        }
        for ask in &manifest.asks {
            let event = format!("{}.{}", ask.service, ask.method);
            let words = Words { kind: "ask", event: &event, description: &ask.description };
            let body = ask.schema.clone().unwrap_or_else(|| json!({}));
            let answer = one_of(
                [ask.answer.clone(), Some(json!({"$ref": "#/$defs/Refused"}))]
                    .into_iter()
                    .flatten()
                    .collect(),
            );
            let address = format!("{prefix}.rpc.{}.{}", ask.service, ask.method);
            self.on_nats("send", manifest, &words, (address, false), (body, json!({})), Some(answer));
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
            self.on_nats("send", manifest, &words, (address, false), (json!({}), more), None);
        }
    }

    /// One subject, one message, and its answer. An address has a room where it has braces, and an event when it says.
    fn on_nats(
        &mut self,
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
        let channel = self.channel(&format!("nats.{id}"), channel);
        let message = Message {
            id: words.event.to_owned(),
            name: words.event,
            summary: summary(words.description, words.event),
            payload: body,
            more,
        };
        let sent = self.message(&channel, message);
        let mut operation = operation(action, &channel, sent, manifest, words.description, words.event);
        if let Some(answer) = answer {
            operation["reply"] = self.reply(&id, answer);
        }
        self.operation(&format!("{action}.nats.{id}"), operation);
    }

    fn reply(&mut self, id: &str, payload: Value) -> Value {
        if !self.channels.contains_key(REPLIES) {
            let channel = json!({
                "address": null,
                "title": "Answers",
                "description": "Where a request says that it wants its answer.",
                "servers": [{"$ref": "#/servers/nats"}],
                "messages": {},
            });
            self.channel(REPLIES, channel);
        }
        let message = Message {
            id: id.to_owned(),
            name: &format!("{id} answer"),
            summary: "The answer to a request.",
            payload,
            more: json!({}),
        };
        let answer = self.message(REPLIES, message);
        json!({
            "address": {"location": "$message.header#/reply", "description": "The reply subject of the request."},
            "channel": at(REPLIES),
            "messages": [answer],
        })
    }
}

/// What is said of a subject.
struct Words<'a> {
    kind: &'a str,
    event: &'a str,
    description: &'a str,
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

fn at(channel: &str) -> Value {
    json!({"$ref": format!("#/channels/{channel}")})
}

fn operation(
    action: &str,
    channel: &str,
    message: Value,
    manifest: &Manifest,
    description: &str,
    name: &str,
) -> Value {
    json!({
        "action": action,
        "channel": at(channel),
        "summary": summary(description, name),
        "tags": [{"name": manifest.name}],
        "messages": [message],
    })
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
