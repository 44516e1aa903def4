//! The host: loads plugins, starts them, hands calls to them, stops them.

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use exedra_hub::{
    Code, Hub, Refusal, Task,
    manifest::{Manifest, Metric},
    metrics::{Metrics, OwnMetric},
    port::{Call, PluginId, Plugins, Reply},
};
use futures_util::future::{Either, select};
use parking_lot::{Mutex, RwLock};

use crate::{
    Condition, HostConfig, LoadError, PluginSpec, PluginState,
    aim::aim,
    calling::Admitted,
    context::Contexts,
    entry::{self, Contract},
    executor::Executor,
    gate::Phase,
    health::Health,
    instance::{self, Instance, Parts},
    load, log,
    watchdog::Watchdog,
};

/// A plugin whose words are known and that has no instance yet.
pub(crate) struct Loaded {
    pub(crate) contract: Contract,
    pub(crate) manifest: Manifest,
    pub(crate) settings: String,
    pub(crate) deadline: Duration,
    pub(crate) sha256: Option<String>,
}

/// What `states` says about a plugin besides its instance, and what a reload compares.
pub(crate) struct Running {
    pub(crate) instance: Arc<Instance>,
    pub(crate) contract: Contract,
    pub(crate) settings: String,
    pub(crate) sha256: Option<String>,
    pub(crate) generation: u32,
}

/// The plugin's name, and the metric's.
type MetricName = (String, String);

/// How far the host is.
pub(crate) enum Stage {
    Loading(Vec<Loaded>),
    /// By [`PluginId`].
    Running(Vec<Running>),
    Stopped(Vec<PluginState>),
}

