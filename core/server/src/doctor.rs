//! Whether a hub would do well on this machine with these settings: files and their owners, limits, NATS, ports. Looks
//! at everything and changes nothing; each finding says what to do about it.

mod files;
mod machine;
mod nats;
mod ports;

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    config::{self, Loaded, Problem},
    plugins,
};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but should not stay so.
    Warn,
    /// A hub does not start, or does not keep its promises.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `open files`, `plugins.meetings`.
    pub check: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    fn new(check: impl Into<String>, level: Level, says: impl Into<String>) -> Self {
        Self { check: check.into(), level, says: says.into(), hint: None }
    }

    fn ok(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, says)
    }

    fn warn(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(check, Level::Warn, says)
    }

    fn fail(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(check, Level::Fail, says)
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Problem> for Finding {
    fn from(problem: Problem) -> Self {
        let Problem { what, why, place, hint, .. } = problem;
        let says = place.map_or_else(|| why.clone(), |place| format!("{why} ({place})"));
        Self { check: what, level: Level::Fail, says, hint }
    }
}

/// Everything that was found, in the order in which one would look.
pub fn examine(files: &[PathBuf], sets: &[String]) -> Vec<Finding> {
    let (loaded, problems) = config::survey(files, sets);
    let mut findings = Vec::new();
    if problems.is_empty() {
        let names: Vec<_> =
            loaded.iter().flat_map(|loaded| loaded.config.plugins.enabled()).map(|(name, _)| name).collect();
        findings.push(Finding::ok("configuration", format!("read; plugins: {}", or_none(&names.join(", ")))));
    }
    findings.extend(problems.into_sorted().into_iter().map(Finding::from));
    let Some(loaded) = loaded else { return findings };
    findings.extend(loaded.warnings().into_iter().map(|warning| Finding::warn("configuration", warning)));
    findings.push(machine::open_files(loaded.config.limits.connections));
    findings.extend(libraries(&loaded));
    findings.extend(files::secrets(&loaded.config));
    findings.extend(files::certificates(&loaded.config));
    findings.extend(files::store(&loaded.config));
    findings.extend(nats::look(&loaded.config));
    findings.extend(ports::look(&loaded.config));
    findings
}

/// Each enabled plugin: its file, its ABI, its settings.
fn libraries(loaded: &Loaded) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, table) in loaded.config.plugins.enabled() {
        let check = format!("plugins.{name}");
        match exedra_host::inspect(plugins::spec(&loaded.config.plugins, name, table)) {
            Ok(inspection) => {
                let keyless = plugins::needs_key(loaded, name, table, &inspection.manifest);
                let says = format!(
                    "version {}, ABI {}, {} bytes",
                    inspection.version, inspection.abi, inspection.size
                );
                findings.push(keyless.map_or_else(|| Finding::ok(check, says), Finding::from));
            }
            // What the settings say already is not said twice.
            Err(_) if !loaded.config.plugins.library(name, table).is_file() => {}
            Err(error) => {
                findings.extend(plugins::refused(loaded, name, table, &error).into_iter().map(Finding::from));
            }
        }
    }
    if findings.is_empty() {
        let hint = "enable one with a table [plugins.NAME]";
        findings.push(Finding::warn("plugins", "none is enabled: nobody can connect").hint(hint));
    }
    findings
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// The worst of them.
pub fn worst(findings: &[Finding]) -> Level {
    let has = |level| findings.iter().any(|finding| finding.level == level);
    match (has(Level::Fail), has(Level::Warn)) {
        (true, _) => Level::Fail,
        (false, true) => Level::Warn,
        (false, false) => Level::Ok,
    }
}
