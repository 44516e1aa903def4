//! The bus's side: events that services inject, and methods that they ask for.
//!
//! Injected events keep their order per room: each room has a mailbox. What is refused goes to the dead letters
//! with its reason, and a message that wants an answer gets one either way. In a cluster they come from where they are
//! [`kept`], else as they are heard.

mod kept;
mod taking;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

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
    port::{BusMessage, Call, Intake, Interest, PluginId, Reply, Topic},
};
use kept::Kept;

/// Methods of one plugin that may run at the same time; more are answered with `BUSY`.
const CALLS_AT_ONCE: usize = 256;
/// The pause before something is tried again that the bus did not take or give.
const AGAIN: Duration = Duration::from_millis(250);
/// The longest reason in a header, in bytes.
const REASON_LIMIT: usize = 512;

/// A plugin's room.
type Key = (PluginId, String);

/// Injected events on their way.
#[derive(Default)]
pub(super) struct Injected {
    /// What waits per plugin and room; an entry exists only while something does.
    rooms: Mutex<HashMap<Key, Mailbox<Event>>>,
    /// Keeps events, where there is a cluster.
    intake: OnceLock<Arc<dyn Intake>>,
    /// How many plugins' events this node takes from there.
    taken: AtomicUsize,
    /// Those plugins, once what is injected is kept for them.
    given: Mutex<HashSet<PluginId>>,
    /// Set when it has once been given all that it was to take.
    started: AtomicBool,
    /// Set when it is to take no more.
    ended: AtomicBool,
}

impl Injected {
    /// No more are taken.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

struct Event {
    /// Index into `injects` of the manifest; none when nobody takes it.
    handler: Option<u32>,
    name: String,
    message: BusMessage,
    kept: Option<Kept>,
}

/// A dead letter, but for its body.
struct Letter {
    plugin: String,
    headers: Vec<(String, String)>,
}

impl Hub {
    /// Listens for what is injected into a plugin and asked of it, unless that is done already; ends when the bus does.
    pub(super) fn listen(self: &Arc<Self>, plugin: PluginId) -> Vec<Task> {
        let Some(slot) = self.slot(plugin) else { return Vec::new() };
        let name = slot.manifest.name.clone();
        let mut tasks: Vec<Task> = Vec::new();
        if slot.begun.injects(!slot.manifest.injects.is_empty()) {
            let (hub, interest) = (self.clone(), Interest::In { plugin: name.clone() });
            tasks.push(match self.injected.intake.get().cloned() {
                Some(intake) => Box::pin(self.clone().take_kept(plugin, intake, name.clone())),
                None => Box::pin(async move { hub.take_injected(plugin, interest).await }),
            });
        }
        if slot.begun.rpcs(!slot.manifest.rpcs.is_empty()) {
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
            self.inject(plugin, message, None);
        }
    }

    fn inject(self: &Arc<Self>, plugin: PluginId, message: BusMessage, kept: Option<Kept>) {
        let (Some(slot), Topic::In { room, event, .. }) = (self.slot(plugin), &message.topic) else { return };
        slot.metrics.from_bus.inc();
        let about = About { room: Some(room), ..About::default() };
        self.passes_bus(Way::Inject, plugin, event, &message.payload, about);
        let injects = &slot.manifest.injects;
        let exact = injects.iter().position(|inject| inject.event == *event);
        let handler = exact.or_else(|| injects.iter().position(|inject| inject.event == "*"));
        if handler.is_none() && kept.is_none() {
            return self.dead_letter(plugin, &message, &kept::unknown(event));
        }
        let key = (plugin, room.clone());
        let event = Event { handler: handler.map(|at| at as u32), name: event.clone(), message, kept };
        let pushed = {
            let mut rooms = self.injected.rooms.lock();
            let mailbox = rooms.entry(key.clone()).or_default();
            match event.kept {
                Some(_) => mailbox.push_last(event), // no more are given than may be in hand
                None => mailbox.push(event, self.parts.limits.injected_queue),
            }
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

    async fn drain_injected(self: Arc<Self>, key: Key) {
        let mut worn = false;
        while let Some(mut event) = self.next_injected(&key) {
            let since = self.parts.clock.elapsed();
            match event.kept.take() {
                Some(kept) => self.handle_kept(&key, event, kept, &mut worn).await,
                None => self.handle_heard(&key, event).await,
            }
            if let Some(slot) = self.slot(key.0) {
                let took = self.parts.clock.elapsed().saturating_sub(since);
                slot.metrics.delivery_seconds.observe(took.as_secs_f64());
            }
        }
    }

    async fn handle_heard(&self, key: &Key, event: Event) {
        let Some(handler) = event.handler else { return };
        let call = Call::Inject {
            handler,
            room: key.1.clone(),
            event: event.name,
            headers: outside_headers(&event.message),
            payload: event.message.payload.clone(),
        };
        match self.call(key.0, call).await {
            Ok(_) => self.respond(&event.message, &json!({"ok": true}).to_string().into()),
            Err(refusal) => self.dead_letter(key.0, &event.message, &refusal),
        }
    }

    /// The next event of a room; its mailbox goes when nothing waits.
    fn next_injected(&self, key: &Key) -> Option<Event> {
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
        let Some(Letter { plugin: name, headers }) = self.letter(plugin, message, refusal) else { return };
        self.note_letter(plugin, message, refusal);
        let topic = Topic::DeadLetter { plugin: name };
        if let Err(error) = self.parts.bus.publish(&topic, &headers, message.payload.clone()) {
            tracing::warn!(%error, "a dead letter could not be published");
        }
        self.respond(message, &kept::refused(refusal));
    }

    fn letter(&self, plugin: PluginId, message: &BusMessage, refusal: &Refusal) -> Option<Letter> {
        let (Some(slot), Topic::In { room, event, .. }) = (self.slot(plugin), &message.topic) else {
            return None;
        };
        let mut headers = vec![
            ("Exedra-Reason".to_owned(), header_text(&refusal.message)),
            ("Exedra-Code".to_owned(), header_text(refusal.code_str())),
            ("Exedra-Room".to_owned(), header_text(room)),
            ("Exedra-Event".to_owned(), header_text(event)),
        ];
        headers.extend(outside_headers(message));
        Some(Letter { plugin: slot.manifest.name.clone(), headers })
    }

    /// Takes note of a dead letter.
    fn note_letter(&self, plugin: PluginId, message: &BusMessage, refusal: &Refusal) {
        let (Some(slot), Topic::In { room, event, .. }) = (self.slot(plugin), &message.topic) else { return };
        slot.metrics.dead_letters.inc();
        let about = About { room: Some(room), reason: Some(&refusal.message), ..About::default() };
        self.passes_bus(Way::DeadLetter, plugin, event, &message.payload, about);
        tracing::info!(
            plugin = %slot.manifest.name, room, event, code = refusal.code_str(),
            "an injected event was refused: {refusal}"
        );
    }

    fn respond(&self, message: &BusMessage, body: &Bytes) {
        if let Some(reply) = &message.reply {
            self.answer(reply, body);
        }
    }

    fn answer(&self, reply: &Topic, body: &Bytes) {
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

/// The headers that a service gave; those by which the hub speaks itself are nobody else's.
fn outside_headers(message: &BusMessage) -> Vec<(String, String)> {
    let own = |name: &str| name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("exedra-"));
    message.headers.iter().filter(|(name, _)| !own(name)).cloned().collect()
}

/// Text that may stand in a header: one line, printable, not endless.
fn header_text(text: &str) -> String {
    let mut end = text.len().min(REASON_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() || !c.is_ascii() { '?' } else { c }).collect()
}
