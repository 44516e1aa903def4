//! What must hold when a plugin misbehaves.

use std::time::Duration;

use exedra_sdk::testing::TestHub;
use serde_json::{Value, json};

use crate::{hub, sample};

#[tokio::test]
async fn panic_ends_one_call_only() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    for how in ["panic", "late panic"] {
        let error = ann.call::<Value>("fail", json!(how)).await.unwrap_err();
        assert_eq!(error["error"]["code"], "INTERNAL");
        assert!(!error.to_string().contains("panic"), "{error}");
    }
    assert_eq!(hub.panics(), 2);
    assert_eq!(ann.call::<String>("me", json!(null)).await.unwrap(), "ann");
}

#[tokio::test]
async fn panic_at_the_door_refuses() {
    let hub = hub();
    let refused = hub.client().query("mode", "panic").connect().await.err().unwrap();
    assert_eq!(refused.code, "INTERNAL");
    hub.connect("ann").await;
}

#[tokio::test]
async fn panic_in_new_stops_the_start() {
    let error = TestHub::builder(sample::entry(), json!({"fail": "panic"})).start().err().unwrap();
    assert!(error.contains("born dead"), "{error}");
}

#[tokio::test]
async fn error_in_new_stops_the_start() {
    let error = TestHub::builder(sample::entry(), json!({"fail": "error"})).start().err().unwrap();
    assert!(error.contains("no thanks"), "{error}");
}

#[tokio::test]
async fn bad_settings_are_explained() {
    for (settings, word) in [(json!({"ticks": "1s"}), "ticks"), (json!({"tick": "soon"}), "soon")] {
        let error = TestHub::builder(sample::entry(), settings).start().err().unwrap();
        assert!(error.contains(word), "{error}");
    }
}

#[tokio::test]
async fn too_many_panics_quarantine() {
    let hub = TestHub::builder(sample::entry(), json!({})).panic_budget(2).start().unwrap();
    let ann = hub.connect("ann").await;
    for _ in 0..3 {
        ann.call::<Value>("fail", json!("panic")).await.unwrap_err();
    }
    let error = ann.call::<String>("me", json!(null)).await.unwrap_err();
    assert_eq!(error["error"]["code"], "UNAVAILABLE");
}

#[tokio::test]
async fn overdue_handler_is_dropped() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    let (answer, ()) =
        tokio::join!(ann.call::<Value>("slow", json!(null)), hub.advance(Duration::from_secs(11)));
    assert_eq!(answer.unwrap_err()["error"]["code"], "TIMEOUT");
    hub.settle().await;
    assert_eq!(ann.call::<u64>("dropped", json!(null)).await.unwrap(), 1);
}

#[tokio::test]
async fn stop_drops_waiting_handlers() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    ann.emit("slow", json!(null));
    ann.emit("spawn", json!(null));
    hub.settle().await;
    hub.stop();
    assert!(hub.client().connect().await.is_err());
}

#[tokio::test]
async fn abandoned_connect_is_cancelled() {
    let hub = hub();
    let knocking = hub.client().query("mode", "wait").connect();
    assert!(tokio::time::timeout(Duration::from_millis(20), knocking).await.is_err());
    hub.advance(Duration::from_secs(2)).await;
    hub.connect("ann").await;
    assert_eq!(hub.panics(), 0);
}
