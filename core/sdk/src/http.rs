//! What REST handlers take and give.

use std::{fmt, net::IpAddr};

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    Error, Result, User,
    answer::{Answer, IntoReply, Outcome},
    args::without_place,
    params,
};

/// JSON: the body of a request, an injected event or an rpc as an argument; a `200 OK` as a return value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// `201 Created` with a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created<T>(pub T);

/// `204 No Content`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoContent;

/// A reply with one more header.
#[derive(Debug, Clone)]
pub struct WithHeader<R> {
    reply: R,
    name: String,
    value: String,
}

impl<R> WithHeader<R> {
    /// Adds a header to a reply.
    pub fn new(name: impl Into<String>, value: impl Into<String>, reply: R) -> Self {
        Self { reply, name: name.into(), value: value.into() }
    }
}

/// Any HTTP reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status, 200 to 599.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// A reply without a body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A reply with a JSON body.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn json(status: u16, body: &(impl Serialize + ?Sized)) -> Result<Self> {
        Ok(Self::status(status).header("content-type", "application/json").body(serde_json::to_vec(body)?))
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        let meta = if self.headers.is_empty() {
            Vec::new()
        } else {
            let mut headers = Map::new();
            for (name, value) in self.headers {
                let values =
                    headers.entry(name.to_ascii_lowercase()).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(values) = values {
                    values.push(Value::String(value));
                }
            }
            serde_json::to_vec(&headers)?
        };
        Ok(Answer { code: self.status.into(), payload: self.body, meta, attachments: Vec::new() })
    }
}

impl<T: Serialize> IntoReply for Json<T> {
    fn into_reply(self) -> Result<Reply> {
        Reply::json(200, &self.0)
    }
}

impl<T: Serialize> IntoReply for Created<T> {
    fn into_reply(self) -> Result<Reply> {
        Reply::json(201, &self.0)
    }

    fn status() -> u16 {
        201
    }
}

impl IntoReply for NoContent {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::status(204))
    }

    fn status() -> u16 {
        204
    }
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply> {
        Ok(self)
    }
}

impl<R: IntoReply> IntoReply for WithHeader<R> {
    fn into_reply(self) -> Result<Reply> {
        Ok(self.reply.into_reply()?.header(self.name, self.value))
    }

    fn status() -> u16 {
        R::status()
    }
}

macro_rules! schema_of_inner {
    ($($name:ident),*) => {$(
        impl<T: JsonSchema> JsonSchema for $name<T> {
            fn inline_schema() -> bool {
                T::inline_schema()
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                T::schema_name()
            }
            fn schema_id() -> std::borrow::Cow<'static, str> {
                T::schema_id()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                T::json_schema(generator)
            }
        }
    )*};
}

schema_of_inner!(Json, Created, WithHeader);

/// A whole request, for handlers that need more than extractors give.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path as it came.
    pub path: String,
    /// Who asks.
    pub user: Option<User>,
    /// The caller's address, trusted proxies taken off.
    pub peer: Option<IpAddr>,
    /// Header names (lower case) and values, without `authorization` and `cookie`.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
    pub(crate) params: Map<String, Value>,
    pub(crate) query: Map<String, Value>,
}

impl Request {
    /// A `{name}` segment of the route.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)?.as_str()
    }

    /// A value of the query string.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name)?.as_str()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// [`Code::Invalid`](crate::Code::Invalid) when it is no `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        parse_body(&self.body)
    }
}

impl fmt::Debug for Request {
    /// Headers and body stay out: they are the caller's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, self.path)
    }
}

/// Headers of a request or of an injected event.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of a name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn of(map: &Map<String, Value>) -> Self {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Self(map.iter().map(|(name, value)| (name.clone(), text(value))).collect())
    }
}

impl fmt::Debug for Headers {
    /// Values stay out: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// The `{name}` segments of a route: a `String` or number for one, a tuple in order, or a struct by names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<T>(pub T);

/// The query string as a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// The caller's address, trusted proxies taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

pub(crate) fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let body = if body.is_empty() { b"null" } else { body };
    serde_json::from_slice(body).map_err(|error| Error::invalid(without_place(&error)))
}

pub(crate) fn parse_params<T: DeserializeOwned>(map: &Map<String, Value>, what: &str) -> Result<T> {
    params::from_map(map).map_err(|error| Error::invalid(format!("{what}: {error}")))
}
