//! Acknowledgements that are lost on their way: a write is never answered falsely, and never done twice.

use std::{sync::Arc, time::Duration};

use exedra_hub::{metrics::Metrics, port::Store, port::StoreError};
use exedra_store::JetStreamStore;
use tokio::time::{Instant, sleep};

use crate::{
    nats::{Disk, Server, is_unavailable, messages, start_store, well},
    proxy::Proxy,
};

/// A server, a proxy before it, and a store behind that.
async fn scene() -> (Server, Proxy, Arc<JetStreamStore>) {
    let server = Server::start(Disk::Always).await;
    let proxy = Proxy::to(server.nats.address()).await;
    let store = start_store(&proxy.url(), server.config(), Metrics::new()).await;
    well(&*store).await;
    (server, proxy, store)
}

/// Waits until somebody else sees the value.
async fn arrived(other: &dyn Store, key: &str, value: &str) {
    while other.get("b", key).await.unwrap().is_none_or(|entry| entry.value != value) {
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_write_is_recognised() {
    let (server, proxy, store) = scene().await;
    let other = server.open().await;
    let before = store.put("b", "old", "one".into()).await.unwrap();
    let line = server.line().await;

    proxy.deafen();
    let writes = [
        ("made", store.create("b", "made", "new".into())),
        ("old", store.update("b", "old", "new".into(), before)),
        ("put", store.put("b", "put", "new".into())),
    ];
    for (key, _) in &writes {
        arrived(&*other, key, "new").await;
    }
    proxy.cut();
    for (key, write) in writes {
        let revision = write.await.unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(other.get("b", key).await.unwrap().unwrap().revision, revision, "{key}");
    }
    assert_eq!(messages(&line).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_write_is_sent_again() {
    let (server, proxy, store) = scene().await;
    let other = server.open().await;
    let before = store.put("b", "old", "one".into()).await.unwrap();

    proxy.silence();
    let (made, old) =
        (store.create("b", "made", "new".into()), store.update("b", "old", "new".into(), before));
    let put = store.put("b", "put", "new".into());
    sleep(Duration::from_millis(100)).await;
    proxy.cut();
    let (made, old) = (made.await.unwrap(), old.await.unwrap());
    assert!(is_unavailable(&put.await), "without a condition a second attempt could undo another's write");
    assert_eq!(other.get("b", "made").await.unwrap().unwrap().revision, made);
    assert_eq!(other.get("b", "old").await.unwrap().unwrap().revision, old);
}

#[tokio::test(flavor = "multi_thread")]
async fn doubt_is_no_conflict() {
    let (server, proxy, store) = scene().await;
    let other = server.open().await;
    proxy.deafen();
    let made = store.create("b", "k", "ours".into());
    arrived(&*other, "k", "ours").await;
    let ours = other.get("b", "k").await.unwrap().unwrap().revision;
    other.update("b", "k", "theirs".into(), ours).await.unwrap();
    proxy.cut();
    assert!(is_unavailable(&made.await), "it was created, and then overwritten");
    well(&*store).await;
    assert_eq!(store.get("b", "k").await.unwrap().unwrap().value, "theirs");
    let late = store.create("b", "k", "again".into()).await;
    assert!(matches!(late, Err(StoreError::Conflict(revision)) if revision > ours), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_are_certain_too() {
    let (server, proxy, store) = scene().await;
    let other = server.open().await;
    let line = server.line().await;
    let revision = store.put("b", "k", "one".into()).await.unwrap();
    proxy.deafen();
    let deleted = store.delete("b", "k", Some(revision));
    while other.get("b", "k").await.unwrap().is_some() {
        sleep(Duration::from_millis(2)).await;
    }
    proxy.cut();
    deleted.await.unwrap();
    let emptied = async {
        while messages(&line).await > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), emptied).await.expect("the marker is cleared away");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_way_silence_ends_in_time() {
    let (_server, proxy, store) = scene().await;
    for deaf in [true, false] {
        if deaf {
            proxy.deafen()
        } else {
            proxy.silence()
        }
        let began = Instant::now();
        let outcomes = futures_util::future::join_all((0..50).map(|number| {
            let (store, key) = (store.clone(), format!("{deaf}{number}"));
            async move { (store.put("b", &key, "v".into()).await, store.get("b", &key).await) }
        }));
        for (written, read) in outcomes.await {
            assert!(is_unavailable(&written) && is_unavailable(&read), "{written:?} {read:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(4), "each within 2 s: {:?}", began.elapsed());
        proxy.cut();
        well(&*store).await;
    }
}
