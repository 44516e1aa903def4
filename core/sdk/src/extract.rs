//! What handlers take: each argument of a handler says by its type what it wants of the call.

use bytes::Bytes;
use exedra_abi::kind;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Args, Code, Conn, Error, Headers, Hub, Json, Kv, Path, Peer, Query, Request, Result, Room, User,
    args::parse_first,
    call::Call,
    http::{parse_body, parse_params},
    schema::read_schema,
};

/// An argument of a handler. An error here is the answer, and the handler does not run; `#[reject]` shapes it like
/// one of the handler's own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    note = "payloads come as `Payload<T>` (events) or `Json<T>` (http, inject, rpc) with `T: Deserialize + JsonSchema`"
)]
pub trait FromCall: Sized {
    /// Takes the argument out of the call.
    ///
    /// # Errors
    /// What the caller is told.
    fn from_call(call: &Call<'_>) -> Result<Self>;

    /// JSON Schema of the body or first argument, when this is what reads it.
    #[doc(hidden)]
    fn schema() -> Option<Value> {
        None
    }

    /// JSON Schema of the query, when this is what reads it.
    #[doc(hidden)]
    fn query() -> Option<Value> {
        None
    }

    /// Whether this takes whatever arguments come.
    #[doc(hidden)]
    fn any_arguments() -> bool {
        false
    }
}

/// The first argument of an event, read as `T`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload<T>(pub T);

/// The name of the event, for `#[event("*")]` and `#[inject("*")]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName(pub String);

/// The name of the room: who it is injected for, whose state is asked for, or which room somebody has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomName(pub String);

/// Who has left a room.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The user's id, or the public id of an anonymous connection.
    pub user: String,
    /// What the plugin had said of it; null when nothing.
    pub meta: Value,
}

impl Member {
    /// What the plugin had said of it, as `M`.
    ///
    /// # Errors
    /// When it is no `M`.
    pub fn meta_as<M: DeserializeOwned>(&self) -> Result<M> {
        serde_json::from_value(self.meta.clone())
            .map_err(|error| Error::internal(format_args!("a member's meta: {error}")))
    }
}

/// Why a connection has ended: `client_left`, `transport_lost`, `ping_timeout`, `slow_consumer`, ...
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(pub String);

impl Reason {
    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn wrong_place(what: &str) -> Error {
    Error::internal(format_args!("this kind of handler has no {what}"))
}

impl FromCall for Hub {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Ok(call.hub.clone())
    }
}

impl FromCall for Kv {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Ok(call.hub.kv())
    }
}

impl FromCall for Conn {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        if call.conn == 0 && !matches!(call.kind, kind::CONNECT | kind::EVENT | kind::DISCONNECT) {
            return Err(wrong_place("connection"));
        }
        Ok(Self::new(call.hub.clone(), call.conn, call.context()?.clone()))
    }
}

impl FromCall for User {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        let user = call.context()?.identity.clone();
        user.ok_or_else(|| Error::unauthorized("a valid token is needed"))
    }
}

impl FromCall for Option<User> {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Ok(call.context()?.identity.clone())
    }
}

/// What another argument would say, with its refusal as a value: for handlers that tell the client about bad input
/// in a way of their own. Write the error type out: `Result<Payload<T>, Error>`.
impl<T: FromCall> FromCall for Result<T> {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Ok(T::from_call(call))
    }

    fn schema() -> Option<Value> {
        T::schema()
    }

    fn query() -> Option<Value> {
        T::query()
    }

    fn any_arguments() -> bool {
        T::any_arguments()
    }
}

impl<T: DeserializeOwned + JsonSchema> FromCall for Payload<T> {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        call.check()?;
        parse_first(call.payload).map(Self)
    }

    fn schema() -> Option<Value> {
        Some(read_schema::<T>())
    }
}

impl FromCall for Args {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        let json = if call.payload.is_empty() { &b"[]"[..] } else { call.payload };
        Ok(Self { json: Bytes::copy_from_slice(json), attachments: call.attachments() })
    }

    fn any_arguments() -> bool {
        true
    }
}

impl<T: DeserializeOwned + JsonSchema> FromCall for Json<T> {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        call.check()?;
        parse_body(call.payload).map(Self)
    }

    fn schema() -> Option<Value> {
        Some(read_schema::<T>())
    }
}

impl FromCall for Bytes {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Ok(Self::copy_from_slice(call.payload))
    }
}

impl<T: DeserializeOwned> FromCall for Path<T> {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        parse_params(&call.context()?.params, "path").map(Self)
    }
}

impl<T: DeserializeOwned + JsonSchema> FromCall for Query<T> {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        parse_params(&call.context()?.query, "query").map(Self)
    }

    fn query() -> Option<Value> {
        Some(read_schema::<T>())
    }
}

impl FromCall for Peer {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        call.context()?.peer.map(Self).ok_or_else(|| wrong_place("peer"))
    }
}

impl FromCall for Headers {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Ok(Self::of(&call.context()?.headers))
    }
}

impl FromCall for Request {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        let context = call.context()?;
        Ok(Self {
            method: context.method.clone(),
            path: context.path.clone(),
            user: context.identity.clone(),
            peer: context.peer,
            headers: Headers::of(&context.headers),
            body: Bytes::copy_from_slice(call.payload),
            params: context.params.clone(),
            query: context.query.clone(),
        })
    }
}

impl FromCall for EventName {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Ok(Self(call.name.to_owned()))
    }
}

impl FromCall for RoomName {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Ok(Self(call.room.to_owned()))
    }
}

impl FromCall for Room {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Ok(call.hub.room(call.room))
    }
}

impl FromCall for Member {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        let meta = if call.payload.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(call.payload).map_err(|error| {
                Error::new(Code::Internal, "the member's notes cannot be read").with_detail(error)
            })?
        };
        Ok(Self { user: call.name.to_owned(), meta })
    }
}

impl FromCall for Reason {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Ok(Self(call.name.to_owned()))
    }
}

macro_rules! texts {
    ($($name:ident),*) => {$(
        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    )*};
}

texts!(EventName, RoomName, Reason);
