//! What detection engines send: scores, frames and analytics, checked, held back and counted.

use super::*;

#[tokio::test]
async fn injected_detections_reach_the_meeting() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    let mut sent = detection("participant1", 0.85);
    sent["model"] = json!("v3");
    hub.inject(MEETING, "detection-update", &sent).await.unwrap();
    let got: Value = ann.next("detection-update").await;
    sent["meetingId"] = json!(MEETING);
    sent["timestamp"] = json!("2026-01-20T10:30:03.000Z");
    assert_eq!(got, sent, "missing fields are filled in, others are left alone");
}

#[tokio::test]
async fn engines_send_over_sockets() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    let engine = engine(&hub).await;
    let mut sent = detection("participant1", 0.2);
    sent["meetingId"] = json!(MEETING);
    sent["timestamp"] = json!("2026-01-20T10:30:00Z");
    assert_eq!(engine.call::<Value>("detection-results", &sent).await.unwrap(), json!({"success": true}));
    assert_eq!(ann.next::<Value>("detection-update").await, sent);
    engine
        .emit("trust-score-update", json!({"meetingId": MEETING, "participantId": "p", "trustScore": 0.92}));
    assert_eq!(ann.next::<Value>("trust-score-update").await["trustLevel"], "green");
    let raised = json!({"meetingId": MEETING, "participantId": "p", "severity": "low", "message": "m"});
    let ack: Value = engine.call("deepfake-alert", raised).await.unwrap();
    assert_eq!(ack["alertId"], ann.next::<Value>("deepfake-alert").await["alertId"]);
    let analytics = json!({"meetingId": MEETING, "analytics": {"totalParticipants": 9}});
    engine.emit("analytics-update", analytics);
    assert_eq!(ann.next::<Value>("analytics-update").await["meetingId"], MEETING);
}

#[tokio::test]
async fn only_engines_may_send() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    let mut update = detection("p", 0.5);
    update["meetingId"] = json!(MEETING);
    let ack = ann.call::<Value>("detection-results", &update).await.unwrap_err();
    assert_eq!(ack["error"]["code"], "NOT_A_DETECTOR");
    assert_eq!(ann.next::<Value>("error").await["code"], "NOT_A_DETECTOR");
    ann.nothing_for("detection-update").await;
    let hub = hub_with(json!({"detectors": "anyone"}));
    let ann = joined(&hub, "ann").await;
    ann.emit("detection-results", &update);
    assert_eq!(ann.next::<Value>("detection-update").await["participantId"], "p");
    let hub = hub_with(json!({"detector_role": "robot"}));
    let robot = hub.connect(User::named("r").with_role("robot")).await;
    assert!(robot.call::<Value>("detection-results", &update).await.is_ok());
}

#[tokio::test]
async fn invalid_results_say_so() {
    let hub = hub();
    let engine = engine(&hub).await;
    let mut no_meeting = detection("p", 0.5);
    no_meeting["timestamp"] = json!("2026-01-20T10:30:00Z");
    let no_participant = json!({"meetingId": MEETING, "results": {}});
    for payload in [json!(null), no_meeting, no_participant] {
        engine.emit("detection-results", payload);
        let error: Value = engine.next("error").await;
        assert_eq!((&error["message"], &error["code"]), (&json!("Invalid data"), &json!("INVALID_DATA")));
    }
}

