//! Coming and going, refusals, and who is connected.

use super::*;

#[tokio::test]
async fn join_is_confirmed_with_participants() {
    let hub = hub();
    let ann = hub.connect(user("ann")).await;
    ann.emit("join-meeting", json!({"meetingId": MEETING, "userId": "user123"}));
    let joined: Value = ann.next("meeting-joined").await;
    assert_eq!(
        joined,
        json!({"meetingId": MEETING, "participants": [
            {"userId": "ann", "userName": "ann Doe", "joinedAt": "2026-01-20T10:30:00.000Z"}
        ]}),
        "the token wins over the payload"
    );
    ann.nothing_for("participant-joined").await;
}

#[tokio::test]
async fn others_see_who_comes_and_goes() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    let bob = hub.connect(user("bob")).await;
    bob.call::<Value>("join-meeting", json!({"meetingId": MEETING})).await.unwrap();
    let came: Value = ann.next("participant-joined").await;
    assert_eq!(
        came,
        json!({"userId": "bob", "userName": "bob Doe", "timestamp": "2026-01-20T10:30:03.000Z"})
    );
    let ack: Value = bob.call("leave-meeting", json!({"meetingId": MEETING})).await.unwrap();
    assert_eq!(ack, json!({"success": true, "meetingId": MEETING}));
    assert_eq!(bob.next::<Value>("meeting-left").await, json!({"meetingId": MEETING}));
    let gone: Value = ann.next("participant-left").await;
    assert_eq!(gone, json!({"userId": "bob", "timestamp": "2026-01-20T10:30:03.000Z"}));
    bob.nothing_for("participant-left").await;
    let told: Vec<_> = hub.out().await.into_iter().map(|out| (out.room, out.event)).collect();
    assert_eq!(told[1..], [(MEETING.into(), "joined".into()), (MEETING.into(), "left".into())]);
}

#[tokio::test]
async fn lost_tabs_leave_when_the_last_goes() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    let (first, second) = (joined(&hub, "bob").await, joined(&hub, "bob").await);
    ann.forget().await;
    first.lose();
    ann.nothing_for("participant-left").await;
    second.close();
    assert_eq!(ann.next::<Value>("participant-left").await["userId"], "bob");
    assert_eq!(ann.waiting("participant-left").await, 0);
}

#[tokio::test]
async fn bad_meeting_ids_are_refused() {
    let hub = hub();
    let ann = hub.connect(user("ann")).await;
    let wrong = json!({
        "code": "INVALID_MEETING_ID",
        "message": "Meeting ID is invalid or not provided",
        "severity": "error"
    });
    for event in ["join-meeting", "leave-meeting"] {
        for payload in
            [json!(null), json!({}), json!({"meetingId": 7}), json!({"meetingId": ""}), json!("m"), json!([])]
        {
            let ack = ann.call::<Value>(event, payload.clone()).await.unwrap_err();
            assert_eq!(ack["success"], false);
            let said: Value = ann.next("error").await;
            for error in [&ack["error"], &said] {
                for field in ["code", "message", "severity"] {
                    assert_eq!(error[field], wrong[field], "{payload}");
                }
            }
        }
    }
    ann.nothing_for("meeting-joined").await;
    assert_eq!(get(&hub, "/api/meetings/stats/connections").await["activeMeetings"], 0);
}

#[tokio::test]
async fn no_token_no_entry() {
    let hub = hub();
    let refused = hub.client().connect().await.err().unwrap();
    assert_eq!((&*refused.code, &*refused.message), ("UNAUTHORIZED", "Authentication failed"));
    assert_eq!(hub.http("GET", "/api/meetings/stats/connections").send().await.0, 401);
}

#[tokio::test]
async fn without_token_the_payload_names() {
    let hub = TestHub::builder(crate::entry(), json!({})).auth("optional").start().unwrap();
    let guest = hub.anonymous().await;
    let named = json!({"meetingId": MEETING, "userId": "user123", "userName": "Jane Doe"});
    let ack: Value = guest.call("join-meeting", named).await.unwrap();
    assert_eq!(ack["participants"][0]["userId"], "user123");
    assert_eq!(ack["participants"][0]["userName"], "Jane Doe");
    let other = hub.anonymous().await;
    let ack: Value = other.call("join-meeting", json!({"meetingId": MEETING})).await.unwrap();
    assert_eq!(ack["participants"][1]["userId"], other.id());
    other.close();
    assert_eq!(guest.next::<Value>("participant-left").await["userId"], other.id());
}

#[tokio::test]
async fn statistics_follow_connections() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    let bob = hub.connect(user("bob")).await;
    let stats = get(&hub, "/api/meetings/stats/connections").await;
    assert_eq!((&stats["activeConnections"], &stats["activeMeetings"]), (&json!(2), &json!(1)));
    let clients = json!([
        {"id": ann.id(), "connectedAt": "2026-01-20T10:30:00.000Z"},
        {"id": bob.id(), "connectedAt": "2026-01-20T10:30:03.000Z"}
    ]);
    assert_eq!(stats["connectedClients"], clients);
    assert_eq!(hub.rpc("stats", json!({})).await.unwrap(), stats);
    ann.lose();
    hub.settle().await;
    let stats = get(&hub, "/api/meetings/stats/connections").await;
    assert_eq!((&stats["activeConnections"], &stats["activeMeetings"]), (&json!(1), &json!(0)));
    bob.call::<Value>("join-meeting", json!({"meetingId": "other"})).await.unwrap();
    hub.advance(Duration::from_secs(600)).await;
    let stats = get(&hub, "/api/meetings/stats/connections").await;
    assert_eq!(stats["activeMeetings"], 1, "a long meeting stays in the books");
}

#[tokio::test]
async fn meetings_do_not_mix() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    let bob = hub.connect(user("bob")).await;
    bob.call::<Value>("join-meeting", json!({"meetingId": "other"})).await.unwrap();
    hub.inject("other", "deepfake-alert", alert("p")).await.unwrap();
    assert_eq!(bob.next::<Value>("deepfake-alert").await["meetingId"], "other");
    ann.nothing_for("deepfake-alert").await;
    ann.nothing_for("participant-joined").await;
}
