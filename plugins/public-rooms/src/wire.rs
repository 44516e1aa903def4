//! What goes over the wire, field by field as the contract has it.

use exedra_sdk::{prelude::*, time::Timestamp};

/// `join-room`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinRoom {
    /// Who, as `POST /api/public/users` answered.
    #[schemars(length(min = 1, max = 64))]
    pub user_id: String,
    /// The name; the room is told the one that the user was made with.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub user_name: Option<String>,
}

/// `leave-room`, and the body of `POST …/join` and `POST …/leave`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Who {
    /// Who.
    #[schemars(length(min = 1, max = 64))]
    pub user_id: String,
}

/// `signal`, from one member to another: whatever their WebRTC needs to say.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignalIn {
    /// To whom: a `userId` in the same room.
    #[schemars(length(min = 1, max = 64))]
    pub to: String,
    /// What: up to 64 KiB of JSON.
    pub data: Value,
}

/// `signal`, as it arrives.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalOut {
    /// From whom.
    pub from: String,
    /// What.
    pub data: Value,
}

/// `user-joined`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserJoined {
    /// Who.
    pub user_id: String,
    /// The name.
    pub user_name: String,
    /// When, ISO 8601.
    pub joined_at: Timestamp,
    /// How many are in the room now.
    pub current_occupancy: u64,
}

/// `user-left`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserLeft {
    /// Who.
    pub user_id: String,
    /// How many are in the room now.
    pub current_occupancy: u64,
}

/// `error`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ErrorEvent<'a> {
    /// For programs.
    pub code: &'a str,
    /// For people.
    pub message: &'a str,
}

/// `backoff`: how long a client should wait before it comes again.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// Milliseconds.
    pub retry_after: u64,
    /// How often this address was refused lately.
    pub attempt: u64,
}

/// What a refused CONNECT carries as `data`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefusedConnect<'a> {
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) retryable: bool,
    pub(crate) retry_after: u64,
    pub(crate) attempt: u64,
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// Who.
    pub user_id: String,
    /// The name.
    pub user_name: String,
    /// Since when.
    pub joined_at: Timestamp,
}

/// The acknowledgement of `join-room`, and the answer of `POST …/join`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entered {
    /// Always true.
    pub success: bool,
    /// The room.
    pub room_id: String,
    /// Who.
    pub user_id: String,
    /// The name.
    pub user_name: String,
    /// Since when.
    pub joined_at: Timestamp,
    /// How many are in the room now.
    pub current_occupancy: u64,
    /// How many may be.
    pub max_occupancy: u32,
    /// Everyone who is in the room.
    pub participants: Vec<Participant>,
}

/// The answer of `POST …/leave`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exited {
    /// Always true.
    pub success: bool,
    /// The room.
    pub room_id: String,
    /// Who.
    pub user_id: String,
    /// How many are in the room now.
    pub current_occupancy: u64,
}

/// An acknowledgement that says only that it is done.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Done {
    /// Always true.
    pub success: bool,
}

/// The body of `POST /api/public/users`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUser {
    /// What others see.
    #[schemars(length(min = 1, max = 64))]
    pub user_name: String,
}

/// A user, as its maker sees it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    /// The same as `userId`.
    pub id: String,
    /// The user's id.
    pub user_id: String,
    /// What others see.
    pub user_name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The body of `POST /api/public/rooms`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRoom {
    /// What people call it.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// How many may be in it.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_occupancy: Option<u32>,
    /// The id it shall have: `A-Z a-z 0-9 - _`; left out, one is made.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub room_id: Option<String>,
}

/// A room.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    /// The same as `roomId`.
    pub id: String,
    /// The room's id.
    pub room_id: String,
    /// What people call it.
    pub name: String,
    /// How many may be in it.
    pub max_occupancy: u32,
    /// How many are in it.
    pub current_occupancy: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A room and who is in it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomDetail {
    /// The room.
    #[serde(flatten)]
    pub room: RoomView,
    /// Everyone who is in it.
    pub participants: Vec<Participant>,
}

/// The answer of `GET /api/public/rooms`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomList {
    /// Rooms by id.
    pub rooms: Vec<RoomView>,
    /// The `after` of the next page, if there is one.
    pub next: Option<String>,
}

/// The query of `GET /api/public/rooms`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Page {
    /// Begin after this id.
    pub after: Option<String>,
    /// How many at most, up to 100.
    pub limit: Option<u32>,
}

/// The query of `GET /api/public/stats`, and the body of `exedra.rpc.public-rooms.stats`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StatsOf {
    /// An address, to be told how many connections it has.
    pub ip_address: Option<String>,
}

/// The answer to it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Connections of this node.
    pub total_connections: usize,
    /// Rooms that are known.
    pub total_rooms: usize,
    /// Rooms with somebody in them.
    pub active_rooms: usize,
    /// People in all rooms.
    pub total_participants: u64,
    /// Connections of the address that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_count: Option<u64>,
}

/// `exedra.rpc.public-rooms.connections`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionsOf {
    /// The address.
    pub ip_address: String,
}

/// The answer to it.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionCount {
    /// How many connections the address has.
    pub connection_count: u64,
}

/// `exedra.rpc.public-rooms.put-room`: makes a room or changes it; one that an operator has put stays.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutRoom {
    /// The room's id.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub room_id: String,
    /// What people call it.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// How many may be in it; whoever is in it already stays.
    #[serde(default)]
    pub max_occupancy: Option<u32>,
}

/// `exedra.rpc.public-rooms.get-room` and `.remove-room`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Which {
    /// The room.
    pub room_id: String,
}
