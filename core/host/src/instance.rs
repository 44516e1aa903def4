//! One plugin at work: its table, its calls, tasks and operations, and its life from `create` to `destroy`.
#![expect(unsafe_code, reason = "calls the plugin's table")]

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use exedra_abi::{RawResult, Slice, Status};
use exedra_hub::{
    Hub,
    manifest::Manifest,
    metrics::{OwnMetric, PluginMetrics},
    port::PluginId,
};

use crate::{
    LoadError, answer,
    calls::Calls,
    context::Contexts,
    declared::Declared,
    door::Door,
    entry::{self, Contract},
    executor::{Executor, Inside, Kind},
    gate::{Gate, Phase},
    health::Health,
    logbook,
    ops::Operations,
    payload::Payloads,
    task::Tasks,
};

/// The least time that each step of the end gets, even when the time for calls has been used up.
const GRACE: Duration = Duration::from_secs(1);

/// A plugin's instance.
pub(crate) struct Instance {
    pub(crate) id: PluginId,
    pub(crate) name: Box<str>,
    pub(crate) manifest: Manifest,
    /// The schemas that payloads are held against.
    pub(crate) payloads: Payloads,
    pub(crate) declared: Declared,
    pub(crate) hub: Arc<Hub>,
    pub(crate) executor: Executor,
    pub(crate) health: Arc<Health>,
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) metrics: PluginMetrics,
    /// By index in the manifest.
    pub(crate) own_metrics: Vec<Arc<OwnMetric>>,
    pub(crate) gate: Gate,
    pub(crate) calls: Calls,
    pub(crate) tasks: Tasks,
    pub(crate) operations: Operations,
    /// The most calls, tasks and operations, each; one more is refused as busy.
    pub(crate) limit: usize,
    pub(crate) deadline: Duration,
    pub(crate) in_flight: AtomicUsize,
    table: OnceLock<Table>,
}

/// The plugin's table and what it points to.
pub(crate) struct Table(exedra_abi::Plugin);

// SAFETY: the contract says of each function which threads may call it, and `this` is only handed back.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl std::ops::Deref for Table {
    type Target = exedra_abi::Plugin;

    fn deref(&self) -> &exedra_abi::Plugin {
        &self.0
    }
}

/// A table in which nothing is set: what an instance has until it is created.
static NOTHING: Table = Table(NO_TABLE);

const NO_TABLE: exedra_abi::Plugin = exedra_abi::Plugin {
    struct_size: size_of::<exedra_abi::Plugin>() as u32,
    reserved: 0,
    this: std::ptr::null_mut(),
    start: None,
    dispatch: None,
    cancel: None,
    quiesce: None,
    destroy: None,
    get_extension: None,
};

/// What an instance is made of.
pub(crate) struct Parts {
    pub(crate) id: PluginId,
    pub(crate) manifest: Manifest,
    pub(crate) hub: Arc<Hub>,
    pub(crate) executor: Executor,
    pub(crate) health: Arc<Health>,
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) own_metrics: Vec<Arc<OwnMetric>>,
    pub(crate) limit: usize,
    pub(crate) deadline: Duration,
}

impl Instance {
    /// Creates and starts the plugin; it takes calls when this returns.
    pub(crate) fn start(parts: Parts, contract: &Contract, settings: &str) -> Result<Arc<Self>, LoadError> {
        let payloads = Payloads::of(&parts.manifest)?;
        let instance = Arc::new(Self {
            id: parts.id,
            name: parts.manifest.name.as_str().into(),
            declared: Declared::of(&parts.manifest),
            metrics: parts.hub.metrics().plugin(&parts.manifest.name),
            manifest: parts.manifest,
            payloads,
            hub: parts.hub,
            executor: parts.executor,
            health: parts.health,
            contexts: parts.contexts,
            own_metrics: parts.own_metrics,
            gate: Gate::new(),
            calls: Calls::new(),
            tasks: Tasks::default(),
            operations: Operations::default(),
            limit: parts.limit,
            deadline: parts.deadline,
            in_flight: AtomicUsize::new(0),
            table: OnceLock::new(),
        });
        if let Err(error) = instance.create(contract, settings).and_then(|()| instance.begin()) {
            instance.end(Instant::now() + GRACE);
            return Err(error);
        }
        instance.gate.set(Phase::Running);
        instance.health.set_up(true);
        Ok(instance)
    }

