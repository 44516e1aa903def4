//! What a plugin is asked in one life of a check: everything that it declares, first as it should be asked, then as it
//! should not, then from many sides at once. Any refusal is fine; what it does besides answering is in the logbook.

use std::time::{Duration, Instant};

use bytes::Bytes;
use exedra_host::logbook;
use exedra_hub::{
    CloseReason, Message,
    manifest::{Emit, Event, Header, Manifest, Namespace, Route},
    port::{Call, HttpRequest, PluginId, Plugins, Reply},
};
use futures_util::future::join_all;
use serde_json::Value;

use super::{
    report::{Found, Tried, Weight},
    sample::{odd, sample},
    stage::{Client, Stage, a_moment, filled},
};

const PLUGIN: PluginId = PluginId(0);
/// What is sent to those who take any event.
const ANY: &str = "check";
/// Clients that talk at once.
const CROWD: usize = 4;
/// A plugin whose calls take so long is not asked any more.
const TOO_LONG: Duration = Duration::from_secs(1);
/// Rounds that each of them goes.
const ROUNDS: usize = 5;

/// One life's way.
pub(super) struct Tour<'a> {
    stage: &'a Stage,
    /// Told what comes next.
    say: &'a (dyn Fn(&str) + Sync),
    pub(super) tried: Tried,
    pub(super) findings: Vec<Found>,
    /// Whether a call took so long that going on would take for ever.
    pub(super) gave_up: bool,
}

impl<'a> Tour<'a> {
    pub(super) fn new(stage: &'a Stage, say: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self { stage, say, tried: Tried::default(), findings: Vec::new(), gave_up: false }
    }

    /// Everything.
    pub(super) async fn go(&mut self) {
        let manifest = self.stage.manifest.clone();
        let mut crowd = Vec::new();
        for (gateway, space) in spaces(&manifest) {
            crowd.extend(self.visit(gateway, &space, &manifest).await);
        }
        self.routes(&manifest).await;
        self.services(&manifest).await;
        self.clockwork(&manifest).await;
        self.at_once(&crowd, &manifest).await;
        (self.say)("DISCONNECT of all clients");
        for client in &crowd {
            self.stage.hub.disconnect(&client.conn, CloseReason::ClientLeft);
        }
        a_moment().await;
        self.emitted(&manifest);
    }

    /// Clients of one namespace or endpoint; gives those that stay.
    async fn visit(&mut self, gateway: &'static str, space: &Namespace, manifest: &Manifest) -> Vec<Client> {
        let mut crowd = Vec::new();
        for number in 0..CROWD {
            (self.say)(&format!("CONNECT to {}", space.path));
            match self.stage.client(gateway, &space.path, space.auth, number).await {
                Ok(client) => crowd.push(client),
                Err(refusal) => {
                    let said = format!("a client of {}: {} {refusal}", space.path, refusal.code_str());
                    if !self.tried.left_out.contains(&said) {
                        self.tried.left_out.push(said);
                    }
                }
            }
        }
        for (handler, event) in manifest.events.iter().enumerate() {
            let mut first = crowd.first().is_some_and(|client| !client.conn.is_closed());
            if !first && let Ok(client) = self.stage.client(gateway, &space.path, space.auth, 0).await {
                crowd.insert(0, client); // an event before has ended the connection
                first = true;
            }
            if first {
                self.event(&crowd[0], handler as u32, event).await;
            }
        }
        crowd
    }

