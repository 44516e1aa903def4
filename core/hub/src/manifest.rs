//! What a plugin declares about itself: the JSON that `create` returns over the ABI. The hub routes by it,
//! `exedra plugin inspect` prints it, and a reload compares two of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A plugin's declaration. Handlers are numbered by their place in each list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manifest {
    /// The plugin's name, as in `[plugins.NAME]`: `a-z0-9-`, up to 32.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// One sentence about what it does.
    pub description: String,
    /// Namespaces it serves: `/`, `/chat` or a pattern such as `/public-room/{roomId}`.
    pub namespaces: Vec<Namespace>,
    /// Events that clients may send.
    pub events: Vec<Event>,
    /// Events that it sends to clients, for descriptions.
    pub emits: Vec<Emit>,
    /// REST routes.
    pub routes: Vec<Route>,
    /// Plain WebSocket endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Events that outside services may inject (`exedra.in.<plugin>.<room>.<event>`).
    pub injects: Vec<Inject>,
    /// Methods for outside services (`exedra.rpc.<plugin>.<method>`).
    pub rpcs: Vec<Rpc>,
    /// What it tells outside services (`exedra.out.<plugin>.<room>.<event>`), for descriptions.
    pub outs: Vec<Out>,
    /// Methods of outside services that it asks for (`exedra.rpc.<service>.<method>`), for descriptions.
    pub asks: Vec<Ask>,
    /// Repeated calls.
    pub timers: Vec<Timer>,
    /// Room states that are sent as a whole and coalesced.
    pub states: Vec<State>,
    /// Metrics; names are without the `exedra_<plugin>_` prefix.
    pub metrics: Vec<Metric>,
    /// JSON Schema of `settings`.
    pub settings: Option<Value>,
    /// What happens to a payload that does not fit the JSON Schema declared for it.
    pub validate: Validate,
    /// Whether it wants to be told of connects.
    pub on_connect: bool,
    /// Whether it wants to be told of disconnects.
    pub on_disconnect: bool,
    /// Whether it wants to be told of members leaving rooms.
    pub on_leave: bool,
}

/// What happens to a payload that does not fit its declared JSON Schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validate {
    /// The hub refuses it as `INVALID`; the plugin never sees it.
    #[default]
    Refuse,
    /// The plugin is called with the problem beside the payload, and refuses in its own words.
    Report,
}

/// A namespace that a plugin serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// `/`, `/chat`, `/public-room/{roomId}`.
    pub path: String,
    /// Whether a token is needed, unless the configuration says otherwise.
    #[serde(default)]
    pub auth: AuthMode,
}

/// Whether a token is needed. Ordered: the strictest of plugins that share a namespace holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Tokens are not looked at.
    None,
    /// A token is checked when one comes; a bad one is refused.
    Optional,
    /// No valid token, no connection.
    #[default]
    Required,
}

/// An event that clients may send.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The event's name; `*` takes every event of the namespace that nobody else declared.
    pub name: String,
    /// JSON Schema of the first argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// JSON Schemas of all arguments, where there is not exactly one; without this and `schema`, any are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<Value>>,
    /// JSON Schema of the acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<Value>,
    /// JSON Schema of the acknowledgement of a refusal, where it is not the hub's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Value>,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// Longest time for the handler in milliseconds, if not the plugin's deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// An event that a plugin sends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emit {
    /// The event's name; `*` stands for names that are not known beforehand.
    pub name: String,
    /// JSON Schema of the first argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// JSON Schemas of all arguments, where there is not exactly one; without this and `schema`, there may be any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<Value>>,
    /// JSON Schema of the acknowledgement that the client is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// One sentence.
    #[serde(default)]
    pub description: String,
}

/// A REST route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE`.
    pub method: String,
    /// `/meetings/{id}`.
    pub path: String,
    /// Whether a token is needed.
    #[serde(default)]
    pub auth: AuthMode,
    /// Largest body in bytes.
    #[serde(default = "default_body_limit")]
    pub body_limit: usize,
    /// JSON Schema of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// JSON Schema of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Value>,
    /// JSON Schema of the query, an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Value>,
    /// Headers that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// The media type of the body, if it is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_type: Option<String>,
    /// The statuses of a success; without any it is 200, or 204 without `response`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
    /// The media type of the answer, if it is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_type: Option<String>,
    /// Refusals of its own; each is `application/problem+json`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<RouteError>,
    /// Whether something better has taken its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// One sentence.
    #[serde(default)]
    pub description: String,
}

/// A header that a route or an injected event is read by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The name.
    pub name: String,
    /// Whether it is refused without.
    #[serde(default)]
    pub required: bool,
    /// JSON Schema of what stands in it, as JSON; without one it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// One sentence.
    #[serde(default)]
    pub description: String,
}

/// A refusal of a route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteError {
    /// The status.
    pub status: u16,
    /// The code for programs; the hub's own of that status when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            auth: AuthMode::default(),
            body_limit: default_body_limit(),
            schema: None,
            response: None,
            query: None,
            headers: Vec::new(),
            body_type: None,
            statuses: Vec::new(),
            response_type: None,
            errors: Vec::new(),
            deprecated: false,
            description: String::new(),
        }
    }
}

fn default_body_limit() -> usize {
    256 * 1024
}

/// A plain WebSocket endpoint; its events are those of the manifest's `events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The path, for example `/ws/rooms`.
    pub path: String,
    /// Whether a token is needed.
    #[serde(default)]
    pub auth: AuthMode,
}

/// An event that outside services may inject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inject {
    /// The event's name; `*` takes every event that is not declared.
    pub event: String,
    /// JSON Schema of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Headers that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// The media type of the body, if it is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_type: Option<String>,
    /// One sentence.
    #[serde(default)]
    pub description: String,
}

/// A method for outside services.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rpc {
    /// The method's name.
    pub method: String,
    /// JSON Schema of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// JSON Schema of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// One sentence.
    #[serde(default)]
    pub description: String,
}

/// What a plugin tells outside services.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Out {
    /// The event's name; `*` stands for names that are not known beforehand.
    pub event: String,
    /// JSON Schema of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// One sentence.
    #[serde(default)]
    pub description: String,
}

/// A method of an outside service that a plugin asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The service.
    pub service: String,
    /// Its method.
    pub method: String,
    /// JSON Schema of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// JSON Schema of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// One sentence.
    #[serde(default)]
    pub description: String,
}

/// A repeated call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// Milliseconds between two calls; the next is counted from the end of the one before.
    pub every_ms: u64,
}

/// A room state that is sent as a whole: the first change at once, then at most once per window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The state's name.
    pub name: String,
    /// Milliseconds between two sends of the same room.
    pub window_ms: u64,
}

/// A metric of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The name after `exedra_<plugin>_`; counters end in `_total`.
    pub name: String,
    /// What it counts.
    pub kind: MetricKind,
    /// One sentence.
    pub help: String,
    /// The label's name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The closed set of the label's values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in seconds.
    Histogram,
}
