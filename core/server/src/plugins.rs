//! Plugins, seen from the command line and before the start: which files are configured, what they say about
//! themselves, and whether their settings fit. Every refusal names the file or the setting and what to do.

use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use exedra_bus::MemoryBus;
use exedra_host::{Inspection, LoadError, PluginSpec, Source};
use exedra_hub::{
    Code, Hub, HubParts, Refusal, Task,
    hub::Install,
    limits::Limits,
    manifest::{AuthMode, Manifest},
    metrics::Metrics,
    port::{Call, Clock, PluginId, Plugins, Reply},
};
use exedra_store::RedbStore;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::{self, Layers, Loaded, PluginConfig, PluginsConfig, Problem, Problems};

/// How long a call may take when the configuration does not say.
const DEADLINE: Duration = Duration::from_secs(10);

/// What to load for a plugin's table.
pub fn spec(config: &PluginsConfig, name: &str, table: &PluginConfig) -> PluginSpec {
    let library = config.library(name, table);
    let file = library.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    let source = Source::File { dir: config.folder(), library: file, sha256: table.sha256.clone() };
    PluginSpec {
        settings: Value::Object(table.settings.clone()),
        deadline: table.deadline.unwrap_or(DEADLINE),
        ..PluginSpec::new(name, source)
    }
}

/// Loads every enabled plugin to read its manifest, and gathers all that is wrong with files and settings. Tables
/// that have problems already are left alone, and so is what follows from a problem of `[auth]`.
pub fn check_all(loaded: &Loaded, known: &Problems) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut installs = Vec::new();
    for (name, table) in loaded.config.plugins.enabled() {
        if known.concern(&format!("plugins.{name}")) {
            continue;
        }
        match exedra_host::inspect(spec(&loaded.config.plugins, name, table)) {
            Ok(inspection) => {
                let keyless = needs_key(loaded, name, table, &inspection.manifest);
                problems.extend(keyless.filter(|_| !known.concern("auth")));
                installs.push(install(inspection.manifest, table));
            }
            Err(error) => problems.extend(refused(loaded, name, table, &error)),
        }
    }
    problems.extend(conflict(installs).map(|why| Problem::new("plugins", why)));
    problems
}

/// A manifest with what its table changes about it.
pub fn install(manifest: Manifest, table: &PluginConfig) -> Install {
    Install { manifest: manifest.into(), namespace: table.namespace.clone(), auth: table.auth }
}

/// Why these plugins cannot stand beside each other: asked of a hub that nobody uses.
fn conflict(installs: Vec<Install>) -> Option<String> {
    let metrics = Metrics::new();
    let hub = Hub::new(HubParts {
        clock: Arc::new(Stopped),
        authenticator: None,
        store: RedbStore::in_memory(metrics.clone()).ok()?,
        bus: MemoryBus::new(metrics.clone()),
        limits: Limits::default(),
        metrics,
    });
    hub.install(Arc::new(Stopped), installs).err()
}

/// The time and the plugins of a hub that only answers whether its plugins fit together.
struct Stopped;

impl Clock for Stopped {
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn sleep(&self, _: Duration) -> Task {
        Box::pin(std::future::pending())
    }
}

impl Plugins for Stopped {
    fn call(&self, _: PluginId, _: Call) -> Task<Result<Reply, Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::new(Code::Unavailable, "this hub only checks"))))
    }

    fn spawn(&self, _: Task) {}
}

/// Whether tokens can be checked.
pub fn has_key(loaded: &Loaded) -> bool {
    let auth = &loaded.config.auth;
    auth.secret.is_some()
        || auth.secret_file.is_some()
        || auth.public_key_file.is_some()
        || auth.jwks_file.is_some()
}

/// Whether nobody gets to the plugin without a token.
pub fn requires_tokens(table: &PluginConfig, manifest: &Manifest) -> bool {
    let declared =
        manifest.namespaces.iter().map(|n| n.auth).chain(manifest.endpoints.iter().map(|e| e.auth));
    match table.auth {
        Some(mode) => mode == AuthMode::Required,
        None => declared.max().is_some_and(|mode| mode == AuthMode::Required),
    }
}