    async fn event(&mut self, client: &Client, handler: u32, event: &Event) {
        let minimal = arguments(event);
        match &minimal {
            Some(args) => {
                (self.say)(&format!("event {} with a minimal payload", event.name));
                let reply = self.call(of_client(client, handler, event, format!("[{args}]"))).await;
                if let (Some(Reply::Args { args, .. }), Some(schema)) = (reply, &event.ack) {
                    let what = format!("the acknowledgement of event {}", event.name);
                    self.hold("ack-schema", &what, schema, &first_of(&args));
                }
                self.tried.events += 1;
            }
            None => {
                let what = format!(
                    "event {} as it should be: no payload can be guessed from its schema",
                    event.name
                );
                self.leave_out(what);
            }
        }
        (self.say)(&format!("event {} with odd payloads", event.name));
        let payload = minimal.filter(|args| !args.is_empty()).unwrap_or_else(|| "null".to_owned());
        let more = [String::new(), format!("{payload},1"), format!("{payload},{}", placeholder(9))];
        for args in odd().into_iter().chain(more) {
            self.call(of_client(client, handler, event, format!("[{args}]"))).await;
            if client.conn.is_closed() {
                return;
            }
        }
    }

    async fn routes(&mut self, manifest: &Manifest) {
        for (handler, route) in manifest.routes.iter().enumerate() {
            let name = format!("{} {}", route.method, route.path);
            (self.say)(&format!("{name} with a minimal body"));
            let json = route.schema.as_ref().and_then(sample).map(|body| body.to_string());
            let body = json.or_else(|| route.body_type.as_ref().map(|_| ANY.to_owned())).unwrap_or_default();
            let reply = self.call(of_http(route, handler as u32, body.into())).await;
            if let (Some(Reply::Http(answer)), Some(schema)) = (reply, &route.response)
                && (200..300).contains(&answer.status)
                && let Ok(value) = serde_json::from_slice(&answer.body)
            {
                self.hold("response-schema", &format!("the answer of {name}"), schema, &value);
            }
            self.tried.routes += 1;
            (self.say)(&format!("{name} with odd bodies"));
            for body in odd_bodies() {
                self.call(of_http(route, handler as u32, body)).await;
            }
        }
    }

    /// What services inject and ask.
    async fn services(&mut self, manifest: &Manifest) {
        for (handler, inject) in manifest.injects.iter().enumerate() {
            (self.say)(&format!("injected event {}", inject.event));
            let event = if inject.event == "*" { ANY.to_owned() } else { inject.event.clone() };
            let minimal = inject.schema.as_ref().and_then(sample).map(|body| Bytes::from(body.to_string()));
            for payload in minimal.into_iter().chain(odd_bodies()) {
                let (handler, room, event) = (handler as u32, "check".to_owned(), event.clone());
                let headers = headers_of(&inject.headers);
                self.call(Call::Inject { handler, room, event, headers, payload }).await;
            }
            self.tried.injects += 1;
        }
        for (handler, rpc) in manifest.rpcs.iter().enumerate() {
            (self.say)(&format!("method {}", rpc.method));
            let minimal = rpc.schema.as_ref().and_then(sample).map(|body| Bytes::from(body.to_string()));
            for payload in minimal.into_iter().chain(odd_bodies()) {
                self.call(Call::Rpc { handler: handler as u32, method: rpc.method.clone(), payload }).await;
            }
            self.tried.methods += 1;
        }
    }

    /// What the hub calls by itself.
    async fn clockwork(&mut self, manifest: &Manifest) {
        for handler in 0..manifest.timers.len() {
            (self.say)(&format!("timer {handler}"));
            self.call(Call::Timer { handler: handler as u32 }).await;
            self.tried.timers += 1;
        }
        for (handler, state) in manifest.states.iter().enumerate() {
            (self.say)(&format!("REFRESH of state {}", state.name));
            for room in ["check", "a room that nobody is in"] {
                self.call(Call::Refresh { handler: handler as u32, room: room.into() }).await;
            }
        }
        if manifest.on_leave {
            (self.say)("LEAVE");
            for meta in ["", "null", "{}", "\"x\""] {
                let (room, user, meta) =
                    ("check".into(), "nobody".into(), Bytes::from_static(meta.as_bytes()));
                self.call(Call::Leave { room, user, meta }).await;
            }
        }
    }

