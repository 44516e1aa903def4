//! Making, listing and changing meetings over REST.

use super::*;

#[tokio::test]
async fn creation_answers_with_the_record() {
    let hub = hub();
    let answer =
        post(&hub, "ann", "/meetings", json!({"title": "Plan", "participantIds": ["bob", "bob"]})).await;
    assert_eq!(answer.status, 201);
    let made = answer.body;
    assert_eq!(made["id"], made["meetingId"]);
    assert_eq!(made["title"], "Plan");
    assert_eq!(made["creatorId"], "ann");
    assert_eq!(made["participantIds"], json!(["bob"]));
    assert_eq!((made["phase"].as_str(), made["status"].as_str()), (Some("discussion"), Some("active")));
    let path = format!("/meetings/{}", made["id"].as_str().unwrap());
    assert_eq!(get(&hub, "bob", &path).await.body, made);
    assert_eq!(get(&hub, "dan", &path).await.status, 403);
    assert_eq!(get(&hub, "ann", "/meetings/none").await.status, 404);
}

#[tokio::test]
async fn taken_ids_are_refused() {
    let hub = hub();
    meeting(&hub).await;
    assert_eq!(post(&hub, "bob", "/meetings", json!({"meetingId": "m"})).await.status, 409);
    assert_eq!(get(&hub, "ann", "/meetings/m").await.body["creatorId"], "ann");
}

#[tokio::test]
async fn bad_meetings_are_refused() {
    let hub = hub();
    let long = vec!["x"; 1001].iter().enumerate().map(|(n, x)| format!("{x}{n}")).collect::<Vec<_>>();
    for body in [
        json!({"title": "t".repeat(201)}),
        json!({"participantIds": long}),
        json!({"participantIds": [""]}),
        json!({"participantIds": "bob"}),
        json!({"meetingId": ""}),
        json!({"phase": ""}),
        json!({"creatorId": "bob"}),
        json!("Monday"),
    ] {
        assert_eq!(post(&hub, "ann", "/meetings", body).await.status, 400);
    }
    assert_eq!(get(&hub, "ann", "/meetings").await.body["meetings"], json!([]));
}

#[tokio::test]
async fn lists_hold_my_meetings_only() {
    let hub = hub();
    for (id, who, invited) in
        [("a", "ann", "bob"), ("b", "bob", "carol"), ("c", "carol", "ann"), ("d", "dan", "eve")]
    {
        post(&hub, who, "/meetings", json!({"meetingId": id, "participantIds": [invited]})).await;
    }
    let of = |answer: &Value| -> Vec<String> {
        let list = answer["meetings"].as_array().unwrap();
        list.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = get(&hub, "ann", "/meetings").await.body;
    assert_eq!((of(&all), &all["next"]), (vec!["a".to_owned(), "c".to_owned()], &Value::Null));
    let first = get(&hub, "ann", "/meetings?limit=1").await.body;
    assert_eq!((of(&first), &first["next"]), (vec!["a".to_owned()], &json!("a")));
    let second = get(&hub, "ann", "/meetings?limit=1&after=a").await.body;
    assert_eq!(of(&second), ["c"]);
    assert_eq!(get(&hub, "ann", "/meetings?limit=many").await.status, 400);
}

#[tokio::test]
async fn phase_changes_reach_the_room() {
    let hub = hub();
    meeting(&hub).await;
    let bob = joined(&hub, "bob", "m").await;
    let answer = patch(&hub, "ann", "/meetings/m", json!({"phase": "vote"})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["phase"], "vote");
    let changed: Value = bob.next("phaseChanged").await;
    assert_eq!(changed, json!({"meetingId": "m", "phase": "vote", "status": "active"}));
    patch(&hub, "ann", "/meetings/m", json!({"title": "Tuesday"})).await;
    bob.nothing_for("phaseChanged").await;
}

#[tokio::test]
async fn only_the_creator_changes() {
    let hub = hub();
    meeting(&hub).await;
    assert_eq!(patch(&hub, "bob", "/meetings/m", json!({"phase": "vote"})).await.status, 403);
    assert_eq!(patch(&hub, "ann", "/meetings/x", json!({"phase": "vote"})).await.status, 404);
    assert_eq!(patch(&hub, "ann", "/meetings/m", json!({"phase": "", "title": "T"})).await.status, 400);
    let kept = get(&hub, "ann", "/meetings/m").await.body;
    assert_eq!((kept["phase"].as_str(), kept["title"].as_str()), (Some("discussion"), Some("Monday")));
}

#[tokio::test]
async fn struck_off_people_are_out() {
    let hub = hub();
    meeting(&hub).await;
    let ann = joined(&hub, "ann", "m").await;
    let bob = joined(&hub, "bob", "m").await;
    patch(&hub, "ann", "/meetings/m", json!({"participantIds": ["ann", "dan"]})).await;
    let gone: Value = ann.next("participantLeft").await;
    assert_eq!(gone["userId"], "bob");
    assert_eq!(join(&bob, "m").await["success"], false);
    let dan = connect(&hub, "dan").await;
    assert_eq!(join(&dan, "m").await["success"], true);
    assert_eq!(get(&hub, "dan", "/meetings").await.body["meetings"][0]["id"], "m");
    assert_eq!(get(&hub, "bob", "/meetings").await.body["meetings"], json!([]));
}

#[tokio::test]
async fn failed_writes_are_not_answered_as_done() {
    let hub = hub();
    meeting(&hub).await;
    let bob = joined(&hub, "bob", "m").await;
    hub.fail_next_kv();
    let answer = patch(&hub, "ann", "/meetings/m", json!({"phase": "vote"})).await;
    assert!(answer.status >= 500, "{}", answer.status);
    bob.nothing_for("phaseChanged").await;
    assert_eq!(get(&hub, "ann", "/meetings/m").await.body["phase"], "discussion");
}
