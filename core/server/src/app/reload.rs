//! A new configuration for a running hub. What can be changed is changed; what needs a restart is named; what is
//! wrong changes nothing.

use std::{fs, path::PathBuf, time::SystemTime};

use tokio::task::spawn_blocking;

use super::{App, Sources};
use crate::{
    config::{self, DEFAULT_FILE, Problem},
    lineup::Step,
    telemetry,
};

/// Settings that a running hub takes over, beside those of plugins.
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
    /// Reads the configuration again. What is wrong changes nothing.
    pub(super) async fn reload(&mut self, why: &str) {
        let loaded = match config::load(&self.sources.files, &self.sources.sets) {
            Ok(loaded) => loaded,
            Err(problems) => return self.refuse(&problems),
        };
        let lineup = self.lineup.clone();
        let applied = spawn_blocking(move || {
            let steps = lineup.apply(&loaded);
            (loaded, steps)
        });
        let (loaded, steps) = match applied.await {
            Ok((loaded, Ok(steps))) => (loaded, steps),
            Ok((_, Err(problems))) => return self.refuse(&problems),
            Err(error) => return self.refuse(&[Problem::new("plugins", error.to_string())]),
        };
        let level = telemetry::set_level(&loaded.config.log.level);
        if let Err(error) = &level {
            tracing::error!(error, "the level of the log stays as it is");
        }
        let failed = report(&steps);
        let well = level.is_ok() && failed.is_empty();
        self.hub.metrics().config_last_reload_successful.set(i64::from(well));
        tracing::info!(why, level = loaded.config.log.level, drain = ?loaded.config.server.drain, "configuration read again");
        self.loaded.config.server.drain = loaded.config.server.drain;
        let is_live = |key: &str| LIVE.contains(&key) || self.lineup.has(key, &loaded);
        // Compared with what the hub was started with, so that each reload names all that still waits.
        let mut waiting = self.loaded.changed_keys(&loaded);
        waiting.retain(|key| !is_live(key));
        self.admin.settings.write().reloaded(&loaded, &is_live, &waiting, failed);
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these changes need a restart");
        }
    }

    fn refuse(&self, problems: &[Problem]) {
        self.hub.metrics().config_last_reload_successful.set(0);
        for problem in problems {
            let (what, place) = (&problem.what, problem.place.as_deref());
            tracing::error!(what, place, "the new configuration is refused: {}", problem.why);
        }
    }
}

/// Logs what has become of the plugins, and gives what was not done.
fn report(steps: &[Step]) -> Vec<String> {
    let mut failed = Vec::new();
    for Step { name, done } in steps {
        match done {
            Ok(what) => tracing::info!(plugin = name, "the configuration of a plugin has changed: {what}"),
            Err(why) => {
                tracing::error!(plugin = name, "a plugin stays as it was, a restart may help: {why}");
                failed.push(format!("plugin {name} stays as it was: {why}"));
            }
        }
    }
    failed
}
