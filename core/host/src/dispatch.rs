//! One call as the plugin sees it, and the plugin's answer as the hub sees it. Plain translation; whether and when a
//! call is made is decided in `instance`.
#![expect(unsafe_code, reason = "calls the plugin's `dispatch`")]

use bytes::Bytes;
use exedra_abi::{CallId, Event, RawResult, Slice, Status, kind};
use exedra_hub::{
    Code, Refusal,
    manifest::{Route, Validate},
    port::{Call, ConnFacts, HttpRequest, HttpResponse, Reply},
};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    answer::{self, Answer},
    context,
    instance::Instance,
    logbook, ops,
};

/// Bytes of a plugin's own code in a refusal.
const OWN_CODE: usize = 64;
/// Bytes of a plugin's sentence in a refusal.
const SENTENCE: usize = 1024;

/// How `dispatch` came back.
#[derive(Debug)]
pub(crate) enum Returned {
    /// The call is finished.
    Finished(Status, Answer),
    /// The plugin completes it later.
    Pending,
}

/// Tells the plugin. `call` is the number under which it may complete later.
pub(crate) fn dispatch(instance: &Instance, number: CallId, call: &Call) -> Returned {
    let problem = instance.payloads.problem(call).unwrap_or_default();
    if !problem.is_empty() && instance.manifest.validate == Validate::Refuse {
        let meta = json!({ "message": problem }).to_string().into();
        return Returned::Finished(Status::INVALID, Answer { meta, ..Answer::default() });
    }
    let context = context_of(instance, call);
    let attachments: Vec<Slice> = match call {
        Call::Event { message, .. } => message.attachments.iter().map(|a| Slice::new(a)).collect(),
        _ => Vec::new(),
    };
    let mut event = describe(call);
    event.call = number;
    event.context = Slice::new(&context);
    event.attachments = attachments.as_ptr();
    event.n_attachments = attachments.len();
    event.problem = Slice::text(&problem);
    let mut out = RawResult::EMPTY;
    let table = instance.table();
    let Some(dispatch) = table.dispatch else {
        return Returned::Finished(Status::UNSUPPORTED, Answer::default());
    };
    // SAFETY: everything that the event borrows outlives the call, and `out` is ours.
    let status = unsafe { dispatch(table.this, &raw const event, &raw mut out) };
    if status == Status::PENDING {
        return Returned::Pending;
    }
    // SAFETY: the plugin filled it and gave it away with this return.
    match unsafe { answer::take_filled(&out) } {
        Ok(answer) => Returned::Finished(status, answer),
        Err(fault) => {
            logbook::bad_answer(call.kind(), &fault.to_string());
            tracing::warn!(plugin = &*instance.name, kind = call.kind(), %fault, "a plugin gave a damaged result");
            Returned::Finished(Status::INTERNAL, Answer::default())
        }
    }
}

fn context_of(instance: &Instance, call: &Call) -> Bytes {
    match call {
        Call::Connect { conn } | Call::Event { conn, .. } | Call::Disconnect { conn, .. } => {
            instance.contexts.of(conn)
        }
        Call::Http { handler, request, .. } => match instance.manifest.routes.get(*handler as usize) {
            Some(route) => context::request(&route.method, &filled(route, request), request),
            None => Bytes::from_static(b"{}"),
        },
        Call::Inject { headers, .. } => context::injected(headers),
        Call::Leave { .. } | Call::Rpc { .. } | Call::Timer { .. } | Call::Refresh { .. } => Bytes::new(),
    }
}

