//! What can go wrong, in the codes of the contract, and how a client hears of it: as the event `error` always, and as
//! the acknowledgement when it asked for one.

use exedra_sdk::prelude::*;

use crate::wire::ErrorEvent;

/// The codes. A closed set: they label `errors_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The address has as many connections as it may.
    TooManyConnections,
    /// The connection could not be made.
    ConnectionError,
    /// The room's id or the user's id is missing or malformed.
    InvalidRequest,
    /// No such user, or not from this address.
    InvalidUser,
    /// No such room.
    RoomNotFound,
    /// The join could not be done.
    JoinError,
    /// The leave could not be done.
    LeaveError,
    /// The client did not answer.
    ConnectionTimeout,
    /// Too many events.
    RateLimited,
}

/// All codes as clients see them.
pub(crate) const CODES: [&str; 9] = [
    "TOO_MANY_CONNECTIONS",
    "CONNECTION_ERROR",
    "INVALID_REQUEST",
    "INVALID_USER",
    "ROOM_NOT_FOUND",
    "JOIN_ERROR",
    "LEAVE_ERROR",
    "CONNECTION_TIMEOUT",
    "RATE_LIMITED",
];

impl Trouble {
    /// The code as clients see it.
    pub(crate) fn code(self) -> &'static str {
        CODES[self as usize]
    }

    /// An error with this code.
    pub(crate) fn because(self, message: impl Into<String>) -> Error {
        let code = match self {
            Self::TooManyConnections | Self::RateLimited => Code::RateLimited,
            Self::ConnectionError | Self::JoinError | Self::LeaveError => Code::Unavailable,
            Self::InvalidRequest => Code::Invalid,
            Self::InvalidUser => Code::Forbidden,
            Self::RoomNotFound => Code::NotFound,
            Self::ConnectionTimeout => Code::Timeout,
        };
        Error::new(code, message).with_code(self.code())
    }

    /// An error of ours stays; any other becomes this one, and only the log learns what it was.
    pub(crate) fn over(self, error: Error) -> Error {
        if CODES.contains(&error.code_str()) {
            return error;
        }
        let message = match self {
            Self::JoinError => "Failed to process join request",
            Self::LeaveError => "Failed to process leave request",
            _ => "Failed to establish connection",
        };
        self.because(message).with_detail(format_args!("{error:?}"))
    }
}

/// Sends `error`; a client that has gone needs none.
pub(crate) fn tell(conn: &Conn, error: &Error) {
    let told = conn.emit("error", &ErrorEvent { code: error.code_str(), message: &error.message });
    if let Err(gone) = told {
        exedra_sdk::debug!("error {} not told: {gone}", error.code_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_list() {
        assert_eq!(Trouble::TooManyConnections.code(), "TOO_MANY_CONNECTIONS");
        assert_eq!(Trouble::ConnectionTimeout.code(), "CONNECTION_TIMEOUT");
        assert_eq!(Trouble::RateLimited as usize + 1, CODES.len());
    }

    #[test]
    fn foreign_errors_take_the_code() {
        let error = Trouble::JoinError.over(Error::unavailable("the store is away"));
        assert_eq!(error.code_str(), "JOIN_ERROR");
        assert!(!error.message.contains("store"));
        assert_eq!(Trouble::JoinError.over(Trouble::InvalidUser.because("x")).code_str(), "INVALID_USER");
    }
}
