//! Members' places as the ledger tells them: on other nodes, and what of ours has been written down. Which of our own
//! places the ledger knows says whether the end of one is still ours to tell.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Member, Room, RoomKey, Rooms, Stamp, sweep};
use crate::{
    cluster::{NodeId, ledger::Hold},
    connection::ConnId,
};

/// A place of a member in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    node: NodeId,
    connections: u32,
    /// Until when (monotonic, ours) it would stay without a connection.
    lease: Option<Duration>,
}

/// Members of rooms, as a node says them.
pub(crate) type Places = HashSet<(RoomKey, Arc<str>)>;

/// What a member has here.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    pub(crate) meta: Bytes,
    pub(crate) joined: u64,
    pub(crate) seen: u64,
    pub(crate) connections: u32,
    /// Until when (monotonic) it stays without a connection.
    pub(crate) lease: Option<Duration>,
}

/// What became of a place that the ledger has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freed {
    /// Whether the ledger knew of it.
    pub(crate) was_held: bool,
    /// Whether the member has other places in the ledger.
    pub(crate) others: bool,
}

/// What becomes of a member that is taken out everywhere.
#[derive(Debug, Default)]
pub(crate) struct Evicted {
    /// Whether the ledger knew of a place.
    pub(crate) was_held: bool,
    /// Its connections here, if they were in the ledger.
    pub(crate) connections: Vec<ConnId>,
    /// Whether it has a lease here that was in the ledger.
    pub(crate) lease: bool,
}

/// A member that has lost its place at a node that is gone.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) key: RoomKey,
    pub(crate) user: Arc<str>,
    pub(crate) meta: Bytes,
    /// Until when (monotonic) it was to stay without a connection.
    pub(crate) lease: Option<Duration>,
    /// Whether the ledger knows of another place.
    pub(crate) others: bool,
}

impl Member {
    fn written(&self) -> &[Written] {
        self.ledger.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether it has a place on another node.
    pub(super) fn is_elsewhere(&self, me: NodeId) -> bool {
        self.written().iter().any(|place| place.node != me)
    }

    pub(super) fn connections_elsewhere(&self, me: NodeId) -> u32 {
        self.written().iter().filter(|place| place.node != me).map(|place| place.connections).sum()
    }

    fn write(&mut self, place: Written) {
        let ledger = self.ledger.get_or_insert_default();
        match ledger.iter_mut().find(|known| known.node == place.node) {
            Some(known) => *known = place,
            None => ledger.push(place),
        }
    }

    /// Strikes a node's place out; gives it if it was there.
    fn strike(&mut self, node: NodeId) -> Option<Written> {
        let ledger = self.ledger.as_deref_mut()?;
        let at = ledger.iter().position(|place| place.node == node)?;
        let struck = ledger.swap_remove(at);
        if ledger.is_empty() {
            self.ledger = None;
        }
        Some(struck)
    }
}

impl<T> Room<T> {
    fn find_or_add(&mut self, user: &Arc<str>, joined: Stamp) {
        if !self.members.contains_key(user) {
            let member = Member { joined_at: joined, ..Member::new(joined.into()) };
            self.members.insert(user.clone(), member);
            self.shadows += 1;
        }
    }
}

impl<T: Clone> Rooms<T> {
    /// Tells who we are; only the first time counts.
    pub(crate) fn belong(&self, me: NodeId) {
        let _ = self.me.set(me);
    }

    /// Whether anybody here takes messages of a room.
    pub(crate) fn is_heard(&self, key: &RoomKey) -> bool {
        self.shard(key).get(key).is_some_and(|room| !room.audience.is_empty())
    }

    /// What is said of a member that has a place on another node; `None` when it has none there.
    pub(crate) fn meta_elsewhere(&self, key: &RoomKey, user: &str) -> Option<Bytes> {
        let shard = self.shard(key);
        let member = shard.get(key)?.members.get(user)?;
        member.is_elsewhere(self.me()).then(|| member.meta())
    }

    /// Whether a member has a place without a connection on another node.
    pub(crate) fn is_leased_elsewhere(&self, key: &RoomKey, user: &str) -> bool {
        let shard = self.shard(key);
        let member = shard.get(key).and_then(|room| room.members.get(user));
        let leased = |place: &Written| place.node != self.me() && place.lease.is_some();
        member.is_some_and(|member| member.written().iter().any(leased))
    }

    /// What a member has here; `None` for nothing.
    pub(crate) fn holding(&self, key: &RoomKey, user: &str) -> Option<Holding> {
        let shard = self.shard(key);
        let member = shard.get(key)?.members.get(user)?;
        member.is_here().then(|| holding(member))
    }

    /// Everything that members have here.
    pub(crate) fn holdings(&self) -> Vec<(RoomKey, Arc<str>, Holding)> {
        let mut all = Vec::new();
        for shard in &*self.shards {
            for (key, room) in &*shard.lock() {
                let here = room.members.iter().filter(|(_, member)| member.is_here());
                all.extend(here.map(|(user, member)| (key.clone(), user.clone(), holding(member))));
            }
        }
        all
    }

