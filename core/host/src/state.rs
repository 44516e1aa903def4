//! What the host says about plugins, for readiness, the console and `exedra plugin inspect`.

use exedra_hub::manifest::Manifest;
use serde::Serialize;

/// What a plugin does right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Loaded, not started.
    Loaded,
    /// Takes calls.
    Running,
    /// Keeps a thread for too long; its calls are refused until it returns.
    Stuck,
    /// Out of service until it is reloaded or the hub restarts, and why.
    Quarantined(String),
    /// Turned off by an operator; it is only told who leaves.
    Disabled,
    /// Taken down.
    Stopped,
}

/// A plugin, for readiness and the console.
#[derive(Debug, Clone, Serialize)]
pub struct PluginState {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The ABI that it is built for, `major.minor`.
    pub abi: String,
    /// Who made its table.
    pub sdk: String,
    /// The file's SHA-256; none when it is linked in.
    pub sha256: Option<String>,
    /// 1 at the start, and one more with each version or settings that took the place of those before.
    pub generation: u32,
    /// What it does right now.
    pub condition: Condition,
    /// Panics of this generation.
    pub panics: u64,
    /// Calls under way.
    pub in_flight: usize,
}

/// What a plugin says about itself, without an instance.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Who made its table.
    pub sdk: String,
    /// The ABI that it is built for, `major.minor`.
    pub abi: String,
    /// The file's SHA-256; none when it is linked in.
    pub sha256: Option<String>,
    /// The file's size in bytes; 0 when it is linked in.
    pub size: u64,
    /// Its manifest for the given settings.
    pub manifest: Manifest,
}
