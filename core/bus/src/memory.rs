//! The bus inside one process: the twin of NATS for a hub that runs alone, with the same limits and the same way to
//! lose messages.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use exedra_hub::{
    Task,
    metrics::Metrics,
    port::{Bus, BusError, BusMessage, BusState, Interest, Messages, Topic},
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    counts::Counts,
    home::Home,
    inbox::{Inbox, Offer, inbox},
    limits::{MAX_PAYLOAD, MAX_REQUESTS, bounded},
    message,
    subject::Subjects,
};

/// The bus inside one process.
pub struct MemoryBus {
    hall: Arc<Hall>,
    metrics: Arc<Metrics>,
    counts: Arc<Counts>,
    home: Home,
    /// Names are encoded here too, so that what is too long for NATS is too long here.
    subjects: Subjects,
}

/// Everyone who listens. One lock, held while a message is handed to inboxes, keeps messages in order.
#[derive(Default)]
struct Hall {
    listeners: Mutex<HashMap<Interest, Listeners>>,
    /// Who waits for an answer, by the address it gave.
    waiting: Mutex<HashMap<String, oneshot::Sender<BusMessage>>>,
    next_address: AtomicU64,
}

#[derive(Default)]
struct Listeners {
    all: Vec<Inbox>,
    /// Queue groups: each message goes to one inbox of each.
    groups: HashMap<String, Group>,
}

#[derive(Default)]
struct Group {
    inboxes: Vec<Inbox>,
    turn: usize,
}

impl MemoryBus {
    /// A bus that nobody listens to yet.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        metrics.bus_up.set(1);
        #[expect(clippy::expect_used, reason = "a literal")]
        let subjects = Subjects::new("exedra").expect("a prefix");
        let counts = Arc::new(Counts::new(&metrics));
        Arc::new(Self { hall: Arc::default(), metrics, counts, home: Home::here(), subjects })
    }

    fn message(
        &self,
        topic: &Topic,
        headers: &[(String, String)],
        payload: Bytes,
    ) -> Result<BusMessage, BusError> {
        self.subjects.subject(topic)?;
        let headers = message::fit(headers);
        if message::size(&headers, &payload) > MAX_PAYLOAD {
            return Err(BusError::TooLarge);
        }
        Ok(BusMessage { topic: topic.clone(), reply: None, headers, payload })
    }
}

impl Bus for MemoryBus {
    fn publish(&self, topic: &Topic, headers: &[(String, String)], payload: Bytes) -> Result<(), BusError> {
        let message = self.message(topic, headers, payload)?;
        self.counts.sent();
        self.counts.received(self.hall.hand_out(message));
        Ok(())
    }

    fn subscribe(&self, interest: &Interest, queue: Option<&str>) -> Task<Result<Messages, BusError>> {
        let outcome = self.subjects.pattern(interest).map(|_| {
            let (inbox, messages) = inbox(self.metrics.plugin(plugin_of(interest)));
            self.hall.listen(interest, queue, inbox);
            messages
        });
        Box::pin(async move { outcome })
    }

    fn request(
        &self,
        topic: &Topic,
        payload: Bytes,
        timeout: Duration,
    ) -> Task<Result<BusMessage, BusError>> {
        let message = self.message(topic, &[], payload);
        let (hall, counts) = (self.hall.clone(), self.counts.clone());
        self.home.host(Box::pin(async move {
            let mut message = message?;
            let (answer, waiting) = hall.wait()?;
            message.reply = Some(Topic::Reply(waiting.address.clone()));
            counts.sent();
            match hall.hand_out(message) {
                0 => return Err(BusError::NoResponders),
                heard => counts.received(heard),
            }
            match tokio::time::timeout(bounded(timeout), answer).await {
                Ok(Ok(answer)) => Ok(answer),
                _ => Err(BusError::Timeout),
            }
        }))
    }

    fn state(&self) -> BusState {
        BusState::Up
    }
}

