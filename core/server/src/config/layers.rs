//! Where settings come from, lowest first: files in the order given, the environment, `--set`. Defaults are the
//! types' own. A layer keeps what it said and where, so that every value can be traced.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{
    extract,
    problems::{Problem, Problems},
    schema,
    toml_spans::{self, KeyPath, Parsed},
};

/// The largest configuration file that is read.
const MAX_FILE: u64 = 1 << 20;

/// Where a layer's values come from.
pub(crate) enum Source {
    File { path: PathBuf, text: String, parsed: Parsed },
    Environment,
    Set,
}

/// The values of one source.
pub(crate) struct Layer {
    pub(crate) source: Source,
    pub(crate) values: Map<String, Value>,
}

/// All layers, lowest first.
#[derive(Default)]
pub struct Layers(pub(crate) Vec<Layer>);

/// The sources alone: the values may be secrets.
impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |layer: &Layer| match &layer.source {
            Source::File { path, .. } => path.display().to_string(),
            Source::Environment => "environment".to_owned(),
            Source::Set => "--set".to_owned(),
        };
        f.debug_list().entries(self.0.iter().map(name)).finish()
    }
}

/// Which part of a setting a place points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

impl Layers {
    /// Gathers all layers. What cannot be read is a problem; the rest goes on, to find the others.
    pub(crate) fn gather(files: &[PathBuf], sets: &[String], problems: &mut Problems) -> Self {
        let mut layers = Self::default();
        for path in files {
            match read_file(path) {
                Ok(text) => layers.add_file(path, text, problems),
                Err(problem) => problems.push(problem),
            }
        }
        layers.add_environment(problems);
        layers.add_sets(sets, problems);
        layers
    }

