//! What goes over the wire, field by field as the contract has it.

use exedra_sdk::{prelude::*, time::Timestamp};

use crate::ids::{RoomId, UserId};

/// `JOIN_ROOM`, `LEAVE_ROOM` and `GET_ROOM_STATUS`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomAction {
    /// The room.
    pub room_id: RoomId,
    /// Who; must be the one whom the link belongs to.
    #[serde(default)]
    pub user_id: Option<UserId>,
}

/// `CONNECTION_ESTABLISHED`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Established {
    /// Whose link it is.
    pub user_id: String,
    /// When.
    pub timestamp: Timestamp,
    /// For people.
    pub message: &'static str,
}

/// `ROOM_STATUS`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomStatus {
    /// The room, as it was asked for.
    pub room_id: RoomId,
    /// How many links follow it.
    pub connected_clients: u64,
    /// When.
    pub timestamp: Timestamp,
}

/// `PONG`.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Pong {
    /// When.
    pub timestamp: Timestamp,
}

/// `ERROR`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ErrorMessage<'a> {
    /// For programs.
    pub code: &'a str,
    /// For people.
    pub message: &'a str,
}

/// What happened last in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RoomEvent {
    /// It was made.
    RoomCreated,
    /// Its name or its size is another one.
    RoomChanged,
    /// Somebody joined.
    UserJoined,
    /// Somebody left.
    UserLeft,
}

/// `ROOM_UPDATE`, without its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomUpdate {
    /// The room, in the form in which the link follows it.
    pub room_id: RoomId,
    /// What happened.
    pub event: RoomEvent,
    /// Who it was about.
    pub participant_name: Option<String>,
    /// How many are in the room.
    pub current_participants: u32,
    /// How many may be.
    pub max_participants: u32,
    /// Whether nobody else may join.
    pub is_full: bool,
    /// How many more may join.
    pub available_slots: u32,
    /// When it happened.
    pub timestamp: Timestamp,
}

/// `ROOM_FULL` and `ROOM_AVAILABLE`, without their `type`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomNotice {
    /// The room, in the form in which the link follows it.
    pub room_id: RoomId,
    /// How many are in the room.
    pub current_participants: u32,
    /// How many may be.
    pub max_participants: u32,
    /// Whether nobody else may join.
    pub is_full: bool,
    /// How many more may join.
    pub available_slots: u32,
    /// When.
    pub timestamp: Timestamp,
}

/// `ROOM_CLOSED`, without its `type`.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomClosed {
    /// The room, in the form in which the link follows it.
    pub room_id: RoomId,
    /// When.
    pub timestamp: Timestamp,
}

/// A room over REST: the last `ROOM_UPDATE`, and what does not change.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    /// Always `ROOM_UPDATE`, so that one function can show both.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The same as `roomId`.
    pub id: u64,
    /// What people call it.
    pub name: String,
    /// The last update.
    #[serde(flatten)]
    pub update: RoomUpdate,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The answer of `GET /api/rooms`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RoomList {
    /// Rooms by id.
    pub rooms: Vec<RoomView>,
    /// The `after` of the next page, if there is one.
    pub next: Option<u64>,
}

/// `exedra.out.hangouts.<roomId>.joined` and `.left`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Who.
    pub user_id: String,
    /// The name.
    pub user_name: Option<String>,
}

/// `exedra.out.hangouts.<roomId>.removed`.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The room.
    pub room_id: u64,
}

/// The query of `GET /api/rooms`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Page {
    /// Begin after this id.
    pub after: Option<u64>,
    /// How many at most, up to 100.
    pub limit: Option<u32>,
}

/// The body of `POST /api/rooms`, and of `exedra.rpc.hangouts.create`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRoom {
    /// What people call it.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// How many may be in it.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_participants: Option<u32>,
    /// The id it shall have; left out, it is the next free number.
    #[serde(default)]
    pub room_id: Option<RoomId>,
}

/// `exedra.rpc.hangouts.update`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeRoom {
    /// The room.
    pub room_id: RoomId,
    /// What people call it from now on.
    #[serde(default)]
    pub name: Option<String>,
    /// How many may be in it from now on; whoever is in it stays.
    #[serde(default)]
    pub max_participants: Option<u32>,
}

/// `exedra.rpc.hangouts.get` and `.remove`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Which {
    /// The room.
    pub room_id: RoomId,
}

/// Who joins or leaves, as far as no token says so.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Who {
    /// The user's id.
    pub user_id: Option<UserId>,
    /// What others see.
    #[schemars(length(max = 64))]
    pub user_name: Option<String>,
    /// The same by another name.
    #[schemars(length(max = 64))]
    pub participant_name: Option<String>,
    /// The same by another name.
    #[schemars(length(max = 64))]
    pub first_name: Option<String>,
    /// The same by another name.
    #[schemars(length(max = 64))]
    pub name: Option<String>,
}

impl Who {
    /// What others see, by whatever name it came.
    pub(crate) fn called(&self) -> Option<&str> {
        let names = [&self.user_name, &self.participant_name, &self.first_name, &self.name];
        names.into_iter().flatten().map(String::as_str).next()
    }
}

/// `exedra.rpc.hangouts.join` and `.leave`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhoWhere {
    /// The room.
    pub room_id: RoomId,
    /// Who.
    #[serde(flatten)]
    pub who: Who,
}

/// The answer to a join or leave.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// Always true.
    pub success: bool,
    /// Who.
    pub user_id: String,
    /// Whether this call changed something.
    pub changed: bool,
    /// The room.
    #[serde(flatten)]
    pub room: RoomView,
}

/// Somebody in a room.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantView {
    /// Who.
    pub user_id: String,
    /// The name.
    pub participant_name: String,
    /// Since when.
    pub joined_at: Timestamp,
}

/// A room and who is in it, for services.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RoomDetail {
    /// The room.
    #[serde(flatten)]
    pub room: RoomView,
    /// Everyone who is in it.
    pub participants: Vec<ParticipantView>,
}

/// `exedra.in.hangouts.<roomId>.room-update`: for a service that keeps its rooms itself and only has news.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct News {
    /// What happened.
    pub event: NewsEvent,
    /// Who it was about.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub participant_name: Option<String>,
    /// The same by its other name.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub user_name: Option<String>,
    /// How many are in the room.
    pub current_participants: u32,
    /// How many may be.
    pub max_participants: u32,
}

/// What [`News`] are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum NewsEvent {
    /// Somebody joined.
    #[serde(rename = "join")]
    Join,
    /// Somebody left.
    #[serde(rename = "leave")]
    Leave,
    /// Somebody joined.
    #[serde(rename = "USER_JOINED")]
    UserJoined,
    /// Somebody left.
    #[serde(rename = "USER_LEFT")]
    UserLeft,
    /// The room is another one in name or size.
    #[serde(rename = "ROOM_CHANGED")]
    RoomChanged,
}

impl From<NewsEvent> for RoomEvent {
    fn from(event: NewsEvent) -> Self {
        match event {
            NewsEvent::Join | NewsEvent::UserJoined => Self::UserJoined,
            NewsEvent::Leave | NewsEvent::UserLeft => Self::UserLeft,
            NewsEvent::RoomChanged => Self::RoomChanged,
        }
    }
}

/// The answer of `GET /api/rooms/stats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Rooms that links follow.
    pub total_rooms_with_clients: usize,
    /// Links.
    pub total_connections: usize,
    /// Users who have links.
    pub total_users_tracked: usize,
    /// The rooms that links follow.
    pub active_rooms: Vec<u64>,
}

/// An answer that says only that it is done.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Done {
    /// Always true.
    pub success: bool,
}
