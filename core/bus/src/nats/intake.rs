//! Injected events on JetStream: a stream per plugin from which an event goes when it is settled, so that whoever takes
//! over finds exactly what is left, in order. A taker is a consumer with a name of its own; taking over deletes those of
//! all others, and with them their right to be given anything and to settle anything.
//!
//! A taking ends when the connection was lost or a delivery is missing: what was on its way would come late, behind what
//! is newer, but the next taking begins with it.

mod reading;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use exedra_hub::{
    Task,
    port::{BusError, Intake, Interest, Taking, Topic},
};
use futures_util::TryStreamExt;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use super::{NatsBus, Request, RequestErrorKind, jetstream, listening::header_map, unavailable};
use crate::{message, subject::encode};
use jetstream::{
    consumer::{AckPolicy, pull},
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream},
};

/// How long JetStream may take for all that a taking needs.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the taker before may go on with what it has in hand.
const HANDOVER: Duration = Duration::from_millis(1_200);
/// How long an event waits for hubs that are away.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// Bytes and events that wait for one plugin.
const MOST: (i64, i64) = (256 * 1024 * 1024, 500_000);
/// How long dead letters are kept, and how many bytes of them.
const LETTERS: (Duration, i64) = (Duration::from_secs(7 * 24 * 60 * 60), 64 * 1024 * 1024);
/// How long the name of an event is known.
const NAMES: Duration = Duration::from_secs(120);
/// Events in hand at once.
const IN_HAND: i64 = 256;
/// How long an event may be in hand without a word.
const SILENCE: Duration = Duration::from_secs(30);

/// Keeps events on JetStream.
pub struct NatsIntake {
    bus: Arc<NatsBus>,
    replicas: usize,
    /// Begins the names of our consumers.
    me: String,
    takings: AtomicU64,
    home: Handle,
    /// Why the last taking of a plugin's events failed.
    trouble: Arc<Mutex<BTreeMap<String, String>>>,
}

impl NatsBus {
    /// Keeps what is injected on JetStream; `replicas` is how many servers do.
    pub fn intake(self: &Arc<Self>, replicas: usize) -> Arc<NatsIntake> {
        Arc::new(NatsIntake {
            bus: self.clone(),
            replicas,
            me: format!("{:016x}", rand::random::<u64>()),
            takings: AtomicU64::new(0),
            home: Handle::current(),
            trouble: Arc::default(),
        })
    }
}

impl Intake for NatsIntake {
    fn take(&self, plugin: &str) -> Task<Result<Taking, BusError>> {
        let number = self.takings.fetch_add(1, Ordering::Relaxed);
        let taker = Taker {
            bus: self.bus.clone(),
            replicas: self.replicas,
            plugin: plugin.to_owned(),
            me: self.me.clone(),
            name: format!("{}-{number}", self.me),
        };
        let (trouble, plugin) = (self.trouble.clone(), plugin.to_owned());
        let taking = self.home.spawn(async move {
            let taken = timeout(PATIENCE + HANDOVER, taker.take()).await;
            let taken = taken.unwrap_or_else(|_| Err("JetStream does not answer".to_owned()));
            match &taken {
                Ok(_) => trouble.lock().remove(&plugin),
                Err(why) => trouble.lock().insert(plugin, why.clone()),
            };
            taken.map_err(BusError::Unavailable)
        });
        Box::pin(async move { taking.await.unwrap_or_else(|lost| Err(unavailable(lost))) })
    }

    fn bury(
        &self,
        plugin: &str,
        identity: &str,
        headers: &[(String, String)],
        payload: Bytes,
    ) -> Task<Result<(), BusError>> {
        let subject = self.bus.subjects.subject(&Topic::DeadLetter { plugin: plugin.to_owned() });
        // What the event's publisher told JetStream was about the event.
        let told = headers.iter().filter(|(name, _)| !name.to_ascii_lowercase().starts_with("nats-"));
        let mut headers: Vec<(String, String)> = told.cloned().collect();
        headers.push(("Nats-Msg-Id".to_owned(), identity.to_owned()));
        let headers = message::fit(&headers);
        let bus = self.bus.clone();
        let burying = self.home.spawn(async move {
            let subject = subject?;
            if message::size(&headers, &payload) > bus.client.max_payload() {
                return Err(BusError::TooLarge);
            }
            let request = Request::new()
                .headers(header_map(&headers).unwrap_or_default())
                .payload(payload)
                .timeout(Some(PATIENCE));
            let answered = timeout(PATIENCE, bus.client.send_request(subject, request)).await;
            let answer = answered.map_err(|_| BusError::Timeout)?.map_err(|error| match error.kind() {
                RequestErrorKind::TimedOut => BusError::Timeout,
                RequestErrorKind::NoResponders => BusError::NoResponders,
                _ => unavailable(error),
            })?;
            stored(&answer.payload)
        });
        Box::pin(async move { burying.await.unwrap_or_else(|lost| Err(unavailable(lost))) })
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().values().next().cloned()
    }
}