#[tokio::test]
async fn bad_injections_change_nothing() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    let bad = [
        ("detection-update", detection("p", 1.01)),
        ("detection-update", detection("p", -0.01)),
        ("detection-update", detection("", 0.5)),
        ("detection-update", json!({"results": {}})),
        ("detection-update", json!({"participantId": "p"})),
        (
            "detection-update",
            json!({"participantId": "p", "results": {"audioAnalysis": {"confidence": "high"}}}),
        ),
        ("detection-update", json!({"participantId": "p", "results": {}, "meetingId": "other"})),
        ("detection-update", json!({"participantId": "p", "results": {}, "timestamp": "now"})),
        ("trust-score-update", trust("p", 1.5)),
        ("trust-score-update", json!({"trustScore": 0.5})),
        ("trust-score-update", json!({"participantId": "p"})),
        ("analytics-update", json!({"analytics": {"averageTrustScore": 2}})),
        ("analytics-update", json!({"analytics": {"cpuUsage": 101}})),
        ("analytics-update", json!({})),
        ("deepfake-alert", json!({"participantId": "p", "severity": "huge", "message": "m"})),
        ("deepfake-alert", json!({"severity": "high", "message": "m"})),
        ("deepfake-alert", json!({"participantId": "p", "severity": "high", "message": ""})),
        (
            "deepfake-alert",
            json!({"participantId": "p", "severity": "high", "message": "m", "confidence": 7}),
        ),
        ("no-such-event", json!({})),
    ];
    for (event, payload) in &bad {
        assert!(hub.inject(MEETING, event, payload).await.is_err(), "{event} {payload}");
    }
    assert!(hub.inject(&"x".repeat(130), "trust-score-update", trust("p", 0.5)).await.is_err());
    assert_eq!(hub.dead_letters().await.len(), bad.len() + 1);
    hub.advance(Duration::from_secs(5)).await;
    for event in ["detection-update", "trust-score-update", "analytics-update", "deepfake-alert"] {
        ann.nothing_for(event).await;
    }
    let analytics = get(&hub, &format!("/api/meetings/{MEETING}/analytics")).await;
    assert_eq!(analytics["analytics"]["averageTrustScore"], Value::Null);
    assert_eq!(get(&hub, &format!("/api/meetings/{MEETING}/alerts")).await["alerts"], json!([]));
}

#[tokio::test]
async fn trust_levels_are_coloured() {
    let hub = hub_with(json!({"throttle": "0ms"}));
    let ann = joined(&hub, "ann").await;
    for (score, level) in
        [(1.0, "green"), (0.8, "green"), (0.79, "yellow"), (0.5, "yellow"), (0.49, "red"), (0.0, "red")]
    {
        let mut sent = trust("participant1", score);
        sent["trustLevel"] = json!("gold");
        hub.inject(MEETING, "trust-score-update", sent).await.unwrap();
        let got: Value = ann.next("trust-score-update").await;
        assert_eq!((&got["trustScore"], &got["trustLevel"]), (&json!(score), &json!(level)));
        assert_eq!((&got["meetingId"], &got["participantId"]), (&json!(MEETING), &json!("participant1")));
    }
}

#[tokio::test]
async fn throttled_stream_ends_on_the_newest() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    for n in 1..=5 {
        hub.inject(MEETING, "detection-update", detection("p", f64::from(n) / 10.0)).await.unwrap();
        hub.inject(MEETING, "trust-score-update", trust("q", f64::from(n) / 10.0)).await.unwrap();
    }
    let score = |update: &Value| update["results"]["audioAnalysis"]["voiceCloneScore"].clone();
    assert_eq!(score(&ann.next::<Value>("detection-update").await), json!(0.1), "the first goes at once");
    assert_eq!(ann.waiting("detection-update").await, 0);
    hub.advance(Duration::from_millis(499)).await;
    assert_eq!(ann.waiting("detection-update").await, 0);
    hub.advance(Duration::from_millis(1)).await;
    assert_eq!(score(&ann.next::<Value>("detection-update").await), json!(0.5), "the newest follows");
    assert_eq!(ann.waiting("detection-update").await, 0);
    assert_eq!(ann.next::<Value>("trust-score-update").await["trustScore"], 0.1);
    assert_eq!(ann.next::<Value>("trust-score-update").await["trustScore"], 0.5, "each event for itself");
    hub.advance(Duration::from_secs(1)).await;
    hub.inject(MEETING, "detection-update", detection("p", 0.6)).await.unwrap();
    assert_eq!(score(&ann.next::<Value>("detection-update").await), json!(0.6), "at rest again");
    assert_eq!(hub.metric("throttled_total{event=\"detection-update\"}"), Some(3.0));
    assert_eq!(hub.metric("updates_total{event=\"detection-update\"}"), Some(6.0));
}

#[tokio::test]
async fn participants_do_not_hold_each_other() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    for who in ["p", "q", "r"] {
        hub.inject(MEETING, "detection-update", detection(who, 0.5)).await.unwrap();
        assert_eq!(ann.next::<Value>("detection-update").await["participantId"], who);
    }
}

