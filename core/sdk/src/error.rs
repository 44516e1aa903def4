//! What a handler says when it cannot do what was asked: a code for programs, a sentence for people, and, for the
//! log only, the detail that a client must not see.

use std::fmt;

use exedra_abi::Status;
use serde::Serialize;
use serde_json::Value;

/// What handlers return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was refused; the same closed set as the hub's.
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
    /// A queue or a room is full; later it may work.
    Busy,
    /// No answer in time.
    Timeout,
    /// The connection, call or operation has ended.
    Gone,
    /// Bus or store cannot be reached right now.
    Unavailable,
    /// The hub is stopping.
    ShuttingDown,
    /// This hub does not do that.
    Unsupported,
    /// A fault of the hub or the plugin.
    Internal,
}

impl Code {
    const ALL: [(Self, &'static str, Status); 14] = [
        (Self::Invalid, "INVALID", Status::INVALID),
        (Self::Unauthorized, "UNAUTHORIZED", Status::UNAUTHORIZED),
        (Self::Forbidden, "FORBIDDEN", Status::FORBIDDEN),
        (Self::NotFound, "NOT_FOUND", Status::NOT_FOUND),
        (Self::Conflict, "CONFLICT", Status::CONFLICT),
        (Self::TooLarge, "TOO_LARGE", Status::TOO_LARGE),
        (Self::RateLimited, "RATE_LIMITED", Status::RATE_LIMITED),
        (Self::Busy, "BUSY", Status::BUSY),
        (Self::Timeout, "TIMEOUT", Status::TIMEOUT),
        (Self::Gone, "GONE", Status::GONE),
        (Self::Unavailable, "UNAVAILABLE", Status::UNAVAILABLE),
        (Self::ShuttingDown, "SHUTTING_DOWN", Status::SHUTTING_DOWN),
        (Self::Unsupported, "UNSUPPORTED", Status::UNSUPPORTED),
        (Self::Internal, "INTERNAL", Status::INTERNAL),
    ];

    /// The code as clients see it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|row| row.0 == self).map_or("INTERNAL", |row| row.1)
    }

