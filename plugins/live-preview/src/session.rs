//! Sessions of a project's users: how they are stored and under which keys, and how they are shown.

use exedra_sdk::{keys::key, prelude::*, time::Timestamp, value::Id};

use crate::{refuse, tracker::TrackerEvent};

const ROOM_PREFIX: &str = "sessions:";

/// A session as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) project_id: String,
    pub(crate) external_user_id: String,
    /// Its place among the project's sessions.
    pub(crate) place: String,
    pub(crate) started_at: u64,
    pub(crate) last_at: u64,
    pub(crate) events: u64,
    pub(crate) ended: Option<Ended>,
    /// How far events over the bus have been taken.
    #[serde(default)]
    pub(crate) taken: Mark,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) at: u64,
    pub(crate) submitted: bool,
}

/// Events that came together, as they are stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) at: u64,
    pub(crate) events: Vec<TrackerEvent>,
}

/// The body of `POST /api/projects/{id}/sessions`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSession {
    /// Who it is, by the name that the tracked page has.
    pub external_user_id: Id,
}

/// A session.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// The id.
    pub id: String,
    /// The id once more, by the name that events use.
    pub session_id: String,
    /// The project.
    pub project_id: String,
    /// Who it is, by the name that the tracked page has.
    pub external_user_id: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When something happened last.
    pub last_event_at: Timestamp,
    /// How many events it has.
    pub events: u64,
    /// When it ended; null while it goes on.
    pub ended_at: Option<Timestamp>,
    /// Whether it was submitted; null while it goes on.
    pub submitted: Option<bool>,
}

/// The answer to events.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Always true.
    pub success: bool,
    /// The session.
    pub session_id: String,
    /// How many events were stored.
    pub accepted: usize,
    /// How many of them were meant for viewers.
    pub broadcast: usize,
    /// How many the session has.
    pub total: u64,
}

/// The answer of `GET /api/projects/{id}/sessions`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SessionList {
    /// The sessions in order of their beginning.
    pub sessions: Vec<SessionView>,
    /// Where the next page begins; null when this was the last.
    pub next: Option<String>,
}

/// The answer of `GET /api/sessions/{id}/events`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventList {
    /// The session.
    pub session_id: String,
    /// The events in order.
    pub events: Vec<TrackerEvent>,
    /// Where the next page begins; null when this was the last.
    pub next: Option<String>,
}

impl Accepted {
    /// The answer to events that have been taken before.
    pub(crate) fn again(session: &Session, accepted: usize) -> Self {
        let (session_id, total) = (session.id.clone(), session.events);
        Self { success: true, session_id, accepted, broadcast: 0, total }
    }
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self {
            session_id: session.id.clone(),
            id: session.id,
            project_id: session.project_id,
            external_user_id: session.external_user_id,
            started_at: Timestamp(session.started_at),
            last_event_at: Timestamp(session.last_at),
            events: session.events,
            ended_at: session.ended.map(|ended| Timestamp(ended.at)),
            submitted: session.ended.map(|ended| ended.submitted),
        }
    }
}

pub(crate) fn key_of(id: &str) -> String {
    key(&["sessions", id])
}

/// All sessions.
pub(crate) const SESSIONS: &str = "sessions/";
/// Sessions that go on, by id.
pub(crate) const OPEN: &str = "open/";

pub(crate) fn open_key(id: &str) -> String {
    key(&["open", id])
}

pub(crate) fn batch_key(session: &str, batch: &str) -> String {
    key(&["events", session, batch])
}

pub(crate) fn data_key(session: &str, data: &str) -> String {
    key(&["data", session, data])
}

/// The room in which the sessions of a project hold their places.
pub(crate) fn room_of(project: &str) -> String {
    format!("{ROOM_PREFIX}{project}")
}

/// Whether a room is one of those.
pub(crate) fn is_room(room: &str) -> bool {
    room.starts_with(ROOM_PREFIX)
}

impl Session {
    pub(crate) fn require_open(&self) -> Result<()> {
        if self.ended.is_none() { Ok(()) } else { Err(refuse::session_ended()) }
    }
}
