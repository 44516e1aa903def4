//! Votes over REST: the rules, replacing, retries, progress and results.

use super::*;

const EMOTIONAL: &str = "/meetings/m/emotional-evaluations";
const UNDERSTANDING: &str = "/meetings/m/understanding-contributions";

fn evaluation(of: &str, scale: u32, toxic: bool) -> Value {
    json!({"evaluations": [{"targetParticipantId": of, "emotionalScale": scale, "isToxic": toxic}]})
}

fn contribution(score: u32, of: &str, share: u32) -> Value {
    json!({"understandingScore": score, "contributions": [{"participantId": of, "contributionPercentage": share}]})
}

async fn with_key(hub: &TestHub, who: &str, key: &str, body: &Value) -> Answer {
    send(hub.http("POST", EMOTIONAL).as_user(user(who)).header("Idempotency-Key", key).json(body)).await
}

#[tokio::test]
async fn second_vote_replaces_the_first() {
    let hub = hub();
    meeting(&hub).await;
    let first = post(&hub, "ann", EMOTIONAL, evaluation("bob", 85, false)).await;
    assert_eq!(first.status, 201);
    let body = first.body;
    assert_eq!((body["success"].as_bool(), body["replaced"].as_bool()), (Some(true), Some(false)));
    assert_eq!((body["phase"].as_str(), body["kind"].as_str()), (Some("discussion"), Some("emotional")));
    let second = post(&hub, "ann", EMOTIONAL, evaluation("bob", 15, true)).await;
    assert_eq!(second.status, 200);
    assert_eq!(second.body["replaced"], true);
    let results = get(&hub, "ann", "/meetings/m/results").await.body;
    let bob = &results["phases"][0]["participants"][0];
    assert_eq!((bob["emotionalMean"].as_f64(), bob["emotionalCount"].as_u64()), (Some(15.0), Some(1)));
    assert_eq!(bob["toxicShare"], 1.0);
}

#[tokio::test]
async fn bad_votes_change_nothing() {
    let hub = hub();
    meeting(&hub).await;
    for body in [
        evaluation("ann", 5, false),
        evaluation("dan", 5, false),
        evaluation("bob", 101, false),
        json!({"evaluations": []}),
        json!({"evaluations": [{"targetParticipantId": "bob"}]}),
        json!({}),
    ] {
        assert_eq!(post(&hub, "ann", EMOTIONAL, body.clone()).await.status, 400, "{body}");
    }
    for body in
        [contribution(101, "bob", 1), contribution(1, "bob", 101), contribution(1, "dan", 1), json!({})]
    {
        assert_eq!(post(&hub, "ann", UNDERSTANDING, body.clone()).await.status, 400, "{body}");
    }
    assert_eq!(get(&hub, "ann", "/meetings/m/results").await.body["phases"], json!([]));
}

#[tokio::test]
async fn only_the_invited_vote() {
    let hub = hub();
    meeting(&hub).await;
    assert_eq!(post(&hub, "dan", EMOTIONAL, evaluation("bob", 5, false)).await.status, 403);
    assert_eq!(
        post(&hub, "ann", "/meetings/x/emotional-evaluations", evaluation("bob", 5, false)).await.status,
        404
    );
    assert_eq!(send(hub.http("POST", EMOTIONAL).json(evaluation("bob", 5, false))).await.status, 401);
}

#[tokio::test]
async fn ended_meetings_take_no_votes() {
    let hub = hub();
    meeting(&hub).await;
    for status in ["ended", "closed"] {
        patch(&hub, "ann", "/meetings/m", json!({"status": status})).await;
        let answer = post(&hub, "ann", EMOTIONAL, evaluation("bob", 5, false)).await;
        assert_eq!(answer.status, 409);
        assert_eq!(answer.body["code"], "MEETING_ENDED");
    }
}

#[tokio::test]
async fn same_key_gives_the_same_answer() {
    let hub = hub();
    meeting(&hub).await;
    let body = evaluation("bob", 85, false);
    let first = with_key(&hub, "ann", "k1", &body).await;
    assert_eq!(first.status, 201);
    hub.advance(Duration::from_secs(5)).await;
    patch(&hub, "ann", "/meetings/m", json!({"status": "ended"})).await;
    let again = with_key(&hub, "ann", "k1", &body).await;
    assert_eq!(again.status, 201);
    assert_eq!(again.body, first.body);
}

#[tokio::test]
async fn same_key_refuses_another_body() {
    let hub = hub();
    meeting(&hub).await;
    assert_eq!(with_key(&hub, "ann", "k1", &evaluation("bob", 85, false)).await.status, 201);
    let other = with_key(&hub, "ann", "k1", &evaluation("bob", 5, false)).await;
    assert_eq!(other.status, 409);
    assert_eq!(other.body["code"], "IDEMPOTENCY_KEY_REUSED");
    // A key is its user's own, and a new one replaces.
    assert_eq!(with_key(&hub, "carol", "k1", &evaluation("bob", 5, false)).await.status, 201);
    assert_eq!(with_key(&hub, "ann", "k2", &evaluation("bob", 5, false)).await.status, 200);
    assert_eq!(with_key(&hub, "ann", &"k".repeat(256), &evaluation("bob", 5, false)).await.status, 400);
}

