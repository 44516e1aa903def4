//! The registry beside a model that is too simple to be wrong: per room a list of members, each with its connections
//! and perhaps a lease. Any order of changes must look the same in both, from every side.

use proptest::prelude::*;

use super::*;

/// A change, with small numbers for who and where, so that changes meet.
#[derive(Debug, Clone)]
enum Change {
    Join { room: usize, conn: u64, meta: Option<u8>, max: Option<u64> },
    JoinUser { room: usize, user: usize, until: u64, meta: Option<u8>, max: Option<u64> },
    Leave { room: usize, conn: u64 },
    EndLease { room: usize, user: usize },
    Expire { elapsed: u64 },
}

const ROOMS: usize = 3;
const USERS: usize = 3;
/// Two tabs for each user.
const CONNS: u64 = 6;

fn change() -> impl Strategy<Value = Change> {
    let room = || 0..ROOMS;
    let max = || prop_oneof![3 => Just(None), 1 => (0_u64..4).prop_map(Some)];
    let meta = || proptest::option::of(0_u8..3);
    prop_oneof![
        4 => (room(), 0..CONNS, meta(), max())
            .prop_map(|(room, conn, meta, max)| Change::Join { room, conn, meta, max }),
        3 => (room(), 0..USERS, 0_u64..20, meta(), max())
            .prop_map(|(room, user, until, meta, max)| Change::JoinUser { room, user, until, meta, max }),
        3 => (room(), 0..CONNS).prop_map(|(room, conn)| Change::Leave { room, conn }),
        1 => (room(), 0..USERS).prop_map(|(room, user)| Change::EndLease { room, user }),
        1 => (0_u64..20).prop_map(|elapsed| Change::Expire { elapsed }),
    ]
}

/// A member of the model.
#[derive(Debug, Clone, PartialEq)]
struct Simple {
    user: usize,
    conns: Vec<u64>,
    lease: Option<u64>,
    meta: Bytes,
    joined: u64,
    seen: u64,
}

#[derive(Debug, Default)]
struct Model {
    rooms: [Vec<Simple>; ROOMS],
}

impl Model {
    fn admit(
        &mut self,
        room: usize,
        user: usize,
        meta: Option<u8>,
        now: u64,
        max: Option<u64>,
    ) -> Result<(Joined, &mut Simple), Full> {
        let members = &mut self.rooms[room];
        let opened = members.is_empty();
        let at = members.iter().position(|member| member.user == user);
        if at.is_none() {
            if max.is_some_and(|max| members.len() as u64 >= max) {
                return Err(Full);
            }
            let (conns, meta) = (Vec::new(), Bytes::new());
            members.push(Simple { user, conns, lease: None, meta, joined: now, seen: now });
        }
        let (new_here, first_heard) = (at.is_none(), false);
        let joined = Joined { first: new_here, members: members.len() as u64, opened, new_here, first_heard };
        let last = members.len() - 1;
        let member = &mut members[at.unwrap_or(last)];
        member.seen = now;
        if meta.is_some() {
            member.meta = bytes_of(meta);
        }
        Ok((joined, member))
    }

    /// Takes a hold off a member, which leaves when that was the last.
    fn release(
        &mut self,
        room: usize,
        user: usize,
        let_go: impl FnOnce(&mut Simple) -> bool,
    ) -> Option<Left> {
        let members = &mut self.rooms[room];
        let heard = |members: &[Simple]| members.iter().any(|member| !member.conns.is_empty());
        let was_heard = heard(members);
        let at = members.iter().position(|member| member.user == user)?;
        if !let_go(&mut members[at]) {
            return None;
        }
        let last = members[at].conns.is_empty() && members[at].lease.is_none();
        let member = last.then(|| members.remove(at)).map(|gone| (user_of(gone.user), gone.meta));
        let last_heard = was_heard && !heard(members);
        let (user, count) = (user_of(user), members.len() as u64);
        Some(Left { last, members: count, closed: members.is_empty(), last_heard, user, member })
    }

    fn leave(&mut self, room: usize, conn: u64) -> Option<Left> {
        self.release(room, owner(conn), |member| {
            let before = member.conns.len();
            member.conns.retain(|other| *other != conn);
            member.conns.len() < before
        })
    }

    fn expire(&mut self, elapsed: u64) -> Vec<(RoomKey, Left)> {
        let mut over: Vec<(u64, RoomKey, usize, usize)> = Vec::new();
        for (room, members) in self.rooms.iter().enumerate() {
            let due =
                members.iter().filter_map(|m| Some((m.lease.filter(|until| *until <= elapsed)?, m.user)));
            over.extend(due.map(|(until, user)| (until, key_of(room), user, room)));
        }
        over.sort();
        let mut ended = Vec::new();
        for (_, key, user, room) in over {
            ended.extend(self.release(room, user, |m| m.lease.take().is_some()).map(|left| (key, left)));
        }
        ended
    }
}

