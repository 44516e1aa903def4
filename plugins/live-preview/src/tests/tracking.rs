//! Trackers over REST and the bus: sessions begin, events come, sessions end once.

use super::*;

async fn events_of(hub: &TestHub, owner: &str, session: &str) -> Vec<Value> {
    let (_, page) = as_user(hub, owner, "GET", &format!("/api/sessions/{session}/events"), json!(null)).await;
    page["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn first_ten_of_each_batch_are_shown() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let session = session(&hub, &made, "u").await;
    for batch in 0..2 {
        let kinds: Vec<String> = (0..25).map(|n| format!("{batch}-{n}")).collect();
        let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
        let answer = send(&hub, &made, &session, &kinds).await;
        assert_eq!((&answer["accepted"], &answer["broadcast"]), (&json!(25), &json!(10)));
        for n in 0..10 {
            assert_eq!(
                ann.next::<Value>("event-received").await["event"]["eventType"],
                format!("{batch}-{n}")
            );
        }
        ann.nothing_for("event-received").await;
    }
    let (_, read) = as_user(&hub, "ann", "GET", &format!("/api/sessions/{session}"), json!(null)).await;
    assert_eq!(read["events"], 50);
    assert_eq!(events_of(&hub, "ann", &session).await.len(), 50, "all are stored");
    assert_eq!(hub.metric("events_skipped_total{reason=\"batch\"}"), Some(30.0));
}

#[tokio::test]
async fn viewers_get_no_more_than_they_can_see() {
    let hub = hub_with(json!({"events_per_second": 15}));
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let session = session(&hub, &made, "u").await;
    for _ in 0..4 {
        send(&hub, &made, &session, &["x"; 10]).await;
    }
    assert_eq!(ann.waiting("event-received").await, 15);
    assert_eq!(hub.metric("events_skipped_total{reason=\"rate\"}"), Some(25.0));
    hub.advance(Duration::from_secs(1)).await;
    send(&hub, &made, &session, &["x"; 10]).await;
    assert_eq!(ann.waiting("event-received").await, 25);
}

#[tokio::test]
async fn bad_batches_change_nothing() {
    let hub = hub_with(json!({"session_events": 5}));
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let session = session(&hub, &made, "u").await;
    let path = format!("/api/sessions/{session}/events");
    let bad = [
        json!({}),
        json!({"events": []}),
        json!({"events": [{}]}),
        json!({"events": [{"eventType": "x"}, {"eventType": 7}]}),
        json!({"events": [{"eventType": "x", "timestamp": "yesterday"}]}),
        json!({"events": [{"eventType": "x"}], "more": 1}),
        json!([]),
    ];
    for body in bad {
        assert_eq!(post(&hub, &made.key, &path, body.clone()).await.0, 400, "{body}");
    }
    let six: Vec<_> = (0..6).map(|_| json!({"eventType": "x"})).collect();
    let (status, answer) = post(&hub, &made.key, &path, json!({ "events": six })).await;
    assert_eq!((status, &answer["code"]), (413, &json!("SESSION_FULL")));
    let large = json!({"events": [{"eventType": "x", "text": "y".repeat(20_000)}]});
    assert_eq!(post(&hub, &made.key, &path, large).await.0, 413);
    assert_eq!(
        post(&hub, &made.key, "/api/sessions/none/events", json!({"events": [{"eventType": "x"}]})).await.0,
        404
    );
    ann.nothing_for("event-received").await;
    assert!(events_of(&hub, "ann", &session).await.is_empty());
}

#[tokio::test]
async fn idle_sessions_end_by_themselves() {
    let hub = hub_with(json!({"idle_after": "10s"}));
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let session = session(&hub, &made, "u").await;
    hub.advance(Duration::from_secs(8)).await;
    send(&hub, &made, &session, &["x"]).await;
    hub.advance(Duration::from_secs(8)).await;
    ann.nothing_for("session-ended").await;
    hub.advance(Duration::from_secs(4)).await;
    let ended: Value = ann.next("session-ended").await;
    assert_eq!((&ended["sessionId"], &ended["submitted"]), (&json!(session), &json!(false)));
    let path = format!("/api/sessions/{session}/submit");
    let (status, answer) = post(&hub, &made.key, &path, json!({})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("SESSION_ENDED")));
    hub.advance(Duration::from_secs(60)).await;
    ann.nothing_for("session-ended").await;
    assert_eq!(hub.metric("sessions_total{what=\"idle\"}"), Some(1.0));
}

