//! The ledger on JetStream: a stream with one subject, in memory, whose entries the server sends out with their numbers
//! as it stores them. So every node hears them in one order without a consumer of its own, sees by the numbers when it
//! has missed some, and reads those again. A stream that has been made anew has lost entries; everybody is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use exedra_hub::port::{BusError, Ears};
use futures_util::StreamExt;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    super::{Event, HeaderMap, Message, Request, RequestErrorKind, Subscriber},
    Client, Link, Past, confirm, jetstream,
};
use crate::{counts::Counts, nats::unavailable, subject::Subjects};

/// How long the server may take to store an entry, or to answer a question about the stream.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause before the stream is asked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long entries are kept: whoever was away for longer begins anew.
const KEPT: Duration = Duration::from_secs(300);
/// Bytes of entries that are kept.
const KEPT_BYTES: i64 = 128 * 1024 * 1024;
/// Entries that are read again after a gap; after a longer one everything is asked anew.
const MOST_MISSED: u64 = 20_000;
/// The oldest server that has what the ledger needs.
const OLDEST: (i64, i64, i64) = (2, 10, 0);

/// The ledger.
pub(super) struct Ledger {
    stream: String,
    subject: String,
    said: String,
    nobody: String,
    replicas: usize,
    /// Opened together with the ledger.
    past: Option<Arc<Past>>,
    link: Arc<Link>,
    /// Counts connections; odd while connected.
    turns: watch::Sender<u64>,
    /// Why it cannot be used, but for an entry that was not stored in time.
    trouble: Mutex<Option<String>>,
    /// The last entry was not stored in time.
    stalled: AtomicBool,
}

/// How far it has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Read {
    /// The last entry.
    number: u64,
    /// When the stream was made: another time is another stream.
    made: i128,
}

impl Ledger {
    pub(super) fn new(
        subjects: &Subjects,
        replicas: usize,
        past: Option<Arc<Past>>,
        link: Arc<Link>,
    ) -> Self {
        Self {
            stream: subjects.stream("ledger"),
            subject: subjects.ledger(),
            said: subjects.said(),
            nobody: subjects.nobody(),
            replicas,
            past,
            link,
            turns: watch::Sender::new(0),
            trouble: Mutex::new(Some("the ledger has not been opened yet".to_owned())),
            stalled: AtomicBool::new(false),
        }
    }

    /// Takes an event of the connection in.
    pub(super) fn note(&self, event: &Event, ears: Option<&Arc<dyn Ears>>) {
        self.link.note(event);
        if let (Event::Disconnected, Some(ears)) = (event, ears) {
            ears.away();
        }
        let connected = matches!(event, Event::Connected);
        if connected || matches!(event, Event::Disconnected | Event::Closed) {
            self.turns.send_modify(|turn| *turn += 1 + u64::from((*turn % 2 == 1) == connected));
        }
    }

    /// The connection over which it is open; what is sent before it is open is not kept.
    pub(super) fn turn(&self) -> Option<u64> {
        self.trouble.lock().is_none().then(|| *self.turns.borrow())
    }

    /// Why it cannot be used.
    pub(super) fn trouble(&self) -> Option<String> {
        let stalled = || "NATS does not store entries of the ledger in time".to_owned();
        self.trouble.lock().clone().or_else(|| self.stalled.load(Ordering::Acquire).then(stalled))
    }

