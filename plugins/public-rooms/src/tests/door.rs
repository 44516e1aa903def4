//! Who may connect, and how the others are told.

use super::*;

#[tokio::test]
async fn third_connection_is_refused() {
    let hub = hub();
    let (_one, _two) = (connect(&hub, HOME).await, connect(&hub, HOME).await);
    let three = connect(&hub, HOME).await;
    assert_eq!(error_code(&three).await, "TOO_MANY_CONNECTIONS");
    hub.settle().await;
    assert!(three.is_closed(), "disconnected after the error");
    assert_eq!(hub.metric(r#"errors_total{code="TOO_MANY_CONNECTIONS"}"#), Some(1.0));
    let elsewhere = connect(&hub, [192, 0, 2, 2]).await;
    elsewhere.nothing_for("error").await;
}

#[tokio::test]
async fn clients_choose_connect_error() {
    let hub = hub();
    let (_one, _two) = (connect(&hub, HOME).await, connect(&hub, HOME).await);
    let wish = json!({"refuseBy": "connect-error"});
    let refused = knock(&hub, HOME).auth(wish).connect().await.err().unwrap();
    assert_eq!(refused.code, "TOO_MANY_CONNECTIONS");
    let data = refused.body.unwrap();
    assert_eq!(data["code"], "TOO_MANY_CONNECTIONS");
    assert_eq!(data["retryable"], true);
    assert_eq!(data["retryAfter"], 1000);
}

#[tokio::test]
async fn operators_choose_connect_error() {
    let hub = hub_with(json!({"refuse_by": "connect-error", "connections_per_ip": 1}));
    let _one = connect(&hub, HOME).await;
    assert_eq!(knock(&hub, HOME).connect().await.err().unwrap().code, "TOO_MANY_CONNECTIONS");
    let wish = json!({"refuseBy": "error-event"});
    let two = knock(&hub, HOME).auth(wish).connect().await.unwrap();
    assert_eq!(error_code(&two).await, "TOO_MANY_CONNECTIONS");
}

#[tokio::test]
async fn limit_holds_across_rooms() {
    let hub = hub();
    let _one = hub.client().namespace("/public-room/a").peer(HOME).connect().await.unwrap();
    let _two = hub.client().namespace("/public-room/b").peer(HOME).connect().await.unwrap();
    let three = hub.client().namespace("/public-room/c").peer(HOME).connect().await.unwrap();
    assert_eq!(error_code(&three).await, "TOO_MANY_CONNECTIONS");
}

#[tokio::test]
async fn leaving_makes_a_place() {
    let hub = hub();
    let (one, two) = (connect(&hub, HOME).await, connect(&hub, HOME).await);
    one.close();
    let three = connect(&hub, HOME).await;
    three.nothing_for("error").await;
    two.lose();
    connect(&hub, HOME).await.nothing_for("error").await;
}

#[tokio::test]
async fn slash64_is_one_address() {
    let hub = hub();
    let from = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, n]);
    let mut inside = Vec::new();
    for n in 0..100 {
        let client = connect(&hub, from(n)).await;
        hub.settle().await;
        if !client.is_closed() {
            inside.push(client);
        }
    }
    assert_eq!(inside.len(), 2);
    let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    let (_one, _two) = (connect(&hub, HOME).await, connect(&hub, mapped).await);
    assert_eq!(error_code(&connect(&hub, mapped).await).await, "TOO_MANY_CONNECTIONS");
}

#[tokio::test]
async fn stale_connections_count_no_more() {
    let hub = hub_with(json!({"stale_after": "500ms", "idle_after": "1h", "ping_interval": "1h"}));
    let (one, two) = (connect(&hub, HOME).await, connect(&hub, HOME).await);
    hub.advance(Duration::from_millis(499)).await;
    assert_eq!(error_code(&connect(&hub, HOME).await).await, "TOO_MANY_CONNECTIONS");
    hub.advance(Duration::from_millis(1)).await;
    connect(&hub, HOME).await.nothing_for("error").await;
    assert!(!one.is_closed() && !two.is_closed());
}

#[tokio::test]
async fn refusals_advise_longer_waits() {
    let hub = hub_with(json!({"backoff_first": "1s", "backoff_longest": "5s"}));
    let (_one, _two) = (connect(&hub, HOME).await, connect(&hub, HOME).await);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let refused = connect(&hub, HOME).await;
        let backoff: Value = refused.next("backoff").await;
        waits.push(backoff["retryAfter"].as_u64().unwrap());
    }
    assert_eq!(waits, [1000, 2000, 4000, 5000, 5000]);
    hub.advance(Duration::from_secs(6)).await;
    let backoff: Value = connect(&hub, HOME).await.next("backoff").await;
    assert_eq!(backoff, json!({"retryAfter": 1000, "attempt": 1}));
}

#[tokio::test]
async fn bad_room_ids_are_refused() {
    let hub = hub();
    let odd = hub.client().namespace("/public-room/a%20b").connect().await.unwrap();
    assert_eq!(error_code(&odd).await, "INVALID_REQUEST");
    hub.settle().await;
    assert!(odd.is_closed());
}

#[tokio::test]
async fn unknown_address_salt_is_an_error() {
    let hub = hub();
    hub.fail_next_kv();
    let client = connect(&hub, HOME).await;
    assert_eq!(error_code(&client).await, "CONNECTION_ERROR");
    hub.settle().await;
    assert!(client.is_closed());
    connect(&hub, HOME).await.nothing_for("error").await;
}

#[tokio::test]
async fn tried_names_leave_nothing() {
    let hub = hub_with(json!({"connections_per_ip": 0}));
    for n in 0..500 {
        let path = format!("/public-room/name-{n}");
        let client =
            hub.client().namespace(path).peer([10, 0, (n / 250) as u8, (n % 250) as u8]).connect().await;
        client.unwrap().close();
    }
    hub.settle().await;
    assert_eq!(hub.metric("connections"), Some(0.0));
    assert_eq!(hub.rooms(), 0);
}