    /// All clients at the same time; each waits for its own answers only.
    async fn at_once(&mut self, crowd: &[Client], manifest: &Manifest) {
        if self.gave_up {
            return;
        }
        (self.say)("events of several clients at once");
        let talk = crowd.iter().filter(|client| !client.conn.is_closed()).map(async |client| {
            let mut calls = 0;
            for _ in 0..ROUNDS {
                for (handler, event) in manifest.events.iter().enumerate() {
                    let args = arguments(event).unwrap_or_else(|| "null".to_owned());
                    let call = of_client(client, handler as u32, event, format!("[{args}]"));
                    let _any = self.stage.host.call(PLUGIN, call).await;
                    calls += 1;
                }
            }
            calls
        });
        let calls: Vec<u64> = join_all(talk).await;
        self.tried.calls += calls.iter().sum::<u64>();
        a_moment().await;
    }

    /// What was emitted, held against what was promised.
    fn emitted(&mut self, manifest: &Manifest) {
        let heard = std::mem::take(&mut *self.stage.heard.lock());
        for (event, args) in heard {
            // Who takes any event may pass any event on.
            let takes_any = manifest.events.iter().any(|event| event.name == "*")
                || manifest.injects.iter().any(|inject| inject.event == "*");
            let relayed = event == ANY && takes_any;
            let named = |name: &str| manifest.emits.iter().find(|emit| emit.name == name);
            match named(&event).or_else(|| named("*")) {
                None if relayed => {}
                None => {
                    let what = format!("it emits {event}, which the manifest's `emits` does not name");
                    self.find(Weight::Warning, "emit-undeclared", what);
                }
                Some(emit) => self.emit(emit, &event, &args),
            }
        }
    }

    /// An emitted event, held against its schema, or against those of all its arguments.
    fn emit(&mut self, emit: &Emit, event: &str, args: &Value) {
        let given = args.as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(schema) = &emit.schema {
            let payload = given.first().unwrap_or(&Value::Null);
            self.hold("emit-schema", &format!("the payload of emitted event {event}"), schema, payload);
        }
        let Some(schemas) = &emit.args else { return };
        if schemas.len() != given.len() {
            let (count, declared) = (given.len(), schemas.len());
            let what = format!("emitted event {event} has {count} arguments, and {declared} are declared");
            return self.find(Weight::Problem, "emit-schema", what);
        }
        for (number, (schema, payload)) in schemas.iter().zip(given).enumerate() {
            if !(is_binary(schema) && payload["_placeholder"] == true) {
                let what = format!("argument {} of emitted event {event}", number + 1);
                self.hold("emit-schema", &what, schema, payload);
            }
        }
    }

    async fn call(&mut self, call: Call) -> Option<Reply> {
        if self.gave_up {
            return None;
        }
        self.tried.calls += 1;
        let began = Instant::now();
        let reply = self.stage.host.call(PLUGIN, call).await.ok();
        self.gave_up = began.elapsed() > TOO_LONG;
        reply
    }

    fn hold(&mut self, rule: &str, what: &str, schema: &Value, value: &Value) {
        let Ok(validator) = jsonschema::validator_for(schema) else { return };
        let wrong =
            validator.iter_errors(value).next().map(|error| match error.instance_path().to_string() {
                path if path.is_empty() => error.masked().to_string(),
                path => format!("{path}: {}", error.masked()),
            });
        if let Some(wrong) = wrong {
            self.find(
                Weight::Problem,
                rule,
                format!("{what} does not fit the schema declared for it: {wrong}"),
            );
        }
    }

    fn find(&mut self, weight: Weight, rule: &str, what: String) {
        if let Some(found) = self.findings.iter_mut().find(|found| found.rule == rule && found.what == what) {
            found.count += 1;
            return;
        }
        let during = "comparing what it said with its manifest".to_owned();
        self.findings.push(Found { weight, rule: rule.to_owned(), during, what, count: 1 });
    }