#[tokio::test]
async fn ends_that_could_not_be_stored_are_tried_again() {
    let hub = hub_with(json!({"idle_after": "10s"}));
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    session(&hub, &made, "u").await;
    hub.advance(Duration::from_secs(9)).await;
    hub.fail_next_kv();
    hub.advance(Duration::from_secs(5)).await;
    ann.nothing_for("session-ended").await;
    hub.advance(Duration::from_secs(31)).await;
    assert_eq!(ann.next::<Value>("session-ended").await["submitted"], false);
}

#[tokio::test]
async fn sessions_end_once() {
    let hub = hub_with(json!({"idle_after": "10s"}));
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let session = session(&hub, &made, "u").await;
    let path = format!("/api/sessions/{session}/submit");
    let (status, first) = post(&hub, &made.key, &path, json!({})).await;
    hub.advance(Duration::from_secs(1)).await;
    assert_eq!((status, post(&hub, &made.key, &path, json!({})).await), (200, (200, first)), "again is fine");
    assert_eq!(ann.waiting("session-ended").await, 1);
    let late = json!({"events": [{"eventType": "x"}]});
    let (status, answer) = post(&hub, &made.key, &format!("/api/sessions/{session}/events"), late).await;
    assert_eq!((status, &answer["code"]), (409, &json!("SESSION_ENDED")));
    assert!(events_of(&hub, "ann", &session).await.is_empty());
    hub.advance(Duration::from_secs(30)).await;
    assert_eq!(ann.waiting("session-ended").await, 1);
}

#[tokio::test]
async fn services_track_over_the_bus() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let started = json!({"sessionId": "session-123", "externalUserId": "user-456"});
    hub.inject(&made.id, "session-started", &started).await.unwrap();
    assert_eq!(ann.next::<Value>("session-started").await["sessionId"], "session-123");
    hub.inject(&made.id, "session-started", &started).await.unwrap();
    ann.nothing_for("session-started").await;
    let event = json!({"eventType": "keydown", "timestamp": "2026-01-20T10:30:00Z", "keyChar": "a"});
    let received = json!({"sessionId": "session-123", "externalUserId": "user-456", "event": event});
    hub.inject(&made.id, "event-received", &received).await.unwrap();
    assert_eq!(ann.next::<Value>("event-received").await, received);
    let many: Vec<_> = (0..12).map(|_| json!({"eventType": "x"})).collect();
    hub.inject(&made.id, "events", json!({"sessionId": "session-123", "events": many})).await.unwrap();
    assert_eq!(ann.waiting("event-received").await, 10);
    hub.inject(&made.id, "session-ended", json!({"sessionId": "session-123", "submitted": false}))
        .await
        .unwrap();
    assert_eq!(ann.next::<Value>("session-ended").await["submitted"], false);
    let out: Vec<_> = hub.out().await.into_iter().map(|out| (out.room, out.event)).collect();
    let id = made.id.clone();
    assert_eq!(out, [(id.clone(), "session-started".into()), (id, "session-ended".into())]);
}

#[tokio::test]
async fn unknown_sessions_begin_with_their_first_event() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let received = json!({"sessionId": "s", "externalUserId": "u", "event": {"eventType": "x"}});
    hub.inject(&made.id, "event-received", received).await.unwrap();
    assert_eq!(ann.next::<Value>("session-started").await["sessionId"], "s");
    assert_eq!(ann.next::<Value>("event-received").await["externalUserId"], "u");
}

