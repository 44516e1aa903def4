//! Coming and going. The room of a meeting is `meeting-{id}`; a user is in it once, however many tabs are open. Two
//! more rooms keep the books that statistics are read from: one with every connection, one with every meeting that
//! somebody is in.

use exedra_sdk::{prelude::*, time::Timestamp};

use crate::{
    Deepfake, refuse,
    wire::{At, Client, MeetingJoined, MeetingLeft, Participant, ParticipantJoined, ParticipantLeft, Stats},
};

const ROOM_PREFIX: &str = "meeting-";
const CONNECTIONS: &str = "connections";
const MEETINGS: &str = "meetings";
/// How long a meeting stays in the books without being looked after; it is, every minute.
const IN_BOOKS: Duration = Duration::from_secs(300);
/// Connections that statistics list.
const MOST_LISTED: usize = 1000;

/// The Socket.IO room of a meeting.
pub(crate) fn room_of(meeting: &str) -> String {
    format!("{ROOM_PREFIX}{meeting}")
}

/// The meeting of a Socket.IO room.
pub(crate) fn meeting_of(room: &str) -> Option<&str> {
    room.strip_prefix(ROOM_PREFIX)
}

/// What is remembered of a member.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Profile {
    pub(crate) user_id: String,
    pub(crate) user_name: String,
}

impl Profile {
    /// The token wins over what the client says; without either the connection is all there is to name.
    fn of(conn: &Conn, at: &At) -> Self {
        if let Some(user) = conn.user() {
            let user_name = user.name.clone().unwrap_or_else(|| user.user_id.clone());
            return Self { user_id: user.user_id.clone(), user_name };
        }
        let user_id = at.user_id.as_ref().map_or(conn.public_id(), |id| &id.0).to_owned();
        let user_name = at.user_name.as_ref().map_or(&user_id, |name| &name.0).clone();
        Self { user_id, user_name }
    }
}

impl Deepfake {
    /// Writes a new connection into the books; it goes out of them by itself.
    pub(crate) fn count_in(&self, conn: &Conn) -> Result<()> {
        self.hub.room(CONNECTIONS).join_as(conn, conn.public_id(), &(), 0).map(drop)
    }

    /// Puts a connection into a meeting, and tells it and the others.
    pub(crate) fn join(&self, conn: &Conn, at: &At) -> Result<MeetingJoined> {
        let id = &at.meeting_id.0;
        let profile = Profile::of(conn, at);
        let room = self.hub.room(room_of(id));
        let joined = room.join(conn, &profile)?;
        self.hub.room(MEETINGS).join_user(id, &(), IN_BOOKS)?;
        if joined.first {
            let seen = ParticipantJoined {
                user_id: profile.user_id,
                user_name: profile.user_name,
                timestamp: Timestamp(self.hub.now_ms()),
            };
            room.emit_except(conn, "participant-joined", &seen)?;
            room.refresh("analytics")?;
            self.hub.tell(id, "joined", &seen);
        }
        let joined = MeetingJoined { meeting_id: id.clone(), participants: self.participants(id)? };
        conn.emit("meeting-joined", &joined)?;
        Ok(joined)
    }

    /// Takes a connection out of a meeting. Being out already is fine: what was asked for is so.
    pub(crate) fn leave(&self, conn: &Conn, at: &At) -> Result<MeetingLeft> {
        let meeting_id = at.meeting_id.0.clone();
        match self.hub.room(room_of(&meeting_id)).leave(conn) {
            Err(error) if error.code != Code::NotFound => return Err(error),
            _ => {}
        }
        let left = MeetingLeft { meeting_id };
        conn.emit("meeting-left", &left)?;
        Ok(left)
    }

    /// A participant's last connection has gone from a room.
    pub(crate) fn gone(&self, room: &str, member: &Member) -> Result<()> {
        let Some(id) = meeting_of(room) else { return Ok(()) };
        let user_id =
            member.meta_as::<Profile>().map_or_else(|_| member.user.clone(), |profile| profile.user_id);
        let seen = ParticipantLeft { user_id, timestamp: Timestamp(self.hub.now_ms()) };
        let room = self.hub.room(room);
        room.emit("participant-left", &seen)?;
        self.hub.tell(id, "left", &seen);
        if self.keep_books(id)? {
            room.refresh("analytics")?;
        }
        Ok(())
    }

    /// Everybody in a meeting, in order of joining.
    pub(crate) fn participants(&self, id: &str) -> Result<Vec<Participant>> {
        let members = self.hub.room(room_of(id)).members::<Profile>()?;
        let view = |member: MemberOf<Profile>| {
            let profile = member.meta.unwrap_or_default();
            Participant {
                user_id: profile.user_id,
                user_name: profile.user_name,
                joined_at: Timestamp(member.joined_at_ms),
            }
        };
        Ok(members.into_iter().map(view).collect())
    }

    /// Whether a connection's user is in a meeting, and as whom.
    pub(crate) fn require_in(&self, conn: &Conn, id: &str) -> Result<Profile> {
        let members = self.hub.room(room_of(id)).members::<Profile>()?;
        let me = members.into_iter().find(|member| member.user == conn.member_key());
        me.map(|member| member.meta.unwrap_or_default()).ok_or_else(refuse::not_in_meeting)
    }

    /// Who is connected, and how many meetings there are.
    pub(crate) fn stats(&self) -> Result<Stats> {
        let connections = self.hub.room(CONNECTIONS).members::<Value>()?;
        let view = |member: &MemberOf| Client {
            id: member.user.clone(),
            connected_at: Timestamp(member.joined_at_ms),
        };
        Ok(Stats {
            active_connections: connections.len() as u64,
            active_meetings: self.hub.room(MEETINGS).count()?,
            connected_clients: connections.iter().take(MOST_LISTED).map(view).collect(),
        })
    }

    /// Looks after the book of meetings: those with somebody in them stay, the others go.
    pub(crate) fn look_after_books(&self) -> Result<()> {
        for meeting in self.hub.room(MEETINGS).members::<Value>()? {
            self.keep_books(&meeting.user)?;
        }
        Ok(())
    }

    /// Whether somebody is in a meeting; the book of meetings says the same afterwards, also when somebody joins at
    /// this very moment: joiners enter the meeting first and the book second, so the second look sees them.
    fn keep_books(&self, id: &str) -> Result<bool> {
        let (room, books) = (self.hub.room(room_of(id)), self.hub.room(MEETINGS));
        if room.count()? == 0 {
            match books.leave_user(id) {
                Err(error) if error.code != Code::NotFound => return Err(error),
                _ => {}
            }
            if room.count()? == 0 {
                return Ok(false);
            }
        }
        books.join_user(id, &(), IN_BOOKS)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_name_their_meeting() {
        assert_eq!(room_of("123456789"), "meeting-123456789");
        assert_eq!(meeting_of("meeting-meeting-"), Some("meeting-"));
        assert_eq!(meeting_of(CONNECTIONS), None);
        assert_eq!(meeting_of(MEETINGS), None);
    }
}