    /// The code that clients see as `text`, if it is one of the hub's.
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == text).map(|row| row.0)
    }

    pub(crate) fn status(self) -> Status {
        Self::ALL.iter().find(|row| row.0 == self).map_or(Status::INTERNAL, |row| row.2)
    }

    /// An unknown status is a fault; a cancelled operation's owner is gone.
    pub(crate) fn from_status(status: Status) -> Self {
        if status == Status::CANCELLED {
            return Self::Gone;
        }
        Self::ALL.iter().find(|row| row.2 == status).map_or(Self::Internal, |row| row.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure that a handler reports. `?` makes one of any [`std::error::Error`]: `INTERNAL`, with its text in the
/// log and a general sentence for the client. Deliberately not a `std::error::Error` itself, so that this works.
#[derive(Clone, PartialEq)]
pub struct Error {
    /// Why, for programs.
    pub code: Code,
    /// Why, for people; the client sees it.
    pub message: String,
    /// The plugin's own code, which the client sees instead of [`Error::code`].
    pub own_code: Option<String>,
    /// What the client sees instead of the usual `{"error": {"code", "message"}}`.
    pub body: Option<Box<Value>>,
    detail: Option<String>,
}

impl Error {
    /// An error of the given code with a sentence that the client may see.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), own_code: None, body: None, detail: None }
    }

    /// The input is malformed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    /// There is no user where one is needed.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthorized, message)
    }

    /// The user may not do that.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// It exists already, or has changed meanwhile.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }

    /// Something is larger than allowed.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(Code::TooLarge, message)
    }

    /// Too many in too short a time.
    pub fn rate_limited(message: impl Into<String>) -> Self {
        Self::new(Code::RateLimited, message)
    }

    /// Full for now.
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(Code::Busy, message)
    }

    /// No answer came in time.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(Code::Timeout, message)
    }

    /// The thing has ended.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(Code::Gone, message)
    }

    /// Something outside cannot be reached now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// That is not offered.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Code::Unsupported, message)
    }

    /// A fault of ours. `detail` goes to the log; the client sees a general sentence.
    pub fn internal(detail: impl fmt::Display) -> Self {
        Self::new(Code::Internal, "something went wrong on our side").with_detail(detail)
    }

    /// Shows the client this code instead of the general one.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.own_code = Some(code.into());
        self
    }

    /// Shows the client this JSON instead of the usual error object.
    #[must_use]
    pub fn with_body(mut self, body: impl Serialize) -> Self {
        self.body = serde_json::to_value(body).ok().map(Box::new);
        self
    }

    /// Adds what only the log is told.
    #[must_use]
    pub fn with_detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// The code that the client sees.
    pub fn code_str(&self) -> &str {
        self.own_code.as_deref().unwrap_or_else(|| self.code.as_str())
    }

    /// What only the log is told.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The same with its detail as the message.
    pub(crate) fn outspoken(mut self) -> Self {
        if let Some(detail) = self.detail.take() {
            self.message = detail;
        }
        self
    }

    /// What an operation of the hub ended with; the hub's own sentence when it gave one.
    pub(crate) fn from_hub(status: Status, meta: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Said {
            message: Option<String>,
            code: Option<String>,
        }
        let code = Code::from_status(status);
        let said: Option<Said> = serde_json::from_slice(meta).ok();
        let (message, own_code) = said.map_or((None, None), |said| (said.message, said.code));
        let mut error = Self::new(code, message.unwrap_or_else(|| general_sentence(code).to_owned()));
        error.own_code = own_code;
        error
    }

    /// The `meta` of a failed result.
    pub(crate) fn to_meta(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Meta<'a> {
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            code: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            body: Option<&'a Value>,
        }
        let meta =
            Meta { message: &self.message, code: self.own_code.as_deref(), body: self.body.as_deref() };
        serde_json::to_vec(&meta).unwrap_or_default()
    }
}

fn general_sentence(code: Code) -> &'static str {
    match code {
        Code::Invalid => "the input is not valid",
        Code::Unauthorized => "a valid token is needed",
        Code::Forbidden => "that is not allowed",
        Code::NotFound => "there is no such thing",
        Code::Conflict => "it has changed meanwhile",
        Code::TooLarge => "it is too large",
        Code::RateLimited => "too many requests",
        Code::Busy => "it is full right now",
        Code::Timeout => "no answer came in time",
        Code::Gone => "it has ended",
        Code::Unavailable => "it cannot be reached right now",
        Code::ShuttingDown => "the hub is stopping",
        Code::Unsupported => "that is not supported here",
        Code::Internal => "something went wrong on our side",
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code_str(), self.message)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self::internal(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_the_border() {
        for (code, name, status) in Code::ALL {
            assert_eq!(Code::from_status(status), code);
            assert_eq!(code.status(), status);
            assert_eq!(Code::from_name(name), Some(code));
        }
        assert_eq!(Code::from_status(Status(-4711)), Code::Internal);
        assert_eq!(Code::from_status(Status(17)), Code::Internal);
    }

    #[test]
    fn foreign_errors_stay_private() {
        let error: Error = "x".parse::<u8>().unwrap_err().into();
        assert_eq!(error.code, Code::Internal);
        assert!(!error.message.contains("digit"));
        assert!(error.detail().is_some_and(|d| d.contains("digit")));
        assert!(!String::from_utf8(error.to_meta()).unwrap().contains("digit"));
    }

    #[test]
    fn own_code_and_body_are_told() {
        let error = Error::busy("two at most").with_code("TOO_MANY_CONNECTIONS").with_body(["no"]);
        let meta: Value = serde_json::from_slice(&error.to_meta()).unwrap();
        assert_eq!(
            meta,
            serde_json::json!({"message": "two at most", "code": "TOO_MANY_CONNECTIONS", "body": ["no"]})
        );
    }
}