/// A plugin that requires tokens is of no use without a key to check them.
pub fn needs_key(loaded: &Loaded, name: &str, table: &PluginConfig, manifest: &Manifest) -> Option<Problem> {
    (requires_tokens(table, manifest) && !has_key(loaded)).then(|| {
        let why = "it requires tokens, but [auth] gives no key to check them";
        let hint =
            format!("set auth.secret_file, auth.public_key_file or auth.jwks_file; or plugins.{name}.auth");
        loaded.problem(&format!("plugins.{name}"), why).hint(hint)
    })
}

/// The same as [`check_all`] for the tables of a running hub that have changed.
pub fn check_some(loaded: &Loaded, names: &BTreeSet<String>, hub: &Hub) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, table) in loaded.config.plugins.enabled().filter(|(name, _)| names.contains(*name)) {
        match exedra_host::inspect(spec(&loaded.config.plugins, name, table)) {
            Ok(inspection) => {
                problems.extend(needs_key(loaded, name, table, &inspection.manifest));
                let fits = hub.could_be(&install(inspection.manifest, table));
                problems.extend(fits.err().map(|why| loaded.problem(&format!("plugins.{name}"), why)));
            }
            Err(error) => problems.extend(refused(loaded, name, table, &error)),
        }
    }
    problems
}

/// A refusal as problems: settings one by one with their places, all else as one.
pub fn refused(loaded: &Loaded, name: &str, table: &PluginConfig, error: &LoadError) -> Vec<Problem> {
    if matches!(error, LoadError::Settings { .. } | LoadError::Describe { .. }) {
        let bare = PluginSpec { settings: Value::Null, ..spec(&loaded.config.plugins, name, table) };
        let schema = exedra_host::inspect(bare).ok().and_then(|inspection| inspection.manifest.settings);
        let settings = Value::Object(table.settings.clone());
        let found = schema
            .map(|schema| config::check_plugin_settings(&loaded.layers, name, &settings, &schema))
            .unwrap_or_default();
        if !found.is_empty() {
            return found;
        }
        return vec![loaded.problem(&format!("plugins.{name}.settings"), said(error))];
    }
    let key = match error {
        LoadError::Checksum { .. } | LoadError::MalformedChecksum { .. } => "sha256",
        _ => "library",
    };
    vec![loaded.problem(&format!("plugins.{name}.{key}"), said(error))]
}

/// The error and its causes in one line.
pub(crate) fn said(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

/// What a file says about itself.
///
/// # Errors
/// Why it is refused.
pub fn inspect(file: &Path) -> Result<Inspection, Problem> {
    inspect_with(file, Value::Null)
}

fn inspect_with(file: &Path, settings: Value) -> Result<Inspection, Problem> {
    let refused = |error: &LoadError| Problem::new(file.display().to_string(), said(error));
    let (dir, library) = place_of(file)?;
    let with_name = |name: &str| {
        let source = Source::File { dir: dir.clone(), library: library.clone(), sha256: None };
        exedra_host::inspect(PluginSpec { settings: settings.clone(), ..PluginSpec::new(name, source) })
    };
    // The file's name says nothing certain; a plugin that calls itself otherwise is asked again by that name.
    let stem = library.trim_start_matches("lib").split('.').next().unwrap_or_default().replace('_', "-");
    match with_name(&stem) {
        Err(LoadError::NameDiffers { found, .. }) => with_name(&found).map_err(|e| refused(&e)),
        other => other.map_err(|e| refused(&e)),
    }
}

/// The folder and the name of a file.
fn place_of(file: &Path) -> Result<(PathBuf, String), Problem> {
    let library = file.file_name().ok_or_else(|| {
        Problem::new(file.display().to_string(), "is not a file").hint("name the shared library itself")
    })?;
    let dir = match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    Ok((dir, library.to_string_lossy().into_owned()))
}

/// A plugin whose file and settings can be used.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What it says about itself, with these settings.
    pub inspection: Inspection,
    /// How to load it.
    pub spec: PluginSpec,
}

