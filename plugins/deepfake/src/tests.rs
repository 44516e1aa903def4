//! The plugin on a real hub, through the public door: sockets, REST and the bus. One file per side of the contract.

mod alerts;
mod people;
mod streams;

use exedra_sdk::{
    prelude::*,
    testing::{TestClient, TestHub},
};

const MEETING: &str = "123456789";

fn hub() -> TestHub {
    hub_with(json!({}))
}

fn hub_with(settings: Value) -> TestHub {
    TestHub::with(crate::entry(), settings)
}

/// A user as a token would say it.
fn user(id: &str) -> User {
    User::named(id).with_name(format!("{id} Doe"))
}

/// A detection engine.
async fn engine(hub: &TestHub) -> TestClient {
    hub.connect(User::named("engine").with_role("detector")).await
}

/// A client of a user who has joined, with what it was sent meanwhile out of the way.
async fn joined(hub: &TestHub, id: &str) -> TestClient {
    let client = hub.connect(user(id)).await;
    client.call::<Value>("join-meeting", json!({"meetingId": MEETING})).await.unwrap();
    hub.advance(Duration::from_secs(3)).await;
    client.forget().await;
    client
}

async fn get(hub: &TestHub, path: &str) -> Value {
    let (status, _, body) = hub.http("GET", path).as_user(user("ann")).send().await;
    assert_eq!(status, 200, "{body}");
    body
}

fn detection(participant: &str, score: f64) -> Value {
    json!({
        "participantId": participant,
        "results": {
            "audioAnalysis": {
                "voiceCloneScore": score, "confidence": 0.92, "features": ["pitch_variation", "energy_contour"]
            },
            "videoAnalysis": {"facialConsistency": 0.78, "lipSyncError": 0.05, "confidence": 0.88},
            "behavioralAnalysis": {"emotionConsistency": 0.82, "confidence": 0.9}
        }
    })
}

fn trust(participant: &str, score: f64) -> Value {
    json!({"participantId": participant, "trustScore": score})
}

fn alert(participant: &str) -> Value {
    json!({
        "participantId": participant,
        "severity": "high",
        "message": "Possible voice cloning detected",
        "type": "voice_clone_detected",
        "confidence": 0.95,
        "timestamp": "2026-01-20T10:30:10Z",
        "actionRequired": true
    })
}
