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
        let mut free = Taken::default();
        for taken in messages.as_object().into_iter().flatten() {
            free.take(&[taken.0.clone()]);
        }
        let id = free.take(&[key(&id)]);
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
