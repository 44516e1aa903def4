//! A meeting: what is stored of it, what clients see, and the rules for making and changing one. Everything that comes
//! from outside is checked here, so that the rest of the plugin works with meetings that are known to be well formed.

use exedra_sdk::{prelude::*, random, time::Timestamp};

/// Most characters of a meeting's or user's id.
pub const MAX_ID_CHARS: usize = 128;
/// Most bytes of an id: with `meeting-` before it, it must fit into a room name.
pub const MAX_ID_BYTES: usize = 240;
/// Most characters of a title.
pub const MAX_TITLE_CHARS: usize = 200;
/// Most characters of a phase or a status.
pub const MAX_LABEL_CHARS: usize = 64;
/// Most people that a meeting can invite.
pub const MAX_PARTICIPANTS: usize = 1000;

/// A meeting as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meeting {
    /// Its id.
    pub meeting_id: String,
    /// What people call it; may be empty.
    pub title: String,
    /// Who made it: only this user may change it and see its results.
    pub creator_id: String,
    /// Who may join and vote, exactly as given; the creator is one of them only when named.
    pub participant_ids: Vec<String>,
    /// What the meeting is at; votes belong to a phase.
    pub phase: String,
    /// Whether it goes on; see [`Meeting::is_over`].
    pub status: String,
    /// When it was made, milliseconds since 1970.
    pub created_at: u64,
    /// When it was changed last.
    pub updated_at: u64,
}

/// A meeting as clients and services see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeetingView {
    /// The same as `meetingId`.
    pub id: String,
    /// The meeting's id.
    pub meeting_id: String,
    /// What people call it.
    pub title: String,
    /// Who made it.
    pub creator_id: String,
    /// Who may join and vote.
    pub participant_ids: Vec<String>,
    /// What it is at.
    pub phase: String,
    /// Whether it goes on.
    pub status: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl From<&Meeting> for MeetingView {
    fn from(meeting: &Meeting) -> Self {
        Self {
            id: meeting.meeting_id.clone(),
            meeting_id: meeting.meeting_id.clone(),
            title: meeting.title.clone(),
            creator_id: meeting.creator_id.clone(),
            participant_ids: meeting.participant_ids.clone(),
            phase: meeting.phase.clone(),
            status: meeting.status.clone(),
            created_at: Timestamp(meeting.created_at),
            updated_at: Timestamp(meeting.updated_at),
        }
    }
}

/// What somebody gives to make a meeting.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMeeting {
    /// The id it shall have; left out, one is made.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    pub meeting_id: Option<String>,
    /// What people call it.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub title: String,
    /// Who may join and vote.
    #[serde(default)]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 128)))]
    pub participant_ids: Vec<String>,
    /// The first phase; `discussion` when left out.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub phase: Option<String>,
    /// The first status; `active` when left out.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub status: Option<String>,
}

/// What somebody wants to be different; a field left out stays.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// What people call it.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub title: Option<String>,
    /// The phase.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub phase: Option<String>,
    /// The status.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub status: Option<String>,
    /// Who may join and vote from now on.
    #[serde(default)]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 128)))]
    pub participant_ids: Option<Vec<String>>,
}

impl Meeting {
    /// The phase of a meeting that was made without one.
    pub const FIRST_PHASE: &'static str = "discussion";
    /// The status of a meeting that was made without one.
    pub const FIRST_STATUS: &'static str = "active";

    /// Makes a meeting from what was given, or says what is wrong with it.
    pub fn make(new: NewMeeting, creator: &str, now: u64) -> Result<Self> {
        check_id("creatorId", creator)?;
        let meeting = Self {
            meeting_id: new.meeting_id.map_or_else(|| fresh_id(now), Ok)?,
            title: new.title,
            creator_id: creator.to_owned(),
            participant_ids: without_repeats(new.participant_ids),
            phase: new.phase.unwrap_or_else(|| Self::FIRST_PHASE.to_owned()),
            status: new.status.unwrap_or_else(|| Self::FIRST_STATUS.to_owned()),
            created_at: now,
            updated_at: now,
        };
        meeting.check()?;
        Ok(meeting)
    }

    /// The meeting with a change made to it, or what is wrong with the change.
    pub fn changed(mut self, change: Change, now: u64) -> Result<Self> {
        self.title = change.title.unwrap_or(self.title);
        self.phase = change.phase.unwrap_or(self.phase);
        self.status = change.status.unwrap_or(self.status);
        if let Some(ids) = change.participant_ids {
            self.participant_ids = without_repeats(ids);
        }
        self.updated_at = now.max(self.updated_at);
        self.check()?;
        Ok(self)
    }

    /// Whether the user is on the list of participants.
    pub fn invites(&self, user: &str) -> bool {
        self.participant_ids.iter().any(|id| id == user)
    }

    /// Whether the user made the meeting.
    pub fn made_by(&self, user: &str) -> bool {
        self.creator_id == user
    }

    /// Refuses everyone who is neither invited nor the creator.
    pub fn require_known(&self, user: &str) -> Result<()> {
        if self.invites(user) || self.made_by(user) { Ok(()) } else { Err(not_invited()) }
    }

    /// Refuses everyone who is not on the list of participants.
    pub fn require_invited(&self, user: &str) -> Result<()> {
        if self.invites(user) { Ok(()) } else { Err(not_invited()) }
    }

