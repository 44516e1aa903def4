//! Who is in which room. A room belongs to a plugin and holds connections; its members are users, one each however
//! many connections they have, plus users that hold a place for a while without any (a lease).
//!
//! In a cluster a member may have places on several nodes: what is here is known from what happens here, what is
//! elsewhere from the ledger ([`holds`]).
//!
//! Pure but for its locks: time is given, nothing is sent. The registry is sharded; no lock is held while a
//! broadcast walks the audience, because the audience is a shared snapshot that the next change copies.

mod holds;
mod sizes;

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use indexmap::IndexMap;
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{cluster::NodeId, connection::ConnId, port::PluginId};

pub(crate) use holds::{Lost, Places};
pub use sizes::Size;

const SHARDS: usize = 64;

/// A room: whose, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomKey {
    /// The plugin that owns the room; equal names of two plugins are two rooms.
    pub plugin: PluginId,
    /// The name, as the plugin gave it.
    pub name: Arc<str>,
}

/// Everyone in a room who takes messages, by connection.
pub type Audience<T> = Arc<IndexMap<ConnId, Seat<T>>>;

/// A connection's place in a room.
#[derive(Debug, Clone)]
pub struct Seat<T> {
    /// What messages are handed to.
    pub receiver: T,
    /// The member that the connection counts for.
    pub user: Arc<str>,
}

#[derive(Debug)]
struct Room<T> {
    audience: Audience<T>,
    /// In order of joining, those that are only written in the ledger too.
    members: IndexMap<Arc<str>, Member>,
    /// Members with a place here.
    here: u32,
    /// Entries of `members` that are none: their last place was here and is gone, and the ledger has yet to say so.
    shadows: u32,
}

/// A member. There are as many as connections and more, so what few have is boxed.
#[derive(Debug)]
struct Member {
    meta: Option<Box<Bytes>>,
    joined_at: Stamp,
    last_seen: Stamp,
    connections: u32,
    /// Until when (monotonic) the member stays without a connection.
    lease: Option<Box<Duration>>,
    /// Its places as the ledger tells them, ours among them; `None` for a hub that runs alone.
    #[expect(clippy::box_collection, reason = "a word instead of three, for the many that have none")]
    ledger: Option<Box<Vec<holds::Written>>>,
}

impl Member {
    fn new(now: SystemTime) -> Self {
        Self {
            meta: None,
            joined_at: now.into(),
            last_seen: now.into(),
            connections: 0,
            lease: None,
            ledger: None,
        }
    }

    /// Whether it has a place on this node.
    fn is_here(&self) -> bool {
        self.connections > 0 || self.lease.is_some()
    }

    fn meta(&self) -> Bytes {
        self.meta.as_deref().cloned().unwrap_or_default()
    }
}

impl<T> Room<T> {
    fn empty() -> Self {
        Self { audience: Arc::new(IndexMap::new()), members: IndexMap::new(), here: 0, shadows: 0 }
    }

    /// How many members it has, wherever they are.
    fn len(&self) -> u64 {
        self.members.len() as u64 - u64::from(self.shadows)
    }

    fn has(&self, user: &str, me: NodeId) -> bool {
        self.members.get(user).is_some_and(|member| member.is_here() || member.is_elsewhere(me))
    }

    /// Changes a member, and counts what that makes of it.
    fn change<R>(&mut self, user: &str, me: NodeId, change: impl FnOnce(&mut Member) -> R) -> Option<R> {
        let member = self.members.get_mut(user)?;
        let counts = |member: &Member| {
            (u32::from(member.is_here()), u32::from(!member.is_here() && !member.is_elsewhere(me)))
        };
        let before = counts(member);
        let changed = change(member);
        let after = counts(member);
        self.here = self.here + after.0 - before.0;
        self.shadows = self.shadows + after.1 - before.1;
        Some(changed)
    }
}

/// A time of day in half the bytes of a `SystemTime`: milliseconds since 1970, as members are told.
#[derive(Debug, Clone, Copy)]
struct Stamp(u64);

impl From<SystemTime> for Stamp {
    fn from(time: SystemTime) -> Self {
        Self(millis_of(time))
    }
}

impl From<Stamp> for SystemTime {
    fn from(stamp: Stamp) -> Self {
        Self::UNIX_EPOCH + Duration::from_millis(stamp.0)
    }
}

