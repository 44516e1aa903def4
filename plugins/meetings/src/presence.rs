//! Who is present: what the hub knows of a room's members, in the words of the wire contract. The room of a meeting is
//! `meeting-{id}` for sockets; outside services name it by the bare id.

use exedra_sdk::{prelude::*, time::Timestamp};

const ROOM_PREFIX: &str = "meeting-";

/// The Socket.IO room of a meeting.
pub fn room_of(meeting: &str) -> String {
    format!("{ROOM_PREFIX}{meeting}")
}

/// The meeting of a Socket.IO room.
pub fn meeting_of(room: &str) -> Option<&str> {
    room.strip_prefix(ROOM_PREFIX)
}

/// What is remembered of a member beside the user's id; it comes from the token, never from the client.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// The name, if the token has one.
    pub full_name: Option<String>,
    /// The address, if the token has one.
    pub email: Option<String>,
}

impl From<&User> for Profile {
    fn from(user: &User) -> Self {
        Self { full_name: user.name.clone(), email: user.email.clone() }
    }
}

/// Somebody who is present, as events and acknowledgements show it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// The user's id.
    pub user_id: String,
    /// The name, if known.
    pub full_name: Option<String>,
    /// The address, if known.
    pub email: Option<String>,
    /// When the first of the user's connections joined.
    pub joined_at: Timestamp,
}

/// Somebody who is present, as `GET …/active-participants` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveParticipant {
    /// The same as in events.
    #[serde(flatten)]
    pub participant: Participant,
    /// When the user joined or joined again last.
    pub last_seen: Timestamp,
}

/// Somebody who is present, as `GET …/voting-info` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VotingParticipant {
    /// The user's id.
    #[serde(rename = "_id")]
    pub id: String,
    /// The name, if known.
    pub full_name: Option<String>,
    /// The address, if known.
    pub email: Option<String>,
    /// When the first of the user's connections joined.
    pub joined_at: Timestamp,
    /// When the user joined or joined again last.
    pub last_seen: Timestamp,
}

impl From<MemberOf<Profile>> for Participant {
    fn from(member: MemberOf<Profile>) -> Self {
        let profile = member.meta.unwrap_or_default();
        Self {
            user_id: member.user,
            full_name: profile.full_name,
            email: profile.email,
            joined_at: Timestamp(member.joined_at_ms),
        }
    }
}

impl From<MemberOf<Profile>> for ActiveParticipant {
    fn from(member: MemberOf<Profile>) -> Self {
        let last_seen = Timestamp(member.last_seen_ms);
        Self { participant: member.into(), last_seen }
    }
}

impl From<MemberOf<Profile>> for VotingParticipant {
    fn from(member: MemberOf<Profile>) -> Self {
        let ActiveParticipant { participant, last_seen } = member.into();
        let Participant { user_id: id, full_name, email, joined_at } = participant;
        Self { id, full_name, email, joined_at, last_seen }
    }
}

/// Everyone present, in order of joining.
pub(crate) fn present<P: From<MemberOf<Profile>>>(room: &Room) -> Result<Vec<P>> {
    Ok(room.members::<Profile>()?.into_iter().map(P::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_name_their_meeting() {
        assert_eq!(room_of("test123"), "meeting-test123");
        assert_eq!(meeting_of("meeting-test123"), Some("test123"));
        assert_eq!(meeting_of("meeting-meeting-"), Some("meeting-"));
        assert_eq!(meeting_of("lobby"), None);
    }
}
