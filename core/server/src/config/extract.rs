//! Merges the layers and makes typed settings of them. The only file that names figment: it reads the environment,
//! merges, and says at which key a value does not fit; asking again without that key finds the next one.

use figment::{
    Figment, Metadata, Profile, Provider,
    error::{Actual, Kind},
    providers::Env,
    value::{Dict, Map as Profiles, Value as Tagged},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Config,
    layers::{Layer, Layers, Part},
    problems::{Problem, Problems, did_you_mean},
    show::is_secret,
    toml_spans::KeyPath,
};

const ADDRESSES: &str = "write addresses like \"127.0.0.1:3000\" or \"[::1]:3000\"";
/// More problems than this are not worth listing.
const MAX_PROBLEMS: usize = 200;

/// `EXEDRA_SERVER__LISTEN=…` as key paths and texts; a name without `__` is not a setting.
pub(crate) fn environment() -> Vec<(KeyPath, String)> {
    let env = Env::prefixed("EXEDRA_").split("__");
    let mut found: Vec<(KeyPath, String)> = env
        .iter()
        .map(|(key, text)| (key.as_str().split('.').map(str::to_owned).collect::<KeyPath>(), text))
        .filter(|(path, _)| path.len() > 1)
        .collect();
    found.sort();
    found
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named("settings")
    }

    fn data(&self) -> figment::Result<Profiles<Profile, Dict>> {
        let dict = match Tagged::serialize(&self.values)? {
            Tagged::Dict(_, dict) => dict,
            _ => Dict::new(),
        };
        Ok(Profiles::from([(Profile::Default, dict)]))
    }
}

/// All layers in one, higher ones winning.
pub(crate) fn merge(layers: &Layers) -> Result<Map<String, Value>, Problem> {
    let figment = layers.0.iter().fold(Figment::new(), |figment, layer| figment.merge(layer));
    figment.extract().map_err(|e| Problem::new("configuration", e.to_string()))
}

/// The typed settings; every value that does not fit is a problem, and as if it were not there. None when nothing
/// is left to go on with.
pub(crate) fn extract(
    merged: &Map<String, Value>,
    layers: &Layers,
    problems: &mut Problems,
) -> Option<Config> {
    let mut values = merged.clone();
    let mut removed: Vec<KeyPath> = Vec::new();
    for _ in 0..MAX_PROBLEMS {
        match fit(&values) {
            Ok(config) => return Some(config),
            Err(error) => {
                let path = as_written(&error.path, &removed);
                problems.push(describe(&error, &path, layers));
                if !remove(&mut values, &error.path) {
                    return None;
                }
                removed.push(path);
            }
        }
    }
    None
}

/// The path as the files have it: elements taken out of an array have moved those behind them.
fn as_written(path: &[String], removed: &[KeyPath]) -> KeyPath {
    let mut written = KeyPath::new();
    for part in path {
        let mut gone: Vec<usize> = removed
            .iter()
            .filter(|r| r.len() == written.len() + 1 && r.starts_with(&written))
            .filter_map(|r| r.last()?.parse().ok())
            .collect();
        gone.sort_unstable();
        let index = part.parse::<usize>().ok().filter(|_| !gone.is_empty());
        let index = index.map(|index| gone.iter().fold(index, |at, gone| at + usize::from(*gone <= at)));
        written.push(index.map_or_else(|| part.clone(), |index| index.to_string()));
    }
    written
}

fn fit(values: &Map<String, Value>) -> Result<Config, Box<figment::Error>> {
    let tagged = Tagged::serialize(values).map_err(Box::new)?;
    Config::deserialize(&tagged).map_err(Box::new)
}

fn describe(error: &figment::Error, path: &[String], layers: &Layers) -> Problem {
    let secret = is_secret(path);
    match &error.kind {
        Kind::UnknownField(name, known) => {
            let problem = layers.problem(path, Part::Key, "unknown key");
            match did_you_mean(name, known.iter().copied()) {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
        }
        Kind::UnknownVariant(name, known) => {
            let problem = layers.problem(path, Part::Value, format!("{name:?} is not one of its values"));
            problem.hint(format!("one of: {}", known.join(", ")))
        }
        Kind::MissingField(name) => {
            let mut path = path.to_vec();
            path.push(name.to_string());
            layers.problem(&path, Part::Value, "missing")
        }
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            let why = format!("{} is not {}", said(found, secret), article(wanted));
            let problem = layers.problem(path, Part::Value, why);
            match example(wanted) {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
        }
        Kind::Message(message) => {
            let problem = layers.problem(path, Part::Value, message.clone());
            match message.as_str() {
                "invalid socket address syntax" => problem.hint(ADDRESSES),
                "invalid IP address syntax" => {
                    problem.hint("write networks like \"10.0.0.0/8\" or \"fd00::/8\"")
                }
                _ => problem,
            }
        }
        other => layers.problem(path, Part::Value, other.to_string()),
    }
}

fn said(found: &Actual, secret: bool) -> String {
    match found {
        _ if secret => "this value".to_owned(),
        Actual::Bool(value) => format!("the boolean {value}"),
        Actual::Unsigned(value) => format!("the number {value}"),
        Actual::Signed(value) => format!("the number {value}"),
        Actual::Float(value) => format!("the number {value}"),
        Actual::Str(value) => format!("the string {value:?}"),
        Actual::Unit | Actual::Option => "this value".to_owned(),
        Actual::Seq => "an array".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// Words for what the types expect; libraries name their Rust types.
fn article(wanted: &str) -> String {
    match wanted {
        "a duration" => "a duration".to_owned(),
        "parsable string" | "an integer or string" => "a size".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative and fits".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "path string" => "a path".to_owned(),
        "a sequence" => "an array".to_owned(),
        "socket address" => "an address with a port".to_owned(),
        _ if wanted.starts_with("struct ") || wanted == "a map" => "a table".to_owned(),
        other => other.to_owned(),
    }
}

fn example(wanted: &str) -> Option<&'static str> {
    match wanted {
        "a duration" => Some("write durations like \"250ms\", \"30s\", \"5m\""),
        "parsable string" | "an integer or string" => Some("write sizes like \"64KiB\" or \"1MB\""),
        "socket address" => Some(ADDRESSES),
        _ => None,
    }
}

/// Takes a value out, so that the next problem can be found; says whether there was one.
fn remove(values: &mut Map<String, Value>, path: &[String]) -> bool {
    match path {
        [] => false,
        [last] => values.remove(last).is_some(),
        [first, rest @ ..] => match values.get_mut(first) {
            Some(value) => remove_in(value, rest),
            None => false,
        },
    }
}

fn remove_in(value: &mut Value, path: &[String]) -> bool {
    match (value, path) {
        (Value::Object(map), path) => remove(map, path),
        (Value::Array(list), [index, rest @ ..]) => match index.parse::<usize>() {
            Ok(index) if index < list.len() && rest.is_empty() => {
                list.remove(index);
                true
            }
            Ok(index) if index < list.len() => remove_in(&mut list[index], rest),
            _ => false,
        },
        _ => false,
    }
}