    fn leave_out(&mut self, what: String) {
        if !self.tried.left_out.contains(&what) {
            self.tried.left_out.push(what);
        }
    }
}

/// Namespaces and endpoints, each with its gateway.
fn spaces(manifest: &Manifest) -> Vec<(&'static str, Namespace)> {
    let namespaces = manifest.namespaces.iter().map(|namespace| ("socketio", namespace.clone()));
    let endpoints = manifest
        .endpoints
        .iter()
        .map(|endpoint| ("websocket", Namespace { path: endpoint.path.clone(), auth: endpoint.auth }));
    namespaces.chain(endpoints).collect()
}

/// The smallest arguments that an event takes, without the brackets; none when they cannot be guessed.
fn arguments(event: &Event) -> Option<String> {
    let schemas = event.args.as_deref().unwrap_or(event.schema.as_slice());
    let mut binary = 0;
    let each = schemas.iter().map(|schema| {
        if is_binary(schema) {
            binary += 1;
            return Some(placeholder(binary - 1));
        }
        sample(schema).map(|value| value.to_string())
    });
    each.collect::<Option<Vec<_>>>().map(|args| args.join(","))
}

fn is_binary(schema: &Value) -> bool {
    schema["format"] == "binary"
}

fn placeholder(number: usize) -> String {
    format!("{{\"_placeholder\":true,\"num\":{number}}}")
}

/// The headers that something is not read without.
fn headers_of(declared: &[Header]) -> Vec<(String, String)> {
    let required = declared.iter().filter(|header| header.required);
    required
        .map(|header| {
            let json = header.schema.as_ref().and_then(sample).map(|value| value.to_string());
            (header.name.to_ascii_lowercase(), json.unwrap_or_else(|| ANY.to_owned()))
        })
        .collect()
}

/// An object as the values of a query.
fn query_of(object: Value) -> Vec<(String, String)> {
    let Value::Object(object) = object else { return Vec::new() };
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    object.into_iter().map(|(key, value)| (key, text(value))).collect()
}

fn of_client(client: &Client, handler: u32, event: &Event, args: String) -> Call {
    let name = if event.name == "*" { ANY } else { &event.name };
    let binary = args.matches("\"_placeholder\":true").count();
    let mut message = Message::new(name, Bytes::from(args));
    message.attachments = vec![Bytes::from_static(&[0, 159, 146, 150]); binary];
    Call::Event { handler, conn: client.conn.facts().clone(), message, wants_ack: true }
}

fn of_http(route: &Route, handler: u32, body: Bytes) -> Call {
    let params = route.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let kind = route.body_type.as_deref().unwrap_or("application/json");
    let mut headers = headers_of(&route.headers);
    headers.push(("content-type".to_owned(), kind.to_owned()));
    let request = HttpRequest {
        identity: None,
        params: params.map(|name| (name.to_owned(), filled(&route.path).len().to_string())).collect(),
        query: route.query.as_ref().and_then(sample).map(query_of).unwrap_or_default(),
        headers,
        peer: [127, 0, 0, 1].into(),
        body,
    };
    let name = format!("{} {}", route.method, route.path);
    Call::Http { handler, route: name.into(), request: Box::new(request) }
}

/// Bodies that are JSON, and some that are not.
fn odd_bodies() -> Vec<Bytes> {
    let broken: [&[u8]; 4] = [b"", b"{", b"\xff\xfe", b"\0"];
    odd().into_iter().map(Bytes::from).chain(broken.into_iter().map(Bytes::from_static)).collect()
}

fn first_of(args: &[u8]) -> Value {
    serde_json::from_slice::<Vec<Value>>(args)
        .ok()
        .and_then(|args| args.into_iter().next())
        .unwrap_or(Value::Null)
}

/// How long the calls of a plugin that is taken down may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Says to the logbook what comes next.
pub(super) fn note(what: &str) {
    logbook::during(what);
}