type Shard<T> = Mutex<HashMap<RoomKey, Room<T>>>;

/// All rooms.
#[derive(Debug)]
pub struct Rooms<T> {
    shards: Box<[Shard<T>]>,
    hasher: RandomState,
    /// Which node we are; a hub that runs alone is none.
    me: OnceLock<NodeId>,
    /// Leases in order of their end; entries may be outdated and are checked when their time comes.
    /// Taken after a shard's lock, never before.
    leases: Mutex<BTreeSet<(Duration, RoomKey, Arc<str>)>>,
}

/// A join that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// Whether the user was no member before.
    pub first: bool,
    /// How many members the room has now.
    pub members: u64,
    /// Whether nobody was in the room here before.
    #[serde(skip)]
    pub opened: bool,
    /// Whether the user had no place here before.
    #[serde(skip)]
    pub new_here: bool,
    /// Whether no connection was in the room here before, and one is now.
    #[serde(skip)]
    pub first_heard: bool,
}

/// A leave that did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Whether the user is no member any more.
    pub last: bool,
    /// How many members the room has now.
    pub members: u64,
    /// Whether nobody is in the room here any more.
    #[serde(skip)]
    pub closed: bool,
    /// Whether it was the last connection in the room here.
    #[serde(skip)]
    pub last_heard: bool,
    /// Who.
    #[serde(skip)]
    pub user: Arc<str>,
    /// The member that has no place here any more, with its meta.
    #[serde(skip)]
    pub member: Option<(Arc<str>, Bytes)>,
}

/// A member as plugins see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// The member's key.
    pub user: Arc<str>,
    /// When it joined.
    #[serde(serialize_with = "millis")]
    pub joined_at: SystemTime,
    /// When it last joined or renewed.
    #[serde(serialize_with = "millis")]
    pub last_seen: SystemTime,
    /// Open connections; 0 for one that holds its place by a lease.
    pub connections: u32,
    /// What the plugin said of it; JSON, `null` for nothing.
    #[serde(serialize_with = "raw_json")]
    pub meta: Bytes,
}