    /// One file by itself, for settings that stand alone.
    ///
    /// # Errors
    /// What is wrong with its syntax, or why it cannot be read.
    pub fn of_file(path: &Path) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let mut layers = Self::default();
        let text = read_file(path).map_err(|problem| vec![problem])?;
        layers.add_file(path, text, &mut problems);
        if problems.is_empty() { Ok(layers) } else { Err(problems.into_sorted()) }
    }

    /// A text that may be in no file, under the name of one.
    pub(crate) fn of_text(name: &str, text: &str, problems: &mut Problems) -> Self {
        let mut layers = Self::default();
        layers.add_file(Path::new(name), text.to_owned(), problems);
        layers
    }

    /// What the lowest layer says.
    pub fn values(&self) -> Map<String, Value> {
        self.0.first().map(|layer| layer.values.clone()).unwrap_or_default()
    }

    /// Says that what stands `at` one place means another, so that problems there find their way back.
    pub fn under(&mut self, at: &[&str], means: &[&str]) {
        let Some(layer) = self.0.first_mut() else { return };
        let there: KeyPath = at.iter().map(|part| (*part).to_owned()).collect();
        let moved = match find(&layer.values, &there) {
            Some(value) => value.clone(),
            None => Value::Object(layer.values.clone()),
        };
        let path: KeyPath = means.iter().map(|part| (*part).to_owned()).collect();
        layer.values.clear();
        if put(&mut layer.values, &path, moved).is_err() {
            return;
        }
        if let Source::File { parsed, .. } = &mut layer.source {
            let spans = std::mem::take(&mut parsed.spans);
            parsed.spans = spans
                .into_iter()
                .filter(|(key, _)| key.starts_with(&there))
                .map(|(key, span)| ([&path[..], &key[there.len()..]].concat(), span))
                .collect();
        }
    }

    fn add_file(&mut self, path: &Path, text: String, problems: &mut Problems) {
        let parsed = toml_spans::parse(&text);
        for (at, message) in &parsed.errors {
            let (line, column) = toml_spans::line_and_column(&text, *at);
            let mut problem = Problem::new(path.display().to_string(), format!("not valid TOML: {message}"));
            problem.place = Some(format!("{}:{line}:{column}", path.display()));
            problem.order = (self.0.len(), *at);
            problems.push(problem);
        }
        let values = parsed.values.clone();
        self.0.push(Layer { source: Source::File { path: path.to_owned(), text, parsed }, values });
    }

    fn add_environment(&mut self, problems: &mut Problems) {
        let mut values = Map::new();
        for (path, text) in extract::environment() {
            let path = real_names(path);
            if let Err(why) = put(&mut values, &path, scalar(&path, &text, false)) {
                problems.push(Problem::new(variable(&path), why));
            }
        }
        self.0.push(Layer { source: Source::Environment, values });
    }

    fn add_sets(&mut self, sets: &[String], problems: &mut Problems) {
        let mut values = Map::new();
        for set in sets {
            match parse_set(set) {
                Ok((path, value)) => {
                    if let Err(why) = put(&mut values, &path, value) {
                        problems.push(Problem::new(format!("--set {}", path.join(".")), why));
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        self.0.push(Layer { source: Source::Set, values });
    }

    /// The topmost layer that says something under the path.
    fn saying(&self, path: &[String]) -> Option<(usize, &Layer)> {
        self.0.iter().enumerate().rev().find(|(_, layer)| find(&layer.values, path).is_some())
    }

    /// Where a setting was made, for people; none for defaults.
    pub(crate) fn place(&self, path: &[String], part: Part) -> Option<String> {
        self.locate(path, part).map(|(place, _)| place)
    }

    fn locate(&self, path: &[String], part: Part) -> Option<(String, (usize, usize))> {
        let (index, layer) = self.saying(path)?;
        Some(match &layer.source {
            Source::File { path: file, text, parsed } => {
                let span = parsed.spans.get(path)?;
                let at = if part == Part::Key { span.key.start } else { span.value.start };
                let (line, column) = toml_spans::line_and_column(text, at);
                (format!("{}:{line}:{column}", file.display()), (index, at))
            }
            Source::Environment => (format!("environment variable {}", variable(path)), (index, 0)),
            Source::Set => (format!("--set {}", path.join(".")), (index, 0)),
        })
    }

    /// A problem of a setting, with its place, or that of the nearest table around it.
    pub(crate) fn problem(&self, path: &[String], part: Part, why: impl Into<String>) -> Problem {
        let mut problem = Problem::new(path.join("."), why);
        let located = (1..=path.len()).rev().find_map(|n| {
            let part = if n == path.len() { part } else { Part::Key };
            self.locate(&path[..n], part)
        });
        if let Some((place, order)) = located {
            problem.place = Some(place);
            problem.order = order;
        }
        problem
    }

    /// The same, for a dotted key that has no dots in its parts.
    pub(crate) fn problem_at(&self, key: &str, why: impl Into<String>) -> Problem {
        let path: KeyPath = key.split('.').map(str::to_owned).collect();
        self.problem(&path, Part::Value, why)
    }

    /// Secrets that were given with `--set`, where every user of the machine can read them.
    pub(crate) fn secrets_on_the_command_line(&self) -> Vec<String> {
        let mut found = Vec::new();
        for layer in self.0.iter().filter(|l| matches!(l.source, Source::Set)) {
            leaves(&layer.values, &mut Vec::new(), &mut |path, _| {
                if super::show::is_secret(path) {
                    found.push(path.join("."));
                }
            });
        }
        found
    }
}

/// Calls `visit` with every value that is not a table.
pub(crate) fn leaves(
    table: &Map<String, Value>,
    path: &mut KeyPath,
    visit: &mut impl FnMut(&[String], &Value),
) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Object(inner) => leaves(inner, path, visit),
            other => visit(path, other),
        }
        path.pop();
    }
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let failed = |why: String| {
        let hint = "give the file with -c FILE; `exedra config defaults` prints one to start from";
        Problem::new(path.display().to_string(), format!("cannot be read: {why}"))
            .place(format!("{}:1:1", path.display()))
            .hint(hint)
    };
    let size = fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if size > MAX_FILE {
        return Err(failed(format!("it has {size} bytes, more than {MAX_FILE}")));
    }
    fs::read_to_string(path).map_err(|e| failed(e.to_string()))
}

