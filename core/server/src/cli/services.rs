//! `exedra publish` and `exedra tail`: what an outside service does, by hand. They are visitors to NATS and need no hub
//! on this machine.

use std::{
    io::{self, Read, Write},
    time::{Duration, SystemTime},
};

use anyhow::{Context, anyhow};
use base64::{Engine, engine::general_purpose::STANDARD};
use exedra_bus::{Heard, NatsConfig, Visitor};
use exedra_hub::port::{BusError, Topic};
use serde_json::{Map, Value, json};

use super::{Failure, args::PublishArgs, print, say};
use crate::config::Problem;

/// The longest body that is read from stdin.
const MAX_BODY: u64 = 64 << 20;
/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;

/// Injects an event; with an answer unless nobody waits for it.
pub(super) fn publish(config: &NatsConfig, args: &PublishArgs) -> Result<(), Failure> {
    let body = body(&args.json, args.raw)?;
    let topic = Topic::In { plugin: args.plugin.clone(), room: args.room.clone(), event: args.event.clone() };
    let wait = args.timeout;
    visit(config, async |visitor| {
        if args.no_wait {
            visitor
                .publish(&topic, &args.headers, body.into())
                .await
                .map_err(|error| failed(&error, wait))?;
            return Ok(());
        }
        let answer = visitor.request(&topic, &args.headers, body.into(), wait).await;
        judge(&answer.map_err(|error| failed(&error, wait))?)
    })
}

/// The answer on stdout; a refusal is a failure too.
fn judge(answer: &[u8]) -> Result<(), Failure> {
    let answer: Value = serde_json::from_slice(answer).context("the answer is not JSON")?;
    print(&format!("{answer}\n"))?;
    match answer.get("error") {
        Some(error) => {
            let text = |key: &str| error[key].as_str().unwrap_or("?").to_owned();
            Err(anyhow!("refused: {} ({})", text("message"), text("code")).into())
        }
        None => Ok(()),
    }
}

fn failed(error: &BusError, wait: Duration) -> anyhow::Error {
    match error {
        BusError::NoResponders => {
            anyhow!(
                "not published: no hub takes injected events of this plugin (is it enabled, and on this NATS?)"
            )
        }
        BusError::Timeout => anyhow!("published, but no answer in {}", humantime::format_duration(wait)),
        BusError::TooLarge => anyhow!("not published: a name or the body is larger than NATS takes"),
        BusError::Unavailable(why) => anyhow!("not published: {why}"),
    }
}

fn body(text: &str, raw: bool) -> Result<Vec<u8>, Failure> {
    let mut body = text.as_bytes().to_vec();
    if text == "-" {
        body.clear();
        io::stdin().take(MAX_BODY).read_to_end(&mut body).context("stdin cannot be read")?;
    }
    if !raw && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&body) {
        let hint = "quote it for the shell: '{\"phase\": \"voting\"}'; with --raw anything goes";
        return Err(Problem::new("JSON", format!("is not JSON: {error}")).hint(hint).into());
    }
    Ok(body)
}

/// Prints what passes on NATS, one JSON object a line, until told to stop.
pub(super) fn tail(config: &NatsConfig, patterns: &[String], count: Option<u64>) -> Result<(), Failure> {
    let kinds = ["in", "out", "rpc", "dlq"];
    let patterns = match patterns {
        [] => kinds.iter().map(|kind| format!("{}.{kind}.>", config.prefix)).collect(),
        given => given.to_vec(),
    };
    for pattern in &patterns {
        check_pattern(pattern).map_err(|why| Problem::new("PATTERN", format!("{pattern:?} {why}")))?;
    }
    visit(config, async |visitor| {
        let mut ears = visitor.listen(&patterns).await.map_err(|error| anyhow!("NATS: {error}"))?;
        say("listening", &patterns.join(" "), "36");
        let (mut heard, mut out) = (0, io::stdout());
        while count.is_none_or(|count| heard < count) {
            let message = tokio::select! {
                message = ears.next() => message,
                _ = tokio::signal::ctrl_c() => return Ok(()),
            };
            let message = message.ok_or_else(|| anyhow!("the connection to NATS has ended"))?;
            heard += 1;
            match writeln!(out, "{}", shown(&message, SystemTime::now())).and_then(|()| out.flush()) {
                // Whoever reads has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.context("stdout")?,
            }
        }
        Ok(())
    })
}

