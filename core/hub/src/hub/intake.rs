//! The bus's side: events that services inject, and methods that they ask for.
//!
//! Injected events keep their order per room: each room has a mailbox. What is refused goes to the dead letters
//! with its reason, and a message that wants an answer gets one either way.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use serde_json::json;

use super::{
    Hub,
    watch::{About, Way},
};
use crate::{
    Code, Refusal, Task,
    mailbox::{Mailbox, Pushed},
    manifest::Manifest,
    port::{BusMessage, Call, Interest, PluginId, Reply, Topic},
};

/// Methods of one plugin that may run at the same time; more are answered with `BUSY`.
const CALLS_AT_ONCE: usize = 256;
/// The longest reason in a header, in bytes.
const REASON_LIMIT: usize = 512;

/// What waits per plugin and room; an entry exists only while something does.
#[derive(Default)]
pub(super) struct Injected {
    rooms: Mutex<HashMap<(PluginId, String), Mailbox<Event>>>,
}

struct Event {
    handler: u32,
    name: String,
    message: BusMessage,
}

impl Hub {
    /// Listens for what is injected into a plugin and asked of it, unless the version `before` was listened for
    /// already; ends when the bus does.
    pub(super) fn listen(self: &Arc<Self>, plugin: PluginId, before: &Manifest) -> Vec<Task> {
        let Some(slot) = self.slot(plugin) else { return Vec::new() };
        let name = slot.manifest.name.clone();
        let mut tasks: Vec<Task> = Vec::new();
        if !slot.manifest.injects.is_empty() && before.injects.is_empty() {
            let (hub, interest) = (self.clone(), Interest::In { plugin: name.clone() });
            tasks.push(Box::pin(async move { hub.take_injected(plugin, interest).await }));
        }
        if !slot.manifest.rpcs.is_empty() && before.rpcs.is_empty() {
            let (hub, interest) = (self.clone(), Interest::Rpc { service: name });
            tasks.push(Box::pin(async move { hub.take_requests(plugin, interest).await }));
        }
        tasks
    }

    async fn take_injected(self: Arc<Self>, plugin: PluginId, interest: Interest) {
        let mut messages = match self.parts.bus.subscribe(&interest, None).await {
            Ok(messages) => messages,
            Err(error) => return tracing::error!(%error, ?interest, "the bus subscription failed"),
        };
        while let Some(message) = messages.next().await {
            self.inject(plugin, message);
        }
    }

    fn inject(self: &Arc<Self>, plugin: PluginId, message: BusMessage) {
        let (Some(slot), Topic::In { room, event, .. }) = (self.slot(plugin), &message.topic) else { return };
        slot.metrics.from_bus.inc();
        let about = About { room: Some(room), ..About::default() };
        self.passes_bus(Way::Inject, plugin, event, &message.payload, about);
        let injects = &slot.manifest.injects;
        let exact = injects.iter().position(|inject| inject.event == *event);
        let Some(handler) = exact.or_else(|| injects.iter().position(|inject| inject.event == "*")) else {
            let refusal = Refusal::new(Code::NotFound, format!("the plugin takes no event `{event}`"));
            return self.dead_letter(plugin, &message, &refusal);
        };
        let key = (plugin, room.clone());
        let event = Event { handler: handler as u32, name: event.clone(), message };
        let pushed = {
            let mut rooms = self.injected.rooms.lock();
            rooms.entry(key.clone()).or_default().push(event, self.parts.limits.injected_queue)
        };
        match pushed {
            Pushed::Start => {
                let hub = self.clone();
                self.spawn(Box::pin(async move { hub.drain_injected(key).await }));
            }
            Pushed::Waits => {}
            Pushed::Full(event) => {
                slot.metrics.dropped("queue_full");
                let refusal = Refusal::new(Code::Busy, "too many events wait for this room");
                self.dead_letter(plugin, &event.message, &refusal);
            }
        }
    }

    async fn drain_injected(self: Arc<Self>, key: (PluginId, String)) {
        while let Some(event) = self.next_injected(&key) {
            let Ok(plugins) = self.plugins() else { return };
            let since = self.parts.clock.elapsed();
            let call = Call::Inject {
                handler: event.handler,
                room: key.1.clone(),
                event: event.name,
                headers: event.message.headers.clone(),
                payload: event.message.payload.clone(),
            };
            match plugins.call(key.0, call).await {
                Ok(_) => self.respond(&event.message, &json!({"ok": true}).to_string().into()),
                Err(refusal) => self.dead_letter(key.0, &event.message, &refusal),
            }
            if let Some(slot) = self.slot(key.0) {
                let took = self.parts.clock.elapsed().saturating_sub(since);
                slot.metrics.delivery_seconds.observe(took.as_secs_f64());
            }
        }
    }

