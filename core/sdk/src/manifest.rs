//! What a plugin declares about itself. `#[plugin]` fills it in; `#[manifest]` may change it by the settings.

use serde::Serialize;
use serde_json::Value;

/// The declaration. Handlers are numbered by their place in each list, so `#[manifest]` may change entries but must
/// not add, remove or reorder them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Manifest {
    /// The plugin's name, as in `[plugins.NAME]`.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// One sentence about what it does.
    pub description: String,
    /// Namespaces it serves.
    pub namespaces: Vec<Namespace>,
    /// Events that clients may send.
    pub events: Vec<Event>,
    /// Events that it sends to clients.
    pub emits: Vec<Emit>,
    /// REST routes.
    pub routes: Vec<Route>,
    /// Plain WebSocket endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Events that outside services may inject.
    pub injects: Vec<Inject>,
    /// Methods for outside services.
    pub rpcs: Vec<Rpc>,
    /// What it tells outside services.
    pub outs: Vec<Out>,
    /// Methods of outside services that it asks for.
    pub asks: Vec<Ask>,
    /// Repeated calls.
    pub timers: Vec<Timer>,
    /// Room states.
    pub states: Vec<State>,
    /// Metrics.
    pub metrics: Vec<Metric>,
    /// JSON Schema of the settings.
    pub settings: Option<Value>,
    /// Payloads that do not fit their schema come with the problem, so that `#[reject]` can shape the refusal.
    pub validate: Validate,
    /// Whether it wants to be told of connects.
    pub on_connect: bool,
    /// Whether it wants to be told of disconnects.
    pub on_disconnect: bool,
    /// Whether it wants to be told of members leaving rooms.
    pub on_leave: bool,
}

/// What happens to a payload that does not fit its declared JSON Schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Validate {
    /// The hub refuses it; the plugin never sees it.
    Refuse,
    /// `Payload<T>` and `Json<T>` refuse it with what the hub found.
    #[default]
    Report,
}

/// Whether a token is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Tokens are not looked at.
    None,
    /// A token is checked when one comes.
    Optional,
    /// No valid token, no entry.
    #[default]
    Required,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Namespace {
    /// `/`, `/chat` or `/public-room/{roomId}`.
    pub path: String,
    /// Whether a token is needed.
    pub auth: AuthMode,
}

/// An event that clients may send.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// The name, or `*`.
    pub name: String,
    /// JSON Schema of the first argument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// JSON Schemas of all arguments, where there is not exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<Value>>,
    /// JSON Schema of the acknowledgement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack: Option<Value>,
    /// JSON Schema of the acknowledgement of a refusal, where it is not the hub's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Value>,
    /// One sentence.
    pub description: String,
    /// Longest time for the handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// An event that the plugin sends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Emit {
    /// The name, or `*`.
    pub name: String,
    /// JSON Schema of the first argument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// JSON Schemas of all arguments, where there is not exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<Value>>,
    /// JSON Schema of the acknowledgement that the client is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// One sentence.
    pub description: String,
}

/// A REST route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Route {
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE`.
    pub method: String,
    /// `/meetings/{id}`.
    pub path: String,
    /// Whether a token is needed.
    pub auth: AuthMode,
    /// Largest body in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_limit: Option<u64>,
    /// JSON Schema of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// JSON Schema of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Value>,
    /// JSON Schema of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<Value>,
    /// Headers that it reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// The media type of the body, if it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_type: Option<String>,
    /// The statuses of a success.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
    /// The media type of the answer, if it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_type: Option<String>,
    /// Refusals of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<RouteError>,
    /// Whether something better has taken its place.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// One sentence.
    pub description: String,
}

/// A header that a route or an injected event is read by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Header {
    /// The name.
    pub name: String,
    /// Whether it is refused without.
    pub required: bool,
    /// JSON Schema of what stands in it, as JSON; without one it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// One sentence.
    pub description: String,
}

/// A refusal of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteError {
    /// The status.
    pub status: u16,
    /// The code for programs; the hub's own of that status when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A plain WebSocket endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Endpoint {
    /// The path.
    pub path: String,
    /// Whether a token is needed.
    pub auth: AuthMode,
}

/// An event that outside services may inject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inject {
    /// The name, or `*`.
    pub event: String,
    /// JSON Schema of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Headers that it reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// The media type of the body, if it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_type: Option<String>,
    /// One sentence.
    pub description: String,
}

/// A method for outside services.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rpc {
    /// The name.
    pub method: String,
    /// JSON Schema of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// JSON Schema of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// One sentence.
    pub description: String,
}

/// What the plugin tells outside services.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Out {
    /// The name, or `*`.
    pub event: String,
    /// JSON Schema of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// One sentence.
    pub description: String,
}

/// A method of an outside service that the plugin asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ask {
    /// The service.
    pub service: String,
    /// Its method.
    pub method: String,
    /// JSON Schema of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// JSON Schema of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// One sentence.
    pub description: String,
}

/// A repeated call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timer {
    /// Milliseconds between two calls.
    pub every_ms: u64,
}

/// A room state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// The name.
    pub name: String,
    /// Milliseconds between two sends of the same room.
    pub window_ms: u64,
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// The name after `exedra_<plugin>_`.
    pub name: String,
    /// What it counts.
    pub kind: MetricKind,
    /// One sentence.
    pub help: String,
    /// The label's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The closed set of the label's values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in seconds.
    Histogram,
}

impl Metric {
    #[doc(hidden)]
    pub fn new(kind: MetricKind, name: &str, help: &str) -> Self {
        Self { name: name.into(), kind, help: help.into(), label: None, values: Vec::new() }
    }

    #[doc(hidden)]
    #[must_use]
    pub fn labelled<S: AsRef<str>>(mut self, label: &str, values: impl IntoIterator<Item = S>) -> Self {
        self.label = Some(label.into());
        self.values = values.into_iter().map(|value| value.as_ref().to_owned()).collect();
        self
    }
}
