//! The shapes of the wire contract on the side of people: what they send, what they get. Field names and their case are
//! promises.

use exedra_sdk::{
    prelude::*,
    time::Timestamp,
    value::{Id, Text},
};

/// The payload of `join-meeting` and `leave-meeting`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct At {
    /// The meeting.
    pub meeting_id: Id,
    /// Who joins, where no token says so.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The name to show, where no token says so.
    #[serde(default)]
    pub user_name: Option<Text<128>>,
}

/// Somebody in a meeting.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// The user's id.
    pub user_id: String,
    /// The name to show.
    pub user_name: String,
    /// When the user's first connection joined.
    pub joined_at: Timestamp,
}

/// `meeting-joined`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeetingJoined {
    /// The meeting.
    pub meeting_id: String,
    /// Everybody in it, the new one included.
    pub participants: Vec<Participant>,
}

/// `meeting-left`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeetingLeft {
    /// The meeting.
    pub meeting_id: String,
}

/// `participant-joined`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantJoined {
    /// Who has come.
    pub user_id: String,
    /// The name to show.
    pub user_name: String,
    /// When.
    pub timestamp: Timestamp,
}

/// `participant-left`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantLeft {
    /// Who has gone.
    pub user_id: String,
    /// When.
    pub timestamp: Timestamp,
}

/// An acknowledgement of something that went well.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "{T}Done")]
pub struct Done<T> {
    /// Always true.
    pub success: bool,
    /// The rest.
    #[serde(flatten)]
    pub what: T,
}

impl<T> Done<T> {
    /// It went well.
    pub fn with(what: T) -> Self {
        Self { success: true, what }
    }
}

/// Taken and stored.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Raised {
    /// By what the alert is acknowledged.
    pub alert_id: String,
}

/// Nothing more to say.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Nothing {}

/// `error`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ErrorOut {
    /// Why, for programs.
    pub code: String,
    /// Why, for people.
    pub message: String,
    /// Always `error`.
    pub severity: &'static str,
    /// What exactly, where that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The acknowledgement of something that was refused.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RefusedAck {
    /// Always false.
    pub success: bool,
    /// Why not.
    pub error: ErrorOut,
}

/// The answer of `GET /api/meetings/stats/connections`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Open connections.
    pub active_connections: u64,
    /// Meetings with somebody in them.
    pub active_meetings: u64,
    /// The connections, by age; the first thousand.
    pub connected_clients: Vec<Client>,
}

/// An open connection.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// What the client calls `socket.id`.
    pub id: String,
    /// Since when.
    pub connected_at: Timestamp,
}

/// Nothing to ask.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unasked {}

/// `exedra.rpc.deepfake.analytics`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Which {
    /// The meeting.
    pub meeting_id: Id,
}