/// The plugin host.
///
/// The hub holds the host and the host holds the hub; [`Host::stop`] lets go, so call it at the end. It blocks.
pub struct Host {
    pub(crate) config: HostConfig,
    executor: Executor,
    contexts: Arc<Contexts>,
    /// None once stopped.
    pub(crate) hub: Mutex<Option<Arc<Hub>>>,
    pub(crate) stage: RwLock<Stage>,
    /// Taken while a plugin is replaced or added: one after another.
    pub(crate) changing: Mutex<()>,
    /// Metrics that plugins have declared; a later version that declares the same goes on with it.
    metrics: Mutex<HashMap<MetricName, (Metric, Arc<OwnMetric>)>>,
    /// Why the executor or the watchdog could not be started whole.
    no_threads: Mutex<Option<io::Error>>,
    _watchdog: Option<Watchdog>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Host {
    /// Starts the executor and its watchdog. When the system gives no threads, [`Host::start`] says so.
    pub fn new(config: HostConfig, hub: Arc<Hub>) -> Arc<Self> {
        log::refresh_level();
        let (executor, failed) = Executor::start(config.threads.max(2));
        let watchdog = Watchdog::start(executor.clone(), config.warn_after, config.stuck_after);
        let (watchdog, unwatched) = watchdog.map_or_else(|e| (None, Some(e)), |w| (Some(w), None));
        Arc::new(Self {
            config,
            executor,
            contexts: Arc::default(),
            hub: Mutex::new(Some(hub)),
            stage: RwLock::new(Stage::Loading(Vec::new())),
            changing: Mutex::default(),
            metrics: Mutex::default(),
            no_threads: Mutex::new(failed.or(unwatched)),
            _watchdog: watchdog,
        })
    }

    /// Loads a plugin and reads its manifest. The order of loading is the order of [`PluginId`]s.
    ///
    /// # Errors
    /// Whatever is wrong with the file, the plugin or its settings.
    pub fn load(self: &Arc<Self>, spec: PluginSpec) -> Result<Manifest, LoadError> {
        let mut stage = self.stage.write();
        let Stage::Loading(loaded) = &mut *stage else {
            return Err(LoadError::TooLate { plugin: spec.name });
        };
        if loaded.iter().any(|other| other.contract.id == spec.name) {
            return Err(LoadError::Duplicate { plugin: spec.name });
        }
        let one = self.described(&spec)?;
        let manifest = one.manifest.clone();
        loaded.push(one);
        Ok(manifest)
    }

    /// Opens a plugin and reads its words.
    pub(crate) fn described(&self, spec: &PluginSpec) -> Result<Loaded, LoadError> {
        let opened = load::open(spec, &self.config.state_dir.join("plugins"))?;
        let manifest = load::described(spec, &opened.contract)?;
        let (version, sha256) = (&manifest.version, opened.sha256.as_deref());
        tracing::info!(plugin = spec.name, version, sha256, from = spec.shown(), "plugin loaded");
        Ok(Loaded {
            settings: entry::settings_text(&spec.settings),
            deadline: spec.deadline,
            manifest,
            contract: opened.contract,
            sha256: opened.sha256,
        })
    }

    /// Creates and starts an instance of every loaded plugin, in order. Call it once the hub knows the manifests,
    /// because plugins may use the hub from their first moment on.
    ///
    /// # Errors
    /// The first plugin that cannot be started; those before it are stopped again.
    pub fn start(self: &Arc<Self>) -> Result<(), LoadError> {
        if let Some(error) = self.no_threads.lock().take() {
            return Err(LoadError::Threads(error));
        }
        let hub = self.hub.lock().clone().ok_or(LoadError::Stopped)?;
        let loaded = match &mut *self.stage.write() {
            Stage::Loading(loaded) => std::mem::take(loaded),
            _ => return Err(LoadError::Stopped),
        };
        let mut running: Vec<Running> = Vec::with_capacity(loaded.len());
        for (index, loaded) in loaded.into_iter().enumerate() {
            match self.start_one(index, loaded, &hub, 1) {
                Ok(one) => running.push(one),
                Err(error) => {
                    *self.stage.write() = Stage::Stopped(Vec::new());
                    for one in running.iter().rev() {
                        one.instance.stop(Instant::now());
                    }
                    return Err(error);
                }
            }
        }
        *self.stage.write() = Stage::Running(running);
        Ok(())
    }

    pub(crate) fn start_one(
        &self,
        index: usize,
        loaded: Loaded,
        hub: &Arc<Hub>,
        generation: u32,
    ) -> Result<Running, LoadError> {
        let Loaded { contract, manifest, settings, deadline, sha256 } = loaded;
        let metrics = hub.metrics();
        let up = metrics.plugin_up(&manifest.name, &manifest.version);
        if generation == 1 {
            up.set(0);
        }
        let set_up = Box::new(move |is_up| up.set(i64::from(is_up)));
        let own_metrics = self.own_metrics(&manifest, metrics)?;
        let budget = self.config.panic_budget;
        let health = self.executor.watch(|at| Health::new(at, &manifest.name, budget, set_up));
        let told = metrics.plugin(&manifest.name).generation;
        let parts = Parts {
            id: PluginId(index as u16),
            manifest,
            hub: hub.clone(),
            executor: self.executor.clone(),
            health,
            contexts: self.contexts.clone(),
            own_metrics,
            limit: self.config.calls_in_flight,
            deadline,
        };
        let instance = Instance::start(parts, &contract, &settings)?;
        told.set(i64::from(generation));
        Ok(Running { instance, contract, settings, sha256, generation })
    }

    /// The metrics of a manifest: those of the version before where they are the same, else new ones.
    fn own_metrics(&self, manifest: &Manifest, metrics: &Metrics) -> Result<Vec<Arc<OwnMetric>>, LoadError> {
        let refused = |reason| LoadError::Metric { plugin: manifest.name.clone(), reason };
        let mut known = self.metrics.lock();
        let mut taken = HashSet::new();
        let each = manifest.metrics.iter().map(|metric| {
            if !taken.insert(&metric.name) {
                return Err(refused(format!("{} is declared twice", metric.name)));
            }
            let key = (manifest.name.clone(), metric.name.clone());
            match known.get(&key) {
                Some((before, own)) if before == metric => return Ok(own.clone()),
                Some(_) => {
                    let reason =
                        format!("{} was declared otherwise before; that needs a restart", metric.name);
                    return Err(refused(reason));
                }
                None => {}
            }
            let own = Arc::new(metrics.own(&manifest.name, metric).map_err(refused)?);
            known.insert(key, (metric.clone(), own.clone()));
            Ok(own)
        });
        each.collect()
    }

    /// Lets what is under way end `within` this time, refuses new calls, and takes the plugins down, the last one
    /// first; then ends the threads. Blocks, so call it where nobody waits, and after the gateway has let go of its
    /// connections: what the hub spawns later is dropped.
    pub fn stop(&self, within: Duration) {
        let until = Instant::now() + within;
        self.settle(Instant::now() + within / 2);
        let states = self.states();
        let stopped = states.into_iter().map(|state| PluginState { condition: Condition::Stopped, ..state });
        let stage = std::mem::replace(&mut *self.stage.write(), Stage::Stopped(stopped.collect()));
        if let Stage::Running(running) = stage {
            // All at once: the time for calls is the same for all, and one plugin may wait for another.
            running.iter().for_each(|one| one.instance.gate.set(Phase::Draining));
            for one in running.iter().rev() {
                one.instance.stop(until);
            }
        }
        *self.hub.lock() = None;
        self.executor.close();
    }

    /// Waits for a moment in which nothing is under way, so that what has come before the end is still told to the
    /// plugins: the last disconnects above all. A plugin that is always busy is not waited for longer.
    fn settle(&self, until: Instant) {
        let idle = || match &*self.stage.read() {
            Stage::Running(running) => running.iter().all(|one| one.instance.in_flight() == 0),
            _ => true,
        };
        instance::wait(until, || self.executor.is_idle() && idle());
    }

    /// How the plugins are, in order of loading.
    pub fn states(&self) -> Vec<PluginState> {
        match &*self.stage.read() {
            Stage::Loading(loaded) => loaded.iter().map(Loaded::state).collect(),
            Stage::Running(running) => running.iter().map(Running::state).collect(),
            Stage::Stopped(states) => states.clone(),
        }
    }

    /// Lets a call in, under the lock that a reload takes to put another instance there: what is let in is made.
    fn admit(&self, plugin: PluginId, call: Call) -> Result<(Admitted, Call), Refusal> {
        let stage = self.stage.read();
        let instance = instance_of(&stage, plugin)?;
        let call = aim(&instance.manifest, call)?;
        Ok((instance.admit(&call)?, call))
    }
}

fn instance_of(stage: &Stage, plugin: PluginId) -> Result<&Arc<Instance>, Refusal> {
    match stage {
        Stage::Loading(_) => Err(Refusal::new(Code::Unavailable, "the plugins are starting")),
        Stage::Stopped(_) => Err(Refusal::new(Code::ShuttingDown, "the hub is stopping, connect again")),
        Stage::Running(running) => running
            .get(usize::from(plugin.0))
            .map(|one| &one.instance)
            .ok_or_else(|| Refusal::new(Code::NotFound, "there is no such plugin")),
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.executor.close();
    }
}

impl Plugins for Host {
    fn call(&self, plugin: PluginId, call: Call) -> Task<Result<Reply, Refusal>> {
        let (admitted, call) = match self.admit(plugin, call) {
            Ok(let_in) => let_in,
            Err(refusal) => return Box::pin(std::future::ready(Err(refusal))),
        };
        Box::pin(async move {
            if admitted.executor.is_here() {
                return Instance::call(admitted, call).await;
            }
            elsewhere(admitted, call).await
        })
    }

