//! Looking at events as they pass: `/api/tail` and the console. While nobody looks it costs one relaxed load per
//! event; a watcher that does not keep up misses events, and is told how many, in its place among the others.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use futures_core::Stream;
use parking_lot::Mutex;
use serde::Serialize;

use super::Hub;
use crate::{Connection, Message, port::PluginId};

/// Watchers at the same time; one more is refused.
const WATCHERS: usize = 16;
/// Events that wait for a watcher; more are missed.
const QUEUE: usize = 256;
/// Bytes of a payload that are shown.
const PREVIEW: usize = 2048;

/// Which way an event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From a client to a plugin.
    Client,
    /// From a service to a plugin, over the bus.
    Inject,
    /// From a plugin to one connection.
    Emit,
    /// From a plugin to a room.
    Broadcast,
    /// From a plugin to services, over the bus.
    Publish,
    /// Injected and refused.
    DeadLetter,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Client, Self::Inject, Self::Emit, Self::Broadcast, Self::Publish, Self::DeadLetter];

    /// The word in the API.
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Inject => "inject",
            Self::Emit => "emit",
            Self::Broadcast => "broadcast",
            Self::Publish => "publish",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// An event that has passed.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Which way.
    pub way: Way,
    /// The plugin that it came from or went to.
    pub plugin: String,
    /// The room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The connection's handle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn: Option<u64>,
    /// The member key of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// The event's name.
    pub event: String,
    /// The payload's beginning, as text.
    pub payload: String,
    /// The payload's size in bytes, attachments included.
    pub size: usize,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a watcher wants to see. Absent parts take all; names may end in `*`.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The plugin's name.
    pub plugin: Option<String>,
    /// The room's name.
    pub room: Option<String>,
    /// The event's name.
    pub event: Option<String>,
    /// Which way.
    pub way: Option<Way>,
}

/// What a watcher is told.
#[derive(Debug)]
pub enum Told {
    /// An event.
    Event(Arc<Seen>),
    /// So many events were missed here.
    Missed(u64),
}

/// Who watches.
#[derive(Default)]
pub(super) struct Watch {
    /// How many there are: what the hot path looks at.
    count: AtomicUsize,
    watchers: Mutex<Vec<Arc<Watcher>>>,
}

struct Watcher {
    filter: Filter,
    state: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    told: VecDeque<Told>,
    waker: Option<Waker>,
}

/// A watcher's stream; dropping it ends the watching. Never ends by itself.
pub struct Tail {
    hub: Arc<Hub>,
    watcher: Arc<Watcher>,
}

/// What an event is about, besides itself.
#[derive(Default)]
pub(super) struct About<'a> {
    pub(super) room: Option<&'a str>,
    pub(super) connection: Option<&'a Connection>,
    pub(super) reason: Option<&'a str>,
}

impl Hub {
    /// Watches events from now on; `None` when too many do.
    pub fn watch(self: &Arc<Self>, filter: Filter) -> Option<Tail> {
        let mut watchers = self.watch.watchers.lock();
        if watchers.len() >= WATCHERS {
            return None;
        }
        let watcher = Arc::new(Watcher { filter, state: Mutex::default() });
        watchers.push(watcher.clone());
        self.watch.count.store(watchers.len(), Ordering::Relaxed);
        drop(watchers);
        Some(Tail { hub: self.clone(), watcher })
    }

    /// How many watch.
    pub fn watcher_count(&self) -> usize {
        self.watch.count.load(Ordering::Relaxed)
    }

    /// A message passes.
    pub(super) fn passes(&self, way: Way, plugin: PluginId, message: &Message, about: About<'_>) {
        if self.watcher_count() > 0 {
            self.show(
                way,
                plugin,
                &message.event,
                (&message.args, message.size() - message.event.len()),
                about,
            );
        }
    }

    /// An event of the bus passes.
    pub(super) fn passes_bus(
        &self,
        way: Way,
        plugin: PluginId,
        event: &str,
        payload: &[u8],
        about: About<'_>,
    ) {
        if self.watcher_count() > 0 {
            self.show(way, plugin, event, (payload, payload.len()), about);
        }
    }

