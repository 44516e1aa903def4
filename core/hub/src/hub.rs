//! The hub itself: owns the connections, the rooms and the ports, and holds the rules between them.
//!
//! Its methods are in one file per side of the ring: [`links`] for the gateway, [`ops`] for plugins, [`intake`] for
//! the bus, [`requests`] for REST, [`cluster`] for other nodes, [`views`], [`watch`], [`switching`] and [`replacing`] for operators, [`recovery`] for clients that come back, [`background`] for what happens by itself.

mod background;
mod cluster;
mod intake;
mod links;
mod ops;
mod recovery;
mod replacing;
mod requests;
mod switching;
mod views;
mod watch;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use rand::Rng;

use crate::{
    Code, Connection, Limits, Refusal, Task,
    coalesce::Coalescer,
    connection::ConnId,
    metrics::Metrics,
    port::{Authenticator, Bus, Call, Clock, PluginId, Plugins, Reply, Store},
    recovery::{Line, Total, Word},
    rooms::Rooms,
    table::{Slot, Table},
};

pub use crate::{
    rooms::{Joined, Left, MemberView},
    table::{Install, RouteMatch, Routed},
};
pub use cluster::{Claimant, NodeView, Rules};
pub use links::{Knock, Received};
pub use replacing::Replaced;
pub use requests::problem;
pub use views::{ConnectionDetails, ConnectionOrder, ConnectionView, RoomOrder, RoomView};
pub use watch::{Filter, Seen, Tail, Told, Way};

/// What a hub is made of.
pub struct HubParts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Checks tokens; without one, whoever needs a token is refused.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// Durable state.
    pub store: Arc<dyn Store>,
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// The hub's own limits.
    pub limits: Limits,
    /// Where happenings are counted.
    pub metrics: Arc<Metrics>,
}

/// The middle of everything. Shared by all parts; every method may be called from any thread and none blocks.
pub struct Hub {
    parts: HubParts,
    /// Set by [`Hub::install`], and again when a plugin is replaced by another version or added.
    installed: replacing::Editions,
    connections: Connections,
    rooms: Rooms<Arc<Connection>>,
    states: Coalescer,
    /// Injected events that wait, per plugin and room.
    injected: intake::Injected,
    /// When identities end, in order. Taken alone.
    expiries: Mutex<BTreeSet<(SystemTime, ConnId)>>,
    /// This process among those that send recoverable events.
    word: Word,
    /// Bytes that all lines keep.
    recovery_total: Total,
    watch: watch::Watch,
    /// Set when the hub is one of several nodes.
    united: OnceLock<cluster::United>,
    draining: AtomicBool,
}

struct Installed {
    plugins: Arc<dyn Plugins>,
    /// What the table was built of.
    installs: Vec<Install>,
    table: Table,
    /// By the `line` of slots and spaces; empty without recovery.
    lines: Vec<Arc<Line>>,
}

impl Hub {
    /// A hub without plugins.
    pub fn new(parts: HubParts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            installed: replacing::Editions::default(),
            connections: Connections::default(),
            rooms: Rooms::new(),
            states: Coalescer::default(),
            injected: intake::Injected::default(),
            expiries: Mutex::default(),
            word: Word(rand::rng().random()),
            recovery_total: Total::default(),
            watch: watch::Watch::default(),
            united: OnceLock::new(),
            draining: AtomicBool::new(false),
        })
    }

    /// Puts the plugins in; the order of `installs` is that of their [`PluginId`]s.
    ///
    /// # Errors
    /// A sentence about a conflict between plugins, or that this has been done before.
    pub fn install(
        self: &Arc<Self>,
        plugins: Arc<dyn Plugins>,
        installs: Vec<Install>,
    ) -> Result<(), String> {
        if self.installed.get().is_some() {
            return Err("the hub has its plugins already".to_owned());
        }
        let first = self.edition(plugins, installs, None)?;
        self.installed.publish(first).map(drop)
    }

    /// Takes no new connections from now on.
    pub fn stop(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether [`stop`](Self::stop) has been called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The hub's limits.
    pub fn limits(&self) -> &Limits {
        &self.parts.limits
    }

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.parts.metrics
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.parts.store
    }

    /// The bus.
    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.parts.bus
    }

    /// The enabled plugins, by [`PluginId`].
    pub fn slots(&self) -> &[Slot] {
        self.installed.get().map_or(&[], |installed| &installed.table.slots)
    }

    /// How many connections are open.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Bytes that wait for all links; walks the connections, so it is for scrapes.
    pub fn outbound_bytes(&self) -> usize {
        self.connections.outbound_bytes()
    }

    fn table(&self) -> Option<&Table> {
        self.installed.get().map(|installed| &installed.table)
    }

    fn slot(&self, plugin: PluginId) -> Option<&Slot> {
        self.slots().get(usize::from(plugin.0))
    }

    fn plugins(&self) -> Result<&Arc<dyn Plugins>, Refusal> {
        let installed = self.installed.get();
        installed
            .map(|i| &i.plugins)
            .ok_or_else(|| Refusal::new(Code::Unavailable, "no plugins are loaded yet"))
    }

    /// Runs a task on the plugins' executor; without plugins there is nothing to run.
    fn spawn(&self, task: Task) {
        if let Ok(plugins) = self.plugins() {
            plugins.spawn(task);
        }
    }

    /// Calls a plugin and waits for its reply; [`Plugins::call`] sees to it that plugin code runs on its own executor.
    async fn call(&self, plugin: PluginId, call: Call) -> Result<Reply, Refusal> {
        self.plugins()?.call(plugin, call).await
    }
}

/// The open connections, sharded by handle.
struct Connections {
    next: AtomicU64,
    shards: [Mutex<HashMap<ConnId, Arc<Connection>>>; 32],
}

impl Default for Connections {
    fn default() -> Self {
        Self { next: AtomicU64::new(1), shards: Default::default() }
    }
}

impl Connections {
    fn next_id(&self) -> ConnId {
        ConnId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn shard(&self, id: ConnId) -> &Mutex<HashMap<ConnId, Arc<Connection>>> {
        &self.shards[(id.0 % 32) as usize]
    }

    fn insert(&self, connection: &Arc<Connection>) {
        self.shard(connection.id()).lock().insert(connection.id(), connection.clone());
    }

    fn remove(&self, id: ConnId) {
        let mut shard = self.shard(id).lock();
        shard.remove(&id);
        if shard.capacity() > 64 && shard.len() < shard.capacity() / 4 {
            shard.shrink_to_fit(); // a wave that has left keeps no memory
        }
    }

    fn get(&self, id: ConnId) -> Option<Arc<Connection>> {
        self.shard(id).lock().get(&id).cloned()
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn outbound_bytes(&self) -> usize {
        let bytes = |shard: &Mutex<HashMap<ConnId, Arc<Connection>>>| -> usize {
            shard.lock().values().map(|connection| connection.outbox().bytes()).sum()
        };
        self.shards.iter().map(bytes).sum()
    }
}
