//! `[plugins]` and `[plugins.NAME]`: which plugins run, from which file, and with which settings.

use std::{borrow::Cow, collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use exedra_hub::manifest::AuthMode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// The longest name of a plugin.
const MAX_NAME: usize = 32;

/// The enabled plugins. A table of its own for each, and `dir` beside them.
#[derive(Debug, Clone, Default)]
pub struct PluginsConfig {
    /// Where libraries are; the folder of the executable when absent.
    pub dir: Option<PathBuf>,
    /// The tables, by name.
    pub tables: BTreeMap<String, PluginConfig>,
}

/// One plugin.
#[derive(Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PluginConfig {
    /// Whether it is loaded.
    pub enabled: bool,
    /// Name of its file in `dir`; `lib<name with _>.so` when absent.
    pub library: Option<String>,
    /// SHA-256 of the file in hex; another file is not loaded.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// Serves this namespace instead of its own.
    pub namespace: Option<String>,
    /// Overrides whether a token is needed. Plugins that share a namespace: the strictest of them holds.
    #[schemars(with = "Option<AuthModeWords>")]
    pub auth: Option<AuthMode>,
    /// Longest time of one call; the plugin is answered for after it.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    pub deadline: Option<Duration>,
    /// The plugin's own settings, checked against its schema.
    pub settings: Map<String, Value>,
}

/// Of the plugin's own settings only the names: no one here knows which of them are secrets.
impl fmt::Debug for PluginConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { enabled, library, sha256, namespace, auth, deadline, settings } = self;
        f.debug_struct("PluginConfig")
            .field("enabled", enabled)
            .field("library", library)
            .field("sha256", sha256)
            .field("namespace", namespace)
            .field("auth", auth)
            .field("deadline", deadline)
            .field("settings", &settings.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Default for PluginConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            library: None,
            sha256: None,
            namespace: None,
            auth: None,
            deadline: None,
            settings: Map::new(),
        }
    }
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase", inline)]
#[expect(dead_code, reason = "stands for AuthMode in the schema")]
enum AuthModeWords {
    Required,
    Optional,
    None,
}

impl PluginsConfig {
    /// The enabled ones, in order of their names.
    pub fn enabled(&self) -> impl Iterator<Item = (&str, &PluginConfig)> {
        self.tables.iter().filter(|(_, table)| table.enabled).map(|(name, table)| (name.as_str(), table))
    }

    /// The file of a plugin.
    pub fn library(&self, name: &str, table: &PluginConfig) -> PathBuf {
        self.folder().join(table.library.clone().unwrap_or_else(|| file_name(name)))
    }

    /// Where libraries are.
    pub fn folder(&self) -> PathBuf {
        let own = || std::env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from));
        self.dir.clone().or_else(own).unwrap_or_else(|| PathBuf::from("."))
    }
}

/// The file name of a plugin's library on this system.
pub(crate) fn file_name(name: &str) -> String {
    format!("{}{}{}", std::env::consts::DLL_PREFIX, name.replace('-', "_"), std::env::consts::DLL_SUFFIX)
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('-')
}

// By hand because a flattened map would lose the place of a mistake, and `dir` stands among the names.
impl<'de> Deserialize<'de> for PluginsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;
        impl<'de> Visitor<'de> for Tables {
            type Value = PluginsConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut config = PluginsConfig::default();
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        Key::Dir => config.dir = Some(map.next_value()?),
                        Key::Plugin(name) => {
                            config.tables.insert(name, map.next_value()?);
                        }
                    }
                }
                Ok(config)
            }
        }
        deserializer.deserialize_map(Tables)
    }
}

enum Key {
    Dir,
    Plugin(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            "dir" => Ok(Self::Dir),
            _ if is_name(&name) => Ok(Self::Plugin(name)),
            _ => Err(D::Error::custom("a plugin's name has a-z, 0-9 and -, 32 characters at most")),
        }
    }
}

impl JsonSchema for PluginsConfig {
    fn schema_name() -> Cow<'static, str> {
        "PluginsConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let plugin = generator.subschema_for::<PluginConfig>();
        json_schema!({
            "description": "The enabled plugins. A table of its own for each, and `dir` beside them.",
            "type": "object",
            "properties": {
                "dir": {
                    "description": "Where libraries are; the folder of the executable when absent.",
                    "type": ["string", "null"],
                    "default": null,
                },
            },
            "propertyNames": { "pattern": "^[a-z0-9][a-z0-9-]{0,31}$" },
            "additionalProperties": plugin,
        })
    }
}
