//! Where meetings are looked up: in the plugin's own store, or at the service `directory` of an application that has
//! its own. Answers of that service are trusted for a short time; a service that does not answer makes meetings
//! unavailable, never open.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use exedra_sdk::prelude::*;

use crate::{
    meeting::{Meeting, check_id},
    register::{Register, unknown},
    settings::{Settings, Source},
};

/// Answers that are remembered at most; when full, all are forgotten and asked for again.
const MAX_REMEMBERED: usize = 10_000;

/// Finds meetings.
pub(crate) enum Directory {
    /// In the plugin's store.
    Store(Register),
    /// At the application.
    Nats(Service),
}

/// The application's service and what it has said lately.
pub(crate) struct Service {
    hub: Hub,
    settings: Settings,
    remembered: Mutex<HashMap<String, Remembered>>,
}

struct Remembered {
    until: u64,
    meeting: Option<Arc<Meeting>>,
}

/// What the service says of a meeting. Fields that it says beyond these are its own affair.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    /// Who may join and vote.
    participant_ids: Vec<String>,
    /// Who made it.
    creator_id: String,
    /// What people call it.
    #[serde(default)]
    title: Option<String>,
    /// The phase; `discussion` when left out.
    #[serde(default)]
    phase: Option<String>,
    /// The status; `active` when left out.
    #[serde(default)]
    status: Option<String>,
}

impl Directory {
    pub(crate) fn new(hub: Hub, settings: &Settings) -> Self {
        match settings.directory {
            Source::Store => Self::Store(Register::new(hub)),
            Source::Nats => {
                Self::Nats(Service { hub, settings: settings.clone(), remembered: Mutex::default() })
            }
        }
    }

    /// The meeting, or `NOT_FOUND`.
    pub(crate) async fn meeting(&self, id: &str) -> Result<Arc<Meeting>> {
        check_id("meetingId", id)?;
        let found = match self {
            Self::Store(register) => register.find(id).await?.map(Arc::new),
            Self::Nats(service) => service.find(id).await?,
        };
        found.ok_or_else(unknown)
    }

    /// The meetings in the store; refused when they are kept elsewhere.
    pub(crate) fn register(&self) -> Result<&Register> {
        match self {
            Self::Store(register) => Ok(register),
            Self::Nats(_) => Err(Error::conflict("meetings are kept by the application's own directory")
                .with_code("DIRECTORY_IS_EXTERNAL")),
        }
    }
}

impl Service {
    /// Asks anew next time.
    pub(crate) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    async fn find(&self, id: &str) -> Result<Option<Arc<Meeting>>> {
        let now = self.hub.now_ms();
        if let Some(known) = self.lock().get(id).filter(|known| known.until > now) {
            return Ok(known.meeting.clone());
        }
        let meeting = self.ask(id).await?.map(Arc::new);
        let until = self.hub.now_ms().saturating_add(self.settings.directory_cache.as_ms());
        let mut remembered = self.lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(id.to_owned(), Remembered { until, meeting: meeting.clone() });
        Ok(meeting)
    }

    async fn ask(&self, id: &str) -> Result<Option<Meeting>> {
        let timeout = self.settings.directory_timeout.0;
        let asked = self.hub.ask::<Value>("directory", "meeting", &json!({ "meetingId": id }), timeout).await;
        match asked {
            Ok(answer) => read_answer(id, answer, self.hub.now_ms()),
            Err(error) if error.code == Code::NotFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `null` and an error `NOT_FOUND` mean that there is no such meeting; what cannot be read is no answer.
fn read_answer(id: &str, answer: Value, now: u64) -> Result<Option<Meeting>> {
    if answer.is_null() || answer.pointer("/error/code").and_then(Value::as_str) == Some("NOT_FOUND") {
        return Ok(None);
    }
    let facts: Facts = serde_json::from_value(answer).map_err(unavailable)?;
    Ok(Some(Meeting {
        meeting_id: id.to_owned(),
        title: facts.title.unwrap_or_default(),
        creator_id: facts.creator_id,
        participant_ids: facts.participant_ids,
        phase: facts.phase.unwrap_or_else(|| Meeting::FIRST_PHASE.to_owned()),
        status: facts.status.unwrap_or_else(|| Meeting::FIRST_STATUS.to_owned()),
        created_at: now,
        updated_at: now,
    }))
}

fn unavailable(why: impl std::fmt::Display) -> Error {
    Error::unavailable("the directory of meetings does not answer").with_detail(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_meetings_are_none() {
        assert_eq!(read_answer("m", Value::Null, 0).unwrap(), None);
        assert_eq!(read_answer("m", json!({"error": {"code": "NOT_FOUND"}}), 0).unwrap(), None);
    }

    #[test]
    fn unreadable_answers_are_unavailable() {
        for answer in
            [json!(7), json!({}), json!({"error": {"code": "INTERNAL"}}), json!({"creatorId": "ann"})]
        {
            assert_eq!(read_answer("m", answer, 0).unwrap_err().code, Code::Unavailable);
        }
    }

    #[test]
    fn facts_become_a_meeting() {
        let answer = json!({"participantIds": ["bob"], "creatorId": "ann", "status": "closed", "more": 1});
        let meeting = read_answer("m", answer, 5).unwrap().unwrap();
        assert!(meeting.invites("bob") && meeting.made_by("ann") && meeting.is_over());
        assert_eq!(meeting.phase, "discussion");
    }
}