#[tokio::test]
async fn bad_injections_say_why() {
    let hub = hub();
    let (mine, yours) = (project(&hub, "ann").await, project(&hub, "bob").await);
    let session = session(&hub, &yours, "u").await;
    let event = json!({"eventType": "x"});
    for (room, event, payload, code) in [
        ("nowhere", "event-received", json!({"sessionId": "s", "event": event}), "PROJECT_NOT_FOUND"),
        (&*mine.id, "event-received", json!({"sessionId": "s", "event": event}), "SESSION_NOT_FOUND"),
        (&*mine.id, "event-received", json!({"sessionId": session, "event": event}), "SESSION_NOT_FOUND"),
        (
            &*mine.id,
            "session-ended",
            json!({"sessionId": session, "externalUserId": "u", "submitted": true}),
            "SESSION_NOT_FOUND",
        ),
        (&*mine.id, "event-received", json!({"sessionId": "s", "event": {}}), "INVALID"),
        (&*mine.id, "session-started", json!({"sessionId": "s"}), "INVALID"),
        (&*mine.id, "session-ended", json!({"sessionId": "s", "externalUserId": "u"}), "INVALID"),
        (&*mine.id, "no-such-event", json!({}), "NOT_FOUND"),
    ] {
        let error = hub.inject(room, event, &payload).await.unwrap_err();
        assert!(error.starts_with(code), "{event} {payload}: {error}");
    }
    as_user(&hub, "ann", "PATCH", &format!("/api/projects/{}", mine.id), json!({"active": false})).await;
    let started = json!({"sessionId": "s", "externalUserId": "u"});
    assert!(
        hub.inject(&mine.id, "session-started", started).await.unwrap_err().starts_with("PROJECT_INACTIVE")
    );
    assert!(events_of(&hub, "bob", &session).await.is_empty());
}

#[tokio::test]
async fn services_ask_and_are_answered() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let asked = json!({"projectId": made.id, "externalUserId": "u"});
    let session = hub.rpc("start", asked).await.unwrap()["sessionId"].clone();
    let events = json!({"sessionId": session, "events": [{"eventType": "x"}]});
    assert_eq!(hub.rpc("events", events).await.unwrap()["total"], 1);
    assert_eq!(hub.rpc("submit", json!({"sessionId": session})).await.unwrap()["submitted"], true);
    let read = hub.rpc("project", json!({"projectId": made.id})).await.unwrap();
    assert!(read["name"] == "Form" && read.get("apiKey").is_none() && !read.to_string().contains("digest"));
    assert_eq!(hub.rpc("project", json!({"projectId": "x"})).await.unwrap_err()["code"], "PROJECT_NOT_FOUND");
}

#[tokio::test]
async fn binary_events_arrive_as_bytes() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let session = session(&hub, &made, "u").await;
    let data: Vec<u8> = (0..50_000_u32).map(|n| (n * 7 % 256) as u8).collect();
    let path = format!("/api/sessions/{session}/binary-events");
    let request = hub.http("POST", &path).header("X-API-Key", &made.key).body(data.clone());
    let (status, _, answer) =
        request.header("X-Event", r#"{"eventType":"screenshot","width":640}"#).send().await;
    assert_eq!((status, &answer["total"]), (201, &json!(1)), "{answer}");
    let got = ann.next_args("event-received").await;
    assert_eq!(got.attachments, std::slice::from_ref(&data));
    let received: Value = got.first().unwrap();
    assert_eq!(received["event"]["data"], placeholder(0));
    assert_eq!(
        (&received["event"]["eventType"], &received["event"]["width"]),
        (&json!("screenshot"), &json!(640))
    );
    let kept = &events_of(&hub, "ann", &session).await[0]["data"];
    assert_eq!(kept["size"], 50_000);
    let path = format!("/api/sessions/{session}/data/{}", kept["id"].as_str().unwrap());
    let (status, headers, _) = hub.http("GET", &path).as_user(user("ann")).send().await;
    assert_eq!(status, 200);
    assert!(headers.iter().any(|(name, value)| name == "content-disposition" && value == "attachment"));
    let meta = json!({"sessionId": "s2", "externalUserId": "u", "event": {"eventType": "audio"}}).to_string();
    hub.inject_with(&made.id, "binary-event", &[("Event-Meta", &meta)], data.clone()).await;
    assert_eq!(ann.next_args("event-received").await.attachments, [data]);
    hub.inject_with(&made.id, "binary-event", &[], vec![1]).await;
    hub.inject_with(&made.id, "binary-event", &[("Event-Meta", &meta)], vec![]).await;
    assert_eq!(hub.dead_letters().await.len(), 2);
}

