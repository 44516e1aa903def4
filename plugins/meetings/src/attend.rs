//! Coming and going. A user is one participant however many tabs are open: the first one joins the user, the last one to
//! go takes the user out, whatever the way it goes. Presence over REST has no link to lose, so it ends by time.

use exedra_sdk::prelude::*;
use serde::Serialize;

use crate::{
    Meetings,
    meeting::{Meeting, check_id},
    presence::{Participant, Profile, meeting_of, present, room_of},
    wire::{ActiveParticipants, ParticipantsUpdated, Seen},
};

impl Meetings {
    /// Puts a connection into a meeting; gives everyone who is present then.
    pub(crate) async fn join(&self, conn: &Conn, me: &User, id: &str) -> Result<Vec<Participant>> {
        self.directory.meeting(id).await?.require_invited(&me.user_id)?;
        let room = self.hub.room(room_of(id));
        let joined = room.join(conn, &Profile::from(me))?;
        self.joins.inc();
        self.announce_joined(&room, id, &me.user_id, joined.first)?;
        room.refresh("participants")?;
        // Whoever was struck off the list between the look at it and the join has been missed by `turn_out`.
        self.directory.meeting(id).await?.require_invited(&me.user_id).inspect_err(|_| {
            let _ = room.leave_user(&me.user_id);
        })?;
        present(&room)
    }

    /// Takes a connection out of a meeting. Being out already is fine: what was asked for is so.
    pub(crate) fn leave(&self, conn: &Conn, id: &str) -> Result<()> {
        check_id("meetingId", id)?;
        let room = self.hub.room(room_of(id));
        match room.leave(conn) {
            // The end of a membership sends the list by itself.
            Ok(left) if left.last => Ok(()),
            Ok(_) => room.refresh("participants"),
            Err(error) if error.code == Code::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes a user present without a connection, until the time runs out or it is repeated.
    pub(crate) async fn join_over_rest(&self, me: &User, id: &str) -> Result<Vec<Participant>> {
        self.directory.meeting(id).await?.require_invited(&me.user_id)?;
        let room = self.hub.room(room_of(id));
        let joined = room.join_user(&me.user_id, &Profile::from(me), self.settings.rest_presence.0)?;
        self.joins.inc();
        self.announce_joined(&room, id, &me.user_id, joined.first)?;
        if joined.first {
            room.refresh("participants")?;
        }
        present(&room)
    }

    /// Takes a user out, connections and all.
    pub(crate) fn leave_over_rest(&self, me: &User, id: &str) -> Result<()> {
        check_id("meetingId", id)?;
        match self.hub.room(room_of(id)).leave_user(&me.user_id) {
            Err(error) if error.code != Code::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes everyone out who is not invited any more.
    pub(crate) fn turn_out(&self, meeting: &Meeting) -> Result<()> {
        let room = self.hub.room(room_of(&meeting.meeting_id));
        for member in room.members::<Profile>()? {
            if !meeting.invites(&member.user) {
                // Gone by itself meanwhile is as good.
                let _ = room.leave_user(&member.user);
            }
        }
        Ok(())
    }

    /// Who is present, for those who may know.
    pub(crate) async fn participants_for(&self, me: &User, id: &str) -> Result<Vec<Participant>> {
        self.directory.meeting(id).await?.require_known(&me.user_id)?;
        present(&self.hub.room(room_of(id)))
    }

    /// The same with more detail.
    pub(crate) async fn active_participants(&self, me: &User, id: &str) -> Result<ActiveParticipants> {
        let meeting = self.directory.meeting(id).await?;
        meeting.require_known(&me.user_id)?;
        self.active_in(&meeting)
    }

    /// The same for whoever may know everything.
    pub(crate) fn active_in(&self, meeting: &Meeting) -> Result<ActiveParticipants> {
        let active_participants = present(&self.hub.room(room_of(&meeting.meeting_id)))?;
        Ok(ActiveParticipants {
            meeting_id: meeting.meeting_id.clone(),
            total_participants: meeting.participant_ids.len(),
            active_count: active_participants.len(),
            active_participants,
            source: "websocket",
        })
    }

    /// Counts and notes a join that was refused.
    pub(crate) fn refused(&self, error: &Error) {
        self.refused_joins.inc();
        exedra_sdk::debug!("join refused: {}", error.code_str());
    }

    /// Sends everyone in the room the list of everyone in the room.
    pub(crate) fn send_participants(&self, room: &str) -> Result<()> {
        let Some(id) = meeting_of(room) else { return Ok(()) };
        let room = self.hub.room(room);
        let participants: Vec<Participant> = present(&room)?;
        let total_participants = participants.len();
        room.emit(
            "participants_updated",
            &ParticipantsUpdated { meeting_id: id.to_owned(), participants, total_participants },
        )
    }

    /// Tells the room and outside services that a participant has gone.
    pub(crate) fn announce_left(&self, room: &str, user: &str) -> Result<()> {
        let Some(id) = meeting_of(room) else { return Ok(()) };
        let seen = Seen { meeting_id: id.to_owned(), user_id: user.to_owned() };
        let room = self.hub.room(room);
        room.emit("participantLeft", &seen)?;
        room.refresh("participants")?;
        self.hub.tell(id, "left", &seen);
        Ok(())
    }

    fn announce_joined(&self, room: &Room, id: &str, user: &str, first: bool) -> Result<()> {
        if !first {
            return Ok(());
        }
        let seen = Seen { meeting_id: id.to_owned(), user_id: user.to_owned() };
        room.emit("participantJoined", &seen)?;
        self.hub.tell(id, "joined", &seen);
        Ok(())
    }
}

/// An answer that says that there is a better way.
pub(crate) fn deprecated(successor: &str, body: &impl Serialize) -> Result<Reply> {
    Ok(Reply::json(200, body)?
        .header("deprecation", "true")
        .header("link", format!("</asyncapi.json#{successor}>; rel=\"successor-version\"")))
}
