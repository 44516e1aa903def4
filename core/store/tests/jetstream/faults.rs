//! Servers that are away, killed under load or frozen.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake},
    time::Duration,
};

use exedra_hub::port::{Store, StoreError};
use exedra_store::JetStreamStore;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::nats::{Disk, Server, is_unavailable, reach, well};

const AT_ONCE: Duration = Duration::from_millis(200);
const IN_TIME: Duration = Duration::from_millis(2000);

#[tokio::test(flavor = "multi_thread")]
async fn starts_before_its_server() {
    let mut server = Server::start(Disk::Always).await;
    server.nats.kill().await;
    let store = server.start_store(server.config()).await;
    assert!(store.trouble().unwrap().contains("not connected"));
    let write = timeout(AT_ONCE, store.put("b", "k", "x".into())).await.expect("at once");
    let read = timeout(AT_ONCE, store.get("b", "k")).await.expect("at once");
    let list = timeout(AT_ONCE, store.list("b", "", None, 1)).await.expect("at once");
    assert!(is_unavailable(&write) && is_unavailable(&read) && is_unavailable(&list));
    server.nats.restart().await;
    well(&*store).await;
    store.put("b", "k", "x".into()).await.unwrap();
}

/// What one writer was told of each of its keys.
#[derive(Default)]
struct Ledger {
    answered: HashMap<String, u64>,
    unknown: Vec<String>,
}

/// Creates keys of its own until it is told to stop.
async fn write(store: Arc<JetStreamStore>, writer: usize, stop: Arc<AtomicBool>) -> Ledger {
    let mut ledger = Ledger::default();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("load/{writer}/{number}");
        match store.create("b", &key, key.clone().into()).await {
            Ok(revision) => drop(ledger.answered.insert(key, revision)),
            Err(StoreError::Unavailable(_)) => {
                ledger.unknown.push(key);
                sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{key}: {error}: nobody else writes it"),
        }
    }
    ledger
}

/// What was acknowledged survives the process, with or without `sync_interval: always`: the kernel keeps what was
/// written. That it is on the disk is another matter, which `disk.rs` looks at.
#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_acknowledged() {
    let mut server = Server::start(Disk::Always).await;
    let store = server.open().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..16).map(|writer| tokio::spawn(write(store.clone(), writer, stop.clone()))).collect();
    for round in 0..5_u64 {
        sleep(Duration::from_millis(150 + 70 * round)).await;
        server.nats.restart().await;
        well(&*store).await;
    }
    stop.store(true, Ordering::SeqCst);
    let (mut answered, mut unknown) = (0, 0);
    for writer in join_all(writers).await {
        let ledger = writer.unwrap();
        for (key, revision) in &ledger.answered {
            let entry = store.get("b", key).await.unwrap().unwrap_or_else(|| panic!("{key} is lost"));
            assert_eq!((entry.value, entry.revision), (key.clone().into(), *revision));
        }
        answered += ledger.answered.len();
        for key in &ledger.unknown {
            unknown += usize::from(store.get("b", key).await.unwrap().is_some());
        }
    }
    let stored = walk(&*store, "load/").await;
    assert_eq!(stored, answered + unknown, "nothing but what was asked for");
    assert!(answered > 200, "{answered} answered");
    println!("{answered} writes answered over 5 kills, {unknown} stored without an answer");
}

async fn walk(store: &dyn Store, prefix: &str) -> usize {
    let (mut count, mut after) = (0, None);
    loop {
        let page = store.list("b", prefix, after.as_deref(), 1000).await.unwrap();
        let Some((last, _)) = page.last() else { return count };
        count += page.len();
        after = Some(last.clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_server_holds_up_nobody() {
    let server = Server::start(Disk::Always).await;
    let store = server.open().await;
    store.put("b", "k", "x".into()).await.unwrap();
    server.nats.freeze().await;
    let began = Instant::now();
    let writes = join_all((0..1500).map(|number| store.put("b", &format!("w/{number}"), "x".into())));
    let reads = join_all((0..100).map(|_| store.get("b", "k")));
    let (writes, reads, list) = tokio::join!(writes, reads, store.list("b", "", None, 10));
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    assert!(reads.iter().all(is_unavailable) && is_unavailable(&list));
    let busy = writes.iter().filter(|outcome| **outcome == Err(StoreError::Busy)).count();
    let unavailable = writes.iter().filter(|outcome| is_unavailable(outcome)).count();
    assert_eq!((busy, unavailable), (476, 1024), "bounded, and no write is answered");
    reach(&*store, |why| !why.is_empty()).await;

    // Soon the connection counts as broken, and then nobody has to wait.
    reach(&*store, |why| why.contains("not connected")).await;
    assert!(is_unavailable(&timeout(AT_ONCE, store.get("b", "k")).await.expect("at once")));

    server.nats.thaw().await;
    well(&*store).await;
    store.put("b", "after", "x".into()).await.unwrap();
    assert!(store.get("b", "k").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn heavy_writes_are_bounded() {
    let server = Server::start(Disk::Late).await;
    let store = server.open().await;
    server.nats.freeze().await;
    let value = bytes::Bytes::from(vec![7; 1024 * 1024]);
    let writes: Vec<_> = (0..100).map(|number| store.put("b", &format!("{number}"), value.clone())).collect();
    let mut busy = 0;
    for write in writes {
        busy += usize::from(write.await == Err(StoreError::Busy));
    }
    assert_eq!(busy, 37, "63 MiB fit with their names");
    server.nats.thaw().await;
    reach(&*store, |why| !why.contains("not connected")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_write_is_still_done() {
    let server = Server::start(Disk::Always).await;
    let store = server.open().await;
    drop(store.put("b", "k", "one".into()));
    store.put("b", "later", "two".into()).await.unwrap();
    assert!(store.get("b", "k").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_keep_their_order() {
    let server = Server::start(Disk::Late).await;
    let store = server.open().await;
    let writes: Vec<_> = (0..500).map(|number| store.put("b", "k", format!("{number}").into())).collect();
    let revisions: Vec<_> = join_all(writes).await.into_iter().map(Result::unwrap).collect();
    assert!(revisions.is_sorted());
    assert_eq!(store.get("b", "k").await.unwrap().unwrap().value, "499");
}

/// Plugins wait on threads that know nothing of tokio.
#[tokio::test(flavor = "multi_thread")]
async fn any_thread_may_wait() {
    let server = Server::start(Disk::Always).await;
    let store = server.open().await;
    let outside = std::thread::spawn(move || {
        let written = waited(store.put("b", "k", "x".into()));
        let read = waited(store.get("b", "k"));
        let listed = waited(store.list("b", "", None, 10));
        (written.unwrap(), read.unwrap().unwrap().revision, listed.unwrap().len())
    });
    let (written, read, listed) = tokio::task::spawn_blocking(move || outside.join().unwrap()).await.unwrap();
    assert_eq!((written, listed), (read, 1));
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, with nothing but a waker.
fn waited<T>(mut task: Pin<Box<dyn Future<Output = T> + Send>>) -> T {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    loop {
        match task.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park_timeout(Duration::from_secs(5)),
        }
    }
}
