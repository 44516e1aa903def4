//! Viewers: joining and leaving, every code of the contract, filters, the list of viewers, finding back.

use super::*;

#[tokio::test]
async fn owner_joins_and_sees() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = hub.connect(user("ann")).await;
    let asked = json!({"projectId": made.id, "token": "your-jwt-token"});
    let ack: Value = ann.call("join-project", asked).await.unwrap();
    assert_eq!((&ack["success"], &ack["projectId"]), (&json!(true), &json!(made.id)));
    assert_eq!(ack["viewers"][0]["userId"], "ann");
    let session = session(&hub, &made, "user-456").await;
    let started: Value = ann.next("session-started").await;
    assert_eq!(
        started,
        json!({"sessionId": session, "externalUserId": "user-456", "timestamp": "2026-01-20T10:30:00.000Z"})
    );
    send(&hub, &made, &session, &["keydown"]).await;
    let received: Value = ann.next("event-received").await;
    assert_eq!(
        received,
        json!({"sessionId": session, "externalUserId": "user-456",
            "event": {"eventType": "keydown", "timestamp": "2026-01-20T10:30:00Z"}})
    );
    let (status, ended) = post(&hub, &made.key, &format!("/api/sessions/{session}/submit"), json!({})).await;
    assert_eq!((status, &ended["submitted"]), (200, &json!(true)));
    let ended: Value = ann.next("session-ended").await;
    assert_eq!(
        ended,
        json!({"sessionId": session, "externalUserId": "user-456", "submitted": true,
            "timestamp": "2026-01-20T10:30:00.000Z"})
    );
}

#[tokio::test]
async fn missing_project_id() {
    let hub = hub();
    let ann = hub.connect(user("ann")).await;
    for event in ["join-project", "leave-project"] {
        for payload in
            [json!(null), json!({}), json!({"projectId": ""}), json!({"projectId": 7}), json!("p"), json!([])]
        {
            assert_eq!(refused(&ann, event, payload).await, "MISSING_PROJECT_ID");
        }
    }
}

#[tokio::test]
async fn unauthorized() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let eve = hub.connect(user("eve")).await;
    assert_eq!(refused(&eve, "join-project", json!({"projectId": made.id})).await, "UNAUTHORIZED");
    let hub = TestHub::builder(crate::entry(), json!({})).auth("optional").start().unwrap();
    let made = project(&hub, "ann").await;
    let guest = hub.anonymous().await;
    assert_eq!(refused(&guest, "join-project", json!({"projectId": made.id})).await, "UNAUTHORIZED");
}

#[tokio::test]
async fn project_not_found() {
    let hub = hub();
    let ann = hub.connect(user("ann")).await;
    for id in ["no-such-project", "../..", &"x".repeat(5000)] {
        assert_eq!(refused(&ann, "join-project", json!({"projectId": id})).await, "PROJECT_NOT_FOUND");
    }
}

#[tokio::test]
async fn project_inactive() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let path = format!("/api/projects/{}", made.id);
    let (status, changed) = as_user(&hub, "ann", "PATCH", &path, json!({"active": false})).await;
    assert_eq!((status, &changed["active"]), (200, &json!(false)));
    assert_eq!(ann.next::<Value>("error").await["code"], "PROJECT_INACTIVE");
    let other = hub.connect(user("ann")).await;
    assert_eq!(refused(&other, "join-project", json!({"projectId": made.id})).await, "PROJECT_INACTIVE");
    let start = format!("/api/projects/{}/sessions", made.id);
    let (status, body) = post(&hub, &made.key, &start, json!({"externalUserId": "u"})).await;
    assert_eq!((status, &body["code"]), (409, &json!("PROJECT_INACTIVE")));
    as_user(&hub, "ann", "PATCH", &path, json!({"active": true})).await;
    session(&hub, &made, "u").await;
    ann.nothing_for("session-started").await;
    other.call::<Value>("join-project", json!({"projectId": made.id})).await.unwrap();
}

#[tokio::test]
async fn join_failed() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = hub.connect(user("ann")).await;
    hub.fail_next_kv();
    assert_eq!(refused(&ann, "join-project", json!({"projectId": made.id})).await, "JOIN_FAILED");
    let (_, viewers) =
        as_user(&hub, "ann", "GET", &format!("/api/projects/{}/viewers", made.id), json!(null)).await;
    assert_eq!(viewers["count"], 0);
    for _ in 0..32 {
        let made = project(&hub, "ann").await;
        let ack = ann.call::<Value>("join-project", json!({"projectId": made.id})).await;
        if let Err(ack) = ack {
            assert_eq!(ack["code"], "JOIN_FAILED", "a connection is in too many rooms at some point");
            let path = format!("/api/projects/{}/viewers", made.id);
            assert_eq!(
                as_user(&hub, "ann", "GET", &path, json!(null)).await.1["count"],
                0,
                "half a seat is none"
            );
            return;
        }
    }
    panic!("a connection could be in any number of rooms");
}

#[tokio::test]
async fn leave_failed() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = hub.connect(user("ann")).await;
    assert_eq!(refused(&ann, "leave-project", json!({"projectId": made.id})).await, "LEAVE_FAILED");
    assert_eq!(refused(&ann, "leave-project", json!({"projectId": "x".repeat(5000)})).await, "LEAVE_FAILED");
}

