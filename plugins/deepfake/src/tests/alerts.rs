//! Alerts: at once, always, kept, and acknowledged.

use super::*;

fn path(query: &str) -> String {
    format!("/api/meetings/{MEETING}/alerts{query}")
}

#[tokio::test]
async fn alerts_reach_the_meeting_and_the_trail() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    hub.inject(MEETING, "deepfake-alert", alert("participant1")).await.unwrap();
    let got: Value = ann.next("deepfake-alert").await;
    let id = got["alertId"].as_str().unwrap();
    let mut expected = alert("participant1");
    expected["meetingId"] = json!(MEETING);
    expected["alertId"] = json!(id);
    assert_eq!(got, expected);
    let list = get(&hub, &path("")).await;
    assert_eq!((&list["meetingId"], &list["next"]), (&json!(MEETING), &Value::Null));
    let kept = &list["alerts"][0];
    assert_eq!((&kept["id"], &kept["message"]), (&json!(id), &expected["message"]));
    assert_eq!(
        (&kept["receivedAt"], &kept["acknowledgements"]),
        (&json!("2026-01-20T10:30:03.000Z"), &json!([]))
    );
    let out = hub.out().await;
    assert!(out.iter().any(|out| out.event == "alert" && out.payload == expected));
    assert_eq!(hub.metric("alerts_total{severity=\"high\"}"), Some(1.0));
    assert_eq!(hub.metric("alerts_total{severity=\"low\"}"), Some(0.0));
}

#[tokio::test]
async fn small_alerts_are_filled_in() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    for (severity, required) in [("high", true), ("medium", false), ("low", false)] {
        let sent =
            json!({"participantId": "p", "severity": severity, "message": "Test alert", "alertId": "mine"});
        hub.inject(MEETING, "deepfake-alert", sent).await.unwrap();
        let got: Value = ann.next("deepfake-alert").await;
        assert_eq!(got["actionRequired"], required);
        assert_eq!(got["timestamp"], "2026-01-20T10:30:03.000Z");
        assert_ne!(got["alertId"], "mine");
    }
}

#[tokio::test]
async fn alerts_are_never_held_back() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    for _ in 0..50 {
        hub.inject(MEETING, "deepfake-alert", alert("p")).await.unwrap();
        hub.inject(MEETING, "detection-update", detection("p", 0.9)).await.unwrap();
    }
    assert_eq!(ann.waiting("deepfake-alert").await, 50);
    assert_eq!(ann.waiting("detection-update").await, 1);
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let hub = hub();
    for n in 0..30 {
        let mut sent = alert("p");
        sent["severity"] = json!(["high", "medium", "low"][n % 3]);
        sent["message"] = json!(n.to_string());
        hub.inject(MEETING, "deepfake-alert", sent).await.unwrap();
        hub.advance(Duration::from_secs(1)).await;
    }
    let messages = |list: &Value| -> Vec<u64> {
        let alerts = list["alerts"].as_array().unwrap();
        alerts.iter().map(|alert| alert["message"].as_str().unwrap().parse().unwrap()).collect()
    };
    assert_eq!(messages(&get(&hub, &path("")).await), (0..30).collect::<Vec<_>>());
    assert_eq!(messages(&get(&hub, &path("?since=2026-01-20T10:30:27Z")).await), [27, 28, 29]);
    assert_eq!(messages(&get(&hub, &path("?since=1768905028000")).await), [28, 29]);
    let first = get(&hub, &path("?severity=low&limit=4")).await;
    assert_eq!(messages(&first), [2, 5, 8, 11]);
    let next = first["next"].as_str().unwrap();
    assert_eq!(
        messages(&get(&hub, &path(&format!("?severity=low&since={next}"))).await),
        [14, 17, 20, 23, 26, 29]
    );
    for bad in ["?since=soon", "?severity=huge", "?limit=many"] {
        let (status, _, body) = hub.http("GET", &path(bad)).as_user(user("ann")).send().await;
        assert_eq!((status, &body["code"]), (400, &json!("INVALID")), "{bad}");
    }
    let by_rpc =
        hub.rpc("alerts", json!({"meetingId": MEETING, "severity": "high", "limit": 2})).await.unwrap();
    assert_eq!(messages(&by_rpc), [0, 3]);
    assert_eq!(hub.http("GET", &path("")).send().await.0, 401);
    let (status, _, body) = hub.http("GET", "/api/meetings/a%0Ab/alerts").as_user(user("ann")).send().await;
    assert!(status == 404 || body["code"] == "INVALID_MEETING_ID", "{status} {body}");
}

