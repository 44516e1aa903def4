//! What viewers see of sessions, as it happens. Events go to those who want all of them and to those who want their
//! kind, each through a room of its own; neither gets more a second than anybody can look at.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use exedra_sdk::{Budget, Rate, keys::key, prelude::*, time::Timestamp};

use crate::{LivePreview, session::Session, tracker::TrackerEvent, watch};

/// Rooms whose budgets are remembered; when there are more, all begin anew.
const MOST_BUDGETS: usize = 10_000;

/// `event-received`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventReceived {
    /// The session.
    pub session_id: String,
    /// Whose session it is.
    pub external_user_id: String,
    /// The event; `data` of a binary one comes as bytes.
    pub event: TrackerEvent,
}

/// `session-started`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionStarted {
    /// The session.
    pub session_id: String,
    /// Whose session it is.
    pub external_user_id: String,
    /// When.
    pub timestamp: Timestamp,
}

/// `session-ended`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionEnded {
    /// The session.
    pub session_id: String,
    /// Whose session it is.
    pub external_user_id: String,
    /// Whether it was submitted; else it has only gone silent.
    pub submitted: bool,
    /// When.
    pub timestamp: Timestamp,
}

/// The room of those who want every event of a project.
pub(crate) fn all_events(project: &str) -> String {
    key(&["events", project])
}

/// The room of those who want one kind.
pub(crate) fn events_of_kind(project: &str, kind: &str) -> String {
    key(&["events", project, kind])
}

/// What is left of each room's second.
#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<HashMap<String, Budget>>);

impl Budgets {
    fn take(&self, room: &str, rate: Rate, now_ms: u64) -> bool {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.len() >= MOST_BUDGETS && !budgets.contains_key(room) {
            budgets.clear();
        }
        budgets.entry(room.to_owned()).or_insert_with(|| rate.full(now_ms)).take(rate, now_ms)
    }
}

impl LivePreview {
    pub(crate) fn say_started(&self, session: &Session) -> Result<()> {
        let started = SessionStarted {
            session_id: session.id.clone(),
            external_user_id: session.external_user_id.clone(),
            timestamp: Timestamp(session.started_at),
        };
        self.hub.tell(&session.project_id, "session-started", &started);
        self.hub.room(watch::room_of(&session.project_id)).emit("session-started", &started)
    }

    pub(crate) fn say_ended(&self, session: &Session) -> Result<()> {
        let Some(ended) = session.ended else { return Ok(()) };
        let ended = SessionEnded {
            session_id: session.id.clone(),
            external_user_id: session.external_user_id.clone(),
            submitted: ended.submitted,
            timestamp: Timestamp(ended.at),
        };
        self.hub.tell(&session.project_id, "session-ended", &ended);
        self.hub.room(watch::room_of(&session.project_id)).emit("session-ended", &ended)
    }

    /// Sends an event to viewers; one with data as bytes in place of what is stored about them.
    pub(crate) fn show_event(
        &self,
        session: &Session,
        event: &TrackerEvent,
        data: Option<Bytes>,
    ) -> Result<()> {
        let mut received = EventReceived {
            session_id: session.id.clone(),
            external_user_id: session.external_user_id.clone(),
            event: event.clone(),
        };
        if data.is_some() {
            received.event.more.insert("data".to_owned(), placeholder(0));
        }
        let mut message = Message::new("event-received").arg(&received);
        if let Some(data) = data {
            message = message.attachment(data);
        }
        let rate = Rate::per_second(self.settings.events_per_second);
        let project = &session.project_id;
        for room in [all_events(project), events_of_kind(project, event.kind())] {
            let viewers = self.hub.room(&*room);
            if viewers.count()? == 0 {
                continue;
            }
            if self.budgets.take(&room, rate, self.hub.now_ms()) {
                viewers.send(message.clone())?;
                self.shown.inc();
            } else {
                self.skipped.with("rate").inc();
            }
        }
        Ok(())
    }
}