    /// The next event of a room; its mailbox goes when nothing waits.
    fn next_injected(&self, key: &(PluginId, String)) -> Option<Event> {
        let mut rooms = self.injected.rooms.lock();
        let (event, _) = rooms.get_mut(key)?.next(self.parts.limits.injected_queue);
        if event.is_none() {
            rooms.remove(key);
            if rooms.capacity() > 1024 && rooms.len() < rooms.capacity() / 8 {
                rooms.shrink_to_fit();
            }
        }
        event
    }

    /// Refuses an injected message: to the dead letters, and to whoever waits for an answer.
    fn dead_letter(&self, plugin: PluginId, message: &BusMessage, refusal: &Refusal) {
        let (Some(slot), Topic::In { room, event, .. }) = (self.slot(plugin), &message.topic) else { return };
        slot.metrics.dead_letters.inc();
        let about = About { room: Some(room), reason: Some(&refusal.message), ..About::default() };
        self.passes_bus(Way::DeadLetter, plugin, event, &message.payload, about);
        tracing::info!(
            plugin = %slot.manifest.name, room, event, code = refusal.code_str(),
            "an injected event was refused: {refusal}"
        );
        let mut headers = vec![
            ("Exedra-Reason".to_owned(), header_text(&refusal.message)),
            ("Exedra-Code".to_owned(), header_text(refusal.code_str())),
            ("Exedra-Room".to_owned(), header_text(room)),
            ("Exedra-Event".to_owned(), header_text(event)),
        ];
        headers.extend(message.headers.iter().filter(|(name, _)| !name.starts_with("Exedra-")).cloned());
        let topic = Topic::DeadLetter { plugin: slot.manifest.name.clone() };
        if let Err(error) = self.parts.bus.publish(&topic, &headers, message.payload.clone()) {
            tracing::warn!(%error, "a dead letter could not be published");
        }
        self.respond(message, &json!({"error": refusal.describe()}).to_string().into());
    }

    fn respond(&self, message: &BusMessage, body: &Bytes) {
        let Some(reply) = &message.reply else { return };
        if let Err(error) = self.parts.bus.publish(reply, &[], body.clone()) {
            tracing::warn!(%error, "an answer could not be published");
        }
    }

    async fn take_requests(self: Arc<Self>, plugin: PluginId, interest: Interest) {
        // One answer per request, however many nodes serve the plugin.
        let mut messages = match self.parts.bus.subscribe(&interest, Some("exedra")).await {
            Ok(messages) => messages,
            Err(error) => return tracing::error!(%error, ?interest, "the bus subscription failed"),
        };
        let running = Arc::new(());
        while let Some(message) = messages.next().await {
            if Arc::strong_count(&running) > CALLS_AT_ONCE {
                let refusal = Refusal::new(Code::Busy, "too many requests at once");
                self.respond(&message, &json!({"error": refusal.describe()}).to_string().into());
                continue;
            }
            let (hub, permit) = (self.clone(), running.clone());
            self.spawn(Box::pin(async move {
                hub.answer_request(plugin, message).await;
                drop(permit);
            }));
        }
    }

    async fn answer_request(&self, plugin: PluginId, message: BusMessage) {
        let (Some(slot), Topic::Rpc { method, .. }) = (self.slot(plugin), &message.topic) else { return };
        slot.metrics.from_bus.inc();
        let known = slot.manifest.rpcs.iter().position(|rpc| rpc.method == *method);
        let reply = match (known, self.plugins()) {
            (Some(handler), Ok(plugins)) => {
                let payload = message.payload.clone();
                plugins
                    .call(plugin, Call::Rpc { handler: handler as u32, method: method.clone(), payload })
                    .await
            }
            (None, _) => Err(Refusal::new(Code::NotFound, format!("the plugin has no method `{method}`"))),
            (_, Err(refusal)) => Err(refusal),
        };
        let body = match reply {
            Ok(Reply::Args { args, .. }) => args,
            Ok(Reply::Empty | Reply::Http(_)) => Bytes::from_static(b"null"),
            Err(refusal) => json!({"error": refusal.describe()}).to_string().into(),
        };
        self.respond(&message, &body);
    }
}

/// Text that may stand in a header: one line, printable, not endless.
fn header_text(text: &str) -> String {
    let mut end = text.len().min(REASON_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() || !c.is_ascii() { '?' } else { c }).collect()
}