    /// Refuses everyone but the creator.
    pub fn require_creator(&self, user: &str) -> Result<()> {
        if self.made_by(user) {
            Ok(())
        } else {
            Err(Error::forbidden("only the creator of the meeting may do this"))
        }
    }

    /// Whether the meeting has ended: nobody votes any more.
    pub fn is_over(&self) -> bool {
        ["ended", "closed"].iter().any(|over| self.status.eq_ignore_ascii_case(over))
    }

    fn check(&self) -> Result<()> {
        check_id("meetingId", &self.meeting_id)?;
        if self.title.chars().count() > MAX_TITLE_CHARS {
            return Err(Error::invalid(format!("title is longer than {MAX_TITLE_CHARS} characters")));
        }
        check_label("phase", &self.phase)?;
        check_label("status", &self.status)?;
        if self.participant_ids.len() > MAX_PARTICIPANTS {
            return Err(Error::invalid(format!("participantIds has more than {MAX_PARTICIPANTS} entries")));
        }
        self.participant_ids.iter().try_for_each(|id| check_id("participantIds", id))
    }
}

/// Refuses what cannot be the id of a meeting or a user.
pub fn check_id(field: &str, id: &str) -> Result<()> {
    if id.trim().is_empty() {
        return Err(Error::invalid(format!("{field} must not be empty")));
    }
    if id.chars().count() > MAX_ID_CHARS || id.len() > MAX_ID_BYTES {
        return Err(Error::invalid(format!("{field} is longer than {MAX_ID_CHARS} characters")));
    }
    if id.chars().any(char::is_control) {
        return Err(Error::invalid(format!("{field} holds a control character")));
    }
    Ok(())
}

/// Refuses what cannot be a phase or a status.
pub fn check_label(field: &str, label: &str) -> Result<()> {
    if label.trim().is_empty() {
        return Err(Error::invalid(format!("{field} must not be empty")));
    }
    if label.chars().count() > MAX_LABEL_CHARS {
        return Err(Error::invalid(format!("{field} is longer than {MAX_LABEL_CHARS} characters")));
    }
    if label.chars().any(char::is_control) {
        return Err(Error::invalid(format!("{field} holds a control character")));
    }
    Ok(())
}

fn not_invited() -> Error {
    Error::forbidden("you are not a participant of this meeting")
}

/// The first of each, in the order given.
fn without_repeats(ids: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::with_capacity(ids.len());
    ids.into_iter().filter(|id| seen.insert(id.clone())).collect()
}

/// An id that nobody can guess and that sorts by the time of its making.
fn fresh_id(now: u64) -> Result<String> {
    Ok(format!("{:012x}{}", now & 0xffff_ffff_ffff, random::hex(&random::bytes::<10>()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting() -> Meeting {
        let new = NewMeeting {
            participant_ids: vec!["bob".into(), "carol".into(), "bob".into()],
            ..NewMeeting::default()
        };
        Meeting::make(new, "ann", 1000).unwrap()
    }

    #[test]
    fn creator_is_not_included() {
        let meeting = meeting();
        assert!(!meeting.invites("ann"));
        assert!(meeting.require_invited("ann").is_err());
        assert!(meeting.require_known("ann").is_ok());
        assert_eq!(meeting.participant_ids, ["bob", "carol"]);
    }

    #[test]
    fn defaults_are_sensible() {
        let meeting = meeting();
        assert_eq!((meeting.phase.as_str(), meeting.status.as_str()), ("discussion", "active"));
        assert_eq!(meeting.meeting_id.len(), 32);
        assert!(!meeting.is_over());
    }

    #[test]
    fn change_leaves_the_rest() {
        let change = Change { phase: Some("vote".into()), ..Change::default() };
        let changed = meeting().changed(change, 2000).unwrap();
        assert_eq!(changed.phase, "vote");
        assert_eq!(changed.status, "active");
        assert_eq!(changed.participant_ids, ["bob", "carol"]);
        assert_eq!(changed.updated_at, 2000);
    }

    #[test]
    fn bad_values_are_refused() {
        let long = "x".repeat(129);
        for id in ["", "  ", "a\nb", long.as_str(), "💬".repeat(61).as_str()] {
            assert!(check_id("meetingId", id).is_err(), "{id:?}");
        }
        assert!(check_id("meetingId", &"x".repeat(128)).is_ok());
        let too_many = (0..1001).map(|n| n.to_string()).collect();
        let change = Change { participant_ids: Some(too_many), ..Change::default() };
        assert!(meeting().changed(change, 0).is_err());
        assert!(meeting().changed(Change { title: Some("t".repeat(201)), ..Change::default() }, 0).is_err());
        assert!(meeting().changed(Change { phase: Some("p".repeat(65)), ..Change::default() }, 0).is_err());
    }

    #[test]
    fn ended_meetings_are_over() {
        for status in ["ended", "closed", "Ended"] {
            let change = Change { status: Some(status.into()), ..Change::default() };
            assert!(meeting().changed(change, 0).unwrap().is_over());
        }
    }

    #[test]
    fn fresh_ids_differ_and_sort() {
        let (first, second, again) = (fresh_id(1).unwrap(), fresh_id(2).unwrap(), fresh_id(1).unwrap());
        assert!(first < second);
        assert_ne!(first, again);
    }
}