/// The declared path with the request's values in place of `{names}`.
fn filled(route: &Route, request: &HttpRequest) -> String {
    let segment = |segment: &str| {
        let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        let value = name.and_then(|name| request.params.iter().find(|(n, _)| n == name));
        value.map_or_else(|| segment.to_owned(), |(_, value)| value.clone())
    };
    route.path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The event without number, context and attachments.
fn describe(call: &Call) -> Event {
    match call {
        Call::Connect { conn } => of_conn(kind::CONNECT, conn),
        Call::Event { handler, conn, message, wants_ack } => Event {
            handler: *handler,
            flags: if *wants_ack { exedra_abi::WANTS_ACK } else { 0 },
            name: Slice::text(&message.event),
            payload: Slice::new(&message.args),
            ..of_conn(kind::EVENT, conn)
        },
        Call::Disconnect { conn, reason } => {
            Event { name: Slice::text(reason.label()), ..of_conn(kind::DISCONNECT, conn) }
        }
        Call::Leave { room, user, meta } => Event {
            room: Slice::text(room),
            name: Slice::text(user),
            payload: Slice::new(meta),
            ..empty(kind::LEAVE)
        },
        Call::Http { handler, request, .. } => {
            Event { handler: *handler, payload: Slice::new(&request.body), ..empty(kind::HTTP) }
        }
        Call::Inject { handler, room, event, payload, .. } => Event {
            handler: *handler,
            room: Slice::text(room),
            name: Slice::text(event),
            payload: Slice::new(payload),
            ..empty(kind::INJECT)
        },
        Call::Rpc { handler, method, payload } => Event {
            handler: *handler,
            flags: exedra_abi::WANTS_ACK,
            name: Slice::text(method),
            payload: Slice::new(payload),
            ..empty(kind::RPC)
        },
        Call::Timer { handler } => Event { handler: *handler, ..empty(kind::TIMER) },
        Call::Refresh { handler, room } => {
            Event { handler: *handler, room: Slice::text(room), ..empty(kind::REFRESH) }
        }
    }
}

fn of_conn(kind: u32, conn: &ConnFacts) -> Event {
    Event { conn: conn.id.0, ..empty(kind) }
}

fn empty(kind: u32) -> Event {
    Event {
        struct_size: size_of::<Event>() as u32,
        kind,
        call: 0,
        conn: 0,
        handler: 0,
        flags: 0,
        name: Slice::EMPTY,
        room: Slice::EMPTY,
        payload: Slice::EMPTY,
        context: Slice::EMPTY,
        attachments: std::ptr::null(),
        n_attachments: 0,
        problem: Slice::EMPTY,
    }
}

/// What a call expects back; kept while the call itself is gone already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expects {
    Nothing,
    Acknowledgement,
    Json,
    Http,
}

impl Expects {
    pub(crate) fn of(call: &Call) -> Self {
        match call {
            Call::Event { wants_ack: true, .. } => Self::Acknowledgement,
            Call::Rpc { .. } => Self::Json,
            Call::Http { .. } => Self::Http,
            _ => Self::Nothing,
        }
    }

    /// What an answer must be, for whoever writes one.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::Nothing => "it needs none",
            Self::Acknowledgement => "an acknowledgement's payload is a JSON array of arguments",
            Self::Json => "the payload of a method's answer is JSON",
            Self::Http => {
                "the code is an HTTP status or 0, and meta is a JSON object of header names and values, or empty"
            }
        }
    }

    /// The plugin's answer in the hub's words. `Err(None)` when the plugin broke the contract.
    pub(crate) fn reply(self, status: Status, answer: Answer) -> Result<Reply, Option<Refusal>> {
        if status != Status::OK {
            return Err(Some(refusal(status, &answer.meta)));
        }
        match self {
            Self::Nothing => Ok(Reply::Empty),
            Self::Http => http(answer).map(Reply::Http).ok_or(None),
            _ if answer.payload.is_empty() && answer.attachments.is_empty() => Ok(Reply::Empty),
            _ => arguments(answer, self == Self::Acknowledgement).ok_or(None),
        }
    }
}

fn arguments(answer: Answer, array: bool) -> Option<Reply> {
    let text = std::str::from_utf8(&answer.payload).ok()?;
    if array && !ops::is_array(text) {
        return None;
    }
    Some(Reply::Args { args: answer.payload, attachments: answer.attachments })
}

fn http(answer: Answer) -> Option<HttpResponse> {
    let status = match u16::try_from(answer.code).ok()? {
        0 if answer.payload.is_empty() => 204,
        0 => 200,
        status @ 100..=599 => status,
        _ => return None,
    };
    Some(HttpResponse { status, headers: headers(&answer.meta)?, body: answer.payload })
}

/// Headers from a JSON object of texts or lists of texts.
fn headers(meta: &[u8]) -> Option<Vec<(String, String)>> {
    if meta.is_empty() {
        return Some(Vec::new());
    }
    let object: Map<String, Value> = serde_json::from_slice(meta).ok()?;
    let mut headers = Vec::with_capacity(object.len());
    for (name, value) in object {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let value = value.as_str().filter(|v| !v.contains(['\r', '\n', '\0']))?.to_owned();
            headers.push((name.clone(), value));
        }
    }
    headers.iter().all(|(name, _)| is_token(name)).then_some(headers)
}

/// A header name as HTTP allows it.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// What a plugin says about a failure.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Said {
    pub(crate) message: Option<String>,
    code: Option<String>,
    body: Option<Box<RawValue>>,
}

impl Said {
    pub(crate) fn parse(meta: &[u8]) -> Self {
        serde_json::from_slice(meta).unwrap_or_default()
    }
}

