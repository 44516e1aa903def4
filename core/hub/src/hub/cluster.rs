//! Several nodes as one hub: what happens here goes into the ledger, what the ledger says happens here.
//!
//! Everybody in a room here is served without a look at the others. Changes go to the [`desk`] in the order in which
//! they happened, from there into the ledger, and come back with everybody else's, in one order for all ([`reading`]).
//! [`interest`] is about who attends which rooms, and room messages between nodes; [`beginning`] about since when, and
//! [`catching_up`] about what was missed; [`sessions`] about clients that come back to another node.

mod beginning;
mod catching_up;
mod desk;
mod intake;
mod interest;
mod reading;
mod sessions;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::Hub;
use crate::{
    Code, ConnId, Refusal, Task,
    cluster::{
        NodeId,
        ledger::{Change, Hold},
        nodes::{BEATS, Nodes},
    },
    coalesce::StateKey,
    port::{Call, Cluster, Ears, Place, PluginId},
    rooms::{Joined, Left, Places, RoomKey, millis_of},
};
use desk::Desk;
use interest::Interests;
pub(super) use sessions::Adopted;
use sessions::Sessions;

/// How long the ledger may take to say who gets a place.
const VERDICT: Duration = Duration::from_secs(3);
/// Places that may be waited for at the same time; more are refused with `BUSY`.
const ASKS: usize = 4096;

/// How often the records of all sessions are written again: those that nobody writes run out after an hour.
const RECORDS_AGAIN: Duration = Duration::from_secs(20 * 60);

/// How nodes live together.
#[derive(Debug, Clone)]
pub struct Rules {
    /// This node's name, for people.
    pub name: String,
    /// A node that is dead is noticed within this time.
    pub lease: Duration,
}

/// Another node, for operators.
#[derive(Debug, Clone, serde::Serialize)]
pub struct NodeView {
    /// Its number.
    pub node: String,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is known who is connected there.
    pub known: bool,
}

/// The hub as one of several nodes.
pub(super) struct United {
    link: Arc<dyn Cluster>,
    me: NodeId,
    rules: Rules,
    desk: Desk,
    /// Held by whoever changes who is in a room, from the change to the desk; the state of the node is read between two
    /// changes. Taken after a recovery line, before everything else.
    turn: RwLock<()>,
    /// Who is there. Held while an entry is read, so before all other locks but a line.
    nodes: Mutex<Nodes>,
    /// Parts of states that have come so far.
    kept: Mutex<HashMap<NodeId, Places>>,
    interests: Interests,
    sessions: Sessions,
    asks: Mutex<HashMap<u64, oneshot::Sender<bool>>>,
    next_ask: AtomicU64,
    /// States that were asked for here and are to be sent by the others too.
    asked_here: Mutex<HashSet<StateKey>>,
    /// Whether it is known who else is there, since the start.
    settled: AtomicBool,
}

/// Who wants one of a bounded number of places.
pub enum Claimant {
    /// A connection, under its own key or under one that the plugin gives.
    Connection(ConnId, Option<String>),
    /// A user without a connection, for a time.
    User(String, Duration),
}

impl Hub {
    /// Makes the hub one of several nodes. Before [`Hub::run`], and once.
    ///
    /// # Errors
    /// That it has been done before.
    pub fn unite(self: &Arc<Self>, link: Arc<dyn Cluster>, rules: Rules) -> Result<(), String> {
        let me = link.node();
        self.rooms.belong(me);
        let united = United {
            desk: Desk::new(rules.name.clone().into()),
            link: link.clone(),
            me,
            rules,
            turn: RwLock::new(()),
            nodes: Mutex::new(Nodes::new(me)),
            kept: Mutex::default(),
            interests: Interests::default(),
            sessions: Sessions::default(),
            asks: Mutex::default(),
            next_ask: AtomicU64::new(1),
            asked_here: Mutex::default(),
            settled: AtomicBool::new(false),
        };
        self.united.set(united).map_err(|_| "the hub is in a cluster already".to_owned())?;
        link.listen(Arc::new(Ear(Arc::downgrade(self))));
        Ok(())
    }