fn check_pattern(pattern: &str) -> Result<(), &'static str> {
    let tokens: Vec<_> = pattern.split('.').collect();
    let last = tokens.len() - 1;
    if pattern.len() > MAX_PATTERN || tokens.iter().any(|token| token.is_empty()) {
        Err("is no subject: tokens between dots, like exedra.out.meetings.>")
    } else if pattern.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Err("has white space in it")
    } else if tokens.iter().take(last).any(|token| *token == ">") {
        Err("has a > that is not at its end")
    } else {
        Ok(())
    }
}

/// A message with the names that its subject stands for.
fn shown(message: &Heard, at: SystemTime) -> Value {
    let mut line = Map::new();
    line.insert("at".into(), humantime::format_rfc3339_millis(at).to_string().into());
    line.insert("subject".into(), message.subject.as_str().into());
    let names: &[(&str, &str)] = match &message.topic {
        Some(Topic::In { plugin, room, event }) => {
            &[("kind", "in"), ("plugin", plugin), ("room", room), ("event", event)]
        }
        Some(Topic::Out { plugin, room, event }) => {
            &[("kind", "out"), ("plugin", plugin), ("room", room), ("event", event)]
        }
        Some(Topic::Rpc { service, method }) => &[("kind", "rpc"), ("service", service), ("method", method)],
        Some(Topic::DeadLetter { plugin }) => &[("kind", "dlq"), ("plugin", plugin)],
        Some(Topic::Reply(_)) | None => &[("kind", "other")],
    };
    line.extend(names.iter().map(|(key, name)| ((*key).to_owned(), Value::from(*name))));
    if message.wants_reply {
        line.insert("request".into(), true.into());
    }
    if !message.headers.is_empty() {
        let headers: Vec<_> = message.headers.iter().map(|(name, value)| json!([name, value])).collect();
        line.insert("headers".into(), headers.into());
    }
    let (key, body) = match serde_json::from_slice::<Value>(&message.payload) {
        Ok(value) => ("payload", value),
        Err(_) if message.payload.is_empty() => ("payload", Value::Null),
        Err(_) => match std::str::from_utf8(&message.payload) {
            Ok(text) => ("text", text.into()),
            Err(_) => ("base64", STANDARD.encode(&message.payload).into()),
        },
    };
    line.insert(key.into(), body);
    Value::Object(line)
}

/// Connects, and does something there.
fn visit(config: &NatsConfig, work: impl AsyncFnOnce(Visitor) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut config = config.clone();
    // As other clients of NATS do.
    config.url = config.url.or_else(|| std::env::var("NATS_URL").ok().filter(|url| !url.is_empty()));
    let Some(url) = &config.url else {
        let why = "is not set: the bus inside of a hub has no door";
        let hint = "name the server: --set nats.url=nats://127.0.0.1:4222, or NATS_URL in the environment";
        return Err(Problem::new("nats.url", why).hint(hint).into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(async {
        let visitor = Visitor::connect(&config, "exedra/cli").await;
        let visitor = visitor.map_err(|error| anyhow!("NATS at {url} cannot be reached: {error}"))?;
        work(visitor).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(subject: &str, topic: Option<Topic>, payload: &'static [u8]) -> Value {
        let message = Heard {
            subject: subject.into(),
            topic,
            wants_reply: false,
            headers: vec![("A".into(), "b".into())],
            payload: payload.into(),
        };
        shown(&message, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn lines_have_the_names_meant() {
        let topic = Topic::Out { plugin: "p".into(), room: "a b".into(), event: "e".into() };
        let line = heard("exedra.out.p.a=20b.e", Some(topic), b"{\"x\":1}");
        let wanted = json!({
            "at": "1970-01-01T00:00:00.000Z", "subject": "exedra.out.p.a=20b.e", "kind": "out", "plugin": "p",
            "room": "a b", "event": "e", "headers": [["A", "b"]], "payload": {"x": 1},
        });
        assert_eq!(line, wanted);
    }

    #[test]
    fn bodies_are_shown_as_what_they_are() {
        assert_eq!(heard("x", None, b"")["payload"], Value::Null);
        assert_eq!(heard("x", None, b"not json")["text"], "not json");
        assert_eq!(heard("x", None, b"\xff\x00")["base64"], "/wA=");
        assert_eq!(heard("x", None, b"1")["kind"], "other");
    }

    #[test]
    fn patterns_are_subjects() {
        for good in ["exedra.>", "exedra.out.*.x=20y.joined", ">", "a"] {
            assert!(check_pattern(good).is_ok(), "{good}");
        }
        for bad in ["", "a..b", ".a", "a b", "a.>.b", "a\r\nPUB x 0", &"a".repeat(2000)] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }
}
