//! What clients come back to: the last events of every room and session, and what each session consists of, as two
//! streams in memory. They are read by subject and without a consumer: all of a subject with one question where the
//! server can do that (2.11), else message by message.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use exedra_hub::{
    port::{BusError, Point},
    recovery::Recovery,
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{super::Message, Client, jetstream};
use crate::{nats::unavailable, subject::Subjects};

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a session is kept that nobody writes down any more.
const RECORDS_KEPT: Duration = Duration::from_secs(3600);
/// Bytes of all records.
const RECORDS_BYTES: i64 = 512 * 1024 * 1024;

/// The past.
pub(super) struct Past {
    events: String,
    sessions: String,
    kept: Vec<String>,
    records: String,
    /// A subject that is kept and nobody reads: what has been sent before is in the stream when this is.
    mark: String,
    replicas: usize,
    rules: Recovery,
    /// When the stream of events was made, in nanoseconds since 1970; 0 before it has been seen.
    era: AtomicU64,
}

impl Past {
    pub(super) fn new(subjects: &Subjects, replicas: usize, rules: &Recovery) -> Self {
        let kept = subjects.kept();
        Self {
            events: subjects.stream("events"),
            sessions: subjects.stream("sessions"),
            mark: kept[1].replace('*', "mark"),
            kept: kept.into(),
            records: subjects.records(),
            replicas,
            rules: rules.clone(),
            era: AtomicU64::new(0),
        }
    }

    /// Sees to it that the streams are there, with the bounds of today's settings.
    pub(super) async fn open(&self, context: &jetstream::Context) -> Result<(), String> {
        let events = jetstream::stream::Config {
            name: self.events.clone(),
            description: Some("the last events of rooms, for clients that come back".to_owned()),
            subjects: self.kept.clone(),
            max_age: self.rules.window + self.rules.slack,
            max_bytes: i64::try_from(self.rules.max_bytes).unwrap_or(i64::MAX),
            max_messages_per_subject: i64::try_from(self.rules.max_events).unwrap_or(i64::MAX),
            ..self.base()
        };
        let sessions = jetstream::stream::Config {
            name: self.sessions.clone(),
            description: Some("what sessions consist of, for clients that come back".to_owned()),
            subjects: vec![self.records.clone()],
            max_age: RECORDS_KEPT,
            max_bytes: RECORDS_BYTES,
            max_messages_per_subject: 1,
            ..self.base()
        };
        for config in [events, sessions] {
            let name = config.name.clone();
            let info = context
                .create_or_update_stream(config)
                .await
                .map_err(|error| format!("JetStream does not keep {name}: {error}"))?;
            if name == self.events {
                let made = u64::try_from(info.created.unix_timestamp_nanos()).unwrap_or_default();
                self.era.store(made, Ordering::Release);
            }
        }
        Ok(())
    }

    fn base(&self) -> jetstream::stream::Config {
        jetstream::stream::Config {
            storage: jetstream::stream::StorageType::Memory,
            num_replicas: self.replicas,
            allow_direct: true,
            ..Default::default()
        }
    }

    /// How far the stream has come.
    pub(super) async fn reached(&self, client: &Client) -> Result<Point, BusError> {
        let mark = timeout(PATIENCE, client.request(self.mark.clone(), Bytes::from_static(b"mark"))).await;
        let mark = mark.map_err(|_| BusError::Timeout)?.map_err(unavailable)?;
        let mark: Value = serde_json::from_slice(&mark.payload).map_err(unavailable)?;
        let number = mark["seq"].as_u64().ok_or_else(|| unavailable("the past is not kept"))?;
        Ok(Point { era: self.era.load(Ordering::Acquire), number })
    }

    /// Everything that is kept of a subject up to a point.
    pub(super) async fn history(
        &self,
        client: &Client,
        subject: String,
        Point { era, number: last }: Point,
    ) -> Result<Vec<(Point, Bytes)>, BusError> {
        if era != self.era.load(Ordering::Acquire) {
            return Err(unavailable("the past has begun anew"));
        }
        let history = if client.is_server_compatible(2, 11, 0) {
            self.read_at_once(client, &subject, last).await
        } else {
            self.read_one_by_one(client, &subject, last).await
        };
        Ok(history?.into_iter().map(|(number, parcel)| (Point { era, number }, parcel)).collect())
    }

    async fn read_at_once(
        &self,
        client: &Client,
        subject: &str,
        last: u64,
    ) -> Result<Vec<(u64, Bytes)>, BusError> {
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(unavailable)?;
        let question = json!({ "seq": 1, "next_by_subj": subject, "batch": self.rules.max_events.max(1) });
        let asked = client.publish_with_reply(self.direct(), inbox, question.to_string().into()).await;
        asked.map_err(unavailable)?;
        let mut history = Vec::new();
        loop {
            let answer = timeout(PATIENCE, answers.next()).await.map_err(|_| BusError::Timeout)?;
            let answer = answer.ok_or_else(|| unavailable("the connection is closed"))?;
            match status(&answer) {
                None => {}
                Some(204 | 404) => return Ok(history),
                Some(status) => return Err(unavailable(format!("JetStream says {status}"))),
            }
            let number = number(&answer).ok_or_else(|| unavailable("a message without a number"))?;
            if number <= last {
                history.push((number, answer.payload));
            }
        }
    }

    async fn read_one_by_one(
        &self,
        client: &Client,
        subject: &str,
        last: u64,
    ) -> Result<Vec<(u64, Bytes)>, BusError> {
        let mut history: Vec<(u64, Bytes)> = Vec::new();
        loop {
            let from = history.last().map_or(1, |(number, _)| number + 1);
            let question = json!({ "seq": from, "next_by_subj": subject });
            let Some(answer) = ask(client, self.direct(), question).await? else { return Ok(history) };
            match number(&answer) {
                Some(number) if number <= last => history.push((number, answer.payload)),
                _ => return Ok(history),
            }
        }
    }

    /// The last record under a subject.
    pub(super) async fn record(&self, client: &Client, subject: String) -> Result<Option<Bytes>, BusError> {
        let question = json!({ "last_by_subj": subject });
        let answer = ask(client, format!("$JS.API.DIRECT.GET.{}", self.sessions), question).await?;
        Ok(answer.map(|answer| answer.payload))
    }

    fn direct(&self) -> String {
        format!("$JS.API.DIRECT.GET.{}", self.events)
    }
}

/// One question with one answer; `None` when there is no such message.
async fn ask(client: &Client, to: String, question: Value) -> Result<Option<Message>, BusError> {
    let asked = timeout(PATIENCE, client.request(to, question.to_string().into())).await;
    let answer = asked.map_err(|_| BusError::Timeout)?.map_err(unavailable)?;
    match status(&answer) {
        None => Ok(Some(answer)),
        Some(404) => Ok(None),
        Some(status) => Err(unavailable(format!("JetStream says {status}"))),
    }
}

fn status(message: &Message) -> Option<u16> {
    message.status.map(|status| status.as_u16())
}

fn number(message: &Message) -> Option<u64> {
    message.headers.as_ref()?.get("Nats-Sequence")?.as_str().parse().ok()
}
