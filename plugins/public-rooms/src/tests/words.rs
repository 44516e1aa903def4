//! Joining, leaving, and what the room hears of it.

use super::*;

#[tokio::test]
async fn join_is_broadcast_to_all() {
    let hub = hub();
    lobby(&hub).await;
    let (ann, listener) = (connect(&hub, [10, 0, 0, 1]).await, connect(&hub, [10, 0, 0, 2]).await);
    let id = user(&hub, [10, 0, 0, 1], "John Doe").await;
    ann.emit("join-room", json!({"userId": id, "userName": "John Doe"}));
    for client in [&ann, &listener] {
        let joined: Value = client.next("user-joined").await;
        let fields: Vec<_> = joined.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["userId", "userName", "joinedAt", "currentOccupancy"]);
        assert_eq!(joined["userId"], id);
        assert_eq!(joined["userName"], "John Doe");
        assert_eq!(joined["joinedAt"], "2026-01-20T10:30:00.000Z");
        assert_eq!(joined["currentOccupancy"], 1);
    }
    ann.nothing_for("error").await;
}

#[tokio::test]
async fn leave_tells_the_rest() {
    let hub = hub();
    lobby(&hub).await;
    let (ann, ann_id) = joined(&hub, [10, 0, 0, 1], "Ann").await;
    let (bob, _) = joined(&hub, [10, 0, 0, 2], "Bob").await;
    ann.emit("leave-room", json!({ "userId": ann_id }));
    let left: Value = bob.next("user-left").await;
    assert_eq!(left, json!({"userId": ann_id, "currentOccupancy": 1}));
    hub.settle().await;
    assert!(ann.is_closed(), "the socket is disconnected");
    assert!(!bob.is_closed());
    assert_eq!(bob.waiting("user-left").await, 0, "told once");
}

#[tokio::test]
async fn lost_connections_leave() {
    let hub = hub();
    lobby(&hub).await;
    let (ann, ann_id) = joined(&hub, [10, 0, 0, 1], "Ann").await;
    let (bob, _) = joined(&hub, [10, 0, 0, 2], "Bob").await;
    ann.lose();
    let left: Value = bob.next("user-left").await;
    assert_eq!(left, json!({"userId": ann_id, "currentOccupancy": 1}));
    let (_, _, room) = get(&hub, "/api/public/rooms/lobby").await;
    assert_eq!(room["currentOccupancy"], 1);
}

#[tokio::test]
async fn two_tabs_are_one_occupant() {
    let hub = hub();
    lobby(&hub).await;
    let (first, id) = joined(&hub, HOME, "Ann").await;
    let second = connect(&hub, HOME).await;
    let ack: Value = second.call("join-room", json!({ "userId": id })).await.unwrap();
    assert_eq!(ack["currentOccupancy"], 1);
    let (bob, _) = joined(&hub, [10, 0, 0, 2], "Bob").await;
    first.lose();
    bob.nothing_for("user-left").await;
    second.lose();
    let left: Value = bob.next("user-left").await;
    assert_eq!(left["userId"], id);
}

#[tokio::test]
async fn missing_user_is_invalid_request() {
    let hub = hub();
    lobby(&hub).await;
    let ann = connect(&hub, HOME).await;
    for payload in [json!({}), json!(null), json!({"userId": 7}), json!({"userId": ""}), json!("x")] {
        for event in ["join-room", "leave-room"] {
            ann.emit(event, payload.clone());
            assert_eq!(error_code(&ann).await, "INVALID_REQUEST", "{event} {payload}");
        }
    }
    assert!(!ann.is_closed());
}

#[tokio::test]
async fn strangers_are_invalid_users() {
    let hub = hub();
    lobby(&hub).await;
    let id = user(&hub, [10, 0, 0, 9], "Ann").await;
    let thief = connect(&hub, HOME).await;
    for user in [id.as_str(), "nobody"] {
        for event in ["join-room", "leave-room"] {
            thief.emit(event, json!({ "userId": user }));
            assert_eq!(error_code(&thief).await, "INVALID_USER");
        }
    }
    let (bob, _) = joined(&hub, [10, 0, 0, 2], "Bob").await;
    let other = user(&hub, [10, 0, 0, 2], "Bobby").await;
    for event in ["join-room", "leave-room"] {
        bob.emit(event, json!({ "userId": other }));
        assert_eq!(error_code(&bob).await, "INVALID_USER", "one connection, one user");
    }
}

#[tokio::test]
async fn unknown_room_is_not_found() {
    let hub = hub();
    let (ann, id) = (connect(&hub, HOME).await, user(&hub, HOME, "Ann").await);
    let ack = ann.call::<Value>("join-room", json!({ "userId": id })).await.unwrap_err();
    assert_eq!(ack["error"]["code"], "ROOM_NOT_FOUND");
    assert_eq!(error_code(&ann).await, "ROOM_NOT_FOUND");
}