    /// Stores an entry. `id` is the same for the same entry.
    pub(super) async fn write(
        self: Arc<Self>,
        client: Client,
        id: String,
        entry: Bytes,
    ) -> Result<(), BusError> {
        if let Some(trouble) = self.trouble.lock().clone() {
            return Err(BusError::Unavailable(trouble));
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let request = Request::new().headers(headers).payload(entry).timeout(Some(PATIENCE));
        let answered = timeout(PATIENCE, client.send_request(self.subject.clone(), request)).await;
        let stored = match answered {
            Err(_) => Err(BusError::Timeout),
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::TimedOut => BusError::Timeout,
                RequestErrorKind::NoResponders => {
                    self.reopen("the ledger's stream is missing");
                    BusError::NoResponders
                }
                _ => unavailable(error),
            }),
            Ok(Ok(answer)) => stored(&answer.payload),
        };
        self.stalled.store(stored == Err(BusError::Timeout), Ordering::Release);
        stored
    }

    /// Something is wrong with the stream: it is looked at again.
    fn reopen(&self, why: &str) {
        *self.trouble.lock() = Some(why.to_owned());
        self.turns.send_modify(|turn| *turn += 2);
    }

    /// Reads the ledger aloud to `ears`; never ends.
    pub(super) async fn read(self: Arc<Self>, client: Client, ears: Arc<dyn Ears>, counts: Arc<Counts>) {
        let mut turns = self.turns.subscribe();
        let context = jetstream::new(client.clone());
        let mut said: Option<Subscriber> = None;
        let mut read: Option<Read> = None;
        loop {
            let turn = *turns.borrow_and_update();
            if turn.is_multiple_of(2) {
                *self.trouble.lock() = Some("NATS is not connected".to_owned());
                if turns.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let entries = match self.open(&client, &context, &mut said).await {
                Ok(opened) => opened,
                Err(why) => {
                    if self.trouble.lock().replace(why.clone()) != Some(why.clone()) {
                        tracing::warn!(why, "the ledger of the nodes cannot be opened");
                    }
                    sleep(AGAIN).await;
                    continue;
                }
            };
            let Some(said) = said.as_mut() else { continue };
            let mut at = self.resume(&context, &*ears, read, entries).await;
            *self.trouble.lock() = None;
            self.link.wake(); // what waits to be sent goes out now that it is kept
            if read.is_some() {
                ears.back();
            }
            loop {
                let message = tokio::select! {
                    biased;
                    _ = turns.changed() => break,
                    message = said.next() => message,
                };
                let Some(message) = message else { return };
                counts.received(1);
                at = self.hear(&context, &*ears, at, message).await;
            }
            read = Some(at);
        }
    }

    /// Sees to it that the stream is there and its entries are heard; tells how far it goes.
    async fn open(
        &self,
        client: &Client,
        context: &jetstream::Context,
        said: &mut Option<Subscriber>,
    ) -> Result<Read, String> {
        let (major, minor, patch) = OLDEST;
        if !client.is_server_compatible(major, minor, patch) {
            let version = client.server_info().version;
            return Err(format!(
                "nats-server {version} is too old: a cluster needs {major}.{minor} or newer"
            ));
        }
        if said.is_none() {
            let heard = client.subscribe(self.said.clone()).await.map_err(|error| error.to_string())?;
            *said = Some(heard);
        }
        confirm(client, self.nobody.clone()).await;
        let opening = async {
            let mut stream = context
                .get_or_create_stream(self.config())
                .await
                .map_err(|error| format!("JetStream does not keep the ledger: {error}"))?;
            let info = stream.info().await.map_err(|error| error.to_string())?;
            if let Some(past) = &self.past {
                past.open(context).await?;
            }
            Ok(Read { number: info.state.last_sequence, made: info.created.unix_timestamp_nanos() })
        };
        timeout(PATIENCE, opening).await.unwrap_or_else(|_| Err("JetStream does not answer".to_owned()))
    }

    fn config(&self) -> jetstream::stream::Config {
        jetstream::stream::Config {
            name: self.stream.clone(),
            description: Some("who is connected to which node of the hub".to_owned()),
            subjects: vec![self.subject.clone()],
            storage: jetstream::stream::StorageType::Memory,
            num_replicas: self.replicas,
            max_age: KEPT,
            max_bytes: KEPT_BYTES,
            duplicate_window: Duration::from_secs(120),
            republish: Some(jetstream::stream::Republish {
                source: self.subject.clone(),
                destination: self.said.clone(),
                headers_only: false,
            }),
            ..Default::default()
        }
    }

    /// Where to go on: after what was missed, if all of it can be had, else from the end, with everybody told.
    async fn resume(
        &self,
        context: &jetstream::Context,
        ears: &dyn Ears,
        read: Option<Read>,
        now: Read,
    ) -> Read {
        match read {
            None => {}
            Some(read) if read.made == now.made && self.make_up(context, ears, read, now.number).await => {}
            Some(_) => ears.lost(),
        }
        now
    }

    /// One entry as it is read aloud.
    async fn hear(&self, context: &jetstream::Context, ears: &dyn Ears, at: Read, message: Message) -> Read {
        let header = |name: &str| message.headers.as_ref()?.get(name)?.as_str().parse::<u64>().ok();
        let Some(number) = header("Nats-Sequence") else { return at };
        if number <= at.number {
            return at; // it has been read already
        }
        if number > at.number + 1 && !self.make_up(context, ears, at, number - 1).await {
            ears.lost();
        }
        ears.entry(number, message.payload);
        Read { number, ..at }
    }

    /// Reads what was missed, up to entry `last`; `false` when not all of it can be had.
    async fn make_up(&self, context: &jetstream::Context, ears: &dyn Ears, read: Read, last: u64) -> bool {
        if last.saturating_sub(read.number) > MOST_MISSED || last < read.number {
            return last == read.number;
        }
        if last == read.number {
            return true;
        }
        let Ok(Ok(stream)) = timeout(PATIENCE, context.get_stream(&self.stream)).await else { return false };
        if stream.cached_info().created.unix_timestamp_nanos() != read.made {
            return false;
        }
        for number in read.number + 1..=last {
            match timeout(PATIENCE, stream.get_raw_message(number)).await {
                Ok(Ok(message)) => ears.entry(number, message.payload),
                _ => return false,
            }
        }
        true
    }
}

/// What JetStream says of an entry.
fn stored(answer: &[u8]) -> Result<(), BusError> {
    let answer: Value = serde_json::from_slice(answer).map_err(unavailable)?;
    match answer.get("error") {
        None if answer.get("seq").is_some() => Ok(()),
        error => {
            let why =
                error.and_then(|error| error["description"].as_str()).unwrap_or("no answer of JetStream");
            Err(BusError::Unavailable(why.to_owned()))
        }
    }
}
