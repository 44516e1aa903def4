//! The embedded store: one redb file, and the only file of this workspace that names redb.
//!
//! Writes wait in a bounded [queue](crate::queue) for one writer thread, which takes all that waits (up to
//! [`MAX_BATCH`]) into one transaction, makes it durable and then answers: while a commit is on its way to the
//! disk the next batch gathers by itself, so there is no timer. Reads are transactions of their own and run on the
//! thread that asks.
//!
//! After a failed commit nobody can know what the disk holds; the store then refuses everything until it is
//! opened again.

mod writer;

use std::{
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, OnceLock},
    thread::JoinHandle,
};

use bytes::Bytes;
use exedra_hub::{
    Task,
    metrics::Metrics,
    port::{Entry, Revision, Store, StoreError},
};
use redb::{
    Database, Durability, Error, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};
use writer::Writer;

use crate::{
    file,
    limits::{check_key, check_names, check_value},
    queue::{Queue, WriteKind, queue},
};

/// Every value with the revision that wrote it, by bucket and key.
const ENTRIES: TableDefinition<(&str, &str), (u64, &[u8])> = TableDefinition::new("entries");
/// The newest revision of each bucket.
const REVISIONS: TableDefinition<&str, u64> = TableDefinition::new("revisions");

/// The most writes in one commit: beyond it the time of a commit grows as fast as what it saves.
const MAX_BATCH: usize = 256;
/// The most bytes in one commit, so that one transaction stays small in memory.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Pages kept in memory.
const CACHE: usize = 64 * 1024 * 1024;
/// The most entries that one `list` gives, whatever was asked for.
const MAX_LIST: usize = 10_000;

/// Why the store broke, once it has. Shared with the writer thread.
type Broken = Arc<OnceLock<String>>;

/// The embedded store. Dropping it writes out what waits and ends the writer thread.
pub struct RedbStore {
    database: Arc<Database>,
    /// `None` only while dropping: closing the queue is what ends the writer.
    queue: Option<Queue>,
    writer: Option<JoinHandle<()>>,
    broken: Broken,
}

impl RedbStore {
    /// Opens the file, or makes it (mode 0600) together with its folders.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, is no store at all or is open elsewhere. A file that is there
    /// is never replaced.
    pub fn open(path: impl AsRef<Path>, metrics: Arc<Metrics>) -> Result<Arc<Self>, StoreError> {
        let path = path.as_ref();
        let failed = |what: String| StoreError::Unavailable(format!("{}: {what}", path.display()));
        let open = || match file::kind(path)? {
            file::Kind::Absent => file::make(path, |file| {
                let database = builder().create_file(file).map_err(said)?;
                make_tables(&database)?;
                Ok(database)
            }),
            file::Kind::Present => builder().open(path).map_err(said).and_then(verified),
        };
        // redb checks what it reads, but a file made to mislead it may still make it panic.
        let database = catch_unwind(open).unwrap_or_else(|_| Err("the file is damaged".to_owned()));
        Self::start(database.map_err(failed)?, metrics)
    }

    /// A store that forgets everything when it is dropped.
    ///
    /// # Errors
    /// When the writer thread cannot be started.
    pub fn in_memory(metrics: Arc<Metrics>) -> Result<Arc<Self>, StoreError> {
        Self::on_backend(redb::backends::InMemoryBackend::new(), metrics)
    }

