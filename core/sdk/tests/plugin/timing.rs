//! Time: timers, sleeps, timeouts, tasks.

use std::time::Duration;

use exedra_sdk::testing::TestHub;
use serde_json::{Value, json};

use crate::{hub, sample};

#[tokio::test]
async fn timers_follow_the_settings() {
    let hub = TestHub::with(sample::entry(), json!({"tick": "2s"}));
    assert_eq!(hub.manifest().timers[0].every_ms, 2_000);
    let ann = hub.connect("ann").await;
    ann.call::<u64>("frames", json!(null)).await.unwrap();
    hub.advance(Duration::from_millis(1_999)).await;
    ann.nothing_for("tick").await;
    hub.advance(Duration::from_millis(4_001)).await;
    for tick in 1..=3 {
        assert_eq!(ann.next::<u64>("tick").await, tick);
    }
    assert_eq!(hub.metric("level"), Some(3.0));
    assert_eq!(hub.metric("took_seconds_count"), Some(3.0));
}

#[tokio::test]
async fn zero_timers_are_refused() {
    let error = TestHub::builder(sample::entry(), json!({"tick": "0s"})).start().err().unwrap();
    assert!(error.contains("above zero"), "{error}");
}

#[tokio::test]
async fn timeout_drops_what_it_waits_for() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    let (answer, ()) =
        tokio::join!(ann.call::<String>("race", json!(null)), hub.advance(Duration::from_secs(5)));
    assert_eq!(answer.unwrap(), "TIMEOUT");
}

#[tokio::test]
async fn tasks_outlive_their_handler() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    ann.call::<Value>("spawn", json!(null)).await.unwrap();
    ann.nothing_for("spawned").await;
    hub.advance(Duration::from_millis(10)).await;
    ann.next_args("spawned").await;
}

#[tokio::test]
async fn events_of_one_connection_wait() {
    let hub = hub();
    let (ann, bob) = (hub.connect("ann").await, hub.connect("bob").await);
    ann.emit("race", json!(null));
    ann.emit("say", json!({"text": "second"}));
    bob.call::<u64>("frames", json!(null)).await.unwrap();
    bob.nothing_for("said").await;
    hub.advance(Duration::from_secs(1)).await;
    assert_eq!(bob.next::<Value>("said").await["text"], "second");
}

#[tokio::test]
async fn manifest_tells_everything() {
    let hub = hub();
    let manifest = hub.manifest();
    assert_eq!(manifest.version, env!("CARGO_PKG_VERSION"));
    let paths: Vec<_> = manifest.namespaces.iter().map(|namespace| &*namespace.path).collect();
    assert_eq!(paths, ["/", "/room/{roomId}"]);
    let say = &manifest.events[0];
    assert_eq!(
        (&*say.name, &*say.description, say.timeout_ms),
        ("say", "Says something to everybody.", Some(5_000))
    );
    assert_eq!(say.schema.as_ref().unwrap()["required"], json!(["text"]));
    assert!(say.ack.is_some());
    assert!(manifest.emits[0].schema.is_some() && manifest.emits[1].schema.is_none());
    assert_eq!(manifest.routes[0].body_limit, 64);
    assert_eq!(manifest.routes[1].body_limit, 256 * 1024);
    assert_eq!(manifest.metrics[0].values, ["loud", "quiet"]);
    assert!(manifest.settings.as_ref().unwrap()["properties"]["tick"].is_object());
    assert!(manifest.on_connect && manifest.on_disconnect && manifest.on_leave);
}
