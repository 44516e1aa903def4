//! The log: one JSON object a line, or lines for people on a terminal, on stderr. Whatever is in a field, a line
//! stays one line and cannot pretend to be another: control characters are escaped and long values are cut.

use std::{
    fmt::{self, Debug, Write as _},
    io::IsTerminal,
    sync::OnceLock,
    time::SystemTime,
};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Registry,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

use crate::config::{LogConfig, LogFormat};

/// The longest value of a field, in bytes; what is over is cut.
const MAX_VALUE: usize = 4096;

static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts the log. A second call changes nothing.
pub fn start(config: &LogConfig) {
    let Ok(filter) = filter(&config.level) else { return };
    let (filter, handle) = reload::Layer::new(filter);
    let json = match config.format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let lines = Lines { json, colour: colours() };
    let layer = tracing_subscriber::fmt::layer().event_format(lines).with_writer(std::io::stderr);
    if tracing_subscriber::registry().with(filter).with(layer).try_init().is_ok() {
        let _ = LEVEL.set(handle); // set once, with the subscriber
    }
}

/// Changes the level of the running log.
///
/// # Errors
/// What is wrong with the level.
pub fn set_level(level: &str) -> Result<(), String> {
    let filter = filter(level)?;
    match LEVEL.get() {
        Some(handle) => handle.reload(filter).map_err(|e| e.to_string()),
        None => Ok(()),
    }
}

/// Whether a level can be used.
///
/// # Errors
/// What is wrong with it.
pub fn check_level(level: &str) -> Result<(), String> {
    filter(level).map(drop)
}

/// Whether stderr takes colours: a terminal, and nobody has said no (<https://no-color.org>).
pub fn colours() -> bool {
    colours_of(&std::io::stderr())
}

/// The same of another stream.
pub fn colours_of(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    for part in level.split(',') {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
        let unknown = level.parse::<tracing::level_filters::LevelFilter>().is_err();
        if unknown || level.is_empty() || level.parse::<usize>().is_ok() {
            return Err(format!("{:?} is not a level", clean(level)));
        }
    }
    EnvFilter::builder().parse(level).map_err(|e| e.to_string())
}

/// The form of a line.
struct Lines {
    json: bool,
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        let (level, target) = (event.metadata().level(), event.metadata().target());
        if self.json {
            let line = json_line(&now.to_string(), level, target, said);
            writeln!(writer, "{line}")
        } else {
            self.pretty_line(&mut writer, &now.to_string(), level, target, &said)
        }
    }
}

fn json_line(now: &str, level: &Level, target: &str, said: Said) -> String {
    let mut line = Map::new();
    line.insert("ts".into(), now.into());
    line.insert("level".into(), level.as_str().into());
    line.insert("target".into(), target.into());
    line.insert("message".into(), said.message.into());
    if !said.fields.is_empty() {
        line.insert("fields".into(), Value::Object(said.fields));
    }
    Value::Object(line).to_string()
}

impl Lines {
    fn pretty_line(
        &self,
        to: &mut Writer<'_>,
        now: &str,
        level: &Level,
        target: &str,
        said: &Said,
    ) -> fmt::Result {
        let (on, off) = match (self.colour, *level) {
            (false, _) => ("", ""),
            (true, Level::ERROR) => ("\x1b[31m", "\x1b[0m"),
            (true, Level::WARN) => ("\x1b[33m", "\x1b[0m"),
            (true, _) => ("\x1b[2m", "\x1b[0m"),
        };
        write!(to, "{now} {on}{level:>5}{off} {target}: {}", clean(&said.message))?;
        for (name, value) in &said.fields {
            match value {
                Value::String(text) if text.contains(' ') || text.is_empty() => {
                    write!(to, " {name}=\"{}\"", clean(text))?;
                }
                Value::String(text) => write!(to, " {name}={}", clean(text))?,
                other => write!(to, " {name}={other}")?,
            }
        }
        writeln!(to)
    }
}

/// What an event says, taken apart.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(cut(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}"); // writing to a string cannot fail
            cause = error.source();
        }
        self.put(field, Value::from(cut(&text)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, Value::from(cut(&format!("{value:?}"))));
    }
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_VALUE {
        return text.to_owned();
    }
    let end = (0..=MAX_VALUE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// Control characters, and those that turn the direction of text, as escapes.
pub fn clean(text: &str) -> String {
    let hostile = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if hostile(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_lines_stay_one_line() {
        let said = Said { message: "a\n{\"level\":\"ERROR\"}\x1b[31m".into(), fields: Map::new() };
        let line = json_line("now", &Level::INFO, "t", said);
        assert_eq!(line.lines().count(), 1);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["level"], "INFO");
        assert_eq!(clean("a\nb\x1b[0m\u{202e}"), "a\\nb\\u{1b}[0m\\u{202e}");
    }

    #[test]
    fn long_values_are_cut() {
        assert!(cut(&"é".repeat(MAX_VALUE)).len() < MAX_VALUE + 8);
    }

    #[test]
    fn levels_are_checked() {
        for good in ["info", "INFO", "warn,exedra_gateway=debug", "off"] {
            assert!(check_level(good).is_ok(), "{good}");
        }
        for bad in ["loud", "info,exedra=loud", "", "3"] {
            assert!(check_level(bad).is_err(), "{bad}");
        }
    }
}