/// One taking, being made.
struct Taker {
    bus: Arc<NatsBus>,
    replicas: usize,
    plugin: String,
    me: String,
    name: String,
}

impl Taker {
    async fn take(self) -> Result<Taking, String> {
        let context = jetstream::new(self.bus.client.clone());
        let connection = reading::connection(&self.bus.client).ok_or("NATS is not connected")?;
        let letters = context.get_or_create_stream(self.letters()).await;
        letters.map_err(|error| format!("JetStream does not keep dead letters: {error}"))?;
        let mut stream = context
            .get_or_create_stream(self.events()?)
            .await
            .map_err(|error| format!("JetStream does not keep injected events: {error}"))?;
        self.take_over(&stream).await?;
        let info = stream.info().await.map_err(|error| error.to_string())?;
        let (newest, born) = (info.state.last_sequence, info.created.unix_timestamp_nanos());
        let consumer = stream
            .create_consumer(self.consumer())
            .await
            .map_err(|error| format!("JetStream does not give injected events: {error}"))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(IN_HAND as usize)
            .messages()
            .await
            .map_err(|error| error.to_string())?;
        let about = reading::About { plugin: self.plugin, stream: info_name(&stream), born, connection };
        Ok(Taking { events: reading::read(self.bus, messages, about), newest })
    }

    /// Ends the takings of all others, once they have nothing in hand, or have had the time.
    async fn take_over(&self, stream: &Stream) -> Result<(), String> {
        let deadline = Instant::now() + HANDOVER;
        loop {
            let names: Vec<String> =
                stream.consumer_names().try_collect().await.map_err(|error| error.to_string())?;
            let mut busy = false;
            for name in names {
                let patient = Instant::now() < deadline && !name.starts_with(&self.me);
                if patient && is_busy(stream, &name).await {
                    busy = true;
                    continue;
                }
                if let Err(error) = stream.delete_consumer(&name).await {
                    tracing::debug!(%error, name, "a taker had gone already");
                }
            }
            if !busy {
                return Ok(());
            }
            sleep(HANDOVER / 20).await;
        }
    }

    fn events(&self) -> Result<Config, String> {
        let interest = Interest::In { plugin: self.plugin.clone() };
        let pattern = self.bus.subjects.pattern(&interest).map_err(|error| error.to_string())?;
        let plugin = encode(&self.plugin).map_err(|error| error.to_string())?;
        Ok(Config {
            name: self.bus.subjects.stream(&format!("in_{plugin}")),
            description: Some(format!("events injected into {}, until they have been handled", self.plugin)),
            subjects: vec![pattern],
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: self.replicas,
            max_age: KEPT,
            max_bytes: MOST.0,
            max_messages: MOST.1,
            duplicate_window: NAMES,
            no_ack: true, // the only answer to a request is the hub's own
            ..Default::default()
        })
    }

    fn letters(&self) -> Config {
        Config {
            name: self.bus.subjects.stream("dlq"),
            description: Some("injected events that were refused, with the reason".to_owned()),
            subjects: vec![self.bus.subjects.letters()],
            storage: StorageType::File,
            num_replicas: self.replicas,
            max_age: LETTERS.0,
            max_bytes: LETTERS.1,
            duplicate_window: NAMES,
            ..Default::default()
        }
    }

    fn consumer(&self) -> pull::Config {
        pull::Config {
            durable_name: Some(self.name.clone()),
            description: Some("the node that handles them".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: SILENCE,
            max_ack_pending: IN_HAND,
            memory_storage: true, // what is settled is gone from the stream; there is nothing else to know
            ..Default::default()
        }
    }
}

fn info_name(stream: &Stream) -> Arc<str> {
    stream.cached_info().config.name.as_str().into()
}

/// Whether a taker has something in hand, or waits to be given more.
async fn is_busy(stream: &Stream, name: &str) -> bool {
    let info = stream.consumer_info(name).await;
    info.is_ok_and(|info| info.num_ack_pending > 0 || info.num_waiting > 0)
}

/// What JetStream says of a dead letter.
fn stored(answer: &[u8]) -> Result<(), BusError> {
    let answer: Value = serde_json::from_slice(answer).map_err(unavailable)?;
    match (answer.get("error"), answer.get("seq")) {
        (None, Some(_)) => Ok(()),
        (error, _) => {
            let why = error.and_then(|error| error["description"].as_str());
            Err(BusError::Unavailable(why.unwrap_or("no answer of JetStream").to_owned()))
        }
    }
}