#[tokio::test]
async fn acknowledgements_are_recorded() {
    let hub = hub();
    let (ann, bob) = (joined(&hub, "ann").await, joined(&hub, "bob").await);
    hub.inject(MEETING, "deepfake-alert", alert("p")).await.unwrap();
    let id = ann.next::<Value>("deepfake-alert").await["alertId"].clone();
    let seen = json!({"meetingId": MEETING, "alertId": id});
    let ack: Value = ann.call("ack-alert", &seen).await.unwrap();
    assert_eq!((&ack["success"], &ack["alertId"], &ack["userId"]), (&json!(true), &id, &json!("ann")));
    let told: Value = bob.next("alert-acknowledged").await;
    assert_eq!(
        told,
        json!({"meetingId": MEETING, "alertId": id, "userId": "ann", "userName": "ann Doe", "timestamp": ack["timestamp"]})
    );
    hub.advance(Duration::from_secs(1)).await;
    let again: Value = ann.call("ack-alert", &seen).await.unwrap();
    assert_eq!(again["timestamp"], ack["timestamp"], "twice is as good as once");
    assert_eq!(bob.waiting("alert-acknowledged").await, 0);
    bob.call::<Value>("ack-alert", &seen).await.unwrap();
    let kept = get(&hub, &path("")).await["alerts"][0]["acknowledgements"].clone();
    let who: Vec<_> = kept.as_array().unwrap().iter().map(|ack| ack["userId"].as_str().unwrap()).collect();
    assert_eq!(who, ["ann", "bob"]);
    assert_eq!(kept[0]["acknowledgedAt"], ack["timestamp"]);
    assert_eq!(hub.metric("acknowledgements_total"), Some(2.0));
}

#[tokio::test]
async fn only_those_present_acknowledge() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    hub.inject(MEETING, "deepfake-alert", alert("p")).await.unwrap();
    let id = ann.next::<Value>("deepfake-alert").await["alertId"].clone();
    let eve = hub.connect(user("eve")).await;
    let refused = |code: &str, error: Value| assert_eq!(error["error"]["code"], code, "{error}");
    let seen = json!({"meetingId": MEETING, "alertId": id});
    refused("NOT_IN_MEETING", eve.call::<Value>("ack-alert", &seen).await.unwrap_err());
    for unknown in [json!("nothing"), json!("1768904000000000-aaaaaaaaaaaa")] {
        let unknown = json!({"meetingId": MEETING, "alertId": unknown});
        refused("ALERT_NOT_FOUND", ann.call::<Value>("ack-alert", unknown).await.unwrap_err());
    }
    refused("INVALID_DATA", ann.call::<Value>("ack-alert", json!({"meetingId": MEETING})).await.unwrap_err());
    assert_eq!(get(&hub, &path("")).await["alerts"][0]["acknowledgements"], json!([]));
}

#[tokio::test]
async fn warnings_come_without_a_store_too() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    hub.inject(MEETING, "trust-score-update", trust("p", 0.5)).await.unwrap();
    hub.advance(Duration::from_secs(5)).await;
    hub.fail_next_kv();
    let refused = hub.inject(MEETING, "deepfake-alert", alert("p")).await.unwrap_err();
    assert!(refused.starts_with("UNAVAILABLE"), "{refused}");
    assert_eq!(ann.next::<Value>("deepfake-alert").await["participantId"], "p");
    assert_eq!(get(&hub, &path("")).await["alerts"], json!([]), "and nobody claims that it is kept");
}

#[tokio::test]
async fn old_alerts_are_forgotten() {
    let hub = hub_with(json!({"keep_alerts": "60s"}));
    hub.inject(MEETING, "deepfake-alert", alert("old")).await.unwrap();
    hub.advance(Duration::from_secs(100)).await;
    hub.inject(MEETING, "deepfake-alert", alert("new")).await.unwrap();
    assert_eq!(get(&hub, &path("")).await["alerts"].as_array().unwrap().len(), 2);
    hub.advance(Duration::from_secs(25)).await;
    let list = get(&hub, &path("")).await;
    assert_eq!(list["alerts"].as_array().unwrap().len(), 1);
    assert_eq!(list["alerts"][0]["participantId"], "new");
}

#[tokio::test]
async fn alert_that_comes_again_is_kept_once() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    for number in [1, 2, 1, 2, 3] {
        let body = alert(&format!("p{number}")).to_string();
        hub.deliver(number, (MEETING, "deepfake-alert"), &[], body).await.unwrap();
    }
    let list = get(&hub, &path("")).await;
    let kept: Vec<_> = list["alerts"].as_array().unwrap().iter().map(|kept| &kept["participantId"]).collect();
    assert_eq!(kept, ["p1", "p2", "p3"], "in order of their coming");
    assert_eq!(ann.waiting("deepfake-alert").await, 3, "and told once by this node");
    assert_eq!(hub.metric("alerts_total{severity=\"high\"}"), Some(3.0));
    assert_eq!(
        get(&hub, &format!("/api/meetings/{MEETING}/analytics")).await["analytics"]["anomaliesDetected"],
        3
    );
}

#[tokio::test]
async fn alert_that_was_not_kept_is_tried_again() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    hub.inject(MEETING, "trust-score-update", trust("p", 0.5)).await.unwrap();
    hub.advance(Duration::from_secs(5)).await;
    hub.fail_next_kv();
    let body = alert("p").to_string();
    let refused = hub.deliver(1, (MEETING, "deepfake-alert"), &[], body.clone()).await.unwrap_err();
    assert!(refused.starts_with("UNAVAILABLE"), "{refused}");
    hub.deliver(1, (MEETING, "deepfake-alert"), &[], body).await.unwrap();
    assert_eq!(ann.waiting("deepfake-alert").await, 1, "people were told at once, and once");
    assert_eq!(get(&hub, &path("")).await["alerts"].as_array().unwrap().len(), 1);
}
