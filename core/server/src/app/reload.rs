//! A new configuration for a running hub. What can be changed is changed; what needs a restart is named; what is
//! wrong changes nothing.

use std::{fs, path::PathBuf, time::SystemTime};

use super::{App, Sources};
use crate::{
    config::{self, DEFAULT_FILE},
    telemetry,
};

/// Settings that a running hub takes over.
const LIVE: [&str; 2] = ["log.level", "server.drain"];

/// When the files were written, and how long they are.
pub(super) type Stamps = Vec<Option<(SystemTime, u64)>>;

/// What tells whether a file has changed.
pub(super) fn stamps(sources: &Sources) -> Stamps {
    let default = [PathBuf::from(DEFAULT_FILE)];
    let files = if sources.files.is_empty() { &default[..] } else { &sources.files };
    let stamp = |file: &PathBuf| {
        let metadata = fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(stamp).collect()
}

impl App {
    /// Reads the configuration again.
    pub(super) fn reload(&mut self, why: &str) {
        let gauge = &self.hub.metrics().config_last_reload_successful;
        let loaded = match config::load(&self.sources.files, &self.sources.sets) {
            Ok(loaded) => loaded,
            Err(problems) => {
                gauge.set(0);
                for problem in &problems {
                    let (what, place) = (&problem.what, problem.place.as_deref());
                    tracing::error!(what, place, "the new configuration is refused: {}", problem.why);
                }
                return;
            }
        };
        if let Err(error) = telemetry::set_level(&loaded.config.log.level) {
            gauge.set(0);
            tracing::error!(error, "the level of the log stays as it is");
            return;
        }
        gauge.set(1);
        tracing::info!(why, level = loaded.config.log.level, drain = ?loaded.config.server.drain, "configuration read again");
        self.loaded.config.server.drain = loaded.config.server.drain;
        // Compared with what the hub was started with, so that each reload names all that still waits.
        let mut waiting = self.loaded.changed_keys(&loaded);
        waiting.retain(|key| !LIVE.contains(&key.as_str()));
        self.admin.settings.write().reloaded(&loaded, &LIVE, &waiting);
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these changes need a restart");
        }
    }
}
