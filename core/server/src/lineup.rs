//! The plugins of a running hub as the configuration has them, and how they change: another version of a library, other
//! settings, on and off, one more. What stays the same is not touched, and neither are the connections of the others.

use std::{collections::BTreeSet, sync::Arc};

use exedra_host::{Changed, Host, LoadError, Reload};
use exedra_hub::{Hub, Task};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::{
    config::{Loaded, PluginConfig, PluginsConfig, Problem},
    plugins,
};

/// The plugins and what is in force about them. Its changes block, and are made one after another.
pub struct Lineup {
    hub: Arc<Hub>,
    host: Arc<Host>,
    runtime: Handle,
    in_force: Mutex<InForce>,
}

struct InForce {
    plugins: PluginsConfig,
    /// Whether tokens can be checked; that needs a restart to change.
    has_key: bool,
}

/// What has become of a plugin whose table has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The plugin.
    pub name: String,
    /// What was done, or why it was not.
    pub done: Result<String, String>,
}

impl Lineup {
    /// As the hub was started.
    pub fn new(loaded: &Loaded, hub: &Arc<Hub>, host: &Arc<Host>, runtime: Handle) -> Self {
        let in_force = InForce { plugins: loaded.config.plugins.clone(), has_key: plugins::has_key(loaded) };
        Self { hub: hub.clone(), host: host.clone(), runtime, in_force: Mutex::new(in_force) }
    }

    /// Loads a plugin's library again, and puts it in the place of the one that runs if it is another.
    ///
    /// # Errors
    /// Why the one that runs goes on; `NotRunning` when there is none.
    pub fn reload(&self, name: &str) -> Result<Changed, LoadError> {
        let in_force = self.in_force.lock();
        let table = in_force.plugins.tables.get(name).filter(|_| self.hub.plugin_named(name).is_some());
        let table = table.ok_or_else(|| LoadError::NotRunning { plugin: name.to_owned() })?;
        self.put(&in_force.plugins, name, table, in_force.has_key)
    }

    fn put(
        &self,
        config: &PluginsConfig,
        name: &str,
        table: &PluginConfig,
        has_key: bool,
    ) -> Result<Changed, LoadError> {
        let reload = change(config, name, table);
        let manifest = exedra_host::inspect(reload.spec.clone())?.manifest;
        if !has_key && plugins::requires_tokens(table, &manifest) {
            let reason = "it requires tokens, and the hub was started without a key to check them".to_owned();
            return Err(LoadError::Conflict { plugin: name.to_owned(), reason });
        }
        let mut changed = match self.hub.plugin_named(name) {
            Some(_) => self.host.reload(&reload)?,
            None => self.host.add(&reload)?,
        };
        self.spawn(std::mem::take(&mut changed.hub.tasks));
        Ok(changed)
    }

    fn spawn(&self, tasks: Vec<Task>) {
        for task in tasks {
            self.runtime.spawn(task);
        }
    }

    /// Takes over what a new configuration says about plugins.
    ///
    /// # Errors
    /// Everything that is wrong with the tables that have changed; nothing is done then.
    pub fn apply(&self, new: &Loaded) -> Result<Vec<Step>, Vec<Problem>> {
        let mut in_force = self.in_force.lock();
        let changed = differing(&in_force.plugins, &new.config.plugins);
        let problems = plugins::check_some(new, &changed, &self.hub);
        if !problems.is_empty() {
            return Err(problems);
        }
        in_force.plugins.dir.clone_from(&new.config.plugins.dir);
        let mut steps = Vec::new();
        for name in changed {
            let (old, table) = (in_force.plugins.tables.get(&name), new.config.plugins.tables.get(&name));
            let done = self.step(&new.config.plugins, &name, old, table, in_force.has_key);
            if done.is_ok() {
                match table {
                    Some(table) => in_force.plugins.tables.insert(name.clone(), table.clone()),
                    None => in_force.plugins.tables.remove(&name),
                };
            }
            steps.push(Step { name, done });
        }
        Ok(steps)
    }

    fn step(
        &self,
        config: &PluginsConfig,
        name: &str,
        old: Option<&PluginConfig>,
        new: Option<&PluginConfig>,
        has_key: bool,
    ) -> Result<String, String> {
        let was_on = old.is_some_and(|table| table.enabled);
        match new.filter(|table| table.enabled) {
            None if was_on => {
                let closed = self.hub.plugin_named(name).and_then(|plugin| self.hub.disable(plugin));
                Ok(format!("disabled, {} connections closed", closed.unwrap_or(0)))
            }
            None => Ok("stays off".to_owned()),
            Some(table) => {
                let changed =
                    self.put(config, name, table, has_key).map_err(|error| plugins::said(&error))?;
                let on = self
                    .hub
                    .plugin_named(name)
                    .filter(|_| !was_on)
                    .and_then(|plugin| self.hub.enable(plugin));
                let what = match (changed.generation, changed.changed) {
                    (1, true) => "loaded".to_owned(),
                    (_, true) => format!("replaced, generation {}", changed.generation),
                    (_, false) => "unchanged".to_owned(),
                };
                Ok(if on.is_some() { format!("enabled, {what}") } else { what })
            }
        }
    }

    /// Whether what a configuration says under a key (`plugins.NAME.…`) is in force.
    pub fn has(&self, key: &str, loaded: &Loaded) -> bool {
        let in_force = self.in_force.lock();
        let mut parts = key.split('.');
        match (parts.next(), parts.next()) {
            (Some("plugins"), Some("dir")) => in_force.plugins.dir == loaded.config.plugins.dir,
            (Some("plugins"), Some(name)) => {
                in_force.plugins.tables.get(name) == loaded.config.plugins.tables.get(name)
            }
            _ => false,
        }
    }
}

/// A table as the host takes it.
fn change(config: &PluginsConfig, name: &str, table: &PluginConfig) -> Reload {
    let spec = plugins::spec(config, name, table);
    Reload { spec, namespace: table.namespace.clone(), auth: table.auth }
}

/// The names of tables that are not the same in both.
fn differing(old: &PluginsConfig, new: &PluginsConfig) -> BTreeSet<String> {
    let names = old.tables.keys().chain(new.tables.keys());
    names.filter(|name| old.tables.get(*name) != new.tables.get(*name)).cloned().collect()
}
