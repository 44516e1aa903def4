//! The KV bucket: single questions to the server, each answered by the leader of the stream, within the time that an
//! operation may take.
//!
//! Direct gets are switched off for the bucket: any copy may answer them, and one that lags behind would miss a write
//! that has been answered.

use std::{
    error::Error as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_nats::{
    Client,
    jetstream::{
        self, Context, ErrorCode,
        context::{PublishAckFuture, PublishError, PublishErrorKind, RequestErrorKind},
        message::PublishMessage,
        stream::{LastRawMessageError, LastRawMessageErrorKind, Stream},
    },
};
use bytes::Bytes;
use exedra_hub::port::{Entry, Revision, StoreError};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{PATIENCE, names::Names, writes::MAX_WRITES};

pub(super) const NOT_CONNECTED: &str = "not connected to NATS";
const NO_ANSWER: &str = "JetStream does not answer";
/// The pause before a question is asked again that the server could not answer at the moment.
const PAUSE: Duration = Duration::from_millis(25);
/// The longest that any question may take.
const LONGEST: Duration = Duration::from_secs(10);
/// How many names the server tells in a second, at the least, beyond those of a small bucket.
const NAMES_PER_SECOND: u64 = 25_000;
/// The header that marks a deleted key, as NATS KV has it.
const OPERATION: &str = "KV-Operation";
const DELETED: &str = "DEL";
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// Two servers' ways to say that a key has changed: the second while another write is under way.
const OUT_OF_DATE: [u64; 2] = [10071, 10164];
/// The same write is under way already.
const DUPLICATE_UNDER_WAY: u64 = 10158;
const TOO_MANY: u64 = 10167;

/// What the stream has under a key.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) revision: Revision,
    /// `None` where a deletion has left its marker.
    pub(super) value: Option<Bytes>,
    /// The id of the write.
    pub(super) id: Option<String>,
}

impl Found {
    pub(super) fn entry(self) -> Option<Entry> {
        self.value.map(|value| Entry { value, revision: self.revision })
    }
}

/// What became of one attempt to write.
#[derive(Debug)]
pub(super) enum Said {
    Stored(Revision),
    /// Not stored: the condition does not hold.
    OutOfDate,
    /// Not stored, but soon it may be.
    NotNow,
    /// Not stored: too much is on its way.
    Full,
    TooLarge,
    Refused(String),
    /// Stored or not: no answer will come.
    Lost,
}

/// An attempt that has been sent.
pub(super) struct Sent {
    ack: PublishAckFuture,
    up: watch::Receiver<bool>,
}

pub(super) struct Bucket {
    client: Client,
    context: Context,
    stream: Stream<()>,
    name: String,
    names: Names,
    up: watch::Receiver<bool>,
    /// How many keys there were when the keeper looked.
    size: AtomicU64,
}

