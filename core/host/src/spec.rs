//! What the operator says: which plugins, from where, and how they are run.

use std::{path::PathBuf, time::Duration};

use exedra_abi::Entry;
use serde_json::Value;

/// Where a plugin comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A shared library.
    File {
        /// The folder; the operator's choice, never searched for.
        dir: PathBuf,
        /// A bare file name in it.
        library: String,
        /// What the file's SHA-256 must be, in hexadecimal digits.
        sha256: Option<String>,
    },
    /// Linked into this program.
    Static(&'static Entry),
}

/// A plugin to load.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    /// The NAME of `[plugins.NAME]`; the plugin must call itself the same.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Its settings; null stands for none.
    pub settings: Value,
    /// How long it may take for a call, unless the manifest gives the event a time of its own.
    pub deadline: Duration,
}

impl PluginSpec {
    /// A plugin without settings and with the usual deadline of 10 seconds.
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        Self { name: name.into(), source, settings: Value::Null, deadline: Duration::from_secs(10) }
    }

    /// The file or the name, for messages.
    pub(crate) fn shown(&self) -> String {
        match &self.source {
            Source::File { dir, library, .. } => dir.join(library).display().to_string(),
            Source::Static(_) => self.name.clone(),
        }
    }
}

/// How plugins are run.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Executor threads; at least 2, so that one slow plugin does not stop the others.
    pub threads: usize,
    /// Verified copies of plugin files go to `<state_dir>/plugins`.
    pub state_dir: PathBuf,
    /// More panics than this within 60 seconds take a plugin out of service.
    pub panic_budget: u32,
    /// A plugin that keeps a thread for longer is warned about.
    pub warn_after: Duration,
    /// A plugin that keeps a thread for longer gets no calls until it returns.
    pub stuck_after: Duration,
    /// Calls under way per plugin, and its tasks, and its operations; one more is refused as busy.
    pub calls_in_flight: usize,
}

impl HostConfig {
    /// The usual values.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(2, usize::from).max(2),
            state_dir: state_dir.into(),
            panic_budget: 5,
            warn_after: Duration::from_millis(100),
            stuck_after: Duration::from_secs(5),
            calls_in_flight: 65_536,
        }
    }
}

impl Default for HostConfig {
    /// The usual values, with the state below `var`.
    fn default() -> Self {
        Self::new("var")
    }
}
