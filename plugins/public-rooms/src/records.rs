//! Users and rooms as they are stored, until nobody has used them for long enough.

use exedra_sdk::{prelude::*, random, time::Timestamp};

use crate::{
    PublicRooms,
    address::Address,
    names::{self, check_id, checked_name},
    trouble::Trouble,
    wire::{NewRoom, NewUser, Page, PutRoom, RoomList, RoomView, UserView},
};

/// Most characters of a user's name.
const MAX_USER_NAME: usize = 64;
/// Most characters of a room's name.
const MAX_ROOM_NAME: usize = 100;
/// Most rooms on a page.
const MAX_PAGE: u32 = 100;
/// What one address makes is counted over this time.
const COUNTED: Duration = Duration::from_secs(3600);

/// A user, who is whoever comes from the same address and knows the id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) user_id: String,
    pub(crate) user_name: String,
    /// The digest of the address.
    address: String,
    pub(crate) created_at: u64,
    pub(crate) used_at: u64,
}

/// A room.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RoomRecord {
    pub(crate) room_id: String,
    pub(crate) name: String,
    pub(crate) max_occupancy: u32,
    pub(crate) created_at: u64,
    pub(crate) used_at: u64,
    /// Whether an operator wants it to stay.
    #[serde(default)]
    pub(crate) kept: bool,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.user_id.clone(),
            user_id: user.user_id.clone(),
            user_name: user.user_name.clone(),
            created_at: Timestamp(user.created_at),
        }
    }
}

impl PublicRooms {
    /// Makes a user of an address.
    pub(crate) async fn make_user(&self, from: &Address, new: NewUser) -> Result<UserView> {
        let user_name = checked_name(&new.user_name, "userName", MAX_USER_NAME)?;
        let (user_id, now) = (random::id()?, self.hub.now_ms());
        self.users.has_place(self.settings.max_users)?;
        self.count_made("users", from, &user_id, self.settings.users_per_ip)?;
        let address = from.as_str().to_owned();
        let user = User { user_id, user_name, address, created_at: now, used_at: now };
        self.hub.kv().create(&names::user_key(&user.user_id), &user).await?;
        self.users.added();
        Ok(UserView::from(&user))
    }

    /// The user, if it is this address's own.
    pub(crate) async fn user(&self, id: &str, from: &Address) -> Result<User> {
        check_id(id, "userId")?;
        let (key, now) = (names::user_key(id), self.hub.now_ms());
        let found = self.hub.kv().get::<User>(&key).await?;
        let own =
            |user: &User| user.address == from.as_str() && !self.settings.user_ttl.is_over(user.used_at, now);
        let found = found.filter(|found| own(&found.value));
        let found =
            found.ok_or_else(|| Trouble::InvalidUser.because("User not found or not from this address"))?;
        let mut user = found.value;
        if Span(self.settings.user_ttl.0 / 4).is_over(user.used_at, now) {
            user.used_at = now;
            self.renew(&key, &user, found.revision).await;
        }
        Ok(user)
    }

    /// Makes a room for anybody.
    pub(crate) async fn make_room(&self, from: &Address, new: NewRoom) -> Result<RoomView> {
        let room_id = new.room_id.map_or_else(random::id, Ok)?;
        let room = self.room_record(room_id, &new.name, new.max_occupancy, false)?;
        self.rooms.has_place(self.settings.max_rooms)?;
        self.count_made("rooms", from, &room.room_id, self.settings.rooms_per_ip)?;
        let made = self.hub.kv().create(&names::room_key(&room.room_id), &room).await;
        made.map_err(|error| match error.code {
            Code::Conflict => Error::conflict("a room with this id exists already").with_code("ROOM_EXISTS"),
            _ => error,
        })?;
        self.rooms.added();
        self.view(&room)
    }

    /// Makes a room for an operator, or changes one.
    pub(crate) async fn put_room(&self, put: PutRoom) -> Result<RoomView> {
        let room = self.room_record(put.room_id, &put.name, put.max_occupancy, true)?;
        let change = |before: Option<RoomRecord>| {
            let created_at = before.map_or(room.created_at, |before| before.created_at);
            Ok(RoomRecord { created_at, ..room.clone() })
        };
        let written = self.hub.kv().modify(&names::room_key(&room.room_id), change).await?;
        self.view(&written)
    }

