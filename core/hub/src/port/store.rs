//! Durable state: a small key-value port that redb and JetStream KV both keep. It promises only what both can.

use bytes::Bytes;

use crate::Task;

/// The number of a write within its bucket; grows with every write.
pub type Revision = u64;

/// A value and the revision that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The stored bytes.
    pub value: Bytes,
    /// The revision that wrote them.
    pub revision: Revision,
}

/// A durable key-value store with revisions.
///
/// * A write is answered only after it is durable: what was answered `Ok` survives `kill -9` and power loss.
/// * A read sees every write that was answered before it began.
/// * Revisions of a bucket grow strictly; `create` and `update` are atomic against all other writers.
/// * Buckets and keys are any UTF-8 up to 1 KiB; values up to 1 MiB.
pub trait Store: Send + Sync + 'static {
    /// The entry under a key, or none.
    fn get(&self, bucket: &str, key: &str) -> Task<Result<Option<Entry>, StoreError>>;
    /// Writes whatever was there before.
    fn put(&self, bucket: &str, key: &str, value: Bytes) -> Task<Result<Revision, StoreError>>;
    /// Writes only if the key does not exist, else [`StoreError::Conflict`].
    fn create(&self, bucket: &str, key: &str, value: Bytes) -> Task<Result<Revision, StoreError>>;
    /// Writes only if the key's revision is still `expected`, else [`StoreError::Conflict`].
    fn update(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> Task<Result<Revision, StoreError>>;
    /// Deletes; with `expected` only if the revision is still that one. Deleting nothing is `Ok`.
    fn delete(&self, bucket: &str, key: &str, expected: Option<Revision>) -> Task<Result<(), StoreError>>;
    /// Up to `limit` entries whose key starts with `prefix` and sorts after `after`, in key order (bytes).
    fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Task<Result<Vec<(String, Entry)>, StoreError>>;
    /// Why the store cannot be used right now, for readiness; `None` when all is well.
    fn trouble(&self) -> Option<String>;
    /// What works but should not stay so, for the operator.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Why a store operation was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The key exists already, or its revision is another one by now.
    #[error("the key has changed (revision {0})")]
    Conflict(Revision),
    /// Key or value beyond the limits of the port.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// Too many writes are waiting; try again later.
    #[error("the store is busy")]
    Busy,
    /// The store cannot be reached or has failed; nothing was answered as written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}