    fn create(self: &Arc<Self>, contract: &Contract, settings: &str) -> Result<(), LoadError> {
        let plugin = || self.name.to_string();
        let Some(create) = contract.entry.create else {
            return Err(LoadError::BadEntry { plugin: plugin(), rule: "create must be set" });
        };
        let host = Door::build(Arc::downgrade(self));
        let (mut table, mut out) = (NO_TABLE, RawResult::EMPTY);
        // SAFETY: the door lives for ever, the settings outlive the call, table and result are ours.
        let status = unsafe { create(host, Slice::text(settings), &raw mut table, &raw mut out) };
        // SAFETY: the plugin filled it and gives it away with this return.
        let said = unsafe { answer::take_filled(&out) }.unwrap_or_default();
        let message = || entry::said(&said.meta, status);
        match status {
            Status::OK => {}
            Status::PANICKED => {
                self.panicked("create", &message());
                return Err(LoadError::CreatePanicked { plugin: plugin(), message: message() });
            }
            _ => return Err(LoadError::Create { plugin: plugin(), message: message() }),
        }
        let complete = table.dispatch.is_some();
        let _ = self.table.set(Table(table));
        if complete { Ok(()) } else { Err(LoadError::Incomplete { plugin: plugin() }) }
    }

    fn begin(&self) -> Result<(), LoadError> {
        let table = self.table();
        let Some(start) = table.start else { return Ok(()) };
        // SAFETY: created, and alone: tasks and callbacks wait at the gate.
        match unsafe { start(table.this) } {
            Status::OK => Ok(()),
            Status::PANICKED => {
                self.panicked("start", "its log says more");
                Err(LoadError::StartPanicked { plugin: self.name.to_string() })
            }
            Status(status) => Err(LoadError::Start { plugin: self.name.to_string(), status }),
        }
    }

    /// The plugin's functions.
    pub(crate) fn table(&self) -> &Table {
        self.table.get().unwrap_or(&NOTHING)
    }

    /// Enters the plugin's code if the phase allows it.
    pub(crate) fn enter(&self, kind: Kind, allowed: fn(Phase) -> bool) -> Option<Inside<'_>> {
        let inside = self.executor.enter(&self.health, kind);
        allowed(self.gate.phase()).then_some(inside)
    }

    /// Enters the plugin's code for what must happen in any phase.
    pub(crate) fn visit(&self, kind: Kind) -> Inside<'_> {
        self.executor.enter(&self.health, kind)
    }

    /// Whether new tasks and operations are taken.
    pub(crate) fn takes_work(&self) -> bool {
        self.gate.phase() < Phase::Quiescing
    }

    /// Counts a panic.
    pub(crate) fn panicked(&self, kind: &str, message: &str) {
        self.metrics.panics.inc();
        self.health.panicked(kind, message);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Instance {
    /// Lets calls end until `until`, gives up the others, and takes the plugin down. A plugin that does not come
    /// back is left alone for ever: destroying it under a running call would be worse. Says whether it came back.
    pub(crate) fn stop(&self, until: Instant) -> bool {
        self.gate.set(Phase::Draining);
        self.health.set_up(false);
        if !wait(until, || self.in_flight() == 0) {
            tracing::warn!(plugin = &*self.name, calls = self.in_flight(), "calls are given up");
            self.calls.give_up();
            wait(grace(until), || self.in_flight() == 0);
        }
        self.end(until)
    }

    /// From the last call to `destroy`. Also the way out of a failed start.
    fn end(&self, until: Instant) -> bool {
        self.gate.set(Phase::Quiescing);
        let calm = wait(grace(until), || !self.executor.is_inside(self.health.index));
        let table = self.table();
        if let (true, Some(quiesce)) = (calm, table.quiesce) {
            let _inside = self.visit("quiesce");
            // SAFETY: nobody is inside, and the gate lets nobody in.
            unsafe { quiesce(table.this) }
        }
        self.gate.set(Phase::Ending);
        // Again and again, because a thread of the plugin's own may have added one just before the phase changed.
        let clear = || {
            self.tasks.cancel_all();
            self.operations.cancel_all();
            self.tasks.count() + self.operations.count() == 0 && !self.executor.is_inside(self.health.index)
        };
        let calm = wait(grace(until), clear) && calm;
        self.gate.set(Phase::Gone);
        match (calm, table.destroy) {
            (true, Some(destroy)) => {
                let _inside = self.visit("destroy");
                // SAFETY: everything has ended, and this is the last call.
                unsafe { destroy(table.this) }
                logbook::destroyed(self);
            }
            (true, None) => logbook::destroyed(self),
            (false, _) => {
                tracing::error!(plugin = &*self.name, "a plugin did not come back; it is not destroyed")
            }
        }
        calm
    }
}

fn grace(until: Instant) -> Instant {
    until.max(Instant::now() + GRACE)
}

/// Waits for something that other threads bring about; only the end of an instance does.
pub(crate) fn wait(until: Instant, what: impl Fn() -> bool) -> bool {
    while !what() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    true
}