/// The room has as many members as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl<T: Clone> Rooms<T> {
    /// No rooms.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            me: OnceLock::new(),
            leases: Mutex::default(),
        }
    }

    fn me(&self) -> NodeId {
        self.me.get().copied().unwrap_or(NodeId(0))
    }

    /// Seats a connection. A second connection of a member, or the same again, renews `last_seen` and a `meta`
    /// that is not empty.
    ///
    /// # Errors
    /// [`Full`] when a new member would be more than `max`.
    pub fn join(
        &self,
        key: &RoomKey,
        (conn, receiver): (ConnId, T),
        user: &Arc<str>,
        meta: Bytes,
        now: SystemTime,
        max: Option<u64>,
    ) -> Result<Joined, Full> {
        let mut shard = self.shard(key);
        let (joined, room) = admit(&mut shard, key, user, (meta, now, max), self.me())?;
        let seat = Seat { receiver, user: user.clone() };
        let first_heard = room.audience.is_empty();
        if Arc::make_mut(&mut room.audience).insert(conn, seat).is_none() {
            room.change(user, self.me(), |member| member.connections += 1);
        }
        Ok(Joined { members: room.len(), first_heard, ..joined })
    }

    /// Makes a user a member until `until` (monotonic) without a connection, or renews it.
    ///
    /// # Errors
    /// [`Full`] when a new member would be more than `max`.
    pub fn join_user(
        &self,
        key: &RoomKey,
        user: &Arc<str>,
        meta: Bytes,
        (now, until): (SystemTime, Duration),
        max: Option<u64>,
    ) -> Result<Joined, Full> {
        let mut shard = self.shard(key);
        let (joined, room) = admit(&mut shard, key, user, (meta, now, max), self.me())?;
        if let Some(old) = room.change(user, self.me(), |member| member.lease.replace(Box::new(until))) {
            let mut leases = self.leases.lock();
            if let Some(old) = old {
                leases.remove(&(*old, key.clone(), user.clone()));
            }
            leases.insert((until, key.clone(), user.clone()));
        }
        Ok(Joined { members: room.len(), ..joined })
    }

    /// Takes a connection out; `None` when it was not in.
    pub fn leave(&self, key: &RoomKey, conn: ConnId) -> Option<Left> {
        let mut shard = self.shard(key);
        let room = shard.get_mut(key)?;
        let seat = Arc::make_mut(&mut room.audience).swap_remove(&conn)?;
        let last_heard = room.audience.is_empty();
        let left = settle(&mut shard, key, &seat.user, self.me(), |member| member.connections -= 1);
        Some(Left { last_heard, ..left })
    }

    /// Ends a user's lease; its connections stay. `None` when it had none.
    pub fn end_lease(&self, key: &RoomKey, user: &Arc<str>) -> Option<Left> {
        let mut shard = self.shard(key);
        let lease = shard.get(key)?.members.get(user)?.lease.as_deref().copied()?;
        self.leases.lock().remove(&(lease, key.clone(), user.clone()));
        Some(settle(&mut shard, key, user, self.me(), |member| member.lease = None))
    }

    /// Ends every lease that has run out by `elapsed`.
    pub fn expire(&self, elapsed: Duration) -> Vec<(RoomKey, Left)> {
        let mut over = Vec::new();
        {
            let mut leases = self.leases.lock();
            while leases.first().is_some_and(|(until, ..)| *until <= elapsed) {
                over.extend(leases.pop_first());
            }
        }
        over.into_iter().filter_map(|(until, key, user)| self.expire_one(until, key, &user)).collect()
    }

    fn expire_one(&self, until: Duration, key: RoomKey, user: &Arc<str>) -> Option<(RoomKey, Left)> {
        let mut shard = self.shard(&key);
        if shard.get(&key)?.members.get(user)?.lease.as_deref() != Some(&until) {
            return None; // renewed in the meantime
        }
        let left = settle(&mut shard, &key, user, self.me(), |member| member.lease = None);
        drop(shard);
        Some((key, left))
    }

    /// Lets go of all rooms of a plugin; says whether there were any. Nobody is told.
    pub fn forget(&self, plugin: PluginId) -> bool {
        let mut had = false;
        for shard in &*self.shards {
            let mut shard = shard.lock();
            let before = shard.len();
            shard.retain(|key, _| key.plugin != plugin);
            had |= shard.len() < before;
        }
        self.leases.lock().retain(|(_, key, _)| key.plugin != plugin);
        had
    }

    /// The connections in a room, as they are now.
    pub fn audience(&self, key: &RoomKey) -> Option<Audience<T>> {
        self.shard(key).get(key).map(|room| room.audience.clone())
    }

    /// The member that a connection counts for in a room.
    pub fn member_of(&self, key: &RoomKey, conn: ConnId) -> Option<Arc<str>> {
        self.shard(key).get(key)?.audience.get(&conn).map(|seat| seat.user.clone())
    }

    /// The member that a connection counts for in a room, and what the plugin said of it.
    pub fn place_of(&self, key: &RoomKey, conn: ConnId) -> Option<(Arc<str>, Bytes)> {
        let shard = self.shard(key);
        let room = shard.get(key)?;
        let user = room.audience.get(&conn)?.user.clone();
        let meta = room.members.get(&user).map(Member::meta);
        Some((user, meta.unwrap_or_default()))
    }

    /// The connections that a user has in a room.
    pub fn connections_of(&self, key: &RoomKey, user: &str) -> Vec<ConnId> {
        let Some(audience) = self.audience(key) else { return Vec::new() };
        audience.iter().filter(|(_, seat)| &*seat.user == user).map(|(id, _)| *id).collect()
    }

    /// The members in order of joining.
    pub fn members(&self, key: &RoomKey) -> Vec<MemberView> {
        let me = self.me();
        let shard = self.shard(key);
        let Some(room) = shard.get(key) else { return Vec::new() };
        let view = |(user, member): (&Arc<str>, &Member)| MemberView {
            user: user.clone(),
            joined_at: member.joined_at.into(),
            last_seen: member.last_seen.into(),
            connections: member.connections + member.connections_elsewhere(me),
            meta: member.meta(),
        };
        let present = room.members.iter().filter(|(_, member)| member.is_here() || member.is_elsewhere(me));
        let mut members: Vec<MemberView> = present.map(view).collect();
        drop(shard);
        if self.me.get().is_some() {
            members.sort_by(|a, b| (a.joined_at, &a.user).cmp(&(b.joined_at, &b.user))); // the same on every node
        }
        members
    }

    /// How many members a room has.
    pub fn count(&self, key: &RoomKey) -> u64 {
        self.shard(key).get(key).map_or(0, Room::len)
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether there is no room.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &RoomKey) -> parking_lot::MutexGuard<'_, HashMap<RoomKey, Room<T>>> {
        self.shards[self.hasher.hash_one(key) as usize % SHARDS].lock()
    }
}

