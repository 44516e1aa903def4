//! Outside services: injected events, questions, and an application that keeps its meetings itself.

use super::*;

/// Waits for the subscriptions of a hub that has just begun.
async fn reachable(hub: &TestHub) {
    for _ in 0..1000 {
        if hub.rpc("list", json!({"userId": "ann"})).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nobody answers for the plugin");
}

#[tokio::test]
async fn injected_phase_reaches_the_room() {
    let hub = hub();
    meeting(&hub).await;
    let bob = joined(&hub, "bob", "m").await;
    hub.inject("m", "phase", json!({"phase": "vote", "status": "voting"})).await.unwrap();
    let changed: Value = bob.next("phaseChanged").await;
    assert_eq!(changed, json!({"meetingId": "m", "phase": "vote", "status": "voting"}));
    assert_eq!(get(&hub, "ann", "/meetings/m").await.body["phase"], "vote");
    assert!(hub.out().await.iter().any(|out| out.room == "m" && out.event == "phase-changed"));
}

#[tokio::test]
async fn bad_injections_say_why() {
    let hub = hub();
    meeting(&hub).await;
    assert_eq!(
        hub.inject("x", "phase", json!({"phase": "vote"})).await.unwrap_err(),
        "NOT_FOUND: meeting not found"
    );
    for body in [json!({}), json!({"phase": 1}), json!({"phase": ""}), json!({"phase": "a", "x": 1})] {
        let reason = hub.inject("m", "phase", body).await.unwrap_err();
        assert!(reason.starts_with("INVALID: "), "{reason}");
    }
    assert_eq!(get(&hub, "ann", "/meetings/m").await.body["phase"], "discussion");
}

#[tokio::test]
async fn injected_list_changes_who_may_join() {
    let hub = hub();
    meeting(&hub).await;
    let ann = joined(&hub, "ann", "m").await;
    let _bob = joined(&hub, "bob", "m").await;
    hub.inject("m", "participants", json!({"participantIds": ["ann"]})).await.unwrap();
    let gone: Value = ann.next("participantLeft").await;
    assert_eq!(gone["userId"], "bob");
}

#[tokio::test]
async fn services_manage_meetings() {
    let hub = hub();
    reachable(&hub).await;
    let made =
        hub.rpc("create", json!({"creatorId": "ann", "meetingId": "m", "participantIds": ["bob"]})).await;
    assert_eq!(made.unwrap()["creatorId"], "ann");
    let put = json!({"creatorId": "zoe", "meetingId": "m", "title": "New", "status": "paused"});
    let put = hub.rpc("put", put).await.unwrap();
    assert_eq!((put["creatorId"].as_str(), put["title"].as_str()), (Some("ann"), Some("New")));
    assert_eq!(put["participantIds"], json!(["bob"]));
    let changed = hub.rpc("update", json!({"meetingId": "m", "phase": "vote"})).await.unwrap();
    assert_eq!((changed["phase"].as_str(), changed["status"].as_str()), (Some("vote"), Some("paused")));
    assert_eq!(hub.rpc("get", json!({"meetingId": "m"})).await.unwrap(), changed);
    let list = hub.rpc("list", json!({"userId": "bob"})).await.unwrap();
    assert_eq!(list["meetings"][0]["id"], "m");
    assert_eq!(hub.rpc("participants", json!({"meetingId": "m"})).await.unwrap()["totalParticipants"], 1);
    assert_eq!(hub.rpc("results", json!({"meetingId": "m"})).await.unwrap()["phases"], json!([]));
    assert_eq!(hub.rpc("get", json!({"meetingId": "x"})).await.unwrap_err()["code"], "NOT_FOUND");
    assert_eq!(
        hub.rpc("create", json!({"creatorId": "ann", "who": 1})).await.unwrap_err()["code"],
        "INVALID"
    );
}

#[tokio::test]
async fn services_hear_who_is_present() {
    let hub = hub();
    meeting(&hub).await;
    let bob = joined(&hub, "bob", "m").await;
    bob.close();
    settle(&hub).await;
    let told: Vec<_> = hub.out().await.into_iter().map(|out| out.event).collect();
    assert_eq!(told, ["created", "joined", "left"]);
}

#[tokio::test]
async fn application_directory_decides() {
    let hub = hub_with(json!({"directory": "nats"}));
    hub.service("directory", |method, asked| match (method, asked["meetingId"].as_str()) {
        ("meeting", Some("m")) => {
            json!({"participantIds": ["ann"], "creatorId": "bob", "phase": "one", "status": "active"})
        }
        _ => Value::Null,
    });
    let ann = joined(&hub, "ann", "m").await;
    assert_eq!(join(&ann, "x").await["error"], "meeting not found");
    assert_eq!(get(&hub, "bob", "/meetings/m").await.body["phase"], "one");
    let answer = post(&hub, "ann", "/meetings", json!({})).await;
    assert_eq!((answer.status, answer.body["code"].clone()), (409, json!("DIRECTORY_IS_EXTERNAL")));
    hub.inject("m", "phase", json!({"phase": "two"})).await.unwrap();
    let changed: Value = ann.next("phaseChanged").await;
    assert_eq!(changed, json!({"meetingId": "m", "phase": "two", "status": "active"}));
}

#[tokio::test]
async fn silent_directory_makes_unavailable() {
    let hub = hub_with(json!({"directory": "nats", "directory_timeout": "50ms"}));
    let ann = connect(&hub, "ann").await;
    let ack = join(&ann, "m").await;
    assert_eq!(ack["success"], false);
    assert_eq!(ack["error"], "the directory of meetings does not answer");
    assert_eq!(get(&hub, "ann", "/meetings/m").await.status, 503);
}
