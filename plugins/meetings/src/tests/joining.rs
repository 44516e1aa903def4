//! Coming and going over sockets, and the deprecated way over REST.

use super::*;

#[tokio::test]
async fn join_lists_everyone_present() {
    let hub = hub();
    meeting(&hub).await;
    let ann = connect(&hub, "ann").await;
    let ack = join(&ann, "m").await;
    assert_eq!(ack["success"], true);
    assert_eq!(ack["meetingId"], "m");
    assert_eq!(ack.get("error"), None);
    let first = &ack["participants"][0];
    assert_eq!(first["userId"], "ann");
    assert_eq!(first["fullName"], "ann Example");
    assert_eq!(first["email"], "ann@example.org");
    let fields: Vec<_> = first.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["userId", "fullName", "email", "joinedAt"]);
    let at = first["joinedAt"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z') && at.as_bytes()[10] == b'T', "{at}");
}

#[tokio::test]
async fn joiner_hears_the_list_too() {
    let hub = hub();
    meeting(&hub).await;
    let ann = connect(&hub, "ann").await;
    join(&ann, "m").await;
    let seen: Value = ann.next("participantJoined").await;
    assert_eq!(seen, json!({"meetingId": "m", "userId": "ann"}));
    let update: Value = ann.next("participants_updated").await;
    assert_eq!(update["meetingId"], "m");
    assert_eq!(update["totalParticipants"], 1);
    assert_eq!(ids(&update["participants"]), ["ann"]);
}

#[tokio::test]
async fn others_see_who_comes_and_goes() {
    let hub = hub();
    meeting(&hub).await;
    let ann = joined(&hub, "ann", "m").await;
    let bob = joined(&hub, "bob", "m").await;
    ann.forget().await;
    let ack = leave(&bob, "m").await;
    assert_eq!(ack, json!({"success": true, "meetingId": "m"}));
    let gone: Value = ann.next("participantLeft").await;
    assert_eq!(gone, json!({"meetingId": "m", "userId": "bob"}));
    let update: Value = ann.next("participants_updated").await;
    assert_eq!(ids(&update["participants"]), ["ann"]);
    settle(&hub).await;
    bob.forget().await;
    ann.forget().await;
    let _carol = joined(&hub, "carol", "m").await;
    let update: Value = ann.next("participants_updated").await;
    assert_eq!(update["totalParticipants"], 2);
    bob.nothing_for("participants_updated").await;
}

#[tokio::test]
async fn lost_links_leave_at_once() {
    let hub = hub();
    meeting(&hub).await;
    let ann = joined(&hub, "ann", "m").await;
    let bob = joined(&hub, "bob", "m").await;
    ann.forget().await;
    bob.close();
    let gone: Value = ann.next("participantLeft").await;
    assert_eq!(gone["userId"], "bob");
    let update: Value = ann.next("participants_updated").await;
    assert_eq!(ids(&update["participants"]), ["ann"]);
}

#[tokio::test]
async fn two_tabs_are_one_participant() {
    let hub = hub();
    meeting(&hub).await;
    let ann = joined(&hub, "ann", "m").await;
    let first = joined(&hub, "bob", "m").await;
    let second = connect(&hub, "bob").await;
    let ack = join(&second, "m").await;
    assert_eq!(ids(&ack["participants"]), ["ann", "bob"]);
    settle(&hub).await;
    ann.forget().await;
    leave(&first, "m").await;
    settle(&hub).await;
    ann.nothing_for("participantLeft").await;
    second.close();
    let gone: Value = ann.next("participantLeft").await;
    assert_eq!(gone["userId"], "bob");
    ann.nothing_for("participantLeft").await;
}

#[tokio::test]
async fn rejoin_renews_last_seen() {
    let hub = hub();
    meeting(&hub).await;
    let ann = joined(&hub, "ann", "m").await;
    let before = get(&hub, "ann", "/meetings/m/active-participants").await.body;
    hub.advance(Duration::from_secs(5)).await;
    assert_eq!(join(&ann, "m").await["success"], true);
    let after = get(&hub, "ann", "/meetings/m/active-participants").await.body;
    let of =
        |answer: &Value, field: &str| answer["activeParticipants"][0][field].as_str().unwrap().to_owned();
    assert_eq!(of(&before, "joinedAt"), of(&after, "joinedAt"));
    assert!(of(&before, "lastSeen") < of(&after, "lastSeen"));
}

#[tokio::test]
async fn strangers_are_refused() {
    let hub = hub();
    meeting(&hub).await;
    let dan = connect(&hub, "dan").await;
    for event in ["join_meeting", "get_participants"] {
        let ack = call(&dan, event, json!({"meetingId": "m"})).await;
        assert_eq!(ack["success"], false);
        assert_eq!(ack["meetingId"], "m");
        assert_eq!(ack["participants"], json!([]));
        assert_eq!(ack["error"], "you are not a participant of this meeting");
    }
    assert_eq!(join(&dan, "no such").await["error"], "meeting not found");
    let active = get(&hub, "ann", "/meetings/m/active-participants").await.body;
    assert_eq!(active["activeCount"], 0);
}

