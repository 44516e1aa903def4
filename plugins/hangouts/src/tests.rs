//! The plugin on a real hub, through the public door: links, REST and the bus.

mod linking;
mod meeting;

use exedra_sdk::{
    prelude::*,
    testing::{TestClient, TestHub, TestResponse},
};

fn hub() -> TestHub {
    hub_with(json!({}))
}

fn hub_with(settings: Value) -> TestHub {
    TestHub::with(crate::entry(), settings)
}

/// A link of somebody without a token.
async fn link(hub: &TestHub, user: &str) -> TestClient {
    let link = hub.client().query("userId", user).connect().await.unwrap();
    let greeting: Value = link.next("CONNECTION_ESTABLISHED").await;
    assert_eq!(greeting["userId"], user);
    link
}

/// A link that follows a room.
async fn following(hub: &TestHub, user: &str, room: Value) -> TestClient {
    let link = link(hub, user).await;
    link.emit("JOIN_ROOM", json!({"roomId": room, "userId": user}));
    link.nothing_for("ERROR").await;
    link
}

/// The code of the next `ERROR`.
async fn error_code(link: &TestClient) -> String {
    let error: Value = link.next("ERROR").await;
    assert!(!error["message"].as_str().unwrap().is_empty());
    error["code"].as_str().unwrap().to_owned()
}

async fn post(hub: &TestHub, path: &str, body: Value) -> TestResponse {
    hub.http("POST", path).json(body).send().await
}

async fn get(hub: &TestHub, path: &str) -> Value {
    hub.http("GET", path).send().await.2
}

/// Makes the next room with a place for so many.
async fn make(hub: &TestHub, max: u32) -> u64 {
    let (status, _, room) = post(hub, "/api/rooms", json!({"name": "Main", "maxParticipants": max})).await;
    assert_eq!(status, 201, "{room}");
    assert_eq!(room["id"], room["roomId"]);
    room["roomId"].as_u64().unwrap()
}

async fn join(hub: &TestHub, room: u64, user: &str, name: &str) -> TestResponse {
    post(hub, &format!("/api/rooms/{room}/join"), json!({"userId": user, "userName": name})).await
}

async fn leave(hub: &TestHub, room: u64, user: &str) -> TestResponse {
    post(hub, &format!("/api/rooms/{room}/leave"), json!({ "userId": user })).await
}
