//! One taking: the task that reads what its consumer is given, and sees to it that nothing is missing.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use exedra_hub::port::{BusMessage, Deliveries, Delivery, Slip};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{
    super::{Client, NatsBus, State, jetstream, listening::header_list, outgoing::Letter},
    IN_HAND,
};

/// How often it is looked whether the connection is still the same.
const LOOK: Duration = Duration::from_millis(250);

/// What is read.
pub(super) struct About {
    pub(super) plugin: String,
    pub(super) stream: Arc<str>,
    /// When the stream was made: a number of another one is another event.
    pub(super) born: i128,
    /// Which connection it began on.
    pub(super) connection: u64,
}

/// Which connection the client has; none while it has none.
pub(super) fn connection(client: &Client) -> Option<u64> {
    let connects = client.statistics().connects.load(Ordering::Relaxed);
    (client.connection_state() == State::Connected).then_some(connects)
}

/// Reads until another one takes over, something is missing, or nobody listens any more.
pub(super) fn read(
    bus: Arc<NatsBus>,
    messages: jetstream::consumer::pull::Stream,
    about: About,
) -> Deliveries {
    let (sender, mut given) = mpsc::channel(IN_HAND as usize);
    tokio::spawn(Reading { bus, about, sender, last: 0 }.run(messages));
    Box::pin(stream::poll_fn(move |cx| given.poll_recv(cx)))
}

struct Reading {
    bus: Arc<NatsBus>,
    about: About,
    sender: mpsc::Sender<Delivery>,
    /// The consumer's count of what it was given last.
    last: u64,
}

impl Reading {
    async fn run(mut self, mut messages: jetstream::consumer::pull::Stream) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                biased;
                () = self.sender.closed() => return,
                _ = look.tick() => None,
                message = messages.next() => match message {
                    Some(Ok(message)) => Some(message),
                    Some(Err(error)) => {
                        let plugin = &*self.about.plugin;
                        return tracing::info!(plugin, "injected events are not given any more: {error}");
                    }
                    None => return,
                },
            };
            if connection(&self.bus.client) != Some(self.about.connection) {
                return; // what was on its way when the connection broke is missing
            }
            let Some(message) = message else { continue };
            self.bus.counts.received(1);
            let Some(delivery) = self.delivery(message) else { return };
            if let Some(delivery) = delivery
                && self.sender.send(delivery).await.is_err()
            {
                return;
            }
        }
    }

    /// The event in the hub's words, or nothing for what is none; none when one is missing before it.
    fn delivery(&mut self, message: jetstream::Message) -> Option<Option<Delivery>> {
        let info = message.info().ok()?;
        if info.consumer_sequence != self.last + 1 {
            return None;
        }
        self.last = info.consumer_sequence;
        let (number, taken_in) = (info.stream_sequence, info.published.unix_timestamp_nanos() / 1_000);
        let slip = NatsSlip { bus: self.bus.clone(), address: message.reply.as_deref()?.to_owned() };
        let Some(topic) = self.bus.subjects.topic(&message.subject) else {
            self.bus.metrics.plugin(&self.about.plugin).dropped("refused");
            tracing::debug!(subject = %message.subject.escape_debug(), "an event came on an unreadable subject");
            slip.settle();
            return Some(None);
        };
        let message = message.message;
        Some(Some(Delivery {
            message: BusMessage {
                topic,
                reply: None,
                headers: header_list(message.headers.as_ref()),
                payload: message.payload,
            },
            stream: self.about.stream.clone(),
            number,
            identity: format!("{:x}-{number}", self.about.born).into(),
            taken_in: u64::try_from(taken_in).unwrap_or_default(),
            slip: Arc::new(slip),
        }))
    }
}

/// Where to say what has become of an event.
struct NatsSlip {
    bus: Arc<NatsBus>,
    address: String,
}

impl NatsSlip {
    /// Through the same queue as dead letters and answers, so behind those that belong to the event.
    fn say(&self, word: &'static [u8]) {
        let (subject, payload) = (self.address.clone(), Bytes::from_static(word));
        let letter = Letter { subject, headers: None, payload, size: word.len(), again: false };
        let said = self.bus.outgoing.push(letter);
        if let Err(error) = said {
            tracing::debug!(%error, "an event will be given once more");
        }
    }
}

impl Slip for NatsSlip {
    fn settle(&self) {
        self.say(b"+ACK");
    }

    fn hold(&self) {
        self.say(b"+WPI");
    }
}