impl Hall {
    fn listen(&self, interest: &Interest, queue: Option<&str>, inbox: Inbox) {
        let mut listeners = self.listeners.lock();
        // Those who have gone are taken out when a message comes for them, or here when none does.
        listeners.retain(|_, listeners| listeners.keep_present());
        let listeners = listeners.entry(interest.clone()).or_default();
        match queue {
            None => listeners.all.push(inbox),
            Some(queue) => listeners.groups.entry(queue.to_owned()).or_default().inboxes.push(inbox),
        }
    }

    /// Gives the message to everyone it is for and says how many took it.
    fn hand_out(&self, message: BusMessage) -> u64 {
        let Some(interest) = interest_in(&message.topic) else {
            return self.answer(message);
        };
        let mut listeners = self.listeners.lock();
        listeners.get_mut(&interest).map_or(0, |listeners| listeners.hand_out(&message))
    }

    fn answer(&self, message: BusMessage) -> u64 {
        let Topic::Reply(address) = &message.topic else { return 0 };
        let waiting = self.waiting.lock().remove(address);
        waiting.map_or(0, |waiting| u64::from(waiting.send(message).is_ok()))
    }

    /// Prepares for one answer.
    fn wait(self: &Arc<Self>) -> Result<(oneshot::Receiver<BusMessage>, Waiting), BusError> {
        let (sender, answer) = oneshot::channel();
        let address = format!("_INBOX.{}", self.next_address.fetch_add(1, Ordering::Relaxed));
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MAX_REQUESTS {
            return Err(BusError::Unavailable("too many requests are waiting".to_owned()));
        }
        waiting.insert(address.clone(), sender);
        Ok((answer, Waiting { hall: self.clone(), address }))
    }
}

/// Someone who waits for an answer; takes back the address when dropped.
struct Waiting {
    hall: Arc<Hall>,
    address: String,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.hall.waiting.lock().remove(&self.address);
    }
}

impl Listeners {
    fn hand_out(&mut self, message: &BusMessage) -> u64 {
        let mut heard = 0;
        self.all.retain(|inbox| match inbox.offer(message.clone()) {
            Offer::Gone => false,
            Offer::Lost => true,
            Offer::Taken => {
                heard += 1;
                true
            }
        });
        heard + self.groups.values_mut().map(|group| group.hand_out(message)).sum::<u64>()
    }

    fn keep_present(&mut self) -> bool {
        self.all.retain(|inbox| !inbox.is_gone());
        self.groups.retain(|_, group| {
            group.inboxes.retain(|inbox| !inbox.is_gone());
            !group.inboxes.is_empty()
        });
        !self.all.is_empty() || !self.groups.is_empty()
    }
}

impl Group {
    /// Gives the message to the next in turn who is still there.
    fn hand_out(&mut self, message: &BusMessage) -> u64 {
        while !self.inboxes.is_empty() {
            self.turn = (self.turn + 1) % self.inboxes.len();
            match self.inboxes[self.turn].offer(message.clone()) {
                Offer::Taken => return 1,
                Offer::Lost => return 0,
                Offer::Gone => drop(self.inboxes.swap_remove(self.turn)),
            }
        }
        0
    }
}

/// The one interest that a topic is for; an answer is for nobody but who asked.
fn interest_in(topic: &Topic) -> Option<Interest> {
    match topic {
        Topic::In { plugin, .. } => Some(Interest::In { plugin: plugin.clone() }),
        Topic::Out { plugin, .. } => Some(Interest::Out { plugin: plugin.clone() }),
        Topic::Rpc { service, .. } => Some(Interest::Rpc { service: service.clone() }),
        Topic::DeadLetter { plugin } => Some(Interest::DeadLetter { plugin: plugin.clone() }),
        Topic::Reply(_) => None,
    }
}

/// The plugin that a subscription is for, as metrics name it.
pub(crate) fn plugin_of(interest: &Interest) -> &str {
    match interest {
        Interest::In { plugin } | Interest::Out { plugin } | Interest::DeadLetter { plugin } => plugin,
        Interest::Rpc { service } => service,
    }
}
