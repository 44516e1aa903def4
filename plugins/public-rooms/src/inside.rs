//! Inside a room: joining, leaving, who is there, and words from one to another.

use exedra_sdk::{prelude::*, time::Timestamp};

use crate::{
    PublicRooms,
    address::Address,
    door::room_id,
    names,
    pulse::Deed,
    records::{RoomRecord, User},
    trouble::{Trouble, tell},
    wire::{Done, Entered, Exited, JoinRoom, Participant, SignalIn, SignalOut, UserJoined, UserLeft, Who},
};

/// Most bytes of what a `signal` carries.
const MAX_SIGNAL: usize = 64 * 1024;

/// What the room knows of a user who is in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    user_name: String,
    /// When the room was told of the user; without it, the user has only a place so far.
    #[serde(default)]
    joined_at: Option<u64>,
}

/// What is noted at a connection: who it has joined as.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Joiner {
    user_id: String,
}

impl PublicRooms {
    /// `join-room`.
    pub(crate) async fn join(&self, conn: &Conn, who: Result<JoinRoom>) -> Result<Entered> {
        self.allow(conn, Deed::Join, self.settings.joins_per_second)?;
        let who = who.map_err(|_| missing("User ID"))?;
        let room_id = room_id(conn)?;
        let user = self.user(&who.user_id, &self.address_of(conn).await?).await?;
        let room = self.room(room_id).await?;
        let joiner = conn.get_data::<Joiner>()?;
        if joiner.is_some_and(|joiner| joiner.user_id != user.user_id) {
            return Err(Trouble::InvalidUser.because("This connection has joined as another user"));
        }
        let joined_at = self.hub.now_ms();
        let members = self.seat(conn, &room, &user, joined_at).await?;
        let joined = UserJoined {
            user_id: user.user_id.clone(),
            user_name: user.user_name.clone(),
            joined_at: Timestamp(joined_at),
            current_occupancy: members,
        };
        self.hub.room(names::audience(room_id)).emit("user-joined", &joined)?;
        self.hub.tell(room_id, "joined", &joined);
        self.joins.inc();
        self.entered(&room, &user, joined_at, members, Some(conn))
    }

    /// Gives a connection its user's place.
    async fn seat(&self, conn: &Conn, room: &RoomRecord, user: &User, joined_at: u64) -> Result<u64> {
        let profile = Profile { user_name: user.user_name.clone(), joined_at: Some(joined_at) };
        let occupants = self.hub.room(names::occupants(&room.room_id));
        let joined = occupants.claim_as(conn, &user.user_id, &profile, u64::from(room.max_occupancy)).await;
        let joined = joined.map_err(|error| match error.code {
            Code::Busy => Trouble::JoinError.because("Room is full"),
            _ => error,
        })?;
        self.hub.room(names::links(&room.room_id, &user.user_id)).join(conn, &())?;
        conn.set_data(&Joiner { user_id: user.user_id.clone() })?;
        Ok(joined.members)
    }

    /// The answer to a join. A connection is told of those who were there before it came: of the others it has heard.
    fn entered(
        &self,
        room: &RoomRecord,
        user: &User,
        joined_at: u64,
        members: u64,
        newcomer: Option<&Conn>,
    ) -> Result<Entered> {
        let participants = self.participants(&room.room_id)?;
        if let Some(conn) = newcomer {
            let since = self.watch.since(conn).unwrap_or(joined_at);
            let earlier =
                participants.iter().filter(|one| one.joined_at.0 <= since && one.user_id != user.user_id);
            for one in earlier {
                conn.emit(
                    "user-joined",
                    &UserJoined {
                        user_id: one.user_id.clone(),
                        user_name: one.user_name.clone(),
                        joined_at: one.joined_at,
                        current_occupancy: participants.len() as u64,
                    },
                )?;
            }
        }
        Ok(Entered {
            success: true,
            room_id: room.room_id.clone(),
            user_id: user.user_id.clone(),
            user_name: user.user_name.clone(),
            joined_at: Timestamp(joined_at),
            current_occupancy: members,
            max_occupancy: room.max_occupancy,
            participants,
        })
    }

    /// Everyone in a room, in order of joining.
    pub(crate) fn participants(&self, room: &str) -> Result<Vec<Participant>> {
        let members = self.hub.room(names::occupants(room)).members::<Profile>()?;
        let seen = members.into_iter().map(|member| {
            let profile =
                member.meta.unwrap_or_else(|| Profile { user_name: String::new(), joined_at: None });
            Participant {
                user_id: member.user,
                user_name: profile.user_name,
                joined_at: Timestamp(profile.joined_at.unwrap_or(member.joined_at_ms)),
            }
        });
        Ok(seen.collect())
    }

