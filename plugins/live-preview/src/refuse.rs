//! How the plugin says no: the codes of the contract, and the event `error` beside the acknowledgement.

use exedra_sdk::prelude::*;

/// `error`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ErrorOut {
    /// Why, for people.
    pub message: String,
    /// Why, for programs.
    pub code: String,
}

/// The acknowledgement of something that was refused.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RefusedAck {
    /// Always false.
    pub success: bool,
    /// Why, for people.
    pub message: String,
    /// Why, for programs.
    pub code: String,
    /// Both once more.
    pub error: ErrorOut,
}

pub(crate) fn missing_project_id() -> Error {
    Error::invalid("Project ID is required").with_code("MISSING_PROJECT_ID")
}

pub(crate) fn unauthorized() -> Error {
    Error::forbidden("You do not own this project").with_code("UNAUTHORIZED")
}

pub(crate) fn project_not_found() -> Error {
    Error::not_found("Project not found").with_code("PROJECT_NOT_FOUND")
}

pub(crate) fn project_inactive() -> Error {
    Error::conflict("Project is not active").with_code("PROJECT_INACTIVE")
}

pub(crate) fn invalid_filter(why: &str) -> Error {
    Error::invalid(format!("Filter is not valid: {why}")).with_code("INVALID_FILTER")
}

pub(crate) fn invalid_api_key() -> Error {
    Error::unauthorized("A valid API key of the project is needed").with_code("INVALID_API_KEY")
}

pub(crate) fn session_not_found() -> Error {
    Error::not_found("Session not found").with_code("SESSION_NOT_FOUND")
}

pub(crate) fn session_ended() -> Error {
    Error::conflict("Session has ended").with_code("SESSION_ENDED")
}

pub(crate) fn session_full() -> Error {
    Error::too_large("Session has as many events as it may").with_code("SESSION_FULL")
}

/// What the contract has no code for: it has only said that it did not work. The reason is for the log.
pub(crate) fn join_failed(error: &Error) -> Error {
    failed(error, "Failed to join project room", "JOIN_FAILED")
}

/// As [`join_failed`].
pub(crate) fn leave_failed(error: &Error) -> Error {
    failed(error, "Failed to leave project room", "LEAVE_FAILED")
}

fn failed(error: &Error, message: &str, code: &str) -> Error {
    let detail = error.detail().unwrap_or(&error.message);
    Error::new(error.code, message)
        .with_code(code)
        .with_detail(format_args!("{}: {detail}", error.code_str()))
}

/// Tells the client what went wrong, whether or not it wants an acknowledgement.
pub(crate) fn told<T>(conn: &Conn, outcome: Result<T>) -> Result<T> {
    outcome.map_err(|error| {
        let shown = ErrorOut { message: error.message.clone(), code: error.code_str().to_owned() };
        exedra_sdk::warn!("refused: {}", shown.code);
        // A client that has gone meanwhile needs no telling.
        let _gone = conn.emit("error", &shown);
        let (message, code) = (shown.message.clone(), shown.code.clone());
        error.with_body(RefusedAck { success: false, message, code, error: shown })
    })
}
