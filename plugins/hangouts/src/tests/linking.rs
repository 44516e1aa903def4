//! Links: the message protocol, and what is counted.

use super::*;

#[tokio::test]
async fn links_are_greeted() {
    let hub = hub();
    let link = hub.client().query("userId", "123456789").connect().await.unwrap();
    let greeting: Value = link.next("CONNECTION_ESTABLISHED").await;
    assert_eq!(
        greeting,
        json!({
            "userId": "123456789", "timestamp": "2026-01-20T10:30:00.000Z", "message": "Connected to room updates",
        })
    );
}

#[tokio::test]
async fn ping_is_answered_by_pong() {
    let hub = hub();
    let link = link(&hub, "1").await;
    link.emit("PING", json!({"action": "PING"}));
    let pong: Value = link.next("PONG").await;
    assert_eq!(pong, json!({"timestamp": "2026-01-20T10:30:00.000Z"}));
}

#[tokio::test]
async fn status_counts_followers() {
    let hub = hub();
    let (one, _two) = (following(&hub, "1", json!(1)).await, following(&hub, "2", json!("1")).await);
    for room in [json!(1), json!("1")] {
        one.emit("GET_ROOM_STATUS", json!({ "roomId": room }));
        let status: Value = one.next("ROOM_STATUS").await;
        assert_eq!(
            status,
            json!({"roomId": room, "connectedClients": 2, "timestamp": "2026-01-20T10:30:00.000Z"}),
            "the id comes back as it came"
        );
    }
    one.emit("LEAVE_ROOM", json!({"roomId": 1, "userId": "1"}));
    one.emit("GET_ROOM_STATUS", json!({"roomId": 1}));
    assert_eq!(one.next::<Value>("ROOM_STATUS").await["connectedClients"], 1);
}

#[tokio::test]
async fn bad_actions_keep_the_link() {
    let hub = hub();
    let link = link(&hub, "1").await;
    link.emit("DANCE", json!({}));
    assert_eq!(error_code(&link).await, "UNKNOWN_ACTION");
    for payload in
        [json!({}), json!({"roomId": "x"}), json!({"roomId": -1}), json!({"roomId": 1, "userId": []})]
    {
        for action in ["JOIN_ROOM", "LEAVE_ROOM", "GET_ROOM_STATUS"] {
            link.emit(action, payload.clone());
            assert_eq!(error_code(&link).await, "INVALID_REQUEST", "{action} {payload}");
        }
    }
    link.emit("JOIN_ROOM", json!({"roomId": 1, "userId": "2"}));
    assert_eq!(error_code(&link).await, "INVALID_USER");
    link.emit("PING", json!({}));
    link.next::<Value>("PONG").await;
}

#[tokio::test]
async fn nameless_links_are_told_and_closed() {
    let hub = hub();
    let link = hub.client().connect().await.unwrap();
    assert_eq!(error_code(&link).await, "INVALID_REQUEST");
    assert!(link.is_closed());
    assert_eq!(hub.metric(r#"closed_links_total{why="refused"}"#), Some(1.0));
}

#[tokio::test]
async fn token_says_who_it_is() {
    let hub = hub();
    let link = hub.client().user("ann").query("userId", "bob").connect().await.unwrap();
    assert_eq!(link.next::<Value>("CONNECTION_ESTABLISHED").await["userId"], "ann");
    let room = make(&hub, 5).await;
    let request =
        hub.http("POST", &format!("/api/rooms/{room}/join")).as_user(User::named("ann").with_name("Ann"));
    let (_, _, answer) = request.json(json!({"userId": "bob"})).send().await;
    assert_eq!((&answer["userId"], &answer["participantName"]), (&json!("ann"), &json!("Ann")));
}

#[tokio::test]
async fn required_auth_needs_tokens() {
    let hub = hub_with(json!({"auth": "required"}));
    let refused = hub.client().query("userId", "1").connect().await.err().unwrap();
    assert_eq!(refused.code, "UNAUTHORIZED");
    assert_eq!(hub.http("GET", "/api/rooms/1").send().await.0, 401);
    let link = hub.client().user("ann").connect().await.unwrap();
    assert_eq!(link.next::<Value>("CONNECTION_ESTABLISHED").await["userId"], "ann");
}

#[tokio::test]
async fn stats_count_links_users_rooms() {
    let hub = hub();
    let empty =
        json!({"totalRoomsWithClients": 0, "totalConnections": 0, "totalUsersTracked": 0, "activeRooms": []});
    assert_eq!(get(&hub, "/api/rooms/stats").await, empty);
    let links = [
        following(&hub, "1", json!(1)).await,
        following(&hub, "1", json!("1")).await,
        following(&hub, "2", json!(2)).await,
        following(&hub, "3", json!(2)).await,
        link(&hub, "3").await,
    ];
    let stats = json!({"totalRoomsWithClients": 2, "totalConnections": 5, "totalUsersTracked": 3, "activeRooms": [1, 2]});
    assert_eq!(get(&hub, "/api/rooms/stats").await, stats);
    assert_eq!(hub.rpc("stats", Value::Null).await.unwrap(), stats);
    links.iter().for_each(TestClient::lose);
    hub.settle().await;
    assert_eq!(get(&hub, "/api/rooms/stats").await, empty, "nothing remains of closed links");
    assert_eq!(hub.rooms(), 0);
}

#[tokio::test]
async fn idle_links_are_closed() {
    let hub = hub_with(json!({"idle_after": "1s"}));
    let (silent, talking) = (link(&hub, "1").await, link(&hub, "2").await);
    hub.advance(Duration::from_millis(900)).await;
    talking.emit("PING", json!({}));
    hub.advance(Duration::from_millis(99)).await;
    assert!(!silent.is_closed());
    hub.advance(Duration::from_millis(1)).await;
    assert_eq!(error_code(&silent).await, "IDLE_TIMEOUT");
    assert!(silent.is_closed() && !talking.is_closed());
    hub.advance(Duration::from_millis(900)).await;
    assert!(talking.is_closed());
    assert_eq!(hub.metric(r#"closed_links_total{why="idle"}"#), Some(2.0));
}

#[tokio::test]
async fn one_user_has_so_many_links() {
    let hub = hub_with(json!({"links_per_user": 2, "rooms_per_link": 2}));
    let (one, _two) = (link(&hub, "1").await, link(&hub, "1").await);
    let three = hub.client().query("userId", "1").connect().await.unwrap();
    assert_eq!(error_code(&three).await, "TOO_MANY_CONNECTIONS");
    hub.settle().await;
    assert!(three.is_closed());
    for room in [1, 2, 1, 3] {
        one.emit("JOIN_ROOM", json!({ "roomId": room }));
    }
    assert_eq!(error_code(&one).await, "TOO_MANY_ROOMS");
}

#[test]
fn impossible_settings_are_refused() {
    for settings in
        [json!({"idle_after": "0s"}), json!({"max_participants": 1001}), json!({"rooms_per_link": 0})]
    {
        let settings: crate::settings::Settings = serde_json::from_value(settings).unwrap();
        assert!(settings.check().is_err(), "{settings:?}");
    }
}