#[tokio::test]
async fn keys_are_forgotten_in_time() {
    let hub = hub_with(json!({"idempotency": "1h"}));
    meeting(&hub).await;
    assert_eq!(with_key(&hub, "ann", "k1", &evaluation("bob", 85, false)).await.status, 201);
    hub.advance(Duration::from_secs(3700)).await;
    assert_eq!(with_key(&hub, "ann", "k1", &evaluation("bob", 5, false)).await.status, 200);
}

#[tokio::test]
async fn refused_votes_do_not_burn_the_key() {
    let hub = hub();
    meeting(&hub).await;
    assert_eq!(with_key(&hub, "ann", "k1", &evaluation("ann", 85, false)).await.status, 400);
    assert_eq!(with_key(&hub, "ann", "k1", &evaluation("bob", 85, false)).await.status, 201);
}

#[tokio::test]
async fn unstored_votes_are_not_answered_as_done() {
    let hub = hub();
    meeting(&hub).await;
    hub.fail_next_kv();
    let answer = post(&hub, "ann", EMOTIONAL, evaluation("bob", 85, false)).await;
    assert!(answer.status >= 500, "{}", answer.status);
    assert!(hub.out().await.iter().all(|out| out.event != "voted"));
    assert_eq!(get(&hub, "ann", "/meetings/m/results").await.body["phases"], json!([]));
}

#[tokio::test]
async fn progress_reaches_the_room() {
    let hub = hub();
    meeting(&hub).await;
    let ann = joined(&hub, "ann", "m").await;
    let _bob = joined(&hub, "bob", "m").await;
    post(&hub, "bob", UNDERSTANDING, contribution(90, "ann", 60)).await;
    let progress: Value = ann.next("voting_progress").await;
    let want = json!({"meetingId": "m", "phase": "discussion", "kind": "understanding",
        "submitted": 1, "total": 2, "percentage": 50});
    assert_eq!(progress, want);
}

#[tokio::test]
async fn others_are_told_without_scores() {
    let hub = hub();
    meeting(&hub).await;
    post(&hub, "bob", UNDERSTANDING, contribution(90, "ann", 60)).await;
    let out = hub.out().await;
    let voted = out.iter().find(|out| out.event == "voted").unwrap();
    assert_eq!(voted.room, "m");
    let payload = &voted.payload;
    assert_eq!((payload["userId"].as_str(), payload["kind"].as_str()), (Some("bob"), Some("understanding")));
    assert!(!payload.to_string().contains("90") || payload["submittedAt"].as_str().unwrap().contains("90"));
    assert_eq!(payload.get("understandingScore"), None);
    assert_eq!(payload.get("contributions"), None);
}

#[tokio::test]
async fn voting_info_is_for_the_creator() {
    let hub = hub();
    meeting(&hub).await;
    let _ann = joined(&hub, "ann", "m").await;
    let _bob = joined(&hub, "bob", "m").await;
    post(&hub, "bob", EMOTIONAL, evaluation("ann", 85, false)).await;
    let info = get(&hub, "ann", "/meetings/m/voting-info").await.body;
    assert_eq!(info["votingParticipants"][1]["_id"], "bob");
    let fields: Vec<_> = info["votingParticipants"][0].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["_id", "fullName", "email", "joinedAt", "lastSeen"]);
    assert_eq!(info["totalVotingParticipants"], 2);
    assert_eq!(info["submissionStatus"]["submitted"], json!(["bob"]));
    assert_eq!(info["submissionStatus"]["pending"], json!(["ann"]));
    assert_eq!(info["votingProgress"], json!({"submitted": 1, "total": 2, "percentage": 50}));
    assert_eq!(get(&hub, "bob", "/meetings/m/voting-info").await.status, 403);
}

#[tokio::test]
async fn results_are_for_the_creator() {
    let hub = hub();
    meeting(&hub).await;
    post(&hub, "ann", EMOTIONAL, evaluation("bob", 80, false)).await;
    post(&hub, "carol", EMOTIONAL, evaluation("bob", 40, true)).await;
    patch(&hub, "ann", "/meetings/m", json!({"phase": "second"})).await;
    post(&hub, "carol", UNDERSTANDING, contribution(70, "bob", 30)).await;
    let results = get(&hub, "ann", "/meetings/m/results").await.body;
    assert_eq!(results["phase"], "second");
    let (first, second) = (&results["phases"][0], &results["phases"][1]);
    assert_eq!((first["phase"].as_str(), second["phase"].as_str()), (Some("discussion"), Some("second")));
    assert_eq!(first["participants"][0]["emotionalMean"], 60.0);
    assert_eq!(first["participants"][0]["toxicShare"], 0.5);
    assert_eq!(second["understandingMean"], 70.0);
    assert_eq!(second["participants"][0]["contributionMean"], 30.0);
    let one = get(&hub, "ann", "/meetings/m/results?phase=second").await.body;
    assert_eq!(one["phases"].as_array().unwrap().len(), 1);
    assert_eq!(get(&hub, "bob", "/meetings/m/results").await.status, 403);
}

#[tokio::test]
async fn phases_are_voted_apart() {
    let hub = hub();
    meeting(&hub).await;
    assert_eq!(post(&hub, "ann", EMOTIONAL, evaluation("bob", 80, false)).await.status, 201);
    patch(&hub, "ann", "/meetings/m", json!({"phase": "second"})).await;
    assert_eq!(post(&hub, "ann", EMOTIONAL, evaluation("bob", 80, false)).await.status, 201);
}