impl<T: Clone> Default for Rooms<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Finds or makes the room and the member.
fn admit<'a, T>(
    shard: &'a mut HashMap<RoomKey, Room<T>>,
    key: &RoomKey,
    user: &Arc<str>,
    (meta, now, max): (Bytes, SystemTime, Option<u64>),
    me: NodeId,
) -> Result<(Joined, &'a mut Room<T>), Full> {
    // One whose last place was here, and whose leave has not been told yet, has not been away.
    let is_known = |room: &Room<T>| room.has(user, me) || room.members.contains_key(user);
    let (is_member, size) = shard.get(key).map_or((false, 0), |room| (is_known(room), room.len()));
    if !is_member && max.is_some_and(|max| size >= max) {
        return Err(Full);
    }
    let room = shard.entry(key.clone()).or_insert_with(Room::empty);
    let opened = room.here == 0;
    if !room.members.contains_key(user) {
        room.members.insert(user.clone(), Member::new(now));
        room.shadows += 1; // until it is given a place, at once
    }
    let mut new_here = false;
    room.change(user, me, |member| {
        new_here = !member.is_here();
        if !is_member {
            member.joined_at = now.into();
            member.meta = None;
        }
        member.last_seen = now.into();
        if !meta.is_empty() {
            member.meta = Some(Box::new(meta));
        }
    });
    Ok((Joined { first: !is_member, members: 0, opened, new_here, first_heard: false }, room))
}

/// Takes a hold off a member. Removes the member if nothing else holds its place, and the room if nobody is in it.
fn settle<T>(
    shard: &mut HashMap<RoomKey, Room<T>>,
    key: &RoomKey,
    user: &Arc<str>,
    me: NodeId,
    let_go: impl FnOnce(&mut Member),
) -> Left {
    let mut left =
        Left { last: false, members: 0, closed: false, last_heard: false, user: user.clone(), member: None };
    let Some(room) = shard.get_mut(key) else { return left };
    let state = room.change(user, me, |member| {
        let_go(member);
        (member.is_here(), member.is_elsewhere(me), member.meta())
    });
    if let Some((false, elsewhere, meta)) = state {
        left.last = !elsewhere;
        left.member = Some((user.clone(), meta));
    }
    left.closed = room.here == 0;
    sweep(shard, key, user);
    left.members = shard.get(key).map_or(0, Room::len);
    left
}

/// Removes what nothing holds any more: the member, then the room.
fn sweep<T>(shard: &mut HashMap<RoomKey, Room<T>>, key: &RoomKey, user: &str) {
    let Some(room) = shard.get_mut(key) else { return };
    if room.members.get(user).is_some_and(|member| !member.is_here() && member.ledger.is_none()) {
        room.members.shift_remove(user);
        room.shadows -= 1;
    }
    if room.members.is_empty() {
        shard.remove(key);
    }
}

fn millis<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(millis_of(*time))
}