    #[cold]
    fn show(
        &self,
        way: Way,
        plugin: PluginId,
        event: &str,
        (payload, size): (&[u8], usize),
        about: About<'_>,
    ) {
        let Some(slot) = self.slot(plugin) else { return };
        let name = &slot.manifest.name;
        let wanting: Vec<_> = {
            let watchers = self.watch.watchers.lock();
            watchers.iter().filter(|w| w.filter.takes(way, name, about.room, event)).cloned().collect()
        };
        if wanting.is_empty() {
            return;
        }
        let since = self.parts.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seen = Arc::new(Seen {
            at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            way,
            plugin: name.clone(),
            room: about.room.map(str::to_owned),
            conn: about.connection.map(|connection| connection.id().0),
            user: about.connection.map(Connection::user),
            event: event.to_owned(),
            payload: String::from_utf8_lossy(&payload[..payload.len().min(PREVIEW)]).into_owned(),
            size,
            reason: about.reason.map(str::to_owned),
        });
        for watcher in wanting {
            watcher.tell(seen.clone());
        }
    }
}

impl Filter {
    fn takes(&self, way: Way, plugin: &str, room: Option<&str>, event: &str) -> bool {
        self.way.is_none_or(|wanted| wanted == way)
            && fits(self.plugin.as_deref(), plugin)
            && fits(self.room.as_deref(), room.unwrap_or_default())
            && fits(self.event.as_deref(), event)
    }
}

fn fits(wanted: Option<&str>, name: &str) -> bool {
    wanted.is_none_or(|wanted| match wanted.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == wanted,
    })
}

impl Watcher {
    fn tell(&self, seen: Arc<Seen>) {
        let mut state = self.state.lock();
        match (state.told.len() >= QUEUE, state.told.back_mut()) {
            (true, Some(Told::Missed(missed))) => *missed += 1,
            (true, _) => state.told.push_back(Told::Missed(1)),
            (false, _) => state.told.push_back(Told::Event(seen)),
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Stream for Tail {
    type Item = Told;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        let mut state = self.watcher.state.lock();
        match state.told.pop_front() {
            Some(told) => Poll::Ready(Some(told)),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let mut watchers = self.hub.watch.watchers.lock();
        watchers.retain(|other| !Arc::ptr_eq(other, &self.watcher));
        self.hub.watch.count.store(watchers.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Arc<Seen> {
        Arc::new(Seen {
            at: 0,
            way: Way::Client,
            plugin: "p".into(),
            room: None,
            conn: None,
            user: None,
            event: "e".into(),
            payload: String::new(),
            size: 0,
            reason: None,
        })
    }

    #[test]
    fn misses_are_told_in_place() {
        let watcher = Watcher { filter: Filter::default(), state: Mutex::default() };
        (0..QUEUE + 5).for_each(|_| watcher.tell(seen()));
        let mut state = watcher.state.lock();
        assert_eq!(state.told.len(), QUEUE + 1);
        assert!(matches!(state.told.back(), Some(Told::Missed(5))));
        state.told.drain(..2);
        drop(state);
        watcher.tell(seen());
        let state = watcher.state.lock();
        assert!(matches!(state.told.back(), Some(Told::Event(_))));
        assert!(matches!(state.told[QUEUE - 2], Told::Missed(5)));
    }

    #[test]
    fn filter_takes_names_and_beginnings() {
        let filter = Filter { plugin: Some("chat".into()), event: Some("vote*".into()), ..Filter::default() };
        assert!(filter.takes(Way::Emit, "chat", None, "votes"));
        assert!(!filter.takes(Way::Emit, "chat", None, "say"));
        assert!(!filter.takes(Way::Emit, "chatter", None, "votes"));
        let rooms = Filter { room: Some("r1".into()), way: Some(Way::Inject), ..Filter::default() };
        assert!(rooms.takes(Way::Inject, "x", Some("r1"), "e"));
        assert!(!rooms.takes(Way::Inject, "x", None, "e") && !rooms.takes(Way::Emit, "x", Some("r1"), "e"));
    }
}