fn owner(conn: u64) -> usize {
    conn as usize % USERS
}

fn user_of(user: usize) -> Arc<str> {
    ["ann", "bob", "cyd"][user].into()
}

/// Two rooms of one plugin, and one of another with an equal name.
fn key_of(room: usize) -> RoomKey {
    let (plugin, name) = [(0, "r"), (0, "s"), (1, "r")][room];
    RoomKey { plugin: PluginId(plugin), name: name.into() }
}

fn bytes_of(meta: Option<u8>) -> Bytes {
    meta.map_or_else(Bytes::new, |number| number.to_string().into())
}

fn time(now: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(now)
}

/// Makes the same change in both, and holds what they answer against each other.
fn both(rooms: &Rooms<u64>, model: &mut Model, change: &Change, now: u64) -> Result<(), TestCaseError> {
    match *change {
        Change::Join { room, conn, meta, max } => {
            let heard = model.rooms[room].iter().any(|member| !member.conns.is_empty());
            let expected = model.admit(room, owner(conn), meta, now, max).map(|(mut joined, member)| {
                joined.first_heard = !heard;
                if !member.conns.contains(&conn) {
                    member.conns.push(conn);
                }
                joined
            });
            let user = user_of(owner(conn));
            let joined =
                rooms.join(&key_of(room), (ConnId(conn), conn), &user, bytes_of(meta), time(now), max);
            prop_assert_eq!(joined, expected);
        }
        Change::JoinUser { room, user, until, meta, max } => {
            let expected = model.admit(room, user, meta, now, max).map(|(joined, member)| {
                member.lease = Some(until);
                joined
            });
            let times = (time(now), Duration::from_secs(until));
            let joined = rooms.join_user(&key_of(room), &user_of(user), bytes_of(meta), times, max);
            prop_assert_eq!(joined, expected);
        }
        Change::Leave { room, conn } => {
            prop_assert_eq!(rooms.leave(&key_of(room), ConnId(conn)), model.leave(room, conn));
        }
        Change::EndLease { room, user } => {
            let expected = model.release(room, user, |member| member.lease.take().is_some());
            prop_assert_eq!(rooms.end_lease(&key_of(room), &user_of(user)), expected);
        }
        Change::Expire { elapsed } => {
            prop_assert_eq!(rooms.expire(Duration::from_secs(elapsed)), model.expire(elapsed));
        }
    }
    Ok(())
}

/// Everything that can be asked of a room.
fn same(rooms: &Rooms<u64>, model: &Model) -> Result<(), TestCaseError> {
    let mut leases = BTreeSet::new();
    for (room, members) in model.rooms.iter().enumerate() {
        let key = key_of(room);
        let views = rooms.members(&key);
        let seen =
            views.iter().map(|m| (m.user.clone(), m.connections, m.meta.clone(), m.joined_at, m.last_seen));
        let expected = members
            .iter()
            .map(|m| (user_of(m.user), m.conns.len() as u32, m.meta.clone(), time(m.joined), time(m.seen)));
        prop_assert_eq!(seen.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        prop_assert_eq!(rooms.count(&key), members.len() as u64);
        let audience = rooms.audience(&key);
        prop_assert_eq!(audience.is_some(), !members.is_empty());
        let mut seats: Vec<_> = audience
            .iter()
            .flat_map(|a| a.iter())
            .map(|(id, s)| (id.0, s.receiver, s.user.clone()))
            .collect();
        seats.sort();
        let conns = members.iter().flat_map(|m| m.conns.iter().map(|conn| (*conn, *conn, user_of(m.user))));
        let mut conns: Vec<_> = conns.collect();
        conns.sort();
        prop_assert_eq!(seats, conns);
        for member in members {
            let mut of_user = rooms.connections_of(&key, &user_of(member.user));
            of_user.sort_by_key(|conn| conn.0);
            let mut expected = member.conns.clone();
            expected.sort_unstable();
            prop_assert_eq!(of_user.iter().map(|conn| conn.0).collect::<Vec<_>>(), expected);
            leases.extend(member.lease.map(|l| (Duration::from_secs(l), key.clone(), user_of(member.user))));
        }
        for conn in 0..CONNS {
            let expected = members.iter().find(|m| m.conns.contains(&conn)).map(|m| user_of(m.user));
            prop_assert_eq!(rooms.member_of(&key, ConnId(conn)), expected);
        }
    }
    prop_assert_eq!(rooms.len(), model.rooms.iter().filter(|members| !members.is_empty()).count());
    prop_assert_eq!(&*rooms.leases.lock(), &leases);
    Ok(())
}

proptest! {
    #[test]
    fn registry_equals_its_model(changes in proptest::collection::vec(change(), 1..60)) {
        let (rooms, mut model) = (Rooms::new(), Model::default());
        for (now, change) in changes.iter().enumerate() {
            both(&rooms, &mut model, change, now as u64)?;
            same(&rooms, &model)?;
        }
    }
}
