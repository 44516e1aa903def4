//! Rooms, members and states.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub;

#[tokio::test]
async fn tabs_are_one_member() {
    let hub = hub();
    let (one, two, bob) = (hub.connect("ann").await, hub.connect("ann").await, hub.connect("bob").await);
    assert_eq!(one.call::<(bool, u64)>("join", "r").await.unwrap(), (true, 1));
    assert_eq!(two.call::<(bool, u64)>("join", "r").await.unwrap(), (false, 1));
    assert_eq!(bob.call::<(bool, u64)>("join", "r").await.unwrap(), (true, 2));
    let members: Value = bob.call("members", "r").await.unwrap();
    assert_eq!(members, json!([["ann", 2, "guest"], ["bob", 1, "guest"]]));
    one.close();
    assert!(hub.out().await.iter().all(|message| message.event != "left"));
    assert_eq!(two.call::<(bool, u64)>("out", "r").await.unwrap(), (true, 1));
    let left: Vec<_> = hub.out().await.into_iter().filter(|message| message.event == "left").collect();
    assert_eq!((&*left[0].room, &left[0].payload), ("r", &json!({"user": "ann", "kind": "guest"})));
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn full_room_is_busy() {
    let hub = hub();
    for user in ["ann", "bob"] {
        let client = hub.connect(user).await;
        client.call::<Value>("join", "r").await.unwrap();
        std::mem::forget(client);
    }
    let carl = hub.connect("carl").await;
    assert_eq!(carl.call::<Value>("join", "r").await.unwrap_err()["error"]["code"], "BUSY");
    assert_eq!(carl.call::<Value>("out", "r").await.unwrap_err()["error"]["code"], "NOT_FOUND");
}

#[tokio::test]
async fn rooms_hear_what_is_for_them() {
    let hub = hub();
    let (ann, bob) = (hub.connect("ann").await, hub.connect("bob").await);
    assert_eq!(ann.call::<u64>("frames", json!(null)).await.unwrap(), 1);
    let frame = ann.next_args("frame").await;
    assert_eq!(&frame.json[..], br#"["meta",{"_placeholder":true,"num":0}]"#);
    assert_eq!(&frame.attachments[0][..], b"\x00\xff");
    ann.nothing_for("frame").await;
    bob.call::<Value>("say", json!({"text": "hi"})).await.unwrap();
    assert_eq!(ann.next::<Value>("said").await["text"], "hi");
    bob.nothing_for("said").await;
}

#[tokio::test]
async fn state_is_sent_once_per_window() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    ann.call::<Value>("join", "r").await.unwrap();
    for _ in 0..5 {
        ann.call::<Value>("touch", "r").await.unwrap();
    }
    assert_eq!(ann.waiting("list").await, 1);
    hub.advance(Duration::from_millis(100)).await;
    assert_eq!(ann.waiting("list").await, 2);
    hub.advance(Duration::from_secs(1)).await;
    assert_eq!(ann.waiting("list").await, 2);
}