    fn on_backend(
        backend: impl redb::StorageBackend,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, StoreError> {
        let database = builder().create_with_backend(backend).map_err(unavailable)?;
        make_tables(&database).map_err(StoreError::Unavailable)?;
        Self::start(database, metrics)
    }

    fn start(database: Database, metrics: Arc<Metrics>) -> Result<Arc<Self>, StoreError> {
        let database = Arc::new(database);
        let broken = Broken::default();
        let (queue, waiting) = queue();
        let writer = Writer { database: database.clone(), metrics, broken: broken.clone() };
        let writer = std::thread::Builder::new()
            .name("exedra-store".to_owned())
            .spawn(move || {
                while let Some(batch) = waiting.next(MAX_BATCH, MAX_BATCH_BYTES) {
                    writer.run(batch);
                }
            })
            .map_err(unavailable)?;
        Ok(Arc::new(Self { database, queue: Some(queue), writer: Some(writer), broken }))
    }

    /// Hands a write over at once; the future only waits for the answer.
    fn write(&self, bucket: &str, key: &str, kind: WriteKind) -> Task<Result<Revision, StoreError>> {
        let handed = check_names(bucket, key).and_then(|()| check_value(&kind)).and_then(|()| {
            self.usable()?;
            let closed = || StoreError::Unavailable("the store is closed".to_owned());
            self.queue.as_ref().ok_or_else(closed)?.push(bucket, key, kind)
        });
        Box::pin(async move {
            let answer = handed?;
            answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the writer has ended".to_owned())))
        })
    }

    /// A read on the thread that polls: what redb has in its cache takes microseconds.
    fn read<T: Send + 'static>(
        &self,
        checked: Result<(), StoreError>,
        read: impl FnOnce(&Database) -> Result<T, Error> + Send + 'static,
    ) -> Task<Result<T, StoreError>> {
        let ready = checked.and_then(|()| self.usable());
        let (database, broken) = (self.database.clone(), self.broken.clone());
        Box::pin(async move {
            ready?;
            match catch_unwind(AssertUnwindSafe(|| read(&database))) {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(break_down(&broken, &format!("a read failed: {error}"))),
                Err(_) => Err(break_down(&broken, "a read failed: the file is damaged")),
            }
        })
    }

    fn usable(&self) -> Result<(), StoreError> {
        self.broken.get().map_or(Ok(()), |why| Err(StoreError::Unavailable(why.clone())))
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        drop(self.queue.take());
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the store's writer has panicked");
        }
    }
}

impl Store for RedbStore {
    fn get(&self, bucket: &str, key: &str) -> Task<Result<Option<Entry>, StoreError>> {
        let (checked, bucket, key) = (check_names(bucket, key), bucket.to_owned(), key.to_owned());
        self.read(checked, move |database| {
            let table = database.begin_read()?.open_table(ENTRIES)?;
            Ok(table.get((bucket.as_str(), key.as_str()))?.map(|found| entry(found.value())))
        })
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
        let (bucket, prefix, after) = (bucket.to_owned(), prefix.to_owned(), after.map(str::to_owned));
        self.read(checked, move |database| {
            let table = database.begin_read()?.open_table(ENTRIES)?;
            let start = match after.as_deref() {
                Some(after) if after >= prefix.as_str() => Bound::Excluded((bucket.as_str(), after)),
                _ => Bound::Included((bucket.as_str(), prefix.as_str())),
            };
            let mut entries = Vec::new();
            for found in table.range::<(&str, &str)>((start, Bound::Unbounded))?.take(limit.min(MAX_LIST)) {
                let (name, value) = found?;
                let (in_bucket, key) = name.value();
                if in_bucket != bucket || !key.starts_with(&prefix) {
                    break;
                }
                entries.push((key.to_owned(), entry(value.value())));
            }
            Ok(entries)
        })
    }

    fn trouble(&self) -> Option<String> {
        self.broken.get().cloned()
    }
}

fn entry((revision, value): (u64, &[u8])) -> Entry {
    Entry { value: Bytes::copy_from_slice(value), revision }
}

/// A transaction that is on the disk when its commit returns. Two-phase, because what users write must not be able
/// to pass for a whole commit after a crash.
fn begin_durable(database: &Database) -> Result<WriteTransaction, Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

fn make_tables(database: &Database) -> Result<(), String> {
    let make = || -> Result<(), Error> {
        let transaction = begin_durable(database)?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(REVISIONS)?;
        Ok(transaction.commit()?)
    };
    make().map_err(said)
}

/// Refuses a file that is a redb database but not ours, or whose pages do not fit their checksums: better no
/// start than one with parts of the data.
fn verified(mut database: Database) -> Result<Database, String> {
    if !database.check_integrity().map_err(said)? {
        let found = "the file was damaged and has been taken back to its last sound state";
        return Err(format!("{found}; restore a backup, or start again to go on with what is left"));
    }
    let tables = || -> Result<(), Error> {
        let transaction = database.begin_read()?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(REVISIONS)?;
        Ok(())
    };
    tables().map_err(said)?;
    Ok(database)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Puts the store out of use, for good; the first reason stays.
fn break_down(broken: &Broken, why: &str) -> StoreError {
    if broken.set(why.to_owned()).is_ok() {
        tracing::error!(why, "the store is out of use until it is opened again");
    }
    StoreError::Unavailable(broken.get().map_or(why, String::as_str).to_owned())
}

#[cfg(test)]
#[path = "redb_tests.rs"]
mod tests;
