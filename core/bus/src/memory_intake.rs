//! Injected events of several hubs inside one process, kept until they are settled: the twin of what keeps them on
//! JetStream, with the same guarantees, for tests that want to give events twice, and to kill takers by hand.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use exedra_hub::{
    Task,
    port::{BusError, BusMessage, Delivery, Intake, Slip, Taking, Topic},
};
use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{limits::MAX_PAYLOAD, message};

/// Events that are kept for one plugin; the newest is refused when there are so many.
const MOST: usize = 4096;

/// Where events are kept; all nodes have the same.
#[derive(Clone, Default)]
pub struct Depot {
    shelves: Arc<Mutex<HashMap<String, Shelf>>>,
    shut: Arc<AtomicBool>,
}

/// The events of one plugin.
#[derive(Default)]
struct Shelf {
    /// What is not settled, by number.
    kept: BTreeMap<u64, BusMessage>,
    newest: u64,
    /// `Nats-Msg-Id`s so far.
    names: HashMap<String, u64>,
    /// Which taking it is, and who takes.
    taking: u64,
    taker: Option<mpsc::Sender<Delivery>>,
    letters: Vec<Letter>,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The event's identity.
    pub identity: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub payload: Bytes,
}

impl Depot {
    /// A service injects an event; gives its number, or none when it is not taken in: it has been sent before under the
    /// same name, or there is no place.
    pub fn put(&self, message: BusMessage) -> Option<u64> {
        let Topic::In { plugin, .. } = &message.topic else { return None };
        let mut shelves = self.shelves.lock();
        let shelf = shelves.entry(plugin.clone()).or_default();
        let name = message.headers.iter().find(|(name, _)| name == "Nats-Msg-Id").map(|(_, value)| value);
        if shelf.kept.len() >= MOST || name.is_some_and(|name| shelf.names.contains_key(name)) {
            return None;
        }
        shelf.newest += 1;
        let number = shelf.newest;
        if let Some(name) = name {
            shelf.names.insert(name.clone(), number);
        }
        let message = BusMessage { reply: None, ..message };
        shelf.kept.insert(number, message.clone());
        self.give(shelf, number, message);
        Some(number)
    }

    /// Gives everything once more that is not settled.
    pub fn repeat(&self, plugin: &str) {
        let mut shelves = self.shelves.lock();
        let shelf = shelves.entry(plugin.to_owned()).or_default();
        for (number, message) in shelf.kept.clone() {
            self.give(shelf, number, message);
        }
    }

    /// Forgets the names of events, as a broker that is started again does.
    pub fn forget_names(&self, plugin: &str) {
        self.shelves.lock().entry(plugin.to_owned()).or_default().names.clear();
    }

    /// Ends a taking, as a lost connection does.
    pub fn interrupt(&self, plugin: &str) {
        self.shelves.lock().entry(plugin.to_owned()).or_default().taker = None;
    }

    /// Lets nobody take anything, or lets them again.
    pub fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Release);
    }

    /// How many events are not settled.
    pub fn kept(&self, plugin: &str) -> usize {
        self.shelves.lock().get(plugin).map_or(0, |shelf| shelf.kept.len())
    }

    /// How often the events have been taken.
    pub fn takings(&self, plugin: &str) -> u64 {
        self.shelves.lock().get(plugin).map_or(0, |shelf| shelf.taking)
    }

    /// The dead letters.
    pub fn letters(&self, plugin: &str) -> Vec<Letter> {
        self.shelves.lock().get(plugin).map_or_else(Vec::new, |shelf| shelf.letters.clone())
    }

    fn give(&self, shelf: &mut Shelf, number: u64, message: BusMessage) {
        let Topic::In { plugin, .. } = &message.topic else { return };
        let slip = MemorySlip { depot: self.clone(), plugin: plugin.clone(), number, taking: shelf.taking };
        let delivery = Delivery {
            stream: "memory".into(),
            number,
            identity: format!("memory-{number}").into(),
            taken_in: number,
            slip: Arc::new(slip),
            message,
        };
        let gone = shelf.taker.as_ref().is_some_and(|taker| taker.try_send(delivery).is_err());
        if gone {
            shelf.taker = None; // as over NATS, a taker that cannot be given all in order is given nothing more
        }
    }
}

impl Intake for Depot {
    fn take(&self, plugin: &str) -> Task<Result<Taking, BusError>> {
        if self.shut.load(Ordering::Acquire) {
            return Box::pin(std::future::ready(Err(BusError::Unavailable("shut".to_owned()))));
        }
        let (sender, mut given) = mpsc::channel(2 * MOST);
        let mut shelves = self.shelves.lock();
        let shelf = shelves.entry(plugin.to_owned()).or_default();
        shelf.taking += 1;
        shelf.taker = Some(sender);
        for (number, message) in shelf.kept.clone() {
            self.give(shelf, number, message);
        }
        let events = Box::pin(stream::poll_fn(move |cx| given.poll_recv(cx)));
        Box::pin(std::future::ready(Ok(Taking { events, newest: shelf.newest })))
    }

    fn bury(
        &self,
        plugin: &str,
        identity: &str,
        headers: &[(String, String)],
        payload: Bytes,
    ) -> Task<Result<(), BusError>> {
        let headers = message::fit(headers);
        if message::size(&headers, &payload) > MAX_PAYLOAD {
            return Box::pin(std::future::ready(Err(BusError::TooLarge)));
        }
        let mut shelves = self.shelves.lock();
        let letters = &mut shelves.entry(plugin.to_owned()).or_default().letters;
        if letters.iter().all(|letter| letter.identity != identity) {
            letters.push(Letter { identity: identity.to_owned(), headers, payload });
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

struct MemorySlip {
    depot: Depot,
    plugin: String,
    number: u64,
    taking: u64,
}

impl Slip for MemorySlip {
    fn settle(&self) {
        let mut shelves = self.depot.shelves.lock();
        let shelf = shelves.get_mut(&self.plugin).filter(|shelf| shelf.taking == self.taking);
        if let Some(shelf) = shelf {
            shelf.kept.remove(&self.number);
        }
    }

    fn hold(&self) {}
}
