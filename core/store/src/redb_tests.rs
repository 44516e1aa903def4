use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use redb::{StorageBackend, backends::InMemoryBackend};

use super::*;

/// A disk that fails on demand.
#[derive(Debug, Clone, Default)]
struct Disk {
    memory: Arc<InMemoryBackend>,
    failing: Arc<AtomicBool>,
}

impl Disk {
    fn check(&self) -> io::Result<()> {
        if self.failing.load(Ordering::SeqCst) { Err(io::Error::other("no space left")) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.memory.write(offset, data)
    }
}

fn is_unavailable<T>(outcome: Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn failed_commit_ends_all_writing() {
    let disk = Disk::default();
    let store = RedbStore::on_backend(disk.clone(), Metrics::new()).unwrap();
    store.put("b", "k", "one".into()).await.unwrap();

    disk.failing.store(true, Ordering::SeqCst);
    let together = (0..10).map(|number| store.put("b", &format!("k{number}"), "two".into()));
    for outcome in futures_util::future::join_all(together).await {
        assert!(is_unavailable(outcome));
    }

    disk.failing.store(false, Ordering::SeqCst);
    assert!(is_unavailable(store.put("b", "k", "three".into()).await));
    assert!(is_unavailable(store.get("b", "k").await));
    assert!(store.trouble().unwrap().contains("a commit failed"));
}

#[tokio::test]
async fn conflict_fails_no_neighbour() {
    let store = RedbStore::in_memory(Metrics::new()).unwrap();
    let together = [
        store.create("b", "k", "one".into()),
        store.create("b", "k", "two".into()),
        store.put("b", "other", "three".into()),
    ];
    let outcomes = futures_util::future::join_all(together).await;
    assert_eq!(outcomes, [Ok(1), Err(StoreError::Conflict(1)), Ok(2)]);
}

#[tokio::test]
async fn forgotten_write_is_still_done() {
    let store = RedbStore::in_memory(Metrics::new()).unwrap();
    drop(store.put("b", "k", "one".into()));
    store.put("b", "later", "two".into()).await.unwrap();
    assert!(store.get("b", "k").await.unwrap().is_some());
}