    /// The other nodes, when there is a cluster.
    pub fn view_nodes(&self) -> Vec<NodeView> {
        let Some(united) = self.united.get() else { return Vec::new() };
        let nodes = united.nodes.lock().list();
        nodes
            .into_iter()
            .map(|(node, name, known)| NodeView { node: node.to_string(), name, known })
            .collect()
    }

    /// Why the hub cannot do its part in the cluster; `None` when it can, or is alone.
    pub fn cluster_trouble(&self) -> Option<String> {
        let united = self.united.get()?;
        united.link.trouble().or_else(|| {
            let settled = united.settled.load(Ordering::Acquire);
            (!settled).then(|| "the other nodes have not said yet who is connected there".to_owned())
        })
    }

    /// Brings the gauges of the cluster up to date, for whoever reads them next.
    pub fn sample_cluster(&self) {
        let metrics = &self.parts.metrics.cluster;
        let known = self.view_nodes().iter().filter(|node| node.known).count();
        metrics.nodes.set(i64::try_from(known).unwrap_or(i64::MAX));
        metrics.up.set(i64::from(self.cluster_trouble().is_none()));
    }

    /// Whether there may be other nodes.
    pub(super) fn is_united(&self) -> bool {
        self.united.get().is_some()
    }

    /// Gives one of at most `max` places in a room, exactly, however many nodes give them. While the ledger is away it is
    /// decided by what is known.
    pub fn claim(
        self: &Arc<Self>,
        plugin: PluginId,
        room: &str,
        who: Claimant,
        meta: Bytes,
        max: Option<u64>,
    ) -> Task<Result<Joined, Refusal>> {
        let (hub, room) = (self.clone(), room.to_owned());
        let (Some(bound), Some(_)) = (max, self.united.get().filter(|united| united.is_up())) else {
            return Box::pin(std::future::ready(self.enter(plugin, &room, &who, meta, max)));
        };
        Box::pin(async move {
            hub.reserve(plugin, &room, &who, &meta, bound).await?;
            hub.enter(plugin, &room, &who, meta, None).inspect_err(|_| hub.give_back(plugin, &room, &who))
        })
    }

    fn enter(
        self: &Arc<Self>,
        plugin: PluginId,
        room: &str,
        who: &Claimant,
        meta: Bytes,
        max: Option<u64>,
    ) -> Result<Joined, Refusal> {
        match who {
            Claimant::Connection(conn, None) => self.join(plugin, *conn, room, meta, max),
            Claimant::Connection(conn, Some(user)) => self.join_as(plugin, *conn, room, user, meta, max),
            Claimant::User(user, ttl) => self.join_user(plugin, room, user, meta, *ttl, max),
        }
    }

    /// Asks the ledger for a place, and waits for what it says.
    async fn reserve(
        &self,
        plugin: PluginId,
        room: &str,
        who: &Claimant,
        meta: &Bytes,
        max: u64,
    ) -> Result<(), Refusal> {
        let Some(united) = self.united.get() else { return Ok(()) };
        let key = self.room(plugin, room)?;
        let user = self.claimant(plugin, who)?;
        if self.rooms.holding(&key, &user).is_some() {
            return Ok(()); // it has a place already
        }
        let (ask, verdict) = united.ask()?;
        let now = millis_of(self.parts.clock.now());
        let (connections, lease) = match who {
            Claimant::Connection(..) => (1, None),
            Claimant::User(_, ttl) => (0, Some(*ttl)),
        };
        let place = self.place(&key);
        let hold = Hold { place, user, meta: meta.clone(), joined: now, seen: now, connections, lease };
        united.desk.put(Change::Reserve { hold, max, ask });
        let said = match select(verdict, self.parts.clock.sleep(VERDICT)).await {
            Either::Left((said, _)) => said.ok(),
            Either::Right(_) => None,
        };
        united.asks.lock().remove(&ask);
        match said {
            Some(true) => Ok(()),
            Some(false) => Err(super::ops::full()),
            None => Err(Refusal::new(Code::Unavailable, "the cluster cannot say who gets the place")),
        }
    }