#[tokio::test]
async fn frames_arrive_bit_for_bit() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    let frame: Vec<u8> = (0..70_000_u32).map(|n| (n * 31 % 256) as u8).collect();
    let meta = r#"{"participantId":"participant1","timestamp":"2026-01-20T10:30:00Z","width":640}"#;
    hub.inject_with(MEETING, "video-frame", &[("Frame-Meta", meta)], frame.clone()).await;
    let got = ann.next_args("video-frame").await;
    assert_eq!(got.attachments, std::slice::from_ref(&frame));
    let args = got.values().unwrap();
    assert_eq!(args[0], placeholder(0), "the bytes come first");
    let said = json!({
        "binary": true, "meetingId": MEETING, "participantId": "participant1",
        "timestamp": "2026-01-20T10:30:00Z", "width": 640
    });
    assert_eq!(args[1], said);
    let engine = engine(&hub).await;
    let meta = json!({"meetingId": MEETING, "participantId": "p"});
    let sent =
        Args { attachments: vec![frame.clone().into()], ..Args::list(&(placeholder(0), meta)).unwrap() };
    engine.call_args("video-frame", sent).await;
    assert_eq!(ann.next_args("video-frame").await.attachments, [frame]);
    hub.advance(Duration::from_secs(3)).await;
    let analytics = get(&hub, &format!("/api/meetings/{MEETING}/analytics")).await;
    assert_eq!(analytics["analytics"]["processedFrames"], 2);
    assert_eq!(hub.metric("frame_bytes_total"), Some(140_000.0));
}