#[tokio::test]
async fn unstored_events_are_not_answered_as_done() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let session = session(&hub, &made, "u").await;
    let path = format!("/api/sessions/{session}/events");
    hub.fail_next_kv();
    assert_eq!(post(&hub, &made.key, &path, json!({"events": [{"eventType": "x"}]})).await.0, 503);
    ann.nothing_for("event-received").await;
    assert!(events_of(&hub, "ann", &session).await.is_empty());
}

#[tokio::test]
async fn old_sessions_are_forgotten() {
    let hub = hub_with(json!({"keep_sessions": "1m", "idle_after": "5s"}));
    let made = project(&hub, "ann").await;
    let old = session(&hub, &made, "u").await;
    send(&hub, &made, &old, &["x"; 3]).await;
    hub.advance(Duration::from_secs(100)).await;
    let new = session(&hub, &made, "u").await;
    hub.advance(Duration::from_secs(30)).await;
    assert_eq!(as_user(&hub, "ann", "GET", &format!("/api/sessions/{old}"), json!(null)).await.0, 404);
    assert_eq!(as_user(&hub, "ann", "GET", &format!("/api/sessions/{new}"), json!(null)).await.0, 200);
    let path = format!("/api/projects/{}/sessions", made.id);
    let (_, list) = as_user(&hub, "ann", "GET", &path, json!(null)).await;
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn events_that_come_again_count_once() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let ann = watching(&hub, "ann", &made).await;
    let event = |kind: &str| {
        json!({"sessionId": "s", "externalUserId": "u", "event": {"eventType": kind}}).to_string()
    };
    let meta = json!({"sessionId": "s", "event": {"eventType": "shot"}}).to_string();
    for number in [1, 2, 3, 1, 2, 3, 4] {
        let sent = match number {
            3 => hub.deliver(3, (&made.id, "binary-event"), &[("Event-Meta", &meta)], vec![7; 10]).await,
            _ => hub.deliver(number, (&made.id, "event-received"), &[], event(&format!("e{number}"))).await,
        };
        sent.unwrap();
    }
    let kinds: Vec<_> =
        events_of(&hub, "ann", "s").await.iter().map(|event| event["eventType"].clone()).collect();
    assert_eq!(kinds, ["e1", "e2", "shot", "e4"]);
    let (_, read) = as_user(&hub, "ann", "GET", "/api/sessions/s", json!(null)).await;
    assert_eq!(read["events"], 4);
    assert_eq!(ann.waiting("event-received").await, 4, "each was shown once");
    let path = format!("/api/projects/{}/sessions", made.id);
    let (_, list) = as_user(&hub, "ann", "GET", &path, json!(null)).await;
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
    hub.deliver(
        5,
        (&made.id, "session-ended"),
        &[],
        json!({"sessionId": "s", "submitted": true}).to_string(),
    )
    .await
    .unwrap();
    hub.deliver(4, (&made.id, "event-received"), &[], event("e4")).await.unwrap(); // no refusal: it was taken
    assert!(hub.deliver(6, (&made.id, "event-received"), &[], event("e6")).await.is_err());
}
