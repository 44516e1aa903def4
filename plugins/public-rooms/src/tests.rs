//! The plugin on a real hub, through the public door: sockets, REST and the bus. One file per side of the contract.

mod alive;
mod door;
mod elsewhere;
mod rooms;
mod words;

use exedra_sdk::{
    prelude::*,
    testing::{Knocking, TestClient, TestHub, TestResponse},
};

/// An address that clients of these tests come from unless it matters.
const HOME: [u8; 4] = [192, 0, 2, 1];

/// A hub with the plugin and its default settings.
fn hub() -> TestHub {
    hub_with(json!({}))
}

fn hub_with(settings: Value) -> TestHub {
    TestHub::with(crate::entry(), settings)
}

/// A client of the lobby that is about to connect.
fn knock<'a>(hub: &'a TestHub, from: impl Into<IpAddr>) -> Knocking<'a> {
    hub.client().namespace("/public-room/lobby").peer(from)
}

async fn connect(hub: &TestHub, from: impl Into<IpAddr>) -> TestClient {
    knock(hub, from).connect().await.unwrap()
}

async fn post(hub: &TestHub, from: impl Into<IpAddr>, path: &str, body: Value) -> TestResponse {
    hub.http("POST", path).peer(from).json(body).send().await
}

async fn get(hub: &TestHub, path: &str) -> TestResponse {
    hub.http("GET", path).send().await
}

/// The room `lobby`, with a place for so many.
async fn lobby_of(hub: &TestHub, most: u32) {
    let body = json!({"name": "Lobby", "roomId": "lobby", "maxOccupancy": most});
    assert_eq!(post(hub, HOME, "/api/public/rooms", body).await.0, 201);
}

async fn lobby(hub: &TestHub) {
    lobby_of(hub, 100).await;
}

/// A new user of an address; gives the id.
async fn user(hub: &TestHub, from: impl Into<IpAddr>, name: &str) -> String {
    let (status, _, body) = post(hub, from, "/api/public/users", json!({ "userName": name })).await;
    assert_eq!(status, 201, "{body}");
    body["userId"].as_str().unwrap().to_owned()
}

/// A client who has joined the lobby as a new user, and that user's id; what it heard so far is out of the way.
async fn joined(hub: &TestHub, from: impl Into<IpAddr>, name: &str) -> (TestClient, String) {
    let from = from.into();
    let (client, id) = (connect(hub, from).await, user(hub, from, name).await);
    let ack: Value = client.call("join-room", json!({"userId": id, "userName": name})).await.unwrap();
    assert_eq!(ack["success"], true);
    client.forget().await;
    (client, id)
}

/// The code of the next `error` event.
async fn error_code(client: &TestClient) -> String {
    let error: Value = client.next("error").await;
    assert_eq!(error.as_object().unwrap().keys().collect::<Vec<_>>(), ["code", "message"]);
    assert!(!error["message"].as_str().unwrap().is_empty());
    error["code"].as_str().unwrap().to_owned()
}