/// Checks a plugin's file, and settings for it when a file with some is given.
///
/// # Errors
/// Everything that is wrong.
pub fn checked(file: &Path, settings: Option<&Path>) -> Result<Checked, Vec<Problem>> {
    let mut inspection = inspect(file).map_err(|problem| vec![problem])?;
    let mut values = Value::Null;
    if let Some(path) = settings {
        let (settings, layers) = settings_of(path, &inspection.id)?;
        let schema = inspection.manifest.settings.clone().unwrap_or(Value::Bool(true));
        let problems = config::check_plugin_settings(&layers, &inspection.id, &settings, &schema);
        if !problems.is_empty() {
            return Err(problems);
        }
        inspection = inspect_with(file, settings.clone()).map_err(|problem| vec![problem])?;
        values = settings;
    }
    let (dir, library) = place_of(file).map_err(|problem| vec![problem])?;
    let source = Source::File { dir, library, sha256: inspection.sha256.clone() };
    let spec = PluginSpec { settings: values, ..PluginSpec::new(inspection.id.clone(), source) };
    Ok(Checked { inspection, spec })
}

/// The settings in a file: of `[plugins.NAME]`, of a table `[settings]`, or the whole file.
fn settings_of(path: &Path, name: &str) -> Result<(Value, Layers), Vec<Problem>> {
    let mut layers = Layers::of_file(path)?;
    let mut values = layers.values();
    let table =
        values.get("plugins").and_then(|plugins| plugins.get(name)).and_then(Value::as_object).cloned();
    let settings = match (table, values.remove("settings")) {
        (Some(mut table), _) => table.remove("settings").unwrap_or_else(|| Value::Object(Map::new())),
        (None, Some(settings)) => {
            layers.under(&["settings"], &["plugins", name, "settings"]);
            settings
        }
        (None, None) => {
            layers.under(&[], &["plugins", name, "settings"]);
            Value::Object(values)
        }
    };
    Ok((settings, layers))
}

/// A configured plugin, for `plugin list`.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// Whether it is loaded by `serve`.
    pub enabled: bool,
    /// Its version, when the file is fine.
    pub version: Option<String>,
    /// Its file.
    pub library: PathBuf,
    /// Its own description, or why it is refused.
    pub says: String,
    /// Whether it can be loaded.
    pub fine: bool,
}

/// Every configured plugin.
pub fn list(loaded: &Loaded) -> Vec<Listed> {
    let tables = &loaded.config.plugins.tables;
    let each = tables.iter().map(|(name, table)| {
        let inspection = exedra_host::inspect(spec(&loaded.config.plugins, name, table));
        let (version, says, fine) = match inspection {
            Ok(inspection) => (Some(inspection.version), inspection.manifest.description, true),
            Err(error) => (None, said(&error), false),
        };
        let library = loaded.config.plugins.library(name, table);
        Listed { name: name.clone(), enabled: table.enabled, version, library, says, fine }
    });
    each.collect()
}

/// The list as lines for people.
pub fn table(list: &[Listed]) -> String {
    let width = list.iter().map(|one| one.name.len()).max().unwrap_or(0).max(4);
    let mut text = format!("{:width$}  {:8}  {:8}  {}\n", "NAME", "STATE", "VERSION", "DESCRIPTION");
    for one in list {
        let state = match (one.enabled, one.fine) {
            (_, false) => "refused",
            (true, true) => "enabled",
            (false, true) => "disabled",
        };
        let version = one.version.as_deref().unwrap_or("-");
        let _ = writeln!(text, "{:width$}  {state:8}  {version:8}  {}", one.name, one.says);
    }
    text
}