    /// `leave-room`: out of the room, and disconnected.
    pub(crate) async fn leave(&self, conn: &Conn, who: Result<Who>) -> Result<()> {
        self.allow(conn, Deed::Leave, self.settings.joins_per_second)?;
        let who = who.map_err(|_| missing("User ID"))?;
        let room = room_id(conn)?;
        let user = self.user(&who.user_id, &self.address_of(conn).await?).await?;
        match conn.get_data::<Joiner>()? {
            Some(joiner) if joiner.user_id != user.user_id => {
                return Err(Trouble::InvalidUser.because("This connection has joined as another user"));
            }
            Some(_) => {
                self.hub.room(names::links(room, &user.user_id)).take_out(conn)?;
                self.hub.room(names::audience(room)).take_out(conn)?;
                self.hub.room(names::occupants(room)).take_out(conn)?;
            }
            None => {
                let left = self.hub.room(names::occupants(room)).leave_user(&user.user_id);
                left.map_err(|_| Trouble::LeaveError.because("User is not in the room"))?;
                self.hub.room(names::audience(room)).take_out(conn)?;
            }
        }
        conn.disconnect()
    }

    /// `POST …/join`: holds a place until the user connects, or the time is over.
    pub(crate) async fn join_over_rest(&self, from: &Address, room: &str, who: Who) -> Result<Entered> {
        let user = self.user(&who.user_id, from).await?;
        let room = self.room(room).await?;
        let occupants = self.hub.room(names::occupants(&room.room_id));
        let now = self.hub.now_ms();
        if self.is_linked(&room.room_id, &user.user_id)? {
            return self.entered(&room, &user, now, occupants.count()?, None);
        }
        let profile = Profile { user_name: user.user_name.clone(), joined_at: None };
        let (hold, most) = (self.settings.rest_presence.0, u64::from(room.max_occupancy));
        let claimed = occupants.claim_user(&user.user_id, &profile, hold, most).await;
        let joined = claimed.map_err(|error| match error.code {
            Code::Busy => Error::conflict("Room is full").with_code("ROOM_FULL"),
            _ => error,
        })?;
        self.entered(&room, &user, now, joined.members, None)
    }

    /// `POST …/leave`: out of the room with every connection; these stay connected.
    pub(crate) async fn leave_over_rest(&self, from: &Address, room: &str, who: Who) -> Result<Exited> {
        let user = self.user(&who.user_id, from).await?;
        let room = self.room(room).await?;
        let links = self.hub.room(names::links(&room.room_id, &user.user_id));
        for link in links.members::<Value>()? {
            links.take_out_user(&link.user)?;
        }
        let occupants = self.hub.room(names::occupants(&room.room_id));
        occupants.take_out_user(&user.user_id)?;
        let current_occupancy = occupants.count()?;
        Ok(Exited { success: true, room_id: room.room_id, user_id: user.user_id, current_occupancy })
    }

    /// A user is not in a room any more, whatever the way out was.
    pub(crate) fn gone(&self, room: &str, user: &str) -> Result<()> {
        let Some(room) = names::room_of(room) else { return Ok(()) };
        if self.is_linked(room, user)? {
            return Ok(()); // came back before this was told: the room has heard of the new join
        }
        let current_occupancy = self.hub.room(names::occupants(room)).count()?;
        let left = UserLeft { user_id: user.to_owned(), current_occupancy };
        self.hub.room(names::audience(room)).emit("user-left", &left)?;
        self.hub.tell(room, "left", &left);
        Ok(())
    }

    /// `signal`: words from one member of a room to another.
    pub(crate) fn signal(&self, conn: &Conn, signal: Result<SignalIn>, size: usize) -> Result<Done> {
        self.allow(conn, Deed::Signal, self.settings.signals_per_second)?;
        let signal = signal.map_err(|_| Trouble::InvalidRequest.because("A signal is {to, data}"))?;
        if size > MAX_SIGNAL {
            return Err(Trouble::InvalidRequest.because("A signal is limited to 64 KiB"));
        }
        let room = room_id(conn)?;
        let joiner =
            conn.get_data::<Joiner>()?.filter(|me| self.is_linked(room, &me.user_id).unwrap_or(false));
        let joiner = joiner.ok_or_else(|| Trouble::InvalidUser.because("Join the room first"))?;
        names::check_id(&signal.to, "to")?;
        if !self.is_linked(room, &signal.to)? {
            return Err(Trouble::InvalidUser.because("Nobody of this id is connected to the room"));
        }
        let to = self.hub.room(names::links(room, &signal.to));
        to.emit("signal", &SignalOut { from: joiner.user_id, data: signal.data })?;
        Ok(Done { success: true })
    }

    /// Gives the outcome of an event; a failure is told by `error` too.
    pub(crate) fn outcome<T>(&self, conn: &Conn, trouble: Trouble, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| {
            let error = trouble.over(error);
            self.count_error(&error);
            tell(conn, &error);
            error
        })
    }

    /// Whether a user is in a room with a connection.
    fn is_linked(&self, room: &str, user: &str) -> Result<bool> {
        Ok(self.hub.room(names::links(room, user)).count()? > 0)
    }

    fn allow(&self, conn: &Conn, deed: Deed, per_second: u32) -> Result<()> {
        if self.watch.allow(conn, deed, per_second) {
            return Ok(());
        }
        Err(Trouble::RateLimited.because("Too many events, slow down"))
    }
}

fn missing(what: &str) -> Error {
    Trouble::InvalidRequest.because(format!("{what} is required"))
}
