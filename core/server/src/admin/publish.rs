//! A test event: goes over the bus as a service's would, and comes back with the plugin's answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
};
use exedra_hub::port::{BusError, Topic};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Refused, views::no_plugin};

/// How long the plugin may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a name.
const MAX_NAME: usize = 512;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestEvent {
    plugin: String,
    room: String,
    event: String,
    #[serde(default)]
    payload: Value,
}

/// Publishes, and gives `{answer, ms}`.
pub(super) async fn publish(
    State(admin): State<Arc<Admin>>,
    body: Result<Json<TestEvent>, JsonRejection>,
) -> Result<Json<Value>, Refused> {
    let Json(TestEvent { plugin, room, event, payload }) =
        body.map_err(|why| Refused::new(why.status(), why.body_text()))?;
    admin.hub.plugin_named(&plugin).ok_or_else(no_plugin)?;
    if event.is_empty() || event.len() > MAX_NAME || room.len() > MAX_NAME {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "an event has a name, and names are short"));
    }
    tracing::info!(plugin, room, event, "an operator publishes a test event");
    let began = Instant::now();
    let topic = Topic::In { plugin, room, event };
    let answer = admin.hub.bus().request(&topic, payload.to_string().into(), PATIENCE).await;
    let message = answer.map_err(|error| match error {
        BusError::NoResponders => Refused::new(StatusCode::NOT_FOUND, "the plugin takes no injected events"),
        BusError::Timeout => Refused::new(StatusCode::GATEWAY_TIMEOUT, "no answer in time"),
        BusError::TooLarge => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "the payload is too large"),
        BusError::Unavailable(_) => Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the bus is unavailable"),
    })?;
    let answer = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
    Ok(Json(json!({ "answer": answer, "ms": began.elapsed().as_millis() as u64 })))
}
