//! Another version of a plugin in the place of the one before, and one plugin more, while the hub runs. The table of
//! what goes where is never changed: a new edition takes its place, and whoever reads the one before may finish.
//! Connections stay where the new edition serves them as the one before did; the others are told to connect again.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;

use super::{Hub, Install, Installed};
use crate::{
    CloseReason, Connection, Task,
    manifest::Manifest,
    port::{PluginId, Plugins},
    recovery::Line,
    table::Table,
};

/// Editions of one hub. They are kept, because whoever has a slot in hand may keep it: a few KiB each.
const MOST: usize = 256;

/// The tables of one hub, the newest in force. Only one thread publishes at a time: see [`Hub::replace`].
pub(super) struct Editions {
    all: Box<[OnceLock<Installed>]>,
    current: AtomicUsize,
    /// The one that was in force before; taken while another one is put there.
    before: Mutex<usize>,
}

impl Default for Editions {
    fn default() -> Self {
        Self {
            all: (0..MOST).map(|_| OnceLock::new()).collect(),
            current: AtomicUsize::new(0),
            before: Mutex::default(),
        }
    }
}

impl Editions {
    /// The one in force.
    pub(super) fn get(&self) -> Option<&Installed> {
        self.all.get(self.current.load(Ordering::Acquire))?.get()
    }

    /// Puts the one before in force again.
    fn step_back(&self) {
        let before = self.before.lock();
        self.current.store(*before, Ordering::Release);
    }

    /// Puts another one in force.
    pub(super) fn publish(&self, edition: Installed) -> Result<&Installed, String> {
        let mut before = self.before.lock();
        let free = self.all.iter().position(|place| place.get().is_none());
        let Some((number, place)) = free.and_then(|number| Some((number, self.all.get(number)?))) else {
            return Err("plugins have been replaced too often; restart the hub to go on".to_owned());
        };
        let published = place.get_or_init(|| edition);
        *before = self.current.swap(number, Ordering::AcqRel);
        Ok(published)
    }
}

/// What came of another version, or of one plugin more.
pub struct Replaced {
    /// Connections that were told to connect again.
    pub closed: usize,
    /// What runs for the plugin from now on, beside what [`Hub::run`] does; spawn each.
    pub tasks: Vec<Task>,
}

impl Hub {
    /// An edition of these plugins; `before` lends the switches and the recovery lines.
    pub(super) fn edition(
        &self,
        plugins: Arc<dyn Plugins>,
        installs: Vec<Install>,
        before: Option<&Installed>,
    ) -> Result<Installed, String> {
        let mut table = Table::build(installs.clone(), &self.parts.metrics)?;
        let mut lines = before.map(|before| before.lines.clone()).unwrap_or_default();
        for (slot, old) in table.slots.iter_mut().zip(before.iter().flat_map(|before| &before.table.slots)) {
            slot.switch = old.switch.clone();
        }
        if let Some(rules) = &self.parts.limits.recovery {
            let line =
                || Line::new(rules.clone(), self.recovery_offsets.clone(), self.recovery_total.clone());
            lines.resize_with(table.slots.len(), || Arc::new(line()));
        }
        Ok(Installed { plugins, installs, table, lines })
    }

    /// Whether a plugin could be another version of itself, or a plugin that is not there yet could be added.
    ///
    /// # Errors
    /// A sentence about a conflict with another plugin.
    pub fn could_be(&self, install: &Install) -> Result<(), String> {
        self.with_install(install).map(drop)
    }

    fn with_install(&self, install: &Install) -> Result<(Installed, PluginId), String> {
        let before = self.installed.get().ok_or("the hub has no plugins yet")?;
        let mut installs = before.installs.clone();
        let known = installs.iter().position(|old| old.manifest.name == install.manifest.name);
        let at = known.unwrap_or(installs.len());
        match installs.get_mut(at) {
            Some(old) => *old = install.clone(),
            None => installs.push(install.clone()),
        }
        let plugin = u16::try_from(at).map_err(|_| "too many plugins".to_owned())?;
        Ok((self.edition(before.plugins.clone(), installs, Some(before))?, PluginId(plugin)))
    }

    /// Goes by another version of a plugin from now on, or by one plugin more, which gets the next [`PluginId`].
    /// Connections of the plugin for which that changes something are told to connect again. To be called by one
    /// thread at a time.
    ///
    /// # Errors
    /// A sentence about a conflict with another plugin; nothing has changed then.
    pub fn replace(self: &Arc<Self>, install: &Install) -> Result<Replaced, String> {
        let (edition, plugin) = self.with_install(install)?;
        let before = self.slot(plugin).map(|slot| slot.manifest.clone());
        self.installed.publish(edition)?;
        let mut strangers = self.connections.all();
        strangers.retain(|connection| connection.space.plugins.contains(&plugin) && !self.serves(connection));
        for connection in &strangers {
            connection.outbox().close(CloseReason::ShuttingDown);
        }
        let tasks = self.work_of(plugin, &before.unwrap_or_else(Manifest::default));
        Ok(Replaced { closed: strangers.len(), tasks })
    }

    /// Whether it goes by exactly this about a plugin.
    pub fn goes_by(&self, name: &str, install: &Install) -> bool {
        let known = |installed: &Installed| installed.installs.iter().any(|one| one == install);
        install.manifest.name == name && self.installed.get().is_some_and(known)
    }

    /// Goes by the edition before the last one again, for a plugin that was added and did not start.
    pub fn forget_added(&self) {
        self.installed.step_back();
    }

    /// Whether the edition in force does for a connection what the one did that it came under.
    fn serves(&self, connection: &Connection) -> bool {
        let facts = connection.facts();
        let now = self.table().and_then(|table| table.space(connection.space.gateway, &facts.namespace));
        now.is_some_and(|(space, params)| space.does_all_of(&connection.space) && params == facts.params)
    }
}