impl Bucket {
    pub(super) async fn new(
        client: Client,
        up: watch::Receiver<bool>,
        prefix: &str,
    ) -> Result<Self, StoreError> {
        let name = format!("{}_store", prefix.replace('.', "_"));
        let context = jetstream::ContextBuilder::new()
            // Each question has a bound of its own below this one.
            .timeout(LONGEST)
            .ack_timeout(PATIENCE)
            .max_ack_inflight(2 * MAX_WRITES)
            .backpressure_on_inflight(false)
            .build(client.clone());
        let stream = context.get_stream_no_info(format!("KV_{name}")).await.map_err(unavailable)?;
        Ok(Self { names: Names::new(&name), client, context, stream, name, up, size: AtomicU64::new(0) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn stream_name(&self) -> String {
        format!("KV_{}", self.name)
    }

    /// Takes note of the number of keys.
    pub(super) fn counted(&self, keys: u64) {
        self.size.store(keys, Ordering::Relaxed);
    }

    /// How long telling names may take: a large bucket takes the server longer.
    fn patience(&self) -> Duration {
        LONGEST.min(PATIENCE + Duration::from_secs(self.size.load(Ordering::Relaxed) / NAMES_PER_SECOND))
    }

    /// The news of the connection, from now on.
    pub(super) fn news(&self) -> watch::Receiver<bool> {
        let mut up = self.up.clone();
        up.mark_unchanged();
        up
    }

    /// Fails when the connection is known to be down.
    pub(super) fn connected(&self) -> Result<(), StoreError> {
        if *self.up.borrow() { Ok(()) } else { Err(unavailable(NOT_CONNECTED)) }
    }

    /// Ends when the connection is up.
    pub(super) async fn reconnected(&self) {
        // It fails when the client is gone, and then no question will be answered either.
        let _ = self.up.clone().wait_for(|up| *up).await;
    }

    /// What is under a subject now.
    pub(super) async fn last(&self, subject: &str) -> Result<Option<Found>, StoreError> {
        let question = move || async move {
            match self.stream.get_last_raw_message_by_subject(subject).await {
                Ok(message) => Ok(Some(Found {
                    revision: message.sequence,
                    value: message.headers.get(OPERATION).is_none().then_some(message.payload),
                    id: message.headers.get(MESSAGE_ID).map(|id| id.as_str().to_owned()),
                })),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(miss_of(&error)),
            }
        };
        self.ask(PATIENCE, question).await
    }

    /// The server's word about the stream, with the names that a body asks for.
    pub(super) async fn told<T: DeserializeOwned + Send>(&self, body: &Value) -> Result<T, StoreError> {
        let subject = format!("STREAM.INFO.{}", self.stream_name());
        let subject = subject.as_str();
        let question = move || async move {
            match self.context.request(subject.to_owned(), body).await {
                Ok(answer) => Ok(answer),
                Err(error) if error.kind() == RequestErrorKind::Other => Err(Miss::Final(error.to_string())),
                Err(error) => Err(Miss::Again(error.to_string())),
            }
        };
        self.ask(self.patience(), question).await
    }

    /// Asks until there is an answer, within a time. Only for questions that change nothing.
    async fn ask<T, F>(&self, patience: Duration, question: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Miss>>,
    {
        let deadline = Instant::now() + patience;
        loop {
            let mut news = self.news();
            let why = tokio::select! {
                answer = timeout_at(deadline, question()) => match answer {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(Miss::Final(why))) => return Err(unavailable(why)),
                    Ok(Err(Miss::Again(why))) => why,
                    Err(_) => return Err(unavailable(NO_ANSWER)),
                },
                // What was asked before will not be answered any more.
                _ = news.changed() => NOT_CONNECTED.to_owned(),
            };
            let again = async {
                sleep(PAUSE).await;
                self.reconnected().await;
            };
            timeout_at(deadline, again).await.map_err(|_| unavailable(why))?;
        }
    }

    /// Hands one attempt to write to the client; no value deletes. Returns as soon as it is on its way.
    pub(super) async fn send(
        &self,
        subject: &str,
        value: Option<Bytes>,
        id: &str,
        expected: Option<Revision>,
    ) -> Result<Sent, Said> {
        let up = self.news();
        if !*up.borrow() {
            return Err(Said::NotNow);
        }
        let mut message = PublishMessage::build().message_id(id).expected_stream(self.stream_name());
        if let Some(expected) = expected {
            message = message.expected_last_subject_sequence(expected);
        }
        message = match value {
            Some(value) => message.payload(value),
            None => message.header(OPERATION, DELETED),
        };
        match self.context.send_publish(subject.to_owned(), message).await {
            Ok(ack) => Ok(Sent { ack, up }),
            // The queue into the client was full all the time; it takes nothing of what has been given up.
            Err(error) if error.kind() == PublishErrorKind::TimedOut => Err(Said::Full),
            Err(error) => Err(said_of(&error)),
        }
    }

    /// Takes a deletion's marker out, so that deleted keys take no room. Whoever writes the key at the same time has
    /// replaced the marker already; then there is nothing to take out.
    pub(super) async fn forget(&self, marker: Revision) {
        let subject = format!("STREAM.MSG.DELETE.{}", self.stream_name());
        let body = json!({ "seq": marker, "no_erase": true });
        let done = timeout(PATIENCE, self.context.request::<_, _, Value>(subject, &body)).await;
        if !matches!(done, Ok(Ok(_))) {
            tracing::debug!(marker, "the marker of a deleted key stays");
        }
    }
}

impl Sent {
    /// Waits for the server's word, as long as there can be one.
    pub(super) async fn answer(mut self) -> Said {
        tokio::select! {
            acked = self.ack.into_future() => match acked {
                Ok(ack) => Said::Stored(ack.sequence),
                Err(error) => said_of(&error),
            },
            _ = self.up.changed() => Said::Lost,
        }
    }
}

/// Why a question was not answered.
enum Miss {
    Again(String),
    Final(String),
}

fn miss_of(error: &LastRawMessageError) -> Miss {
    match error.kind() {
        LastRawMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            Miss::Final("the bucket is gone".to_owned())
        }
        LastRawMessageErrorKind::JetStream(error) if error.code() != 503 => Miss::Final(error.to_string()),
        _ => Miss::Again(error.to_string()),
    }
}

fn said_of(error: &PublishError) -> Said {
    match error.kind() {
        PublishErrorKind::StreamNotFound => Said::NotNow,
        PublishErrorKind::WrongLastSequence => Said::OutOfDate,
        PublishErrorKind::MaxAckPending => Said::Full,
        PublishErrorKind::MaxPayloadExceeded => Said::TooLarge,
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Said::Lost,
        PublishErrorKind::WrongLastMessageId | PublishErrorKind::Other => {
            match error.source().and_then(|cause| cause.downcast_ref::<jetstream::Error>()) {
                Some(cause) if OUT_OF_DATE.contains(&cause.error_code().0) => Said::OutOfDate,
                Some(cause) if cause.error_code().0 == DUPLICATE_UNDER_WAY => Said::NotNow,
                Some(cause) if cause.error_code().0 == TOO_MANY => Said::Full,
                Some(cause) => Said::Refused(cause.to_string()),
                None => Said::Lost,
            }
        }
    }
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