    /// Forgets a room; whoever is in it may stay until leaving.
    pub(crate) async fn remove_room(&self, id: &str) -> Result<()> {
        self.room(id).await?;
        self.hub.kv().remove(&names::room_key(id)).await
    }

    /// The room, if there is one.
    pub(crate) async fn room(&self, id: &str) -> Result<RoomRecord> {
        check_id(id, "roomId")?;
        let (key, now) = (names::room_key(id), self.hub.now_ms());
        let found = self.hub.kv().get::<RoomRecord>(&key).await?;
        let found = found.ok_or_else(|| Trouble::RoomNotFound.because("Room not found"))?;
        let mut room = found.value;
        if Span(self.settings.room_ttl.0 / 4).is_over(room.used_at, now) {
            room.used_at = now;
            self.renew(&key, &room, found.revision).await;
        }
        Ok(room)
    }

    /// A page of the rooms, by id.
    pub(crate) async fn list_rooms(&self, page: Page) -> Result<RoomList> {
        let limit = page.limit.unwrap_or(50).clamp(1, MAX_PAGE);
        let after = page.after.map(|id| names::room_key(&id));
        let found = self.hub.kv().list::<RoomRecord>(names::ROOMS, after.as_deref(), limit).await?;
        let rooms: Vec<_> = found.iter().map(|entry| self.view(&entry.value)).collect::<Result<_>>()?;
        let full = rooms.len() == limit as usize;
        let next = rooms.last().filter(|_| full).map(|room| room.room_id.clone());
        Ok(RoomList { rooms, next })
    }

    /// The room as everybody sees it.
    pub(crate) fn view(&self, room: &RoomRecord) -> Result<RoomView> {
        Ok(RoomView {
            id: room.room_id.clone(),
            room_id: room.room_id.clone(),
            name: room.name.clone(),
            max_occupancy: room.max_occupancy,
            current_occupancy: self.hub.room(names::occupants(&room.room_id)).count()?,
            created_at: Timestamp(room.created_at),
        })
    }

    /// Takes out some of what nobody has used for long.
    pub(crate) async fn sweep_records(&self) -> Result<()> {
        let (kv, now) = (self.hub.kv(), self.hub.now_ms());
        self.users.sweep(&kv, |user: &User| self.settings.user_ttl.is_over(user.used_at, now)).await?;
        let is_over = |room: &RoomRecord| {
            let is_used = room.kept || !self.settings.room_ttl.is_over(room.used_at, now);
            !is_used && self.is_empty(&room.room_id)
        };
        self.rooms.sweep(&kv, is_over).await.map(drop)
    }

    /// Whether nobody is in a room or listens to it.
    fn is_empty(&self, room: &str) -> bool {
        let nobody = |name: String| self.hub.room(name).count().is_ok_and(|count| count == 0);
        nobody(names::occupants(room)) && nobody(names::audience(room))
    }

    fn room_record(&self, room_id: String, name: &str, most: Option<u32>, kept: bool) -> Result<RoomRecord> {
        check_id(&room_id, "roomId")?;
        let name = checked_name(name, "name", MAX_ROOM_NAME)?;
        let max_occupancy = most.unwrap_or(self.settings.default_occupancy);
        if max_occupancy == 0 || max_occupancy > self.settings.max_occupancy {
            let sentence = format!("maxOccupancy must be from 1 to {}", self.settings.max_occupancy);
            return Err(Trouble::InvalidRequest.because(sentence));
        }
        let now = self.hub.now_ms();
        Ok(RoomRecord { room_id, name, max_occupancy, created_at: now, used_at: now, kept })
    }

    /// Writes when something was used last. Losing that is no harm: the next use writes it again.
    async fn renew(&self, key: &str, value: &impl Serialize, revision: u64) {
        if let Err(error) = self.hub.kv().update(key, value, revision).await {
            exedra_sdk::debug!("not renewed: {}", error.code_str());
        }
    }

    /// Counts what an address makes: a place for an hour in a room of so many.
    fn count_made(&self, kind: &str, from: &Address, id: &str, most: u32) -> Result<()> {
        let made = self.hub.room(names::made(kind, from));
        made.join_user_max(id, &(), COUNTED, u64::from(most)).map(drop).map_err(|error| match error.code {
            Code::Busy => {
                Trouble::RateLimited.because(format!("too many {kind} from this address, come back later"))
            }
            _ => error,
        })
    }
}
