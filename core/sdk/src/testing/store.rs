//! A store in memory that is never ready at once, so that handlers wait as they do in production, and that fails on
//! demand.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
};

use bytes::Bytes;
use exedra_hub::{
    Task,
    port::{Entry, Revision, Store, StoreError},
};
use parking_lot::Mutex;

#[derive(Default)]
pub(super) struct TestStore {
    buckets: Mutex<State>,
    failures: AtomicUsize,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<(String, String), Entry>,
    last: Revision,
}

impl TestStore {
    pub(super) fn fail_next(&self, operations: usize) {
        self.failures.fetch_add(operations, Ordering::SeqCst);
    }

    pub(super) fn peek(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let state = self.buckets.lock();
        state.entries.get(&(bucket.to_owned(), key.to_owned())).map(|entry| entry.value.clone())
    }

    /// Does it now, tells it later.
    fn later<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Task<Result<T, StoreError>> {
        let fails =
            self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        let outcome = if fails {
            Err(StoreError::Unavailable("the test wants it so".to_owned()))
        } else {
            operation(&mut self.buckets.lock())
        };
        Box::pin(async move {
            let mut waited = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut waited, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            outcome
        })
    }
}

impl State {
    fn revision(&self, at: &(String, String)) -> Revision {
        self.entries.get(at).map_or(0, |entry| entry.revision)
    }

    fn write(&mut self, at: (String, String), value: Bytes) -> Revision {
        self.last += 1;
        let revision = self.last;
        self.entries.insert(at, Entry { value, revision });
        revision
    }

    fn write_if(
        &mut self,
        at: (String, String),
        value: Bytes,
        expected: Revision,
    ) -> Result<Revision, StoreError> {
        match self.revision(&at) {
            revision if revision == expected => Ok(self.write(at, value)),
            revision => Err(StoreError::Conflict(revision)),
        }
    }
}

fn at(bucket: &str, key: &str) -> (String, String) {
    (bucket.to_owned(), key.to_owned())
}

impl Store for TestStore {
    fn get(&self, bucket: &str, key: &str) -> Task<Result<Option<Entry>, StoreError>> {
        self.later(|state| Ok(state.entries.get(&at(bucket, key)).cloned()))
    }

    fn put(&self, bucket: &str, key: &str, value: Bytes) -> Task<Result<Revision, StoreError>> {
        self.later(|state| Ok(state.write(at(bucket, key), value)))
    }

    fn create(&self, bucket: &str, key: &str, value: Bytes) -> Task<Result<Revision, StoreError>> {
        self.later(|state| state.write_if(at(bucket, key), value, 0))
    }

    fn update(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> Task<Result<Revision, StoreError>> {
        self.later(|state| state.write_if(at(bucket, key), value, expected))
    }

    fn delete(&self, bucket: &str, key: &str, expected: Option<Revision>) -> Task<Result<(), StoreError>> {
        self.later(|state| {
            let at = at(bucket, key);
            let revision = state.revision(&at);
            if expected.is_some_and(|expected| expected != revision) {
                return Err(StoreError::Conflict(revision));
            }
            state.entries.remove(&at);
            Ok(())
        })
    }

    fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Task<Result<Vec<(String, Entry)>, StoreError>> {
        self.later(|state| {
            let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
            let entries = state.entries.iter();
            let found = entries.filter(|((of, key), _)| of == bucket && wanted(key)).take(limit);
            Ok(found.map(|((_, key), entry)| (key.clone(), entry.clone())).collect())
        })
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
