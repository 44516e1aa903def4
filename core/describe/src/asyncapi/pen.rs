//! Channels, messages and operations as they are written down, each under a key of its own.

use exedra_hub::manifest::Manifest;
use serde_json::{Map, Value, json};

use crate::{
    names::{Taken, key},
    words::summary,
};

/// Writes channels and operations.
#[derive(Default)]
pub(super) struct Pen {
    pub(super) channels: Map<String, Value>,
    pub(super) operations: Map<String, Value>,
    taken: Taken,
}

/// A message of a channel.
pub(super) struct Message<'a> {
    /// Its key in the channel.
    pub(super) id: String,
    pub(super) name: &'a str,
    pub(super) summary: &'a str,
    pub(super) payload: Value,
    /// Further fields.
    pub(super) more: Value,
}

impl Pen {
    /// Begins a channel; gives its key.
    pub(super) fn channel(&mut self, name: &str, channel: Value) -> String {
        let name = self.taken.take(&[key(name)]);
        self.channels.insert(name.clone(), channel);
        name
    }

    /// Adds a message to a channel; gives a reference to it.
    pub(super) fn message(&mut self, channel: &str, message: Message<'_>) -> Value {
        let Message { id, name, summary, payload, more } = message;
        let mut body = json!({"name": name, "title": name, "summary": summary, "payload": payload});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let messages = &mut self.channels[channel]["messages"];
        let id = free_key(&key(&id), messages);
        messages[&id] = body;
        json!({"$ref": format!("#/channels/{channel}/messages/{id}")})
    }

    pub(super) fn operation(&mut self, name: &str, operation: Value) {
        let name = self.taken.take(&[key(name)]);
        self.operations.insert(name, operation);
    }
}

pub(super) fn at(channel: &str) -> Value {
    json!({"$ref": format!("#/channels/{channel}")})
}

pub(super) fn operation(
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

/// A key that the map does not have yet.
fn free_key(wanted: &str, map: &Value) -> String {
    let numbered = (2_u32..).map(|n| format!("{wanted}{n}"));
    let mut free = std::iter::once(wanted.to_owned()).chain(numbered).filter(|key| map.get(key).is_none());
    free.next().unwrap_or_else(|| wanted.to_owned())
}
