//! How a plugin is doing: panics against a budget, threads that are stuck in it. Says whether new calls are taken;
//! one plugin's health never touches another's.

use std::{
    collections::VecDeque,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use exedra_hub::{Code, Refusal};
use parking_lot::Mutex;

use crate::logbook;

/// The time in which panics are counted against the budget.
const WINDOW: Duration = Duration::from_secs(60);
/// At most one warning about a slow poll per plugin in this time.
const WARN_EVERY: Duration = Duration::from_secs(5);

/// Sets `exedra_plugin_up` of one plugin.
pub(crate) type UpGauge = Box<dyn Fn(bool) + Send + Sync>;

/// The health of one plugin.
pub(crate) struct Health {
    /// The instance's place among all that there have been.
    pub(crate) index: usize,
    pub(crate) name: Box<str>,
    /// More panics than this within [`WINDOW`] end the plugin's work.
    budget: u32,
    recent: Mutex<VecDeque<Instant>>,
    panics: AtomicU64,
    /// Why no call is taken any more; set once, until the hub restarts.
    quarantine: OnceLock<String>,
    /// Threads that have been in the plugin's code for too long. May be below 0 for a moment, when a thread comes
    /// back while the watchdog is about to count it.
    stuck: AtomicI32,
    /// Whether an operator has turned it off.
    disabled: AtomicBool,
    warned: Mutex<Option<Instant>>,
    /// Whether another instance speaks for the plugin.
    replaced: AtomicBool,
    up: UpGauge,
}

impl Health {
    pub(crate) fn new(index: usize, name: &str, budget: u32, up: UpGauge) -> Self {
        Self {
            index,
            name: name.into(),
            budget,
            recent: Mutex::default(),
            panics: AtomicU64::new(0),
            quarantine: OnceLock::new(),
            stuck: AtomicI32::new(0),
            disabled: AtomicBool::new(false),
            warned: Mutex::default(),
            replaced: AtomicBool::new(false),
            up,
        }
    }

    /// Turns it off or on again.
    pub(crate) fn switch(&self, on: bool) {
        self.disabled.store(!on, Ordering::SeqCst);
        self.set_up(on && !self.is_stuck());
    }

    pub(crate) fn is_disabled(&self) -> bool {
        self.disabled.load(Ordering::Relaxed)
    }

    /// Why a new call is refused, if it is.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        if self.quarantine.get().is_some() {
            return Some(Refusal::new(
                Code::Unavailable,
                "the plugin has failed too often and is out of service",
            ));
        }
        (self.stuck.load(Ordering::Relaxed) > 0)
            .then(|| Refusal::new(Code::Unavailable, "the plugin does not respond right now"))
    }

    /// Counts a panic, and takes the plugin out of service when there were too many.
    pub(crate) fn panicked(&self, kind: &str, message: &str) {
        logbook::panicked(kind, message);
        self.panics.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut recent = self.recent.lock();
        recent.push_back(now);
        while recent.front().is_some_and(|at| now.duration_since(*at) > WINDOW) {
            recent.pop_front();
        }
        let count = recent.len();
        drop(recent);
        tracing::error!(plugin = &*self.name, kind, message, "a plugin panicked");
        if count > self.budget as usize {
            self.quarantine(format!("{count} panics within {} seconds", WINDOW.as_secs()));
        }
    }

    fn quarantine(&self, reason: String) {
        tracing::error!(
            plugin = &*self.name,
            reason,
            "a plugin is out of service until it is reloaded or the hub restarts"
        );
        if self.quarantine.set(reason).is_ok() {
            self.set_up(false);
        }
    }

    /// A thread has been in the plugin's code for too long.
    pub(crate) fn stuck(&self, kind: &str, for_how_long: Duration) {
        logbook::blocked(kind);
        let ms = for_how_long.as_millis() as u64;
        tracing::error!(
            plugin = &*self.name,
            kind,
            ms,
            "a plugin is stuck; its calls are refused until it returns"
        );
        if self.stuck.fetch_add(1, Ordering::SeqCst) >= 0 {
            self.set_up(false);
        }
    }

    /// A stuck thread has come back.
    pub(crate) fn recovered(&self) {
        tracing::warn!(plugin = &*self.name, "a stuck plugin has returned");
        if self.stuck.fetch_sub(1, Ordering::SeqCst) == 1 && !self.is_disabled() {
            self.set_up(true);
        }
    }

    /// Says that one poll takes long, but not for each poll.
    pub(crate) fn slow(&self, kind: &str, for_how_long: Duration) {
        logbook::blocked(kind);
        let mut warned = self.warned.lock();
        if warned.is_some_and(|at| at.elapsed() < WARN_EVERY) {
            return;
        }
        *warned = Some(Instant::now());
        let ms = for_how_long.as_millis() as u64;
        tracing::warn!(
            plugin = &*self.name,
            kind,
            ms,
            "a plugin blocks a thread; it should wait asynchronously"
        );
    }

    /// Says whether the plugin takes calls.
    pub(crate) fn set_up(&self, up: bool) {
        if !self.replaced.load(Ordering::SeqCst) {
            (self.up)(up && self.quarantine.get().is_none());
        }
    }

    /// Another instance speaks for the plugin from now on.
    pub(crate) fn replaced(&self) {
        self.replaced.store(true, Ordering::SeqCst);
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn quarantined(&self) -> Option<&str> {
        self.quarantine.get().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_overrun_quarantines() {
        let health = Health::new(0, "echo", 2, Box::new(|_| {}));
        health.panicked("event", "oops");
        health.panicked("event", "oops");
        assert!(health.refusal().is_none());
        health.panicked("event", "oops");
        assert_eq!(health.refusal().unwrap().code, Code::Unavailable);
        assert_eq!(health.panics(), 3);
    }

    #[test]
    fn stuck_plugin_refuses_until_back() {
        let health = Health::new(0, "echo", 2, Box::new(|_| {}));
        health.stuck("event", Duration::from_secs(6));
        assert!(health.refusal().is_some());
        health.recovered();
        assert!(health.refusal().is_none());
    }
}