    /// A node says that a member has a place there; `false` when nothing has changed that others see. `now` is monotonic.
    pub(crate) fn write(&self, node: NodeId, key: &RoomKey, hold: &Hold, now: Duration) -> bool {
        let me = self.me();
        let mut shard = self.shard(key);
        let room = shard.entry(key.clone()).or_insert_with(Room::empty);
        let was = room.has(&hold.user, me);
        room.find_or_add(&hold.user, Stamp(hold.joined));
        let place = Written { node, connections: hold.connections, lease: hold.lease.map(|left| now + left) };
        let changed = room.change(&hold.user, me, |member| {
            member.write(place);
            if node == me {
                return false; // what we have is known better than by what we wrote
            }
            if !was || hold.joined < member.joined_at.0 {
                member.joined_at = Stamp(hold.joined);
            }
            member.last_seen = Stamp(member.last_seen.0.max(hold.seen));
            let meta = (!hold.meta.is_empty()).then(|| Box::new(hold.meta.clone()));
            let news = meta.is_some() && meta != member.meta;
            if news {
                member.meta = meta;
            }
            news
        });
        changed == Some(true) || (!was && node != me)
    }

    /// A member wants a place in order of the ledger; `false` when there are `max` already.
    pub(crate) fn reserve(&self, node: NodeId, key: &RoomKey, hold: &Hold, max: u64, now: Duration) -> bool {
        {
            let shard = self.shard(key);
            if let Some(room) = shard.get(key) {
                let written = |member: &&Member| member.ledger.is_some();
                let is_member = room.members.get(&hold.user).is_some_and(|member| member.ledger.is_some());
                if !is_member && room.members.values().filter(written).count() as u64 >= max {
                    return false;
                }
            } else if max == 0 {
                return false;
            }
        }
        self.write(node, key, hold, now);
        true
    }

    /// A node says that a member has no place there any more.
    pub(crate) fn free(&self, node: NodeId, key: &RoomKey, user: &str) -> Freed {
        let mut shard = self.shard(key);
        let freed = shard.get_mut(key).and_then(|room| {
            room.change(user, self.me(), |member| {
                let was_held = member.strike(node).is_some();
                Freed { was_held, others: !member.written().is_empty() }
            })
        });
        sweep(&mut shard, key, user);
        freed.unwrap_or(Freed { was_held: false, others: false })
    }

    /// A member is taken out everywhere: strikes out all its places, and says what of it is here and has to go.
    pub(crate) fn evict(&self, key: &RoomKey, user: &str) -> Evicted {
        let me = self.me();
        let mut shard = self.shard(key);
        let Some(room) = shard.get_mut(key) else { return Evicted::default() };
        let ours = room.change(user, me, |member| {
            let places = member.ledger.take().unwrap_or_default();
            (!places.is_empty(), places.iter().any(|place| place.node == me), member.lease.is_some())
        });
        let Some((was_held, ours, lease)) = ours else { return Evicted::default() };
        let connections = room.audience.iter().filter(|(_, seat)| ours && &*seat.user == user);
        let evicted =
            Evicted { was_held, connections: connections.map(|(id, _)| *id).collect(), lease: ours && lease };
        sweep(&mut shard, key, user);
        evicted
    }

    /// Strikes out all places of a node, but those in `kept`; gives the members that had one.
    pub(crate) fn strike_node(&self, node: NodeId, kept: &Places) -> Vec<Lost> {
        let mut lost = Vec::new();
        for shard in &*self.shards {
            let mut shard = shard.lock();
            let places = shard.iter().flat_map(|(key, room)| {
                let there = room
                    .members
                    .iter()
                    .filter(|(_, member)| member.written().iter().any(|place| place.node == node));
                there.map(|(user, _)| (key.clone(), user.clone()))
            });
            let gone: Vec<_> = places.filter(|place| !kept.contains(place)).collect();
            for (key, user) in gone {
                let Some(room) = shard.get_mut(&key) else { continue };
                let struck = room.change(&user, self.me(), |member| {
                    let struck = member.strike(node);
                    (struck.and_then(|place| place.lease), !member.written().is_empty(), member.meta())
                });
                sweep(&mut shard, &key, &user);
                if let Some((lease, others, meta)) = struck {
                    lost.push(Lost { key, user, meta, lease, others });
                }
            }
        }
        lost
    }
}

fn holding(member: &Member) -> Holding {
    Holding {
        meta: member.meta(),
        joined: member.joined_at.0,
        seen: member.last_seen.0,
        connections: member.connections,
        lease: member.lease.as_deref().copied(),
    }
}

impl Holding {
    /// As the ledger has it.
    pub(crate) fn hold(self, place: crate::port::Place, user: Arc<str>, now: Duration) -> Hold {
        Hold {
            place,
            user,
            meta: self.meta,
            joined: self.joined,
            seen: self.seen,
            connections: self.connections,
            lease: self.lease.map(|until| until.saturating_sub(now)),
        }
    }
}
