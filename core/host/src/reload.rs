//! Another version of a plugin, or other settings, in the place of those that run; and one plugin more. The new
//! instance is created and started beside the old one, so that a version that does not start changes nothing. Calls
//! that the old instance has let in are made by it, all later ones by the new one; a connection's next event waits for
//! the one before either way, so order stays. The old instance ends when its calls have, its library never does.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use exedra_hub::{
    Hub,
    hub::{Install, Replaced},
    manifest::{AuthMode, Manifest},
};

use crate::{
    Condition, Host, LoadError, PluginSpec,
    gate::Phase,
    host::{Loaded, Running, Stage},
};

/// The longest time that the calls of an old instance get to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A version of a plugin that is to take the place of the one that runs.
#[derive(Debug, Clone)]
pub struct Reload {
    /// Where it is, and its settings.
    pub spec: PluginSpec,
    /// As in [`Install`].
    pub namespace: Option<String>,
    /// As in [`Install`].
    pub auth: Option<AuthMode>,
}

impl Reload {
    fn install(&self, manifest: Manifest) -> Install {
        Install { manifest: manifest.into(), namespace: self.namespace.clone(), auth: self.auth }
    }
}

/// What has become of a plugin.
pub struct Changed {
    /// Its version.
    pub version: String,
    /// How often it has been replaced, plus 1.
    pub generation: u32,
    /// Whether anything is different from before.
    pub changed: bool,
    /// Whether the instance before has been taken down whole.
    pub retired: bool,
    /// What the hub has done about connections, and what is to be spawned.
    pub hub: Replaced,
}

impl Host {
    /// Puts a version, or other settings, in the place of those that run. Blocks until the old instance has ended,
    /// or has been given up.
    ///
    /// # Errors
    /// Whatever is wrong with the new one; the old one goes on then.
    pub fn reload(self: &Arc<Self>, reload: &Reload) -> Result<Changed, LoadError> {
        let _one_after_another = self.changing.lock();
        let (hub, name) = (self.live_hub()?, &reload.spec.name);
        let (index, before) = self.standing(name)?;
        let loaded = self.described(&reload.spec)?;
        if before.is(&loaded) && hub.goes_by(&reload.install(loaded.manifest.clone())) {
            return Ok(before.unchanged());
        }
        let install = reload.install(loaded.manifest.clone());
        let refused = |reason| LoadError::Conflict { plugin: name.clone(), reason };
        hub.could_be(&install).map_err(refused)?;
        let (version, generation) = (loaded.manifest.version.clone(), before.generation + 1);
        let new = self.start_one(index, loaded, &hub, generation)?;
        let was_off = before.condition == Condition::Disabled;
        if was_off {
            new.instance.health.switch(false);
        }
        let Some(old) = self.put(index, new) else { return Err(LoadError::Stopped) };
        // The table follows the instance: handlers are found again by name in between.
        let told = hub.replace(&install);
        if before.version != version {
            hub.metrics().plugin_gone(name, &before.version);
        }
        let retired = old.instance.stop(Instant::now() + old.instance.deadline.min(PATIENCE));
        tracing::info!(plugin = name, version, generation, retired, "another version of a plugin is at work");
        let hub = told.map_err(refused)?;
        Ok(Changed { version, generation, changed: true, retired, hub })
    }

    /// Loads and starts a plugin that was not there at the start.
    ///
    /// # Errors
    /// Whatever is wrong with it; nothing has changed then.
    pub fn add(self: &Arc<Self>, reload: &Reload) -> Result<Changed, LoadError> {
        let _one_after_another = self.changing.lock();
        let hub = self.live_hub()?;
        let name = &reload.spec.name;
        if self.standing(name).is_ok() {
            return Err(LoadError::Duplicate { plugin: name.clone() });
        }
        let loaded = self.described(&reload.spec)?;
        let install = reload.install(loaded.manifest.clone());
        let version = loaded.manifest.version.clone();
        let refused = |reason| LoadError::Conflict { plugin: name.clone(), reason };
        // The hub knows it first, because a plugin may use the hub from its first moment on. Calls are refused until
        // there is an instance.
        let hub_did = hub.replace(&install).map_err(refused)?;
        let started = self.start_one(hub.slots().len() - 1, loaded, &hub, 1);
        match started {
            Ok(one) => match &mut *self.stage.write() {
                Stage::Running(running) => running.push(one),
                _ => {
                    one.instance.stop(Instant::now());
                    return Err(LoadError::Stopped);
                }
            },
            Err(error) => {
                hub.forget_added();
                return Err(error);
            }
        }
        Ok(Changed { version, generation: 1, changed: true, retired: true, hub: hub_did })
    }

    fn live_hub(&self) -> Result<Arc<Hub>, LoadError> {
        self.hub.lock().clone().ok_or(LoadError::Stopped)
    }

    /// Puts an instance in the place of another, which takes no calls from then on. None when the host has stopped,
    /// and the new instance is taken down.
    fn put(&self, index: usize, new: Running) -> Option<Running> {
        let mut stage = self.stage.write();
        let place = match &mut *stage {
            Stage::Running(running) => running.get_mut(index),
            _ => None,
        };
        let Some(place) = place else {
            drop(stage);
            new.instance.stop(Instant::now());
            return None;
        };
        let old = std::mem::replace(place, new);
        old.instance.health.replaced();
        old.instance.gate.set(Phase::Draining);
        Some(old)
    }

    fn standing(&self, name: &str) -> Result<(usize, Standing), LoadError> {
        let stage = self.stage.read();
        let Stage::Running(running) = &*stage else { return Err(LoadError::Stopped) };
        let found = running.iter().enumerate().find(|(_, one)| &*one.instance.name == name);
        let (index, one) = found.ok_or_else(|| LoadError::NotRunning { plugin: name.to_owned() })?;
        Ok((index, Standing::of(one)))
    }
}

/// How a plugin stands before it is replaced.
struct Standing {
    version: String,
    generation: u32,
    sha256: Option<String>,
    settings: String,
    deadline: Duration,
    condition: Condition,
}

impl Standing {
    fn of(one: &Running) -> Self {
        Self {
            version: one.instance.manifest.version.clone(),
            generation: one.generation,
            sha256: one.sha256.clone(),
            settings: one.settings.clone(),
            deadline: one.instance.deadline,
            condition: one.state().condition,
        }
    }

    /// Whether it is this already, and well.
    fn is(&self, loaded: &Loaded) -> bool {
        let well = matches!(self.condition, Condition::Running | Condition::Disabled);
        let same = self.sha256.is_some() && self.sha256 == loaded.sha256;
        well && same && self.settings == loaded.settings && self.deadline == loaded.deadline
    }

    fn unchanged(self) -> Changed {
        let hub = Replaced { closed: 0, tasks: Vec::new() };
        Changed { version: self.version, generation: self.generation, changed: false, retired: true, hub }
    }
}
