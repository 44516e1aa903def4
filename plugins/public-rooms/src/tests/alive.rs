//! The timeline of the health check, minute for minute.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HALF: Duration = Duration::from_secs(30);

async fn pings(client: &TestClient) -> usize {
    let pings = client.waiting("ping").await;
    for _ in 0..pings {
        assert_eq!(&client.next_args("ping").await.json[..], b"[]", "no payload");
    }
    pings
}

#[tokio::test]
async fn timeline_of_the_contract() {
    let hub = hub();
    lobby(&hub).await;
    let ann = connect(&hub, HOME).await;
    hub.advance(5 * MINUTE - Duration::from_millis(1)).await;
    assert_eq!(pings(&ann).await, 0);
    hub.advance(Duration::from_millis(1)).await;
    assert_eq!(pings(&ann).await, 1, "T+5:00 first ping");
    hub.advance(Duration::from_secs(1)).await;
    ann.emit("pong", ());
    hub.settle().await;
    assert_eq!(hub.metric("pong_seconds_count"), Some(1.0));
    hub.advance(5 * MINUTE - Duration::from_millis(1001)).await;
    assert_eq!(pings(&ann).await, 0);
    for what in ["T+10:00 second ping", "T+15:00 third ping", "T+20:00 fourth ping"] {
        hub.advance(Duration::from_millis(1)).await;
        assert_eq!(pings(&ann).await, 1, "{what}");
        hub.advance(HALF - Duration::from_millis(1)).await;
        assert!(!ann.is_closed(), "{what}");
        if what.contains("20:00") {
            break;
        }
        hub.advance(5 * MINUTE - HALF).await;
        assert_eq!(pings(&ann).await, 0, "{what}");
    }
    ann.nothing_for("error").await;
    hub.advance(Duration::from_millis(1)).await;
    assert!(ann.is_closed(), "T+20:30 terminated");
    assert_eq!(error_code(&ann).await, "CONNECTION_TIMEOUT");
    assert_eq!(hub.metric("pings_total"), Some(4.0));
    assert_eq!(hub.metric("connections"), Some(0.0));
}

#[tokio::test]
async fn timeline_scales_with_settings() {
    let hub = hub_with(json!({
        "idle_after": "300ms", "ping_interval": "300ms", "pong_timeout": "30ms", "max_missed_pings": 2
    }));
    let ann = connect(&hub, HOME).await;
    hub.advance(Duration::from_millis(300)).await;
    assert_eq!(pings(&ann).await, 1);
    hub.advance(Duration::from_millis(329)).await;
    assert_eq!(pings(&ann).await, 1);
    assert!(!ann.is_closed());
    hub.advance(Duration::from_millis(1)).await;
    assert!(ann.is_closed());
}

#[tokio::test]
async fn answering_clients_stay() {
    let hub = hub();
    let ann = connect(&hub, HOME).await;
    for _ in 0..20 {
        hub.advance(5 * MINUTE).await;
        assert_eq!(pings(&ann).await, 1);
        ann.emit("pong", ());
        hub.settle().await;
    }
    assert!(!ann.is_closed());
}

#[tokio::test]
async fn talking_clients_are_not_asked() {
    let hub = hub();
    lobby(&hub).await;
    let (ann, id) = joined(&hub, HOME, "Ann").await;
    for _ in 0..5 {
        hub.advance(4 * MINUTE).await;
        ann.emit("join-room", json!({ "userId": id }));
        hub.settle().await;
    }
    assert_eq!(pings(&ann).await, 0);
    hub.advance(5 * MINUTE).await;
    assert_eq!(pings(&ann).await, 1);
}

#[tokio::test]
async fn timed_out_users_leave_the_room() {
    let hub = hub();
    lobby(&hub).await;
    let (ann, ann_id) = joined(&hub, [10, 0, 0, 1], "Ann").await;
    let (bob, _) = joined(&hub, [10, 0, 0, 2], "Bob").await;
    for _ in 0..3 {
        hub.advance(5 * MINUTE).await;
        bob.emit("pong", ());
        hub.settle().await;
    }
    hub.advance(HALF).await;
    let left: Value = bob.next("user-left").await;
    assert_eq!(left, json!({"userId": ann_id, "currentOccupancy": 1}));
    assert!(ann.is_closed() && !bob.is_closed());
}

#[test]
fn impossible_times_are_refused() {
    for settings in [
        json!({"pong_timeout": "10m"}),
        json!({"idle_after": "0s"}),
        json!({"max_missed_pings": 0}),
        json!({"default_occupancy": 5000}),
    ] {
        let settings: crate::settings::Settings = serde_json::from_value(settings).unwrap();
        assert!(settings.check().is_err(), "{settings:?}");
    }
}