#[tokio::test]
async fn full_room_is_a_join_error() {
    let hub = hub();
    lobby_of(&hub, 1).await;
    let _ann = joined(&hub, [10, 0, 0, 1], "Ann").await;
    let (bob, id) = (connect(&hub, HOME).await, user(&hub, HOME, "Bob").await);
    bob.emit("join-room", json!({ "userId": id }));
    assert_eq!(error_code(&bob).await, "JOIN_ERROR");
    let (status, _, body) = post(&hub, HOME, "/api/public/rooms/lobby/join", json!({ "userId": id })).await;
    assert_eq!((status, &body["code"]), (409, &json!("ROOM_FULL")));
}

#[tokio::test]
async fn store_trouble_is_a_join_error() {
    let hub = hub();
    lobby(&hub).await;
    let (ann, id) = (connect(&hub, HOME).await, user(&hub, HOME, "Ann").await);
    hub.fail_next_kv();
    ann.emit("join-room", json!({ "userId": id }));
    assert_eq!(error_code(&ann).await, "JOIN_ERROR");
    hub.fail_next_kv();
    ann.emit("leave-room", json!({ "userId": id }));
    assert_eq!(error_code(&ann).await, "LEAVE_ERROR");
    ann.emit("leave-room", json!({ "userId": id }));
    assert_eq!(error_code(&ann).await, "LEAVE_ERROR", "was not in the room");
}

#[tokio::test]
async fn newcomers_are_told_who_is_there() {
    let hub = hub();
    lobby(&hub).await;
    let (_ann, ann_id) = joined(&hub, [10, 0, 0, 1], "Ann").await;
    hub.advance(Duration::from_secs(1)).await;
    let (bob, bob_id) = (connect(&hub, HOME).await, user(&hub, HOME, "Bob").await);
    bob.emit("join-room", json!({ "userId": bob_id }));
    let (own, earlier): (Value, Value) = (bob.next("user-joined").await, bob.next("user-joined").await);
    assert_eq!(own["userId"], bob_id, "one's own join comes first");
    assert_eq!(earlier["userId"], ann_id);
    assert_eq!(earlier["currentOccupancy"], 2);
    assert_eq!(bob.waiting("user-joined").await, 0);
}

#[tokio::test]
async fn fifty_at_once_see_each_other() {
    let hub = hub_with(json!({"connections_per_ip": 50}));
    lobby(&hub).await;
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(user(&hub, HOME, &format!("user {n}")).await);
    }
    let entering = ids.iter().map(|id| {
        let hub = &hub;
        async move {
            let client = connect(hub, HOME).await;
            client.emit("join-room", json!({ "userId": id }));
            client
        }
    });
    let clients = exedra_sdk::futures::future::join_all(entering).await;
    hub.settle().await;
    for client in &clients {
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < 50 {
            let joined: Value = client.next("user-joined").await;
            seen.insert(joined["userId"].as_str().unwrap().to_owned());
        }
        assert!(ids.iter().all(|id| seen.contains(id)));
    }
    let (_, _, room) = get(&hub, "/api/public/rooms/lobby").await;
    assert_eq!(room["currentOccupancy"], 50);
}

#[tokio::test]
async fn too_many_events_are_refused() {
    let hub = hub_with(json!({"joins_per_second": 2}));
    lobby(&hub).await;
    let ann = connect(&hub, HOME).await;
    for _ in 0..2 {
        ann.emit("join-room", json!({}));
        assert_eq!(error_code(&ann).await, "INVALID_REQUEST");
    }
    ann.emit("join-room", json!({}));
    assert_eq!(error_code(&ann).await, "RATE_LIMITED");
    hub.advance(Duration::from_secs(1)).await;
    ann.emit("join-room", json!({}));
    assert_eq!(error_code(&ann).await, "INVALID_REQUEST");
}

#[tokio::test]
async fn signals_reach_one_member() {
    let hub = hub();
    lobby(&hub).await;
    let (ann, ann_id) = joined(&hub, [10, 0, 0, 1], "Ann").await;
    let (bob, bob_id) = joined(&hub, [10, 0, 0, 2], "Bob").await;
    let (cyd, _) = joined(&hub, [10, 0, 0, 3], "Cyd").await;
    let offer = json!({"to": bob_id, "data": {"type": "offer", "sdp": "v=0"}});
    let ack: Value = ann.call("signal", offer).await.unwrap();
    assert_eq!(ack, json!({"success": true}));
    let heard: Value = bob.next("signal").await;
    assert_eq!(heard, json!({"from": ann_id, "data": {"type": "offer", "sdp": "v=0"}}));
    cyd.nothing_for("signal").await;
    ann.emit("signal", json!({"to": "nobody", "data": 1}));
    assert_eq!(error_code(&ann).await, "INVALID_USER");
    ann.emit("signal", json!({"to": bob_id, "data": "x".repeat(70_000)}));
    assert_eq!(error_code(&ann).await, "INVALID_REQUEST");
    let outsider = connect(&hub, HOME).await;
    outsider.emit("signal", json!({"to": bob_id, "data": 1}));
    assert_eq!(error_code(&outsider).await, "INVALID_USER");
}