    /// Who a claimant is in the room.
    fn claimant(&self, plugin: PluginId, who: &Claimant) -> Result<Arc<str>, Refusal> {
        match who {
            Claimant::Connection(conn, None) => self.own(plugin, *conn).map(|connection| connection.user()),
            Claimant::Connection(conn, Some(user)) => {
                self.own(plugin, *conn)?;
                self.named(user, "member")?;
                Ok(user.as_str().into())
            }
            Claimant::User(user, _) => {
                self.named(user, "user")?;
                Ok(user.as_str().into())
            }
        }
    }

    /// A place that was given and cannot be taken.
    fn give_back(&self, plugin: PluginId, room: &str, who: &Claimant) {
        let (Some(united), Ok(key)) = (self.united.get(), self.room(plugin, room)) else { return };
        let user: Arc<str> = match who {
            Claimant::Connection(conn, None) => {
                match self.claimant(plugin, &Claimant::Connection(*conn, None)) {
                    Ok(user) => user,
                    Err(_) => return united.desk.ask_for_state(), // the connection has gone, and its name with it
                }
            }
            Claimant::Connection(_, Some(user)) | Claimant::User(user, _) => user.as_str().into(),
        };
        self.free_if_absent(united, &key, &user);
    }

    /// Says that a member has no place here, if it has none.
    fn free_if_absent(&self, united: &United, key: &RoomKey, user: &Arc<str>) {
        let _turn = united.turn.read_recursive();
        if self.rooms.holding(key, user).is_none() {
            let (place, user) = (self.place(key), user.clone());
            united.desk.put(Change::Free { place, user, meta: Bytes::new(), told: true });
        }
    }

