//! Several stores on one server, as the nodes of a hub have them.

use std::{sync::Arc, time::Duration};

use exedra_hub::{
    metrics::Metrics,
    port::{Store, StoreError},
};
use exedra_store::JetStreamStore;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::nats::{Disk, SOON, Server, messages, start_store, well};

async fn keys(store: &dyn Store, prefix: &str) -> Vec<String> {
    store.list("b", prefix, None, 10_000).await.unwrap().into_iter().map(|(key, _)| key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_writes_are_seen_at_once() {
    let server = Server::start(Disk::Always).await;
    let nodes = [server.open().await, server.open().await];
    for turn in 0..100_usize {
        let (one, other) = (&nodes[turn % 2], &nodes[(turn + 1) % 2]);
        let (key, value) = (format!("seen/{}", turn % 7), format!("value {turn}"));
        let revision = one.put("b", &key, value.clone().into()).await.unwrap();
        let entry = other.get("b", &key).await.unwrap().unwrap();
        assert_eq!((entry.value, entry.revision), (value.into(), revision));
        let listed = other.list("b", "seen/", None, 100).await.unwrap();
        assert!(listed.iter().any(|(name, entry)| *name == key && entry.revision == revision));
        if turn % 3 == 0 {
            one.delete("b", &key, Some(revision)).await.unwrap();
            assert_eq!(other.get("b", &key).await, Ok(None));
            assert!(!keys(&**other, "seen/").await.contains(&key));
            assert!(other.update("b", &key, "late".into(), revision).await.is_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_all_nodes_wins() {
    let server = Server::start(Disk::Always).await;
    let nodes = [server.open().await, server.open().await, server.open().await];
    for round in 0..20 {
        let key = format!("race/{round}");
        let made =
            join_all((0..30).map(|number| nodes[number % 3].create("b", &key, number.to_string().into())))
                .await;
        let won: Vec<_> = made.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{made:?}");
        for lost in made.iter().filter(|outcome| outcome.is_err()) {
            assert_eq!(*lost, Err(StoreError::Conflict(*won[0])));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_count_without_loss() {
    let server = Server::start(Disk::Late).await;
    let nodes = [server.open().await, server.open().await];
    nodes[0].put("b", "count", "0".into()).await.unwrap();
    let counters = (0..8_usize).map(|number| {
        let node = nodes[number % 2].clone();
        async move {
            for _ in 0..25 {
                increment(&node).await;
            }
        }
    });
    join_all(counters).await;
    assert_eq!(nodes[0].get("b", "count").await.unwrap().unwrap().value, "200");
}

async fn increment(node: &Arc<JetStreamStore>) {
    loop {
        let entry = node.get("b", "count").await.unwrap().unwrap();
        let count: u32 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
        match node.update("b", "count", (count + 1).to_string().into(), entry.revision).await {
            Ok(_) => return,
            Err(StoreError::Conflict(now)) => assert!(now >= entry.revision),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_of_two_prefixes_do_not_mix() {
    let server = Server::start(Disk::Always).await;
    let one = server.open().await;
    let config = exedra_store::JetStreamConfig { prefix: "acme.exedra".to_owned(), ..server.config() };
    let other = server.start_store(config).await;
    well(&*other).await;
    one.put("b", "k", "one".into()).await.unwrap();
    assert_eq!(other.get("b", "k").await, Ok(None));
    // Names of buckets have no dots, so these two would share one.
    let config = exedra_store::JetStreamConfig { prefix: "acme_exedra".to_owned(), ..server.config() };
    let third = server.start_store(config).await;
    crate::nats::reach(&*third, |why| why.contains("another nats.prefix")).await;
    assert!(third.put("b", "k", "x".into()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_keys_take_no_room() {
    let server = Server::start(Disk::Late).await;
    let (store, line) = (server.open().await, server.line().await);
    for round in 0..3 {
        join_all((0..200).map(|number| store.put("b", &format!("k/{number}"), "x".into()))).await;
        assert_eq!(keys(&*store, "k/").await.len(), 200);
        let deleted = (0..200).map(|number| store.delete("b", &format!("k/{number}"), None));
        assert!(join_all(deleted).await.iter().all(Result::is_ok), "round {round}");
        assert!(keys(&*store, "k/").await.is_empty());
    }
    let emptied = async {
        while messages(&line).await > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, emptied).await.expect("no marker stays");
}

/// A node that ended in the middle of deleting leaves markers; lists pass over them and clear them away.
#[tokio::test(flavor = "multi_thread")]
async fn markers_left_behind_are_cleared() {
    let server = Server::start(Disk::Late).await;
    let (store, line) = (server.open().await, server.line().await);
    for number in 0..300 {
        store.put("b", &format!("k/{number:03}"), "x".into()).await.unwrap();
    }
    for number in (0..300).filter(|number| number % 3 != 0) {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("KV-Operation", "DEL");
        let subject = format!("$KV.exedra_store.b.k.{number:03}");
        line.client.publish_with_headers(subject, headers, "".into()).await.unwrap();
    }
    line.client.flush().await.unwrap();
    let live: Vec<_> =
        (0..300).filter(|number| number % 3 == 0).map(|number| format!("k/{number:03}")).collect();
    let first = store.list("b", "k/", None, 40).await.unwrap();
    assert_eq!(first.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), live[..40]);
    assert_eq!(store.get("b", "k/001").await, Ok(None));
    store.create("b", "k/002", "anew".into()).await.unwrap();
    assert_eq!(keys(&*store, "k/").await.len(), 101);
    let cleared = async {
        while messages(&line).await > 101 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, cleared).await.expect("the markers go");
}

/// More names than the server tells at once, and a page of ten from their midst.
#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_walked() {
    const KEYS: usize = 101_500;
    let server = Server::start(Disk::Late).await;
    let (store, line) = (server.open().await, server.line().await);
    for number in 0..KEYS {
        line.client.publish(format!("$KV.exedra_store.b.many.{number:06}"), "x".into()).await.unwrap();
    }
    let stored = async {
        while messages(&line).await < KEYS as u64 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, stored).await.expect("all keys");
    // Until the store has seen how large the bucket is, it may be too impatient.
    sleep(Duration::from_secs(3)).await;
    for after in [0, 50_000, 99_990, KEYS - 6] {
        let began = Instant::now();
        let page = store.list("b", "many/", Some(&format!("many/{after:06}")), 10).await.unwrap();
        let expected: Vec<_> =
            (after + 1..KEYS.min(after + 11)).map(|number| format!("many/{number:06}")).collect();
        assert_eq!(page.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), expected);
        println!("a page of ten of {KEYS} keys took {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_counted() {
    let server = Server::start(Disk::Late).await;
    let metrics = Metrics::new();
    let store = start_store(&server.nats.url(), server.config(), metrics.clone()).await;
    crate::nats::reach(&*store, |why| why.contains("sync_interval")).await;
    for number in 0..10 {
        store.put("b", &number.to_string(), "x".into()).await.unwrap();
    }
    store.create("b", "0", "x".into()).await.unwrap_err();
    assert!(metrics.render().lines().any(|line| line == "exedra_store_commit_seconds_count 10"));
}