fn parse_set(set: &str) -> Result<(KeyPath, Value), Problem> {
    let usage = "a setting is written KEY=VALUE, for example --set server.listen=127.0.0.1:0";
    let Some((key, text)) = set.split_once('=') else {
        return Err(Problem::new("--set", "there is no `=`").hint(usage));
    };
    let path: KeyPath = key.trim().split('.').map(|part| part.trim().trim_matches('"').to_owned()).collect();
    if path.iter().any(String::is_empty) {
        return Err(Problem::new("--set", "the key has an empty part").hint(usage));
    }
    let value = scalar(&path, text, true);
    if value.is_null() {
        return Err(Problem::new(format!("--set {key}"), "the value is not valid TOML").hint(usage));
    }
    Ok((path, value))
}

/// A value from one line of text. What the schema wants as a string stays the text it is, so that `123456` can be
/// a secret; all else is read as TOML, and a bare word is a string. `Null` when it is neither.
fn scalar(path: &[String], text: &str, quoted: bool) -> Value {
    let wants_string = schema::wants_string(path);
    if wants_string && !(quoted && text.trim_start().starts_with(['"', '\''])) {
        return Value::String(text.to_owned());
    }
    let mut parsed = toml_spans::parse(&format!("value = {text}\n"));
    let clean = parsed.errors.is_empty() && parsed.values.len() == 1;
    match parsed.values.remove("value") {
        Some(value) if clean => value,
        _ if text.trim_start().starts_with(['[', '{', '"', '\'']) => Value::Null,
        _ => Value::String(text.to_owned()),
    }
}

/// Names of plugins have hyphens, which environment variables cannot have.
fn real_names(mut path: KeyPath) -> KeyPath {
    if path.len() > 2 && path[0] == "plugins" {
        path[1] = path[1].replace('_', "-");
    }
    path
}

fn variable(path: &[String]) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_uppercase().replace('-', "_")).collect();
    format!("EXEDRA_{}", parts.join("__"))
}

fn put(values: &mut Map<String, Value>, path: &[String], value: Value) -> Result<(), String> {
    match path {
        [] => Ok(()),
        [last] => {
            values.insert(last.clone(), value);
            Ok(())
        }
        [first, rest @ ..] => {
            match values.entry(first.clone()).or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(inner) => put(inner, rest, value),
                _ => Err(format!("`{first}` is given as a value and as a table")),
            }
        }
    }
}

pub(crate) fn find<'a>(values: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let mut value = values.get(first)?;
    for part in rest {
        value = match value {
            Value::Object(map) => map.get(part)?,
            Value::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_takes_toml_and_words() {
        assert_eq!(parse_set("server.listen=127.0.0.1:0").unwrap().1, "127.0.0.1:0");
        assert_eq!(parse_set("limits.connections=7").unwrap().1, 7);
        assert_eq!(parse_set("auth.secret=123456").unwrap().1, "123456");
        assert_eq!(parse_set("auth.secret=\"quoted\"").unwrap().1, "quoted");
        assert_eq!(parse_set("server.cors.origins=['*']").unwrap().1, serde_json::json!(["*"]));
        assert!(parse_set("server.cors.origins=['*'").is_err());
        assert!(parse_set("server.listen").is_err());
    }

    #[test]
    fn plugin_names_have_hyphens() {
        let path: KeyPath = ["plugins", "live_preview", "enabled"].map(str::to_owned).into();
        assert_eq!(variable(&real_names(path.clone())), "EXEDRA_PLUGINS__LIVE_PREVIEW__ENABLED");
        assert_eq!(real_names(path)[1], "live-preview");
    }
}
