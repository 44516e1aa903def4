//! The plugin on a real hub, through the public door: sockets, REST and the bus. One file per side of the contract.

mod chairing;
mod elsewhere;
mod joining;
mod voting;

use exedra_sdk::{
    prelude::*,
    testing::{TestClient, TestHub, TestRequest},
};

/// A hub with the plugin and its default settings.
fn hub() -> TestHub {
    hub_with(json!({}))
}

fn hub_with(settings: Value) -> TestHub {
    TestHub::with(crate::entry(), settings)
}

/// A user as a token would say it.
fn user(id: &str) -> User {
    User::named(id).with_name(format!("{id} Example")).with_email(format!("{id}@example.org"))
}

async fn connect(hub: &TestHub, id: &str) -> TestClient {
    hub.connect(user(id)).await
}

/// The acknowledgement, whatever it says.
async fn call(client: &TestClient, event: &str, payload: Value) -> Value {
    match client.call(event, payload).await {
        Ok(ack) | Err(ack) => ack,
    }
}

async fn join(client: &TestClient, meeting: &str) -> Value {
    call(client, "join_meeting", json!({ "meetingId": meeting })).await
}

async fn leave(client: &TestClient, meeting: &str) -> Value {
    call(client, "leave_meeting", json!({ "meetingId": meeting })).await
}

/// A client of a user who has joined, with what it was sent meanwhile out of the way.
async fn joined(hub: &TestHub, id: &str, meeting: &str) -> TestClient {
    let client = connect(hub, id).await;
    assert_eq!(join(&client, meeting).await["success"], true);
    settle(hub).await;
    client.forget().await;
    client
}

/// Lets the window of coalesced lists pass.
async fn settle(hub: &TestHub) {
    hub.advance(Duration::from_millis(250)).await;
}

/// An answer to a REST call.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

async fn send(request: TestRequest<'_>) -> Answer {
    let (status, headers, body) = request.send().await;
    Answer { status, headers, body }
}

async fn post(hub: &TestHub, who: &str, path: &str, body: Value) -> Answer {
    send(hub.http("POST", path).as_user(user(who)).json(&body)).await
}

async fn patch(hub: &TestHub, who: &str, path: &str, body: Value) -> Answer {
    send(hub.http("PATCH", path).as_user(user(who)).json(&body)).await
}

async fn get(hub: &TestHub, who: &str, path: &str) -> Answer {
    send(hub.http("GET", path).as_user(user(who))).await
}

/// The meeting `m`, made by ann, who invites herself, bob and carol.
async fn meeting(hub: &TestHub) -> String {
    let body = json!({"meetingId": "m", "title": "Monday", "participantIds": ["ann", "bob", "carol"]});
    assert_eq!(post(hub, "ann", "/meetings", body).await.status, 201);
    "m".to_owned()
}

/// The ids in a list of participants.
fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|of| of["userId"].as_str().unwrap()).collect()
}