/// A failure in the hub's words. What a panicking plugin says is for the log, not for clients.
fn refusal(status: Status, meta: &[u8]) -> Refusal {
    let code = code_of(status);
    if status == Status::PANICKED || meta.is_empty() {
        return Refusal::new(code, sentence(code));
    }
    let said = Said::parse(meta);
    let mut message = said.message.unwrap_or_else(|| sentence(code).to_owned());
    message.truncate(message.floor_char_boundary(SENTENCE));
    Refusal {
        code,
        message,
        own_code: said.code.filter(|code| !code.is_empty() && code.len() <= OWN_CODE),
        body: said.body.map(|body| Bytes::from(String::from(Box::<str>::from(body)))),
    }
}

fn code_of(status: Status) -> Code {
    match status {
        Status::INVALID => Code::Invalid,
        Status::UNSUPPORTED => Code::Unsupported,
        Status::NOT_FOUND => Code::NotFound,
        Status::CONFLICT => Code::Conflict,
        Status::TOO_LARGE => Code::TooLarge,
        Status::BUSY => Code::Busy,
        Status::TIMEOUT => Code::Timeout,
        Status::GONE => Code::Gone,
        Status::UNAUTHORIZED => Code::Unauthorized,
        Status::UNAVAILABLE | Status::CANCELLED => Code::Unavailable,
        Status::SHUTTING_DOWN => Code::ShuttingDown,
        Status::RATE_LIMITED => Code::RateLimited,
        Status::FORBIDDEN => Code::Forbidden,
        _ => Code::Internal,
    }
}

/// What clients read when the plugin says nothing.
fn sentence(code: Code) -> &'static str {
    match code {
        Code::Invalid => "the request is not valid",
        Code::Unauthorized => "a valid token is needed",
        Code::Forbidden => "this is not allowed",
        Code::NotFound => "there is no such thing",
        Code::Conflict => "it has changed meanwhile",
        Code::TooLarge => "it is too large",
        Code::RateLimited => "too many requests, try again later",
        Code::Busy => "busy, try again later",
        Code::Timeout => "no answer in time",
        Code::Gone => "it has ended",
        Code::Unavailable => "not available right now",
        Code::ShuttingDown => "the hub is stopping, connect again",
        Code::Unsupported => "this is not supported",
        Code::Internal => "internal error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(text: &'static str) -> Answer {
        Answer { meta: Bytes::from_static(text.as_bytes()), ..Answer::default() }
    }

    #[test]
    fn failure_carries_own_code_and_body() {
        let answer = meta(r#"{"message":"full","code":"TOO_MANY","body":{"a":1}}"#);
        let refusal = Expects::Nothing.reply(Status::BUSY, answer).unwrap_err().unwrap();
        assert_eq!((refusal.code, refusal.code_str(), &*refusal.message), (Code::Busy, "TOO_MANY", "full"));
        assert_eq!(refusal.body.unwrap(), r#"{"a":1}"#);
    }

    #[test]
    fn panic_message_stays_inside() {
        let answer = meta(r#"{"message":"index out of bounds: secret"}"#);
        let refusal = Expects::Nothing.reply(Status::PANICKED, answer).unwrap_err().unwrap();
        assert_eq!((refusal.code, &*refusal.message), (Code::Internal, "internal error"));
    }

    #[test]
    fn unknown_statuses_are_internal() {
        for status in [2, 77, -50, i32::MAX, i32::MIN] {
            let refusal = Expects::Nothing.reply(Status(status), Answer::default()).unwrap_err().unwrap();
            assert_eq!(refusal.code, Code::Internal, "{status}");
        }
    }

    #[test]
    fn acknowledgement_must_be_an_array() {
        assert_eq!(Expects::Acknowledgement.reply(Status::OK, Answer::payload("{}")), Err(None));
        assert!(Expects::Acknowledgement.reply(Status::OK, Answer::payload(&b"[\xff]"[..])).is_err());
        assert!(Expects::Acknowledgement.reply(Status::OK, Answer::payload(" [1] ")).is_ok());
        assert_eq!(Expects::Acknowledgement.reply(Status::OK, Answer::default()), Ok(Reply::Empty));
    }

    #[test]
    fn http_status_and_headers_are_checked() {
        let answer = |code, text| Answer { code, ..meta(text) };
        let reply =
            Expects::Http.reply(Status::OK, answer(201, r#"{"x-a":"1","set-cookie":["a","b"]}"#)).unwrap();
        let Reply::Http(response) = reply else { panic!("not http") };
        assert_eq!((response.status, response.headers.len()), (201, 3));
        for (code, text) in [(99, "{}"), (600, "{}"), (200, r#"{"a b":"1"}"#), (200, r#"{"a":"1\r\nb: 2"}"#)]
        {
            assert_eq!(Expects::Http.reply(Status::OK, answer(code, text)), Err(None), "{code} {text}");
        }
    }
}
