//! What trackers send: events of many kinds, of which only the kind and the time are known, and all of which are small.

use exedra_sdk::{
    prelude::*,
    value::{Id, Text, When},
};
use serde_json::Map;

/// Events in a batch.
pub(crate) const MOST_EVENTS: usize = 1000;
/// The largest event in bytes, as JSON.
const LARGEST_EVENT: usize = 16 * 1024;
/// The largest data of a binary event in bytes: half of what may wait for a link, so that one cannot close it.
pub(crate) const LARGEST_DATA: usize = 512 * 1024;

/// An event of a tracked page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrackerEvent {
    /// The kind, as `keydown`.
    pub event_type: Text<64>,
    /// When; now, when left out.
    #[serde(default)]
    pub timestamp: Option<Moment>,
    /// Whatever else the kind has.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A date as text, or as milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Moment {
    /// `2026-01-20T10:30:00Z`.
    Text(When),
    /// 1768905000000.
    Ms(u64),
}

impl TrackerEvent {
    /// The kind.
    pub(crate) fn kind(&self) -> &str {
        &self.event_type.0
    }

    /// Checks what types cannot say, and fills in the time.
    pub(crate) fn complete(&mut self, now_ms: u64) -> Result<()> {
        self.timestamp.get_or_insert_with(|| Moment::Text(When(iso8601(now_ms))));
        if serde_json::to_vec(&*self)?.len() > LARGEST_EVENT {
            return Err(Error::too_large(format!("an event is {LARGEST_EVENT} bytes at most")));
        }
        Ok(())
    }
}

/// The body of `POST /api/sessions/{id}/events`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventBatch {
    /// 1 to 1000 events in order.
    #[schemars(length(min = 1, max = 1000))]
    pub events: Vec<TrackerEvent>,
}

/// `exedra.in.live-preview.<projectId>.events`, and `exedra.rpc.live-preview.events`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventsIn {
    /// The session.
    pub session_id: Id,
    /// Whose session it is, in case it is not known yet.
    #[serde(default)]
    pub external_user_id: Option<Id>,
    /// 1 to 1000 events in order.
    #[schemars(length(min = 1, max = 1000))]
    pub events: Vec<TrackerEvent>,
}

/// `exedra.in.live-preview.<projectId>.event-received`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventIn {
    /// The session.
    pub session_id: Id,
    /// Whose session it is, in case it is not known yet.
    #[serde(default)]
    pub external_user_id: Option<Id>,
    /// The event.
    pub event: TrackerEvent,
}

/// The header `Event-Meta` of `exedra.in.live-preview.<projectId>.binary-event`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BinaryIn {
    /// The session.
    pub session_id: Id,
    /// Whose session it is, in case it is not known yet.
    #[serde(default)]
    pub external_user_id: Option<Id>,
    /// The event; its data are the body.
    pub event: TrackerEvent,
}

/// `exedra.in.live-preview.<projectId>.session-started`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartIn {
    /// The session, by a name of the service's own.
    pub session_id: Id,
    /// Whose session it is.
    pub external_user_id: Id,
}

/// `exedra.in.live-preview.<projectId>.session-ended`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndIn {
    /// The session.
    pub session_id: Id,
    /// Whose session it is, in case it is not known yet.
    #[serde(default)]
    pub external_user_id: Option<Id>,
    /// Whether it was submitted.
    pub submitted: bool,
}

/// `exedra.rpc.live-preview.start`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartAsked {
    /// The project.
    pub project_id: Id,
    /// Whose session it is.
    pub external_user_id: Id,
    /// The session's id; left out, one is made.
    #[serde(default)]
    pub session_id: Option<Id>,
}

/// `exedra.rpc.live-preview.submit`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfSession {
    /// The session.
    pub session_id: Id,
}

/// `exedra.rpc.live-preview.project` and `.viewers`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfProject {
    /// The project.
    pub project_id: Id,
}

/// Checks and fills in a batch.
pub(crate) fn complete(events: &mut [TrackerEvent], now_ms: u64) -> Result<()> {
    if events.is_empty() || events.len() > MOST_EVENTS {
        return Err(Error::invalid(format!("events must be 1 to {MOST_EVENTS}")));
    }
    events.iter_mut().try_for_each(|event| event.complete(now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(value: Value) -> std::result::Result<TrackerEvent, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn events_are_left_as_they_are() {
        for timestamp in [json!("2026-01-20T10:30:00Z"), json!(1_768_905_000_000_u64)] {
            let sent = json!({"eventType": "keydown", "timestamp": timestamp, "keyChar": "a", "deep": {"x": [1, null]}});
            let mut read = event(sent.clone()).unwrap();
            read.complete(0).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), sent);
        }
        let mut read = event(json!({"eventType": "paste"})).unwrap();
        read.complete(0).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap()["timestamp"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn strange_events_are_refused() {
        for bad in [
            json!({}),
            json!({"eventType": ""}),
            json!({"eventType": 7}),
            json!({"eventType": "x".repeat(65)}),
            json!({"eventType": "x", "timestamp": "now"}),
            json!({"eventType": "x", "timestamp": -1}),
            json!("keydown"),
        ] {
            assert!(event(bad.clone()).is_err(), "{bad}");
        }
        let mut large = event(json!({"eventType": "x", "text": "y".repeat(LARGEST_EVENT)})).unwrap();
        assert_eq!(large.complete(0).unwrap_err().code, Code::TooLarge);
        let some = event(json!({"eventType": "x"})).unwrap();
        assert!(complete(&mut [], 0).is_err());
        assert!(complete(&mut vec![some.clone(); MOST_EVENTS], 0).is_ok());
        assert!(complete(&mut vec![some; MOST_EVENTS + 1], 0).is_err());
    }
}
