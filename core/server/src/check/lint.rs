//! What a manifest says, held against the rules that need no instance: names that clients cannot use, things that are
//! declared twice, schemas that are none.

use std::collections::HashSet;

use exedra_host::Inspection;
use exedra_hub::{manifest::Manifest, metrics::Metrics};
use serde_json::Value;

use super::report::{Found, Weight};

/// Names that Socket.IO clients keep for themselves: they throw when asked to send them, and never hear them.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Everything that is wrong with it.
pub(super) fn lint(inspection: &Inspection) -> Vec<Found> {
    let manifest = &inspection.manifest;
    let mut lint = Lint(Vec::new());
    if manifest.version != inspection.version {
        let (entry, own) = (&inspection.version, &manifest.version);
        lint.problem("version", format!("the entry says version {entry:?}, the manifest {own:?}"));
    }
    if manifest.description.trim().is_empty() {
        lint.warn(
            "description",
            "the manifest has no description; one sentence helps whoever reads `plugin list`",
        );
    }
    lint.names(manifest);
    lint.schemas(manifest);
    lint.metrics(manifest);
    if manifest.timers.iter().any(|timer| timer.every_ms == 0) {
        lint.problem("timer", "a timer has every_ms 0; say how long to wait between two calls");
    }
    let closed = |settings: &Value| settings.get("additionalProperties") == Some(&Value::Bool(false));
    match &manifest.settings {
        None => lint.warn("settings", "the manifest has no settings schema: any setting is taken, misspelt ones too"),
        Some(settings) if !closed(settings) => lint.warn(
            "settings",
            "the settings schema does not say \"additionalProperties\": false: a misspelt setting goes unnoticed",
        ),
        Some(_) => {}
    }
    lint.0
}

struct Lint(Vec<Found>);

impl Lint {
    fn say(&mut self, weight: Weight, rule: &str, what: impl Into<String>) {
        let rule = format!("manifest-{rule}");
        self.0.push(Found {
            weight,
            rule,
            during: "reading the manifest".into(),
            what: what.into(),
            count: 1,
        });
    }

    fn problem(&mut self, rule: &str, what: impl Into<String>) {
        self.say(Weight::Problem, rule, what);
    }

    fn warn(&mut self, rule: &str, what: impl Into<String>) {
        self.say(Weight::Warning, rule, what);
    }

    fn names(&mut self, manifest: &Manifest) {
        let events: Vec<&str> = manifest.events.iter().map(|event| event.name.as_str()).collect();
        let emits: Vec<&str> = manifest.emits.iter().map(|emit| emit.name.as_str()).collect();
        let routes: Vec<String> =
            manifest.routes.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
        for name in events.iter().chain(&emits).filter(|name| RESERVED.contains(name)) {
            self.problem(
                "reserved",
                format!("no event can be called {name:?}: Socket.IO clients keep it for themselves"),
            );
        }
        for route in manifest.routes.iter().filter(|route| !METHODS.contains(&route.method.as_str())) {
            let (method, known) = (&route.method, METHODS.join(", "));
            self.problem("route", format!("{method:?} is no method that the hub routes; there are {known}"));
        }
        self.unique("event", &events);
        self.unique("emitted event", &emits);
        self.unique("published event", &manifest.outs.iter().map(|o| o.event.as_str()).collect::<Vec<_>>());
        self.unique("route", &routes.iter().map(String::as_str).collect::<Vec<_>>());
        self.unique("injected event", &manifest.injects.iter().map(|i| i.event.as_str()).collect::<Vec<_>>());
        self.unique("method", &manifest.rpcs.iter().map(|r| r.method.as_str()).collect::<Vec<_>>());
        self.unique("state", &manifest.states.iter().map(|s| s.name.as_str()).collect::<Vec<_>>());
        self.unique("namespace", &manifest.namespaces.iter().map(|n| n.path.as_str()).collect::<Vec<_>>());
        let reached = [manifest.namespaces.len(), manifest.endpoints.len()].iter().sum::<usize>() > 0;
        if !reached && !events.is_empty() {
            self.problem(
                "events",
                "events are declared, but no namespace or endpoint on which they could come",
            );
        }
        let serves =
            manifest.routes.len() + manifest.injects.len() + manifest.rpcs.len() + manifest.timers.len();
        if !reached && serves == 0 {
            self.warn(
                "empty",
                "the manifest declares nothing: no namespace, route, injected event, method or timer",
            );
        }
    }

    fn unique(&mut self, what: &str, names: &[&str]) {
        let mut seen = HashSet::new();
        for name in names {
            if name.is_empty() {
                self.problem("name", format!("a name is empty: {what}"));
            } else if !seen.insert(name) {
                self.problem("twice", format!("{what} {name} is declared twice"));
            }
        }
    }

    fn schemas(&mut self, manifest: &Manifest) {
        let events = manifest.events.iter().flat_map(|e| {
            let payload = e.schema.iter().chain(e.args.iter().flatten());
            let payload = payload.map(|schema| (format!("payload of event {}", e.name), schema));
            let ack = e.ack.iter().chain(&e.refusal);
            payload.chain(ack.map(|schema| (format!("acknowledgement of {}", e.name), schema)))
        });
        let emits = manifest.emits.iter().flat_map(|e| {
            let all = e.schema.iter().chain(e.args.iter().flatten()).chain(&e.answer);
            all.map(|schema| (format!("payload of emitted event {}", e.name), schema))
        });
        let routes = manifest.routes.iter().flat_map(|r| {
            let route = format!("{} {}", r.method, r.path);
            let body = r.schema.iter().map(|schema| ("body", schema));
            let query = r.query.iter().map(|schema| ("query", schema));
            let all = body.chain(query).chain(r.response.iter().map(|schema| ("answer", schema)));
            all.map(move |(part, schema)| (format!("{part} of {route}"), schema))
        });
        let injects = manifest.injects.iter().flat_map(|i| {
            i.schema.iter().map(|schema| (format!("body of injected event {}", i.event), schema))
        });
        let rpcs = manifest.rpcs.iter().flat_map(|r| {
            r.schema.iter().chain(&r.answer).map(|schema| (format!("method {}", r.method), schema))
        });
        let outs = manifest
            .outs
            .iter()
            .flat_map(|o| o.schema.iter().map(|schema| (format!("published event {}", o.event), schema)));
        let all: Vec<_> = events.chain(emits).chain(routes).chain(injects).chain(rpcs).chain(outs).collect();
        for (what, schema) in all {
            if let Err(error) = jsonschema::validator_for(schema) {
                self.problem("schema", format!("the JSON Schema for the {what} is none: {error}"));
            }
        }
    }

    fn metrics(&mut self, manifest: &Manifest) {
        use exedra_hub::manifest::MetricKind;
        let scratch = Metrics::new();
        for metric in &manifest.metrics {
            let name = &metric.name;
            if let Err(why) = scratch.own(&manifest.name, metric) {
                self.problem("metric", why);
            }
            if metric.kind == MetricKind::Counter && !name.ends_with("_total") {
                self.problem("metric", format!("the counter {name} must end in _total"));
            }
            if metric.label.is_some() && metric.values.is_empty() {
                self.problem(
                    "metric",
                    format!("the metric {name} has a label and no values for it; list them"),
                );
            }
        }
    }
}
