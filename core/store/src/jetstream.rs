//! The store of many nodes: one KV bucket of NATS JetStream. This file and those below it are the only ones of this
//! crate that name async-nats; the connection is made by the bus, which knows its settings and secrets.
//!
//! All Exedra buckets share one stream, whose sequence numbers are the revisions; [names] says how keys become
//! subjects. A write is answered after the server's acknowledgement ([writes]), every read is answered by the stream's
//! leader ([bucket]), and a list asks the server for the names under its prefix and then for the values of its page
//! only ([listing]): a node keeps nothing in memory. The [keeper] opens the bucket, looks after it and says what is
//! wrong with it.

mod bucket;
mod condition;
mod durability;
mod fitness;
mod keeper;
mod listing;
mod names;
mod verdict;
mod writes;

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use bytes::Bytes;
use exedra_hub::{
    Task,
    metrics::Metrics,
    port::{Entry, Revision, Store, StoreError},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

pub use self::durability::{Durability, durability};
use self::{bucket::Bucket, condition::Condition, keeper::Keeper, writes::Writes};
use crate::{
    limits::{check_key, check_names, check_value},
    queue::WriteKind,
};

/// How long an operation may take, whatever happens to the server. Only lists of very many names may take longer.
const PATIENCE: Duration = Duration::from_millis(1800);
/// How often it is looked at whether the bucket has been opened.
const LOOK: Duration = Duration::from_millis(10);
/// The most reads at once.
const MAX_READS: usize = 1024;

/// What the store needs to know.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// The prefix of the hub's subjects; the KV bucket is named after it.
    pub prefix: String,
    /// Copies that the servers keep: 1, 3 or 5.
    pub replicas: usize,
    /// Whether servers that do not write durably are refused.
    pub durable: bool,
    /// Where the servers' monitoring data are.
    pub monitors: Vec<String>,
}

/// The store in JetStream. Dropping it ends its tasks; writes under way are done or not, and nobody hears of it.
pub struct JetStreamStore {
    bucket: Arc<Bucket>,
    condition: Arc<Condition>,
    writes: Writes,
    reads: Arc<Semaphore>,
    keeper: JoinHandle<()>,
    home: Handle,
}

impl JetStreamStore {
    /// Starts on a connection and the news of it (whether it is up, marked at every change). The bucket is opened in
    /// the background: until then [`Store::trouble`] says why, and every operation fails at once.
    ///
    /// # Errors
    /// When a bucket cannot be named after the prefix.
    pub async fn start(
        client: Client,
        up: watch::Receiver<bool>,
        config: JetStreamConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, StoreError> {
        let bucket = Arc::new(Bucket::new(client, up, &config.prefix).await?);
        let condition = Arc::new(Condition::default());
        let keeper = Keeper::new(bucket.clone(), condition.clone(), config);
        Ok(Arc::new(Self {
            writes: Writes::start(bucket.clone(), metrics),
            reads: Arc::new(Semaphore::new(MAX_READS)),
            keeper: tokio::spawn(keeper.run()),
            home: Handle::current(),
            bucket,
            condition,
        }))
    }

    /// Waits until the bucket is open, but no longer than `wait`.
    pub async fn opened(&self, wait: Duration) {
        let open = async {
            while self.usable().is_err() {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(wait, open).await;
    }

    /// The name of the KV bucket, as NATS' own tools know it.
    pub fn kv_bucket(&self) -> &str {
        self.bucket.name()
    }

    fn usable(&self) -> Result<(), StoreError> {
        self.bucket.connected().and_then(|()| self.condition.usable())
    }

    /// Hands a write over at once; the future only waits for the answer.
    fn write(&self, bucket: &str, key: &str, kind: WriteKind) -> Task<Result<Revision, StoreError>> {
        let handed = check_names(bucket, key)
            .and_then(|()| check_value(&kind))
            .and_then(|()| self.usable())
            .and_then(|()| self.writes.push(self.bucket.names().subject(bucket, key), kind));
        Box::pin(async move {
            let answer = handed?;
            answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the store is closed".to_owned())))
        })
    }

    /// Work on the runtime that the store was started in: those who wait for it may be on threads of their own.
    fn read<T, F>(&self, checked: Result<(), StoreError>, work: F) -> Task<Result<T, StoreError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let ready = checked.and_then(|()| self.usable());
        let room = self.reads.clone().try_acquire_owned().map_err(|_| StoreError::Busy);
        let home = self.home.clone();
        Box::pin(async move {
            ready?;
            let _room = room?;
            let mut running = Running(home.spawn(work));
            (&mut running.0).await.unwrap_or_else(|lost| Err(StoreError::Unavailable(lost.to_string())))
        })
    }
}

/// A read that ends with whoever waits for it.
struct Running<T>(JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for JetStreamStore {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Store for JetStreamStore {
    fn get(&self, bucket: &str, key: &str) -> Task<Result<Option<Entry>, StoreError>> {
        let checked = check_names(bucket, key);
        let (bucket, subject) = (self.bucket.clone(), self.bucket.names().subject(bucket, key));
        self.read(checked, async move { Ok(bucket.last(&subject).await?.and_then(bucket::Found::entry)) })
    }

    fn put(&self, bucket: &str, key: &str, value: Bytes) -> Task<Result<Revision, StoreError>> {
        self.write(bucket, key, WriteKind::Put(value))
    }

    fn create(&self, bucket: &str, key: &str, value: Bytes) -> Task<Result<Revision, StoreError>> {
        self.write(bucket, key, WriteKind::Create(value))
    }

    fn update(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> Task<Result<Revision, StoreError>> {
        self.write(bucket, key, WriteKind::Update(value, expected))
    }

    fn delete(&self, bucket: &str, key: &str, expected: Option<Revision>) -> Task<Result<(), StoreError>> {
        let deleted = self.write(bucket, key, WriteKind::Delete(expected));
        Box::pin(async move { deleted.await.map(|_| ()) })
    }

    fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Task<Result<Vec<(String, Entry)>, StoreError>> {
        let checked = check_names(bucket, prefix).and_then(|()| after.map_or(Ok(()), check_key));
        let range = listing::Range::new(bucket, prefix, after);
        let bucket = self.bucket.clone();
        self.read(checked, async move { listing::list(&bucket, range, limit).await })
    }

    fn trouble(&self) -> Option<String> {
        match self.bucket.connected() {
            Ok(()) => self.condition.trouble(),
            Err(_) => Some(bucket::NOT_CONNECTED.to_owned()),
        }
    }

    fn notes(&self) -> Vec<String> {
        self.condition.notes()
    }
}
