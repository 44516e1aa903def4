//! What every store must do, run on each of them. Buckets are named after the check that uses them, so one store
//! serves all checks; it must be empty before.

#![expect(clippy::unwrap_used, reason = "a check that fails panics")]

use std::sync::Arc;

use bytes::Bytes;
use exedra_hub::port::{Entry, Store, StoreError};

use crate::{MAX_NAME, MAX_VALUE};

/// Runs every check; panics at the first that fails.
pub async fn run_all(store: Arc<dyn Store>) {
    reads_what_was_written(&*store).await;
    revisions_grow_in_a_bucket(&*store).await;
    creates_only_once(&*store).await;
    updates_only_the_expected(&*store).await;
    deletes_only_the_expected(&*store).await;
    lists_in_key_order(&*store).await;
    lists_page_by_page(&*store).await;
    buckets_do_not_mix(&*store).await;
    takes_any_name(&*store).await;
    keeps_its_limits(&*store).await;
    one_of_many_creators_wins(store.clone()).await;
    counts_without_loss(store.clone()).await;
    assert_eq!(store.trouble(), None);
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn value(store: &dyn Store, bucket: &str, key: &str) -> Option<Bytes> {
    store.get(bucket, key).await.unwrap().map(|entry| entry.value)
}

async fn keys(
    store: &dyn Store,
    bucket: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Vec<String> {
    store.list(bucket, prefix, after, limit).await.unwrap().into_iter().map(|(key, _)| key).collect()
}

async fn reads_what_was_written(store: &dyn Store) {
    assert_eq!(store.get("read", "k").await, Ok(None));
    let revision = store.put("read", "k", bytes("one")).await.unwrap();
    assert_eq!(store.get("read", "k").await, Ok(Some(Entry { value: bytes("one"), revision })));
    store.put("read", "k", Bytes::new()).await.unwrap();
    assert_eq!(value(store, "read", "k").await, Some(Bytes::new()), "an empty value is a value");
}

async fn revisions_grow_in_a_bucket(store: &dyn Store) {
    let mut last = 0;
    for turn in 0..10 {
        let revision = store.put("grow", &format!("k{}", turn % 3), bytes("x")).await.unwrap();
        assert!(revision > last);
        last = revision;
    }
    store.delete("grow", "k0", None).await.unwrap();
    assert!(
        store.create("grow", "k0", bytes("y")).await.unwrap() > last,
        "a key that comes back has not been here"
    );
}

async fn creates_only_once(store: &dyn Store) {
    let revision = store.create("create", "k", bytes("one")).await.unwrap();
    assert_eq!(store.create("create", "k", bytes("two")).await, Err(StoreError::Conflict(revision)));
    assert_eq!(value(store, "create", "k").await, Some(bytes("one")));
    store.delete("create", "k", None).await.unwrap();
    store.create("create", "k", bytes("three")).await.unwrap();
    assert_eq!(value(store, "create", "k").await, Some(bytes("three")));
}

async fn updates_only_the_expected(store: &dyn Store) {
    for expected in [0, 1, 7] {
        let refused = store.update("update", "absent", bytes("x"), expected).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
    let first = store.put("update", "k", bytes("one")).await.unwrap();
    let second = store.update("update", "k", bytes("two"), first).await.unwrap();
    assert!(second > first);
    assert_eq!(store.update("update", "k", bytes("three"), first).await, Err(StoreError::Conflict(second)));
    assert_eq!(value(store, "update", "k").await, Some(bytes("two")));
    store.delete("update", "k", None).await.unwrap();
    let refused = store.update("update", "k", bytes("four"), second).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
}

async fn deletes_only_the_expected(store: &dyn Store) {
    assert_eq!(store.delete("delete", "absent", None).await, Ok(()));
    assert_eq!(store.delete("delete", "absent", Some(9)).await, Ok(()));
    let first = store.put("delete", "k", bytes("one")).await.unwrap();
    let second = store.put("delete", "k", bytes("two")).await.unwrap();
    assert_eq!(store.delete("delete", "k", Some(first)).await, Err(StoreError::Conflict(second)));
    assert!(store.get("delete", "k").await.unwrap().is_some());
    assert_eq!(store.delete("delete", "k", Some(second)).await, Ok(()));
    assert_eq!(store.get("delete", "k").await, Ok(None));
    assert!(keys(store, "delete", "", None, 10).await.is_empty());
}

async fn lists_in_key_order(store: &dyn Store) {
    let written = ["b", "a/2", "a/10", "a", "c", "\u{e9}", "a\u{0}", "Z"];
    for key in written {
        store.put("order", key, bytes(key)).await.unwrap();
    }
    let mut sorted: Vec<String> = written.iter().map(|key| (*key).to_owned()).collect();
    sorted.sort();
    assert_eq!(keys(store, "order", "", None, 100).await, sorted);
    assert_eq!(keys(store, "order", "a/", None, 100).await, ["a/10", "a/2"]);
    assert!(keys(store, "order", "x", None, 100).await.is_empty());
    for (key, entry) in store.list("order", "", None, 100).await.unwrap() {
        assert_eq!(entry.value, bytes(&key));
        assert_eq!(store.get("order", &key).await, Ok(Some(entry)));
    }
}

async fn lists_page_by_page(store: &dyn Store) {
    for number in 0..10 {
        store.put("page", &format!("p/{number}"), bytes("x")).await.unwrap();
    }
    store.put("page", "q", bytes("x")).await.unwrap();
    assert!(keys(store, "page", "p/", None, 0).await.is_empty());
    let mut seen: Vec<String> = Vec::new();
    loop {
        let page = keys(store, "page", "p/", seen.last().map(String::as_str), 3).await;
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, (0..10).map(|number| format!("p/{number}")).collect::<Vec<_>>());
    assert_eq!(keys(store, "page", "p/", Some("a"), 2).await, ["p/0", "p/1"], "a start before the prefix");
    assert!(keys(store, "page", "p/", Some("q"), 2).await.is_empty(), "a start beyond the prefix");
    assert_eq!(keys(store, "page", "p/", Some("p/55"), 2).await, ["p/6", "p/7"], "a start that is no key");
}

async fn buckets_do_not_mix(store: &dyn Store) {
    store.put("mix", "k", bytes("one")).await.unwrap();
    store.put("mix2", "k", bytes("two")).await.unwrap();
    store.put("mi", "xk", bytes("three")).await.unwrap();
    assert_eq!(value(store, "mix", "k").await, Some(bytes("one")));
    assert_eq!(keys(store, "mix", "", None, 10).await, ["k"]);
    store.delete("mix2", "k", None).await.unwrap();
    assert_eq!(value(store, "mix", "k").await, Some(bytes("one")));
}

async fn takes_any_name(store: &dyn Store) {
    let names =
        ["", ".", "..", "a.b", "*", ">", "$JS.API.X", "a b", "\t\r\n", "\u{0}", "\u{1f600}", "=", "=20", "/"];
    for name in names {
        store.put("any", name, bytes(name)).await.unwrap();
        store.put(&format!("any {name}"), "k", bytes(name)).await.unwrap();
    }
    for name in names {
        assert_eq!(value(store, "any", name).await, Some(bytes(name)), "{name:?}");
        assert_eq!(value(store, &format!("any {name}"), "k").await, Some(bytes(name)), "{name:?}");
    }
    assert_eq!(keys(store, "any", "", None, 100).await.len(), names.len());
}

async fn keeps_its_limits(store: &dyn Store) {
    let (name, value) = ("x".repeat(MAX_NAME), Bytes::from(vec![7; MAX_VALUE]));
    store.put(&name, &name, value.clone()).await.unwrap();
    assert_eq!(store.get(&name, &name).await.unwrap().unwrap().value, value);
    let (long, large) = ("x".repeat(MAX_NAME + 1), Bytes::from(vec![7; MAX_VALUE + 1]));
    let too_large = |outcome: Result<_, StoreError>| matches!(outcome, Err(StoreError::TooLarge(_)));
    assert!(too_large(store.put(&long, "k", bytes("x")).await.map(drop)));
    assert!(too_large(store.put("limits", &long, bytes("x")).await.map(drop)));
    assert!(too_large(store.put("limits", "k", large.clone()).await.map(drop)));
    assert!(too_large(store.create("limits", "k", large.clone()).await.map(drop)));
    assert!(too_large(store.update("limits", "k", large, 1).await.map(drop)));
    assert!(too_large(store.get("limits", &long).await.map(drop)));
    assert!(too_large(store.delete("limits", &long, None).await));
    assert!(too_large(store.list("limits", &long, None, 1).await.map(drop)));
    assert!(keys(store, "limits", "", None, 10).await.is_empty());
}

async fn one_of_many_creators_wins(store: Arc<dyn Store>) {
    let creators = (0..32).map(|number| store.create("race", "k", bytes(&number.to_string())));
    let outcomes = futures_util::future::join_all(creators).await;
    let winners: Vec<usize> = (0..32).filter(|number| outcomes[*number].is_ok()).collect();
    let [winner] = winners[..] else { panic!("{} winners", winners.len()) };
    assert_eq!(value(&*store, "race", "k").await, Some(bytes(&winner.to_string())));
}

async fn counts_without_loss(store: Arc<dyn Store>) {
    store.put("count", "k", bytes("0")).await.unwrap();
    let counters = (0..8).map(|_| async {
        for _ in 0..10 {
            increment(&*store).await;
        }
    });
    futures_util::future::join_all(counters).await;
    assert_eq!(value(&*store, "count", "k").await, Some(bytes("80")));
}

/// Reads, adds one and writes, as often as others come between.
async fn increment(store: &dyn Store) {
    loop {
        let entry = store.get("count", "k").await.unwrap().unwrap();
        let count: u32 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
        match store.update("count", "k", bytes(&(count + 1).to_string()), entry.revision).await {
            Ok(_) => return,
            Err(StoreError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
