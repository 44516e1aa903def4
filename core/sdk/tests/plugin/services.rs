//! Injected events, rpc, and questions to outside services.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub;

#[tokio::test]
async fn injected_events_reach_rooms() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    ann.call::<Value>("join", "a.b *").await.unwrap();
    hub.inject("a.b *", "phase", json!({"text": "vote"})).await.unwrap();
    assert_eq!(ann.next::<Value>("phase").await["text"], "vote");
}

#[tokio::test]
async fn refused_injection_is_a_dead_letter() {
    let hub = hub();
    let reason = hub.inject("r", "phase", json!({"test": 1})).await.unwrap_err();
    assert!(reason.starts_with("INVALID: ") && reason.contains("test"), "{reason}");
    assert!(hub.dead_letters().await[0].contains("test"));
}

#[tokio::test]
async fn raw_bodies_and_headers_arrive() {
    let hub = hub();
    hub.inject_with("r", "video-frame", &[("content-type", "image/webp")], vec![0, 255, 1]).await;
    let out = hub.out().await;
    assert_eq!(
        (&*out[0].event, &out[0].payload),
        ("video-frame", &json!({"kind": "image/webp", "bytes": 3}))
    );
}

#[tokio::test]
async fn rpc_answers_or_refuses() {
    let hub = hub();
    assert_eq!(hub.rpc("sum", [1, 2, 3]).await.unwrap(), 6);
    assert_eq!(hub.rpc("sum", json!([])).await.unwrap_err()["code"], "EMPTY");
    assert_eq!(hub.rpc("sum", "x").await.unwrap_err()["code"], "INVALID");
    assert_eq!(hub.rpc("nothing", ()).await.unwrap_err()["code"], "NOT_FOUND");
}

#[tokio::test]
async fn outside_services_can_be_asked() {
    let hub = hub();
    assert_eq!(hub.rpc("forward", 1).await.unwrap_err()["code"], "UNAVAILABLE");
    hub.service("elsewhere", |method, payload| match payload.as_i64() {
        Some(n) => json!({ "method": method, "twice": n * 2 }),
        None => json!({"error": {"code": "NOT_FOUND", "message": "no number"}}),
    });
    assert_eq!(hub.rpc("forward", 4).await.unwrap(), json!({"method": "double", "twice": 8}));
    let refused = hub.rpc("forward", "x").await.unwrap_err();
    assert_eq!((&refused["code"], &refused["message"]), (&json!("NOT_FOUND"), &json!("no number")));
}

#[tokio::test]
async fn silent_service_times_out() {
    let hub = hub();
    let asked = hub.silent_service("elsewhere");
    let (answer, ()) = tokio::join!(hub.rpc("forward", 1), async {
        asked.await;
        hub.advance(Duration::from_secs(2)).await;
    });
    assert_eq!(answer.unwrap_err()["code"], "TIMEOUT");
}