#[tokio::test]
async fn frames_without_meta_are_refused() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    for headers in [&[][..], &[("Frame-Meta", "{}")], &[("Frame-Meta", "not json")]] {
        hub.inject_with(MEETING, "video-frame", headers, vec![1, 2, 3]).await;
    }
    let meta = [("Frame-Meta", r#"{"participantId":"p"}"#)];
    hub.inject_with(MEETING, "video-frame", &meta, vec![]).await;
    hub.inject_with(MEETING, "video-frame", &meta, vec![0; crate::feed::LARGEST_FRAME + 1]).await;
    assert_eq!(hub.dead_letters().await.len(), 5);
    ann.nothing_for("video-frame").await;
    let engine = engine(&hub).await;
    let no_bytes = Args::list(&("text", json!({"meetingId": MEETING, "participantId": "p"}))).unwrap();
    assert_eq!(engine.call_args("video-frame", no_bytes).await.first::<Value>().unwrap()["success"], false);
}

#[tokio::test]
async fn frames_are_held_back_when_asked() {
    let hub = hub_with(json!({"frame_throttle": "100ms"}));
    let ann = joined(&hub, "ann").await;
    for n in 1..=4_u8 {
        let meta = [("Frame-Meta", r#"{"participantId":"p"}"#)];
        hub.inject_with(MEETING, "video-frame", &meta, vec![n]).await;
    }
    assert_eq!(ann.next_args("video-frame").await.attachments, [vec![1_u8]]);
    ann.nothing_for("video-frame").await;
    hub.advance(Duration::from_millis(100)).await;
    assert_eq!(ann.next_args("video-frame").await.attachments, [vec![4_u8]]);
}

#[tokio::test]
async fn analytics_follow_what_happens() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    hub.inject(MEETING, "detection-update", detection("p", 0.85)).await.unwrap();
    for (who, score) in [("p", 0.9), ("q", 0.84)] {
        hub.inject(MEETING, "trust-score-update", trust(who, score)).await.unwrap();
    }
    let first: Value = ann.next("analytics-update").await;
    assert_eq!(first["meetingId"], MEETING);
    hub.advance(Duration::from_secs(2)).await;
    let update: Value = ann.next("analytics-update").await;
    let analytics = &update["analytics"];
    assert_eq!((&analytics["totalParticipants"], &analytics["anomaliesDetected"]), (&json!(1), &json!(1)));
    assert_eq!(analytics["averageTrustScore"], 0.87);
    assert_eq!(analytics["detectionModality"]["audio"], json!({"detected": 1, "confidence": 0.92}));
    assert_eq!(analytics["detectionModality"]["video"], json!({"detected": 0, "confidence": 0.88}));
    assert_eq!(analytics["detectionModality"]["behavioral"], json!({"detected": 0, "confidence": 0.9}));
    for field in ["cpuUsage", "memoryUsage"] {
        assert!(analytics[field].as_f64().is_some_and(|share| (0.0..=100.0).contains(&share)), "{analytics}");
    }
    assert!(update["timestamp"].is_string());
    hub.advance(Duration::from_secs(60)).await;
    ann.nothing_for("analytics-update").await;
    let asked = get(&hub, &format!("/api/meetings/{MEETING}/analytics")).await;
    assert_eq!(asked["analytics"]["averageTrustScore"], 0.87);
    let by_rpc = hub.rpc("analytics", json!({"meetingId": MEETING})).await.unwrap();
    assert_eq!(by_rpc["analytics"]["anomaliesDetected"], 1);
    assert_eq!(hub.metric("anomalies_total{modality=\"audio\"}"), Some(1.0));
}

#[tokio::test]
async fn engines_analytics_take_precedence() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    let mut sent = json!({"analytics": {
        "totalParticipants": 5, "anomaliesDetected": 2, "averageTrustScore": 0.87,
        "detectionModality": {
            "audio": {"detected": 1, "confidence": 0.93},
            "video": {"detected": 1, "confidence": 0.85},
            "behavioral": {"detected": 0, "confidence": 0.98}
        },
        "cpuUsage": 45.2, "memoryUsage": 62.8, "processedFrames": 1250
    }, "timestamp": "2026-01-20T10:30:15Z"});
    hub.inject(MEETING, "analytics-update", &sent).await.unwrap();
    let got: Value = ann.next("analytics-update").await;
    sent["meetingId"] = json!(MEETING);
    assert_eq!(got, sent);
    hub.inject(MEETING, "trust-score-update", trust("p", 0.1)).await.unwrap();
    hub.advance(Duration::from_secs(4)).await;
    ann.nothing_for("analytics-update").await;
    let path = format!("/api/meetings/{MEETING}/analytics");
    assert_eq!(get(&hub, &path).await["analytics"]["processedFrames"], 1250);
    hub.advance(Duration::from_secs(10)).await;
    assert_eq!(get(&hub, &path).await["analytics"]["averageTrustScore"], 0.1, "a silent engine is forgotten");
}

#[tokio::test]
async fn numbers_are_put_away_and_found_again() {
    let hub = hub();
    let ann = joined(&hub, "ann").await;
    hub.inject(MEETING, "trust-score-update", trust("p", 0.5)).await.unwrap();
    hub.advance(Duration::from_secs(3)).await;
    assert_eq!(hub.stored(&format!("analytics/{MEETING}")).unwrap()["people"]["p"]["trust"], 0.5);
    ann.close();
    hub.advance(Duration::from_secs(300)).await;
    hub.inject(MEETING, "trust-score-update", trust("q", 0.7)).await.unwrap();
    let path = format!("/api/meetings/{MEETING}/analytics");
    assert_eq!(get(&hub, &path).await["analytics"]["averageTrustScore"], 0.6);
}

#[tokio::test]
async fn numbers_of_all_nodes_are_one() {
    let one = hub();
    let two = TestHub::builder(crate::entry(), json!({})).beside(&one).start().unwrap();
    let people = [joined(&one, "ann").await, joined(&two, "bob").await];
    // Engines on both nodes, while people look at both.
    for (hub, who) in [(&one, "p"), (&two, "q"), (&one, "r")] {
        hub.inject(MEETING, "detection-update", detection(who, 0.9)).await.unwrap();
        hub.advance(Duration::from_secs(10)).await;
    }
    for node in [&one, &two] {
        let analytics = get(node, &format!("/api/meetings/{MEETING}/analytics")).await;
        assert_eq!(analytics["analytics"]["anomaliesDetected"], 3);
    }
    one.inject(MEETING, "analytics-update", json!({"analytics": {"totalParticipants": 77}})).await.unwrap();
    joined(&one, "cyd").await; // its state is sent, and its books are written
    let analytics = get(&two, &format!("/api/meetings/{MEETING}/analytics")).await;
    assert_eq!(analytics["analytics"]["totalParticipants"], 77, "an engine's word counts on every node");
    drop(people);
}
