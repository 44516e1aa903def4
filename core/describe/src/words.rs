//! Shapes and sentences that more than one document has.

use exedra_hub::{
    Code,
    manifest::{AuthMode, Emit, Event},
};
use serde_json::{Value, json};

/// The arguments of an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arguments {
    /// Whatever it is.
    Any,
    /// Exactly these.
    These(Vec<Value>),
}

impl Arguments {
    /// Those that a client sends.
    pub(crate) fn of_event(event: &Event) -> Self {
        Self::of(event.schema.as_ref(), event.args.as_ref())
    }

    /// Those that a client gets.
    pub(crate) fn of_emit(emit: &Emit) -> Self {
        Self::of(emit.schema.as_ref(), emit.args.as_ref())
    }

    fn of(schema: Option<&Value>, args: Option<&Vec<Value>>) -> Self {
        match (args, schema) {
            (Some(args), _) => Self::These(args.clone()),
            (None, Some(schema)) => Self::These(vec![schema.clone()]),
            (None, None) => Self::Any,
        }
    }
}

/// One of several, or the one there is.
pub(crate) fn one_of(schemas: Vec<Value>) -> Value {
    match <[Value; 1]>::try_from(schemas) {
        Ok([one]) => one,
        Err(several) => json!({ "anyOf": several }),
    }
}

/// The acknowledgements that an event may have; `None` among them is one without arguments.
pub(crate) fn acknowledgements(event: &Event) -> Vec<Option<Value>> {
    let refused = json!({ "$ref": "#/$defs/Refused" });
    let own = event.refusal.clone().map(Some);
    [Some(event.ack.clone()), own, Some(Some(refused))].into_iter().flatten().collect()
}

/// `required`, `optional`, `none`.
pub(crate) fn auth_word(auth: AuthMode) -> &'static str {
    match auth {
        AuthMode::None => "none",
        AuthMode::Optional => "optional",
        AuthMode::Required => "required",
    }
}

/// The hub's own code of a status.
pub(crate) fn code_of(status: u16) -> &'static str {
    const CODES: [Code; 12] = [
        Code::Invalid,
        Code::Unauthorized,
        Code::Forbidden,
        Code::NotFound,
        Code::Conflict,
        Code::Gone,
        Code::TooLarge,
        Code::RateLimited,
        Code::Internal,
        Code::Unsupported,
        Code::Unavailable,
        Code::Timeout,
    ];
    CODES.iter().find(|code| code.http_status() == status).map_or("INTERNAL", |code| code.as_str())
}

/// `{names}` in a path, in order.
pub(crate) fn parameters(path: &str) -> Vec<&str> {
    let inside = |segment| str::strip_suffix(str::strip_prefix(segment, '{')?, '}');
    path.split('/').filter_map(inside).filter(|name| !name.is_empty()).collect()
}

/// A sentence if there is one, else the name.
pub(crate) fn summary<'a>(description: &'a str, name: &'a str) -> &'a str {
    if description.is_empty() { name } else { description }
}
