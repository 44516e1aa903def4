//! The plugin on a real hub, through the public door: sockets, REST and the bus. One file per side of the contract.

mod owning;
mod tracking;
mod watching;

use exedra_sdk::{
    prelude::*,
    testing::{TestClient, TestHub},
};

fn hub() -> TestHub {
    hub_with(json!({}))
}

fn hub_with(settings: Value) -> TestHub {
    TestHub::with(crate::entry(), settings)
}

/// A user as a token would say it.
fn user(id: &str) -> User {
    User::named(id).with_name(format!("{id} Example"))
}

/// A project and its key.
struct Made {
    id: String,
    key: String,
}

/// A project of somebody.
async fn project(hub: &TestHub, owner: &str) -> Made {
    let (status, _, body) =
        hub.http("POST", "/api/projects").as_user(user(owner)).json(json!({"name": "Form"})).send().await;
    assert_eq!(status, 201, "{body}");
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    Made { id: text("projectId"), key: text("apiKey") }
}

async fn as_user(hub: &TestHub, who: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = hub.http(method, path).as_user(user(who));
    let request = if body.is_null() { request } else { request.json(body) };
    let (status, _, body) = request.send().await;
    (status, body)
}

/// As a tracker.
async fn post(hub: &TestHub, key: &str, path: &str, body: Value) -> (u16, Value) {
    let (status, _, body) = hub.http("POST", path).header("X-API-Key", key).json(body).send().await;
    (status, body)
}

async fn session(hub: &TestHub, project: &Made, who: &str) -> String {
    let path = format!("/api/projects/{}/sessions", project.id);
    let (status, body) = post(hub, &project.key, &path, json!({"externalUserId": who})).await;
    assert_eq!(status, 201, "{body}");
    body["sessionId"].as_str().unwrap().to_owned()
}

async fn send(hub: &TestHub, project: &Made, session: &str, kinds: &[&str]) -> Value {
    let events: Vec<_> =
        kinds.iter().map(|kind| json!({"eventType": kind, "timestamp": "2026-01-20T10:30:00Z"})).collect();
    let path = format!("/api/sessions/{session}/events");
    let (status, body) = post(hub, &project.key, &path, json!({ "events": events })).await;
    assert_eq!(status, 201, "{body}");
    body
}

/// A client of the owner who watches the project, with what it was sent meanwhile out of the way.
async fn watching(hub: &TestHub, owner: &str, project: &Made) -> TestClient {
    let client = hub.connect(user(owner)).await;
    client.call::<Value>("join-project", json!({"projectId": project.id})).await.unwrap();
    hub.advance(Duration::from_millis(500)).await;
    client.forget().await;
    client
}

/// The code of a refusal: the event and the acknowledgement say the same.
async fn refused(client: &TestClient, event: &str, payload: Value) -> String {
    let ack = client.call::<Value>(event, payload).await.unwrap_err();
    let said: Value = client.next("error").await;
    assert_eq!(
        (&ack["code"], &ack["message"], &ack["success"]),
        (&said["code"], &said["message"], &json!(false))
    );
    assert_eq!(ack["error"], said);
    assert_eq!(said.as_object().unwrap().len(), 2);
    said["code"].as_str().unwrap().to_owned()
}
