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
    namespace::Params,
    port::{PluginId, Plugins},
    recovery::Line,
    table::{Space, Table},
};

/// Editions of one hub: shelves of as many places. They are kept, because whoever has a slot in hand may keep it: a
/// few KiB each.
const SHELVES: usize = 64;
const PLACES: usize = 64;

/// Places for editions; made when the first is needed.
type Shelf = OnceLock<Box<[OnceLock<Installed>; PLACES]>>;

/// The tables of one hub, the newest in force. Only one thread publishes at a time: see [`Hub::replace`].
pub(super) struct Editions {
    all: Box<[Shelf; SHELVES]>,
    current: AtomicUsize,
    /// The one that was in force before; taken while another one is put there.
    before: Mutex<usize>,
}

impl Default for Editions {
    fn default() -> Self {
        Self {
            all: Box::new([const { OnceLock::new() }; SHELVES]),
            current: AtomicUsize::new(0),
            before: Mutex::default(),
        }
    }
}

impl Editions {
    /// The one in force.
    pub(super) fn get(&self) -> Option<&Installed> {
        let number = self.current.load(Ordering::Acquire);
        self.all.get(number / PLACES)?.get()?.get(number % PLACES)?.get()
    }

    /// A place that is free.
    fn free(&self) -> Option<(usize, &OnceLock<Installed>)> {
        self.all.iter().enumerate().find_map(|(shelf, places)| {
            let places = places.get_or_init(|| Box::new([const { OnceLock::new() }; PLACES]));
            let free = places.iter().enumerate().find(|(_, place)| place.get().is_none());
            free.map(|(at, place)| (shelf * PLACES + at, place))
        })
    }

    /// Puts the one before in force again.
    fn step_back(&self) {
        let before = self.before.lock();
        self.current.store(*before, Ordering::Release);
    }

    /// Puts another one in force.
    pub(super) fn publish(&self, edition: Installed) -> Result<&Installed, String> {
        let mut before = self.before.lock();
        let Some((number, place)) = self.free() else {
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
    /// An edition of these plugins; `before` lends the switches, what runs, and the recovery lines.
    pub(super) fn edition(
        &self,
        plugins: Arc<dyn Plugins>,
        installs: Vec<Install>,
        before: Option<&Installed>,
    ) -> Result<Installed, String> {
        let mut table = Table::build(installs.clone(), &self.parts.metrics)?;
        let mut lines = before.map(|before| before.lines.clone()).unwrap_or_default();
        for (slot, old) in table.slots.iter_mut().zip(before.iter().flat_map(|before| &before.table.slots)) {
            (slot.switch, slot.begun) = (old.switch.clone(), old.begun.clone());
        }
        if let Some(rules) = &self.parts.limits.recovery {
            let line = || Arc::new(Line::new(rules.clone(), self.word, self.recovery_total.clone()));
            lines.resize_with(table.slots.len(), line);
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
        if self.goes_by(install) {
            return Ok(Replaced { closed: 0, tasks: Vec::new() });
        }
        let (edition, plugin) = self.with_install(install)?;
        let is_new = self.slot(plugin).is_none();
        self.installed.publish(edition)?;
        if is_new {
            self.ask_about_all(); // what other nodes have said of its rooms was not for us
        }
        let mut strangers = self.connections.all();
        strangers.retain(|connection| {
            let concerns = connection.space.plugins.contains(&plugin) || !self.is_in_line(connection);
            concerns && !self.serves(connection)
        });
        for connection in &strangers {
            connection.outbox().close(CloseReason::ShuttingDown);
        }
        Ok(Replaced { closed: strangers.len(), tasks: self.work_of(plugin) })
    }

    /// What it goes by about the plugins that take part.
    pub fn installs(&self) -> Vec<Install> {
        let Some(installed) = self.installed.get() else { return Vec::new() };
        let all = installed.installs.iter().zip(&installed.table.slots);
        all.filter(|(_, slot)| slot.switch.is_on()).map(|(install, _)| install.clone()).collect()
    }

    /// Whether it goes by exactly this about a plugin.
    pub fn goes_by(&self, install: &Install) -> bool {
        self.installed.get().is_some_and(|installed| installed.installs.contains(install))
    }

    /// Goes by the edition before the last one again, for a plugin that was added and did not start. Its number is the
    /// next plugin's, so nothing of its rooms may stay.
    pub fn forget_added(&self) {
        if let Some(added) = self.slots().last() {
            added.metrics.rooms.set(0);
            added.metrics.members.set(0);
        }
        self.installed.step_back();
        self.forget_rooms(PluginId(u16::try_from(self.slots().len()).unwrap_or(u16::MAX)));
    }

    /// Whether the edition in force does for a connection what the one did that it came under.
    fn serves(&self, connection: &Connection) -> bool {
        self.space_now(connection).is_some_and(|(space, params)| {
            space.does_all_of(&connection.space) && params == connection.facts().params
        })
    }

    /// Whether a connection's session is in the line in which its plugins' events are now: one plugin more can tie two
    /// namespaces together.
    fn is_in_line(&self, connection: &Connection) -> bool {
        self.space_now(connection).is_none_or(|(space, _)| space.line == connection.space.line)
    }

    fn space_now(&self, connection: &Connection) -> Option<(&Arc<Space>, Params)> {
        self.table()?.space(connection.space.gateway, &connection.facts().namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Refusal,
        port::{Call, Reply},
    };

    struct Nobody;

    impl Plugins for Nobody {
        fn call(&self, _: PluginId, _: Call) -> Task<Result<Reply, Refusal>> {
            Box::pin(std::future::pending())
        }

        fn spawn(&self, _: Task) {}
    }

    fn edition() -> Installed {
        Installed {
            plugins: Arc::new(Nobody),
            installs: Vec::new(),
            table: Table::default(),
            lines: Vec::new(),
        }
    }

    #[test]
    fn editions_end_with_a_sentence() {
        let editions = Editions::default();
        assert!(editions.get().is_none());
        for _ in 0..SHELVES * PLACES {
            assert!(editions.publish(edition()).is_ok());
        }
        assert!(editions.publish(edition()).is_err_and(|why| why.contains("restart the hub")));
        assert!(editions.get().is_some());
    }

    #[test]
    fn stepping_back_skips_what_was_taken_back() {
        let editions = Editions::default();
        let at = |editions: &Editions| std::ptr::from_ref(editions.get().unwrap());
        editions.publish(edition()).unwrap();
        let first = at(&editions);
        for _ in 0..2 {
            editions.publish(edition()).unwrap();
            assert_ne!(at(&editions), first);
            editions.step_back();
            assert_eq!(at(&editions), first);
        }
    }
}
