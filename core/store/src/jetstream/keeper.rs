//! Opens the bucket when the connection is up, looks at it from time to time, and says how it is. A bucket that was
//! there once is never made a second time while the hub runs: an empty one in its place would be a silent loss.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    ErrorCode,
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config, Info},
};
use tokio::time::{Instant, timeout};

use super::{
    JetStreamConfig, PATIENCE,
    bucket::{Bucket, NOT_CONNECTED},
    condition::{Condition, Finding},
    durability::{Durability, durability},
    fitness,
};

/// The pause between two looks at a bucket that is open.
const LOOK: Duration = Duration::from_secs(2);
/// The same, while it is not.
const RETRY: Duration = Duration::from_millis(250);
/// How long the servers' word that they write durably is believed, and how long any other.
const BELIEVED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(5));

/// What looks after the bucket.
pub(super) struct Keeper {
    bucket: Arc<Bucket>,
    condition: Arc<Condition>,
    config: JetStreamConfig,
    /// When the bucket that was opened was made: another one has another date.
    made: Option<String>,
    durability: Option<(Instant, Durability)>,
}

/// Why a look found no bucket that can be used.
enum Why {
    /// It cannot be used until somebody does something.
    Closed(String),
    /// The server has not answered; nothing is known.
    Silent,
}

impl Keeper {
    pub(super) fn new(bucket: Arc<Bucket>, condition: Arc<Condition>, config: JetStreamConfig) -> Self {
        Self { bucket, condition, config, made: None, durability: None }
    }

    pub(super) async fn run(mut self) {
        loop {
            let mut news = self.bucket.news();
            if self.bucket.connected().is_err() {
                self.condition.set(Finding::closed(NOT_CONNECTED));
                self.durability = None;
                self.bucket.reconnected().await;
                news = self.bucket.news();
            }
            self.look().await;
            let pause = if self.condition.usable().is_ok() { LOOK } else { RETRY };
            if let Ok(Err(_)) = timeout(pause, news.changed()).await {
                return;
            }
        }
    }

    async fn look(&mut self) {
        match timeout(PATIENCE, self.open()).await.unwrap_or_else(|_| Err(self.silent())) {
            Ok(info) => {
                self.bucket.counted(info.state.subjects_count);
                let finding = self.judged(&info).await;
                self.condition.set(finding);
            }
            Err(Why::Closed(why)) => self.condition.set(Finding::closed(why)),
            Err(Why::Silent) => self.condition.change(|finding| {
                finding.trouble = Some("JetStream does not answer".to_owned());
            }),
        }
    }

    /// What it means that the server does not answer.
    fn silent(&self) -> Why {
        if self.made.is_none() { Why::Closed("JetStream does not answer".to_owned()) } else { Why::Silent }
    }

    /// The bucket, opened or made.
    async fn open(&mut self) -> Result<Info, Why> {
        if let Some(why) = fitness::too_old(&self.bucket.client().server_info().version) {
            return Err(Why::Closed(why));
        }
        let info = match self.bucket.context().get_stream(self.bucket.stream_name()).await {
            Ok(stream) => stream.cached_info().clone(),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    self.make().await?
                }
                GetStreamErrorKind::JetStream(error) => return Err(Why::Closed(error.to_string())),
                _ if self.made.is_none() => return Err(Why::Closed(format!("no JetStream: {error}"))),
                _ => return Err(Why::Silent),
            },
        };
        let made = info.created.to_string();
        if self.made.as_ref().is_some_and(|before| *before != made) {
            let why = "the bucket has been replaced by another one; start the hub again to go on with that";
            return Err(Why::Closed(why.to_owned()));
        }
        if let Some(why) = fitness::unfit(&info.config, self.bucket.names(), &self.config.prefix) {
            return Err(Why::Closed(why));
        }
        self.made = Some(made);
        Ok(info)
    }

    async fn make(&self) -> Result<Info, Why> {
        if self.made.is_some() {
            return Err(Why::Closed(format!("the bucket {} is gone", self.bucket.stream_name())));
        }
        let (name, names) = (self.bucket.stream_name(), self.bucket.names());
        let layout = fitness::layout(&name, names, &self.config.prefix, self.config.replicas);
        match self.bucket.context().create_stream(layout).await {
            Ok(stream) => {
                tracing::info!(
                    bucket = self.bucket.name(),
                    replicas = self.config.replicas,
                    "a bucket has been made"
                );
                Ok(stream.cached_info().clone())
            }
            // Another node was faster, with another number of copies: it is there now.
            Err(error) => match error.kind() {
                CreateStreamErrorKind::JetStream(error) => {
                    Err(Why::Closed(format!("the bucket cannot be made: {error}")))
                }
                _ => Err(Why::Closed(format!("the bucket cannot be made: {error}"))),
            },
        }
    }

    /// What there is to say of a bucket that is open.
    async fn judged(&mut self, info: &Info) -> Finding {
        let mut notes = fitness::notes(info, self.bucket.client().server_info().max_payload);
        let mut trouble = self.copied(info).await.err();
        if self.config.durable {
            match self.durability().await {
                Durability::Always => {}
                Durability::Lax(why) => {
                    trouble = Some(format!("store.durability = \"always\", but {why}"));
                }
                Durability::Unknown(why) => notes.push(format!(
                    "store.durability = \"always\", but nobody knows whether NATS writes to the disk before it \
                     acknowledges: {why}"
                )),
            }
        }
        Finding { closed: None, trouble, notes }
    }

    /// Sees to it that there are as many copies as were asked for. More are left alone.
    async fn copied(&self, info: &Info) -> Result<(), String> {
        let (asked, found) = (self.config.replicas, fitness::copies(info));
        if found >= asked {
            return Ok(());
        }
        let why = |what: &str| format!("the bucket has {found} of {asked} copies{what}");
        // A server without a cluster may take the number and make no copies.
        if info.config.num_replicas < asked {
            let more = Config { num_replicas: asked, ..info.config.clone() };
            let update = self.bucket.context().update_stream(more);
            match timeout(PATIENCE, update).await {
                Ok(Ok(_)) => tracing::info!(copies = asked, "the bucket gets more copies"),
                Ok(Err(error)) => return Err(why(&format!(": {error}"))),
                Err(_) => {}
            }
        }
        Err(why(""))
    }

    async fn durability(&mut self) -> Durability {
        if let Some((asked, said)) = &self.durability {
            let believed = if *said == Durability::Always { BELIEVED.0 } else { BELIEVED.1 };
            if asked.elapsed() < believed {
                return said.clone();
            }
        }
        let id = self.bucket.client().server_info().server_id;
        let said = durability(&self.config.monitors, Some(&id)).await;
        if said == Durability::Always && self.durability.as_ref().is_none_or(|(_, before)| *before != said) {
            tracing::info!("NATS writes to the disk before it acknowledges");
        }
        self.durability = Some((Instant::now(), said.clone()));
        said
    }
}