    /// Held while somebody joins or leaves, from the change to its note.
    pub(super) fn turn(&self) -> Option<RwLockReadGuard<'_, ()>> {
        self.united.get().map(|united| united.turn.read_recursive())
    }

    /// Takes note of a join: counts it, and tells the other nodes.
    pub(super) fn note_joined(self: &Arc<Self>, key: &RoomKey, user: &Arc<str>, joined: Joined) {
        if let Some(slot) = self.slot(key.plugin) {
            if joined.opened {
                slot.metrics.rooms.inc();
            }
            if joined.new_here {
                slot.metrics.members.inc();
            }
        }
        let Some(united) = self.united.get() else { return };
        if joined.first_heard {
            self.sync_interest(united, key);
        }
        self.write_hold(united, key, user);
    }

    fn write_hold(&self, united: &United, key: &RoomKey, user: &Arc<str>) {
        if let Some(holding) = self.rooms.holding(key, user) {
            let now = self.parts.clock.elapsed();
            united.desk.put(Change::Hold(holding.hold(self.place(key), user.clone(), now)));
        }
    }

    /// Takes note of a leave: counts it, tells the other nodes, and tells the plugin of a member that has gone: at once
    /// when the hub is alone or cut off, else when the ledger has said so.
    pub(super) fn settle_left(self: &Arc<Self>, key: &RoomKey, left: Left) {
        let Some(slot) = self.slot(key.plugin) else { return };
        if left.closed {
            slot.metrics.rooms.dec();
        }
        if left.member.is_some() {
            slot.metrics.members.dec();
        }
        let Some(united) = self.united.get() else {
            return left.member.into_iter().for_each(|(user, meta)| self.tell_leave(key, user, meta));
        };
        if left.last_heard {
            self.sync_interest(united, key);
        }
        let Some((user, meta)) = left.member else { return self.write_hold(united, key, &left.user) };
        let told = left.last && !united.is_up();
        if told {
            self.rooms.free(united.me, key, &user); // it is told once: the ledger has nothing to end any more
            self.tell_leave(key, user.clone(), meta.clone());
        }
        united.desk.put(Change::Free { place: self.place(key), user, meta, told });
    }

    /// Tells the plugin that a member has gone.
    pub(super) fn tell_leave(self: &Arc<Self>, key: &RoomKey, user: Arc<str>, meta: Bytes) {
        if self.slot(key.plugin).is_some_and(|slot| slot.manifest.on_leave) {
            let (hub, key) = (self.clone(), key.clone());
            self.spawn(Box::pin(async move {
                hub.tell(key.plugin, Call::Leave { room: key.name, user, meta }).await;
            }));
        }
    }

    /// Takes a user out on every node; `None` when only this one has it, or nobody.
    pub(super) fn evict_elsewhere(self: &Arc<Self>, key: &RoomKey, user: &str) -> Option<Left> {
        let united = self.united.get().filter(|united| united.is_up())?;
        let _turn = united.turn.read_recursive();
        let meta = self.rooms.meta_elsewhere(key, user)?;
        let user: Arc<str> = user.into();
        self.remove_here(key, &user, None);
        united.desk.put(Change::Evict { place: self.place(key), user: user.clone(), meta });
        let members = self.rooms.count(key).saturating_sub(1);
        Some(Left { last: true, members, closed: false, last_heard: false, user, member: None })
    }

    /// A connection holds a member's place from now on: places without one end on the other nodes too.
    pub(super) fn unlease_elsewhere(&self, key: &RoomKey, user: &Arc<str>) {
        let Some(united) = self.united.get() else { return };
        if self.rooms.is_leased_elsewhere(key, user) {
            united.desk.put(Change::Unlease { place: self.place(key), user: user.clone() });
        }
    }

    /// Takes a member's connections and lease here out of a room without a word: somebody else tells of it. With `only`,
    /// no other connections than those.
    fn remove_here(self: &Arc<Self>, key: &RoomKey, user: &Arc<str>, only: Option<&[ConnId]>) {
        let connections = match only {
            Some(only) => only.to_vec(),
            None => self.rooms.connections_of(key, user),
        };
        let mut lefts = Vec::new();
        for id in connections {
            if let Some(connection) = self.connections.get(id) {
                connection.state.lock().rooms.retain(|place| place.key != *key);
            }
            lefts.extend(self.rooms.leave(key, id));
        }
        lefts.extend(self.rooms.end_lease(key, user));
        let Some(slot) = self.slot(key.plugin) else { return };
        for left in lefts {
            if left.member.is_some() {
                slot.metrics.members.dec();
                if left.closed {
                    slot.metrics.rooms.dec();
                }
            }
            if let (true, Some(united)) = (left.last_heard, self.united.get()) {
                self.sync_interest(united, key);
            }
        }
    }

    /// A state was asked for here: the others send it too.
    pub(super) fn note_asked(&self, key: &StateKey) {
        if let Some(united) = self.united.get() {
            united.asked_here.lock().insert(key.clone());
        }
    }

    /// A state is sent here: if it was asked for here, the others hear of it.
    pub(super) fn spread_state(&self, key: &StateKey) {
        let Some(united) = self.united.get() else { return };
        if united.asked_here.lock().remove(key) {
            let place = self.place(&RoomKey { plugin: key.plugin, name: key.room.clone() });
            united.desk.put(Change::Refresh { place, state: key.state });
        }
    }

    /// What nodes do by themselves: write the ledger, and show that they live.
    pub(super) fn live_together(self: &Arc<Self>) -> Vec<Task> {
        if self.united.get().is_none() {
            return Vec::new();
        }
        let (writer, heart, keeper) = (self.clone(), self.clone(), self.clone());
        vec![
            Box::pin(async move { writer.write_ledger().await }),
            Box::pin(async move { heart.beat().await }),
            Box::pin(async move { keeper.keep_records().await }),
        ]
    }

    async fn beat(self: Arc<Self>) {
        let Some(united) = self.united.get() else { return };
        united.desk.ask_for_hello();
        let mut written = self.parts.clock.elapsed();
        loop {
            self.parts.clock.sleep(united.rules.lease / BEATS).await;
            if self.parts.clock.elapsed().saturating_sub(written) > RECORDS_AGAIN {
                written = self.parts.clock.elapsed();
                self.note_all_sessions();
            }
            let silent = {
                let nodes = united.nodes.lock();
                // The first look round is over when our own heart has been heard twice.
                if nodes.all_known() && nodes.beat() >= 2 {
                    united.settled.store(true, Ordering::Release);
                }
                nodes.silent()
            };
            united.desk.beat();
            silent.into_iter().for_each(|(node, heard)| united.desk.bury(node, heard));
        }
    }

    /// Asks the other nodes to say anew who is in their rooms.
    pub(super) fn ask_about_all(&self) {
        if let Some(united) = self.united.get() {
            united.desk.ask_for_hello();
        }
    }

    /// Nothing stays of the rooms of a plugin that is none any more, here or in what the others know of us.
    pub(super) fn forget_rooms(&self, plugin: PluginId) {
        let _turn = self.united.get().map(|united| united.turn.write());
        let had = self.rooms.forget(plugin);
        if let Some(united) = self.united.get().filter(|_| had) {
            united.desk.ask_for_state();
        }
    }

    /// Says goodbye to the others; ends when they have it, or after a second.
    pub async fn part(&self) {
        let Some(united) = self.united.get().filter(|united| united.is_up()) else { return };
        let written = united.desk.bye();
        let _ = select(written, self.parts.clock.sleep(Duration::from_secs(1))).await;
    }

    fn place(&self, key: &RoomKey) -> Place {
        let plugin = self.slot(key.plugin).map_or("", |slot| &slot.manifest.name);
        Place { plugin: plugin.into(), room: key.name.clone() }
    }

    fn key_of(&self, place: &Place) -> Option<RoomKey> {
        Some(RoomKey { plugin: self.plugin_named(&place.plugin)?, name: place.room.clone() })
    }
}

