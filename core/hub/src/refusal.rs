//! A "no" with its reason: what a client, a service or a REST caller is told when something is not done.

use serde::Serialize;

/// Why something was refused. A closed set: codes are promises to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The input is malformed; the same input never works.
    Invalid,
    /// No or a bad token.
    Unauthorized,
    /// Known, but not allowed.
    Forbidden,
    /// No such thing.
    NotFound,
    /// It changed or exists already.
    Conflict,
    /// Over a size limit.
    TooLarge,
    /// Over a rate or a count limit; later it may work.
    RateLimited,
    /// A queue is full; later it may work.
    Busy,
    /// The plugin did not answer in time.
    Timeout,
    /// The handle's owner is gone.
    Gone,
    /// Bus, store or plugin cannot be used right now.
    Unavailable,
    /// The hub is stopping; connect again.
    ShuttingDown,
    /// This host does not do that.
    Unsupported,
    /// A fault of the hub or the plugin.
    Internal,
}

impl Code {
    /// The code as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::TooLarge => "TOO_LARGE",
            Self::RateLimited => "RATE_LIMITED",
            Self::Busy => "BUSY",
            Self::Timeout => "TIMEOUT",
            Self::Gone => "GONE",
            Self::Unavailable => "UNAVAILABLE",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::Unsupported => "UNSUPPORTED",
            Self::Internal => "INTERNAL",
        }
    }

    /// The HTTP status that says the same.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Gone => 410,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unsupported => 501,
            Self::Busy | Self::Unavailable | Self::ShuttingDown => 503,
            Self::Timeout => 504,
        }
    }

    /// Whether the same request may work later.
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::Busy | Self::Timeout | Self::Unavailable | Self::ShuttingDown
        )
    }
}

/// A refusal: a code for programs and a sentence for people. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Why, for programs.
    pub code: Code,
    /// Why, for people; shown to the client.
    pub message: String,
    /// A plugin's own code (for example a seed's `TOO_MANY_CONNECTIONS`), shown instead of [`Code::as_str`].
    pub own_code: Option<String>,
    /// A JSON value that the plugin wants the client to see instead of the usual `{error:{code,message}}`.
    pub body: Option<bytes::Bytes>,
}

impl Refusal {
    /// A refusal with the usual body.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), own_code: None, body: None }
    }

    /// The code that the client sees.
    pub fn code_str(&self) -> &str {
        self.own_code.as_deref().unwrap_or_else(|| self.code.as_str())
    }

    /// `{code, message, retryable}`: what goes into `connect_error.data`, acknowledgements and replies.
    pub fn describe(&self) -> Description<'_> {
        Description { code: self.code_str(), message: &self.message, retryable: self.code.retryable() }
    }
}

/// How a refusal looks as JSON.
#[derive(Debug, Serialize)]
pub struct Description<'a> {
    code: &'a str,
    message: &'a str,
    retryable: bool,
}
