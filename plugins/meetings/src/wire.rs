//! The shapes of the wire contract: what clients and services send, what they get. Field names and their case are
//! promises.

use exedra_sdk::{prelude::*, time::Timestamp};

use crate::{
    meeting::MeetingView,
    presence::{ActiveParticipant, Participant, VotingParticipant},
    results::{Progress, SubmissionStatus},
    vote::Kind,
};

/// The payload of `join_meeting`, `leave_meeting` and `get_participants`. Further fields are ignored: who somebody is
/// comes from the token alone.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct At {
    /// The meeting.
    pub meeting_id: String,
}

/// The acknowledgement of `join_meeting`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinAck {
    /// Whether the user is in.
    pub success: bool,
    /// The meeting.
    pub meeting_id: String,
    /// Everyone present, the new one included; empty on failure.
    pub participants: Vec<Participant>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The acknowledgement of `leave_meeting`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaveAck {
    /// Whether this connection is out.
    pub success: bool,
    /// The meeting.
    pub meeting_id: String,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The acknowledgement of `get_participants`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantsAck {
    /// Whether the list is true.
    pub success: bool,
    /// The meeting.
    pub meeting_id: String,
    /// Everyone present; empty on failure.
    pub participants: Vec<Participant>,
    /// How many they are.
    pub total_participants: usize,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl JoinAck {
    /// The user is in.
    pub fn done(meeting_id: String, participants: Vec<Participant>) -> Self {
        Self { success: true, meeting_id, participants, error: None }
    }

    /// The user is not.
    pub fn failed(meeting_id: String, error: &Error) -> Self {
        Self { success: false, meeting_id, participants: Vec::new(), error: Some(error.message.clone()) }
    }
}

impl LeaveAck {
    /// The connection is out.
    pub fn done(meeting_id: String) -> Self {
        Self { success: true, meeting_id, error: None }
    }

    /// It could not be taken out.
    pub fn failed(meeting_id: String, error: &Error) -> Self {
        Self { success: false, meeting_id, error: Some(error.message.clone()) }
    }
}

impl ParticipantsAck {
    /// Everyone present.
    pub fn done(meeting_id: String, participants: Vec<Participant>) -> Self {
        let total_participants = participants.len();
        Self { success: true, meeting_id, participants, total_participants, error: None }
    }

    /// The list cannot be shown.
    pub fn failed(meeting_id: String, error: &Error) -> Self {
        let error = Some(error.message.clone());
        Self { success: false, meeting_id, participants: Vec::new(), total_participants: 0, error }
    }
}

/// `participants_updated`: the whole list whenever somebody comes or goes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantsUpdated {
    /// The meeting.
    pub meeting_id: String,
    /// Everyone present.
    pub participants: Vec<Participant>,
    /// How many they are.
    pub total_participants: usize,
}

/// `participantJoined` and `participantLeft`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The meeting.
    pub meeting_id: String,
    /// Who came or went.
    pub user_id: String,
}

/// `phaseChanged`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhaseChanged {
    /// The meeting.
    pub meeting_id: String,
    /// The phase from now on.
    pub phase: String,
    /// The status from now on.
    pub status: String,
}

/// `voting_progress`: how far the voting of one kind is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VotingProgress {
    /// The meeting.
    pub meeting_id: String,
    /// The phase.
    pub phase: String,
    /// What is voted on.
    pub kind: Kind,
    /// How many of how many.
    #[serde(flatten)]
    pub progress: Progress,
}

/// The query of `GET /meetings`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PageQuery {
    /// Where to begin: `next` of the page before.
    pub after: Option<String>,
    /// How many at most; 50 when left out, 200 at most.
    pub limit: Option<u32>,
}

/// The answer of `GET /meetings`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MeetingList {
    /// The meetings, by id.
    pub meetings: Vec<MeetingView>,
    /// Where the next page begins; null when this was the last.
    pub next: Option<String>,
}

/// The answer of `GET …/active-participants`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveParticipants {
    /// The meeting.
    pub meeting_id: String,
    /// Everyone present.
    pub active_participants: Vec<ActiveParticipant>,
    /// How many are invited.
    pub total_participants: usize,
    /// How many are present.
    pub active_count: usize,
    /// Where this is known from: always `websocket`.
    pub source: &'static str,
}

/// The answer of `GET …/voting-info`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VotingInfo {
    /// The meeting.
    pub meeting_id: String,
    /// Its phase.
    pub phase: String,
    /// Its status.
    pub status: String,
    /// Everyone present.
    pub voting_participants: Vec<VotingParticipant>,
    /// How many they are.
    pub total_voting_participants: usize,
    /// Who has voted in this phase.
    pub submission_status: SubmissionStatus,
    /// How many of how many.
    pub voting_progress: Progress,
}

/// The answer to a vote.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    /// Always true.
    pub success: bool,
    /// The meeting.
    pub meeting_id: String,
    /// The phase that the vote counts for.
    pub phase: String,
    /// What was voted on.
    pub kind: Kind,
    /// When.
    pub submitted_at: Timestamp,
    /// Whether it took the place of an earlier vote of the same user.
    pub replaced: bool,
}

/// `exedra.out.meetings.<id>.voted`: that somebody voted, not what.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Voted {
    /// Who.
    pub user_id: String,
    /// The vote.
    #[serde(flatten)]
    pub submitted: Submitted,
}

/// `exedra.in.meetings.<id>.phase`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseIn {
    /// The phase from now on.
    #[schemars(length(min = 1, max = 64))]
    pub phase: String,
    /// The status from now on; stays when left out.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub status: Option<String>,
}

/// `exedra.in.meetings.<id>.participants`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParticipantsIn {
    /// Who may join and vote from now on.
    #[schemars(length(max = 1000), inner(length(min = 1, max = 128)))]
    pub participant_ids: Vec<String>,
}

/// `exedra.rpc.meetings.get` and `.participants`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Which {
    /// The meeting.
    pub meeting_id: String,
}

/// `exedra.rpc.meetings.list`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListOf {
    /// Whose meetings.
    pub user_id: String,
    /// Where to begin.
    #[serde(default)]
    pub after: Option<String>,
    /// How many at most.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// `exedra.rpc.meetings.create` and, with a `meetingId`, `.put`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Create {
    /// Who makes it.
    pub creator_id: String,
    /// Its id; left out, one is made.
    #[serde(default)]
    pub meeting_id: Option<String>,
    /// What people call it.
    #[serde(default)]
    pub title: Option<String>,
    /// Who may join and vote.
    #[serde(default)]
    pub participant_ids: Option<Vec<String>>,
    /// The phase.
    #[serde(default)]
    pub phase: Option<String>,
    /// The status.
    #[serde(default)]
    pub status: Option<String>,
}

/// `exedra.rpc.meetings.update`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Update {
    /// The meeting.
    pub meeting_id: String,
    /// What people call it.
    #[serde(default)]
    pub title: Option<String>,
    /// The phase.
    #[serde(default)]
    pub phase: Option<String>,
    /// The status.
    #[serde(default)]
    pub status: Option<String>,
    /// Who may join and vote.
    #[serde(default)]
    pub participant_ids: Option<Vec<String>>,
}

/// `exedra.rpc.meetings.results`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResultsOf {
    /// The meeting.
    pub meeting_id: String,
    /// Only this phase.
    #[serde(default)]
    pub phase: Option<String>,
}

/// The query of `GET …/results`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResultsQuery {
    /// Only this phase.
    pub phase: Option<String>,
}