impl United {
    fn is_up(&self) -> bool {
        self.link.trouble().is_none()
    }

    fn ask(&self) -> Result<(u64, oneshot::Receiver<bool>), Refusal> {
        let mut asks = self.asks.lock();
        if asks.len() >= ASKS {
            return Err(Refusal::new(Code::Busy, "too many places are asked for at once"));
        }
        let ask = self.next_ask.fetch_add(1, Ordering::Relaxed);
        let (sender, verdict) = oneshot::channel();
        asks.insert(ask, sender);
        Ok((ask, verdict))
    }
}

/// The hub's ears; they do not keep it alive.
struct Ear(Weak<Hub>);

impl Ears for Ear {
    fn entry(&self, number: u64, entry: Bytes) {
        if let Some(hub) = self.0.upgrade() {
            hub.read_entry(number, &entry);
        }
    }

    fn lost(&self) {
        if let Some(hub) = self.0.upgrade() {
            hub.lose_ledger();
        }
    }

    fn away(&self) {
        if let Some(hub) = self.0.upgrade() {
            hub.hold_rooms();
        }
    }

    fn back(&self) {
        if let Some(hub) = self.0.upgrade() {
            hub.catch_up();
        }
    }

    fn parcels(&self, parcels: Vec<(Arc<Place>, Bytes)>) {
        if let Some(hub) = self.0.upgrade() {
            hub.take_parcels(parcels);
        }
    }

    fn told(&self, parcel: Bytes) {
        if let Some(hub) = self.0.upgrade() {
            hub.hear_release(&parcel);
        }
    }
}