#[tokio::test]
async fn creator_joins_only_when_invited() {
    let hub = hub();
    post(&hub, "ann", "/meetings", json!({"meetingId": "m", "participantIds": ["bob"]})).await;
    let ann = connect(&hub, "ann").await;
    assert_eq!(join(&ann, "m").await["success"], false);
    let ack = call(&ann, "get_participants", json!({"meetingId": "m"})).await;
    assert_eq!(ack, json!({"success": true, "meetingId": "m", "participants": [], "totalParticipants": 0}));
}

#[tokio::test]
async fn bad_payloads_keep_the_shape() {
    let hub = hub();
    let ann = connect(&hub, "ann").await;
    for payload in [json!(null), json!("m"), json!({}), json!({"meetingId": 7}), json!([])] {
        let ack = call(&ann, "join_meeting", payload.clone()).await;
        assert_eq!(ack["success"], false, "{payload}");
        assert_eq!(ack["participants"], json!([]), "{payload}");
        assert!(ack["error"].is_string(), "{payload}");
        assert_eq!(call(&ann, "leave_meeting", payload.clone()).await["success"], false, "{payload}");
        assert_eq!(call(&ann, "get_participants", payload.clone()).await["totalParticipants"], 0);
    }
    for id in ["", "a\nb", &"x".repeat(129)] {
        let ack = join(&ann, id).await;
        assert_eq!((ack["success"].as_bool(), ack["meetingId"].as_str()), (Some(false), Some(id)));
    }
}

#[tokio::test]
async fn get_participants_does_not_join() {
    let hub = hub();
    meeting(&hub).await;
    let _ann = joined(&hub, "ann", "m").await;
    let bob = connect(&hub, "bob").await;
    let ack = call(&bob, "get_participants", json!({"meetingId": "m"})).await;
    assert_eq!(ids(&ack["participants"]), ["ann"]);
    assert_eq!(ack["totalParticipants"], 1);
    let active = get(&hub, "bob", "/meetings/m/active-participants").await.body;
    assert_eq!(active["activeCount"], 1);
}

#[tokio::test]
async fn leaving_twice_is_fine() {
    let hub = hub();
    meeting(&hub).await;
    let ann = joined(&hub, "ann", "m").await;
    for _ in 0..2 {
        assert_eq!(leave(&ann, "m").await["success"], true);
    }
}

#[tokio::test]
async fn many_joins_end_on_the_true_list() {
    let hub = hub();
    let invited: Vec<String> = (0..20).map(|n| format!("u{n}")).collect();
    post(&hub, "u0", "/meetings", json!({"meetingId": "m", "participantIds": invited})).await;
    let first = joined(&hub, "u0", "m").await;
    first.forget().await;
    let mut others = Vec::new();
    for id in &invited[1..] {
        let client = connect(&hub, id).await;
        join(&client, "m").await;
        others.push(client);
    }
    settle(&hub).await;
    let mut lists = 0;
    let mut last = 0;
    while last < 20 {
        let update: Value = first.next("participants_updated").await;
        last = update["totalParticipants"].as_u64().unwrap();
        lists += 1;
    }
    assert!(lists < 19, "{lists} lists were sent for 19 joins");
    first.nothing_for("participants_updated").await;
}

#[tokio::test]
async fn rest_presence_runs_out() {
    let hub = hub();
    meeting(&hub).await;
    let ann = joined(&hub, "ann", "m").await;
    let answer = post(&hub, "bob", "/meetings/m/join", json!({})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("deprecation"), Some("true"));
    assert_eq!(ids(&answer.body["participants"]), ["ann", "bob"]);
    let came: Value = ann.next("participantJoined").await;
    assert_eq!(came["userId"], "bob");
    hub.advance(Duration::from_secs(45)).await;
    assert_eq!(post(&hub, "bob", "/meetings/m/join", json!({})).await.status, 200);
    hub.advance(Duration::from_secs(45)).await;
    ann.nothing_for("participantLeft").await;
    hub.advance(Duration::from_secs(30)).await;
    let gone: Value = ann.next("participantLeft").await;
    assert_eq!(gone["userId"], "bob");
}

#[tokio::test]
async fn rest_leave_takes_out() {
    let hub = hub();
    meeting(&hub).await;
    post(&hub, "bob", "/meetings/m/join", json!({})).await;
    let answer = post(&hub, "bob", "/meetings/m/leave", json!({})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, json!({"success": true, "meetingId": "m"}));
    let active = get(&hub, "ann", "/meetings/m/active-participants").await.body;
    assert_eq!(active["activeCount"], 0);
    assert_eq!(post(&hub, "dan", "/meetings/m/join", json!({})).await.status, 403);
    assert_eq!(post(&hub, "ann", "/meetings/x/join", json!({})).await.status, 404);
}
