//! The settings: read from files, the environment and `--set`, merged, checked all at once, and typed. Nobody
//! behind this door looks at TOML, at the environment or at a default again.

mod checks;
mod extract;
mod layers;
mod plugin_settings;
mod plugins_section;
mod problems;
mod schema;
mod secrets;
mod sections;
mod show;
mod toml_spans;

use std::{fmt, path::PathBuf};

use exedra_auth::AuthConfig;
use exedra_bus::NatsConfig;
use exedra_gateway::SocketIoConfig;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

pub use checks::DEVELOPMENT_SECRET;
pub use layers::Layers;
pub use plugin_settings::check_plugin_settings;
pub use plugins_section::{PluginConfig, PluginsConfig};
pub use problems::{Problem, Problems};
pub use schema::{defaults_text, schema, schema_text};
pub use sections::{
    AdminConfig, ClusterConfig, CorsConfig, LimitsConfig, LogConfig, LogFormat, ServerConfig, StoreConfig,
    StoreDurability, StoreKind, TlsConfig,
};
pub use show::Setting;

/// The file that is read when none is given.
pub const DEFAULT_FILE: &str = "config/exedra.toml";

/// Exedra's settings. Unknown keys are errors; durations are written `"30s"`, sizes `"64KiB"`; every secret can
/// be given as a file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Exedra")]
pub struct Config {
    /// The public listener.
    pub server: ServerConfig,
    /// Engine.IO and Socket.IO.
    pub socketio: SocketIoConfig,
    /// What one hub, one address and one connection may use.
    pub limits: LimitsConfig,
    /// How tokens are checked. At most one setting gives the key; without one, no plugin can require tokens.
    pub auth: AuthConfig,
    /// The bus to other services.
    pub nats: NatsConfig,
    /// Where plugins keep what must survive.
    pub store: StoreConfig,
    /// Several hubs as one.
    pub cluster: ClusterConfig,
    /// The listener for operators: metrics, health, administration. Keep it on loopback or a private network.
    pub admin: AdminConfig,
    /// The log, on stderr.
    pub log: LogConfig,
    /// The enabled plugins.
    pub plugins: PluginsConfig,
}

impl Config {
    /// The token of the admin API, from `token` or `token_file`.
    ///
    /// # Errors
    /// Why the file cannot be used.
    pub fn admin_token(&self) -> Result<Option<SecretString>, String> {
        match (&self.admin.token, &self.admin.token_file) {
            (Some(token), _) => Ok(Some(token.clone())),
            (None, Some(path)) => secrets::read(path).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Settings that have passed all checks, and where each came from.
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The sources, for messages about settings that only a plugin can judge.
    pub layers: Layers,
    merged: Map<String, Value>,
}

/// Without the values as they were written: among them are secrets.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, layers, merged: _ } = self;
        f.debug_struct("Loaded").field("config", config).field("layers", layers).finish_non_exhaustive()
    }
}

impl Loaded {
    /// The settings as TOML without secrets, each with its origin if asked for.
    pub fn show(&self, origin: bool) -> String {
        show::text(&self.merged, &self.layers, origin)
    }

    /// The settings one by one, without secrets.
    pub fn settings(&self) -> Vec<Setting> {
        show::settings(&self.merged, &self.layers)
    }

    /// A problem of a setting named with dots, with its place.
    pub fn problem(&self, key: &str, why: impl Into<String>) -> Problem {
        self.layers.problem_at(key, why)
    }

    /// Things that work but should not stay so.
    pub fn warnings(&self) -> Vec<String> {
        let exposed = self.layers.secrets_on_the_command_line();
        exposed
            .iter()
            .map(|key| {
                format!("{key} was given with --set: every user of this machine can read it; use a file")
            })
            .collect()
    }

    /// Which sections differ from those of another configuration.
    pub fn changed_keys(&self, other: &Self) -> Vec<String> {
        let mut changed = std::collections::BTreeSet::new();
        for (one, two) in [(&self.merged, &other.merged), (&other.merged, &self.merged)] {
            layers::leaves(one, &mut Vec::new(), &mut |path, value| {
                if layers::find(two, path) != Some(value) {
                    changed.insert(path.join("."));
                }
            });
        }
        changed.into_iter().collect()
    }
}

/// Reads and checks everything but what needs plugins to be loaded.
///
/// # Errors
/// Every problem there is, those of files first, from top to bottom.
pub fn load(files: &[PathBuf], sets: &[String]) -> Result<Loaded, Vec<Problem>> {
    match survey(files, sets) {
        (Some(loaded), problems) if problems.is_empty() => Ok(loaded),
        (_, problems) => Err(problems.into_sorted()),
    }
}

/// The same for one text by itself: no file is read for it, and neither the environment nor `--set` has a say.
///
/// # Errors
/// As [`load`].
pub fn load_text(name: &str, text: &str) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Problems::default();
    let layers = Layers::of_text(name, text, &mut problems);
    match survey_layers(layers, problems) {
        (Some(loaded), problems) if problems.is_empty() => Ok(loaded),
        (_, problems) => Err(problems.into_sorted()),
    }
}

/// The same for those who want to look further in spite of problems: what is wrong is as if it were not there.
pub fn survey(files: &[PathBuf], sets: &[String]) -> (Option<Loaded>, Problems) {
    let default = [PathBuf::from(DEFAULT_FILE)];
    let files = if files.is_empty() { &default } else { files };
    let mut problems = Problems::default();
    let layers = Layers::gather(files, sets, &mut problems);
    survey_layers(layers, problems)
}

fn survey_layers(layers: Layers, mut problems: Problems) -> (Option<Loaded>, Problems) {
    let merged = match extract::merge(&layers) {
        Ok(merged) => merged,
        Err(problem) => {
            problems.push(problem);
            return (None, problems);
        }
    };
    let config = extract::extract(&merged, &layers, &mut problems);
    if let Some(config) = &config {
        let mut found = Problems::default();
        checks::check(config, &layers, &mut found);
        // What has been said of a setting is enough; its default is nobody's fault.
        problems.extend_with_others(found);
    }
    (config.map(|config| Loaded { config, layers, merged }), problems)
}