    fn spawn(&self, task: Task) {
        self.executor.spawn(task).detach();
    }

    fn switched(&self, plugin: PluginId, on: bool) {
        if let Ok(instance) = instance_of(&self.stage.read(), plugin) {
            instance.health.switch(on);
        }
    }
}

/// Makes the call on the executor for somebody who is not there. The time is kept here as well, so that it holds
/// even for a plugin that never gives its thread back.
async fn elsewhere(admitted: Admitted, call: Call) -> Result<Reply, Refusal> {
    let over = admitted.hub.clock().sleep(admitted.deadline_of(&call));
    let executor = admitted.executor.clone();
    let running = pin!(executor.spawn(Instance::call(admitted, call)).fallible());
    match select(running, over).await {
        Either::Left((Some(reply), _)) => reply,
        Either::Left((None, _)) => Err(Refusal::new(Code::Internal, "the plugin's call was lost")),
        Either::Right(_) => Err(Refusal::new(Code::Timeout, "the plugin did not answer in time")),
    }
}

impl Loaded {
    fn state(&self) -> PluginState {
        PluginState {
            name: self.manifest.name.clone(),
            version: self.manifest.version.clone(),
            abi: self.contract.abi(),
            sdk: self.contract.sdk.clone(),
            sha256: self.sha256.clone(),
            generation: 1,
            condition: Condition::Loaded,
            panics: 0,
            in_flight: 0,
        }
    }
}

impl Running {
    pub(crate) fn state(&self) -> PluginState {
        let health = &self.instance.health;
        let condition = match health.quarantined() {
            Some(reason) => Condition::Quarantined(reason.to_owned()),
            None if health.is_disabled() => Condition::Disabled,
            None if health.is_stuck() => Condition::Stuck,
            None => Condition::Running,
        };
        PluginState {
            name: self.instance.manifest.name.clone(),
            version: self.instance.manifest.version.clone(),
            abi: self.contract.abi(),
            sdk: self.contract.sdk.clone(),
            sha256: self.sha256.clone(),
            generation: self.generation,
            condition,
            panics: health.panics(),
            in_flight: self.instance.in_flight(),
        }
    }
}