#[tokio::test]
async fn who_has_left_sees_nothing() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let ack: Value = ann.call("leave-project", json!({"projectId": made.id})).await.unwrap();
    assert_eq!(ack, json!({"success": true, "projectId": made.id}));
    let session = session(&hub, &made, "u").await;
    send(&hub, &made, &session, &["keydown"]).await;
    for event in ["session-started", "event-received"] {
        ann.nothing_for(event).await;
    }
}

#[tokio::test]
async fn projects_do_not_mix() {
    let hub = hub();
    let (mine, yours) = (project(&hub, "ann").await, project(&hub, "bob").await);
    let (ann, bob) = (watching(&hub, "ann", &mine).await, watching(&hub, "bob", &yours).await);
    let session = session(&hub, &yours, "u").await;
    send(&hub, &yours, &session, &["keydown"]).await;
    assert_eq!(bob.next::<Value>("event-received").await["sessionId"], json!(session));
    for event in ["session-started", "event-received", "viewers-updated"] {
        ann.nothing_for(event).await;
    }
}

#[tokio::test]
async fn filters_choose_events() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let all = watching(&hub, "ann", &made).await;
    let some = hub.connect(user("ann")).await;
    let asked = json!({"projectId": made.id, "filter": {"eventTypes": ["paste", "copy"]}});
    let ack: Value = some.call("join-project", asked).await.unwrap();
    assert_eq!(ack["filter"], json!({"eventTypes": ["paste", "copy"]}));
    let session = session(&hub, &made, "u").await;
    assert_eq!(some.next::<Value>("session-started").await["sessionId"], json!(session));
    send(&hub, &made, &session, &["keydown", "paste", "keydown", "copy"]).await;
    assert_eq!(all.waiting("event-received").await, 4);
    for kind in ["paste", "copy"] {
        assert_eq!(some.next::<Value>("event-received").await["event"]["eventType"], kind);
    }
    some.nothing_for("event-received").await;
    let bad = json!({"projectId": made.id, "filter": {"eventTypes": "paste"}});
    assert_eq!(refused(&some, "join-project", bad).await, "INVALID_FILTER");
    some.call::<Value>("join-project", json!({"projectId": made.id})).await.unwrap();
    send(&hub, &made, &session, &["paste", "keydown"]).await;
    assert_eq!(some.waiting("event-received").await, 2, "joining again changes the filter");
}

#[tokio::test]
async fn viewers_are_listed() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let first = watching(&hub, "ann", &made).await;
    let second = watching(&hub, "ann", &made).await;
    let update: Value = first.next("viewers-updated").await;
    let expected = json!({"projectId": made.id, "count": 1, "viewers": [
        {"userId": "ann", "userName": "ann Example", "connections": 2, "joinedAt": "2026-01-20T10:30:00.000Z"}
    ]});
    assert_eq!(update, expected);
    let path = format!("/api/projects/{}/viewers", made.id);
    assert_eq!(as_user(&hub, "ann", "GET", &path, json!(null)).await, (200, expected.clone()));
    assert_eq!(hub.rpc("viewers", json!({"projectId": made.id})).await.unwrap(), expected);
    second.lose();
    hub.advance(Duration::from_millis(200)).await;
    assert_eq!(
        first.next::<Value>("viewers-updated").await["viewers"][0]["connections"],
        1,
        "a tab has crashed"
    );
    first.lose();
    hub.settle().await;
    assert_eq!(as_user(&hub, "ann", "GET", &path, json!(null)).await.1["viewers"], json!([]));
}

#[tokio::test]
async fn lost_viewers_find_back() {
    let hub = hub();
    let (one, two) = (project(&hub, "ann").await, project(&hub, "ann").await);
    let ann = watching(&hub, "ann", &one).await;
    let asked = json!({"projectId": two.id, "filter": {"eventTypes": ["paste"]}});
    ann.call::<Value>("join-project", asked).await.unwrap();
    ann.lose();
    hub.advance(Duration::from_secs(5)).await;
    let eve = hub.connect(user("eve")).await;
    let again = hub.connect(user("ann")).await;
    let mut rejoined: Vec<Value> =
        vec![again.next("project-rejoined").await, again.next("project-rejoined").await];
    rejoined.sort_by_key(|joined| joined["filter"].is_null());
    assert_eq!((&rejoined[0]["projectId"], &rejoined[1]["projectId"]), (&json!(two.id), &json!(one.id)));
    let session = session(&hub, &two, "u").await;
    send(&hub, &two, &session, &["keydown", "paste"]).await;
    assert_eq!(again.next::<Value>("event-received").await["event"]["eventType"], "paste");
    let third = hub.connect(user("ann")).await;
    third.nothing_for("project-rejoined").await;
    eve.nothing_for("project-rejoined").await;
}

#[tokio::test]
async fn who_said_goodbye_is_not_brought_back() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    ann.call::<Value>("leave-project", json!({"projectId": made.id})).await.unwrap();
    ann.lose();
    hub.settle().await;
    hub.connect(user("ann")).await.nothing_for("project-rejoined").await;
    let ann = watching(&hub, "ann", &made).await;
    ann.lose();
    hub.advance(Duration::from_secs(121)).await;
    hub.connect(user("ann")).await.nothing_for("project-rejoined").await;
    let ann = watching(&hub, "ann", &made).await;
    ann.lose();
    hub.settle().await;
    as_user(&hub, "ann", "PATCH", &format!("/api/projects/{}", made.id), json!({"active": false})).await;
    hub.connect(user("ann")).await.nothing_for("project-rejoined").await;
}
