//! What a check has found, for people and for programs.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

pub use exedra_host::logbook::Weight;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Whether the contract is broken, or something should be better.
    pub weight: Weight,
    /// The rule's name: it stays the same from release to release.
    pub rule: String,
    /// What the plugin was asked to do.
    pub during: String,
    /// What is wrong, and what to do about it.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// How much was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Calls that were made.
    pub calls: u64,
    /// Events from clients.
    pub events: usize,
    /// REST routes.
    pub routes: usize,
    /// Injected events.
    pub injects: usize,
    /// Methods.
    pub methods: usize,
    /// Timers.
    pub timers: usize,
    /// Lives from create to destroy.
    pub lives: u64,
    /// What could not be tried, and why.
    pub left_out: Vec<String>,
}

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The ABI that it is built for.
    pub abi: String,
    /// Who made its table.
    pub sdk: String,
    /// The file's SHA-256.
    pub sha256: Option<String>,
    /// Whether it keeps the contract.
    pub fine: bool,
    /// What was tried.
    pub tried: Tried,
    /// What was found.
    pub findings: Vec<Found>,
    /// What the plugin is asked to do right now; for whoever finds out why the check has ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub during: String,
}

impl Report {
    /// Whether the contract is kept.
    pub(super) fn judge(&mut self) {
        self.findings.sort_by_key(|found| std::cmp::Reverse(found.weight));
        self.fine = self.findings.iter().all(|found| found.weight == Weight::Warning);
        self.during = String::new();
    }

    /// One line about what was tried.
    pub fn summary(&self) -> String {
        let tried = &self.tried;
        let counts = [
            (tried.events, "event"),
            (tried.routes, "route"),
            (tried.injects, "injected event"),
            (tried.methods, "method"),
            (tried.timers, "timer"),
        ];
        let said: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}{}", if *count == 1 { "" } else { "s" }))
            .collect();
        let what = if said.is_empty() { "nothing to call".to_owned() } else { said.join(", ") };
        format!("{what}; {} calls in {} lives", tried.calls, tried.lives)
    }
}

impl Found {
    /// For a line of its own.
    pub fn line(&self) -> String {
        let mut line = format!("{} while {}: {}", self.rule, self.during, self.what);
        if self.count > 1 {
            let _ = write!(line, " ({} times)", self.count);
        }
        line
    }
}