pub(crate) fn millis_of(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn raw_json<S: Serializer>(json: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_slice::<&RawValue>(json) {
        Ok(raw) => raw.serialize(to),
        Err(_) => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn room(name: &str) -> RoomKey {
        RoomKey { plugin: PluginId(0), name: name.into() }
    }

    fn join(rooms: &Rooms<()>, name: &str, conn: u64, user: &str) -> Result<Joined, Full> {
        rooms.join(&room(name), (ConnId(conn), ()), &user.into(), Bytes::new(), NOW, None)
    }

    #[test]
    fn tabs_of_a_user_are_one_member() {
        let rooms = Rooms::new();
        assert!(join(&rooms, "r", 1, "ann").unwrap().first);
        assert!(!join(&rooms, "r", 2, "ann").unwrap().first);
        assert_eq!(rooms.count(&room("r")), 1);
        assert_eq!(rooms.members(&room("r"))[0].connections, 2);
        assert!(!rooms.leave(&room("r"), ConnId(1)).unwrap().last);
        assert!(rooms.leave(&room("r"), ConnId(2)).unwrap().last);
        assert!(rooms.is_empty());
    }

    #[test]
    fn joining_twice_counts_once() {
        let rooms = Rooms::new();
        join(&rooms, "r", 1, "ann").unwrap();
        join(&rooms, "r", 1, "ann").unwrap();
        assert!(rooms.leave(&room("r"), ConnId(1)).unwrap().last);
        assert!(rooms.leave(&room("r"), ConnId(1)).is_none());
    }

    #[test]
    fn forgotten_plugin_leaves_others_alone() {
        let rooms = Rooms::new();
        let other = RoomKey { plugin: PluginId(1), name: "r".into() };
        join(&rooms, "r", 1, "ann").unwrap();
        let until = Duration::from_secs(1);
        rooms.join_user(&other, &"bob".into(), Bytes::new(), (NOW, until), None).unwrap();
        assert!(rooms.forget(PluginId(1)) && !rooms.forget(PluginId(1)));
        assert_eq!((rooms.count(&other), rooms.count(&room("r"))), (0, 1));
        assert!(rooms.expire(until).is_empty());
    }

    #[test]
    fn bound_holds_for_members_not_tabs() {
        let rooms = Rooms::new();
        let join = |conn, user: &str| {
            rooms.join(&room("r"), (ConnId(conn), ()), &user.into(), Bytes::new(), NOW, Some(1))
        };
        assert!(join(1, "ann").is_ok());
        assert!(join(2, "ann").is_ok());
        assert_eq!(join(3, "bob").err(), Some(Full));
    }

    #[test]
    fn rooms_of_two_plugins_never_mix() {
        let rooms = Rooms::new();
        let other = RoomKey { plugin: PluginId(1), name: "r".into() };
        join(&rooms, "r", 1, "ann").unwrap();
        assert_eq!(rooms.count(&other), 0);
        assert!(rooms.leave(&other, ConnId(1)).is_none());
    }

    #[test]
    fn lease_ends_by_itself() {
        let rooms = Rooms::<()>::new();
        let second = Duration::from_secs(1);
        rooms.join_user(&room("r"), &"ann".into(), Bytes::new(), (NOW, second), None).unwrap();
        assert!(rooms.expire(second / 2).is_empty());
        rooms.join_user(&room("r"), &"ann".into(), Bytes::new(), (NOW, second * 3), None).unwrap();
        assert!(rooms.expire(second).is_empty(), "it was renewed");
        let over = rooms.expire(second * 3);
        assert_eq!(over.len(), 1);
        assert!(over[0].1.last);
        assert!(rooms.is_empty());
        assert!(rooms.leases.lock().is_empty());
    }

    #[test]
    fn connection_outlives_the_lease() {
        let rooms = Rooms::new();
        let second = Duration::from_secs(1);
        rooms.join_user(&room("r"), &"ann".into(), Bytes::new(), (NOW, second), None).unwrap();
        join(&rooms, "r", 1, "ann").unwrap();
        assert!(!rooms.expire(second)[0].1.last);
        assert!(rooms.leave(&room("r"), ConnId(1)).unwrap().last);
    }

    #[test]
    fn audience_is_a_snapshot() {
        let rooms = Rooms::new();
        join(&rooms, "r", 1, "ann").unwrap();
        let before = rooms.audience(&room("r")).unwrap();
        join(&rooms, "r", 2, "bob").unwrap();
        assert_eq!(before.len(), 1);
        assert_eq!(rooms.audience(&room("r")).unwrap().len(), 2);
    }

    #[test]
    fn members_look_like_the_contract() {
        let rooms = Rooms::new();
        let meta = Bytes::from_static(br#"{"fullName":"Ann"}"#);
        rooms.join(&room("r"), (ConnId(1), ()), &"ann".into(), meta, NOW, None).unwrap();
        assert_eq!(
            serde_json::to_string(&rooms.members(&room("r"))).unwrap(),
            r#"[{"user":"ann","joinedAt":0,"lastSeen":0,"connections":1,"meta":{"fullName":"Ann"}}]"#
        );
    }
}

#[cfg(test)]
#[path = "rooms_model_tests.rs"]
mod model;
