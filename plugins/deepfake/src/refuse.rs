//! How the plugin says no on sockets: the event `error` in the shape of the contract, and the same inside of the
//! acknowledgement when one was asked for.

use exedra_sdk::prelude::*;

use crate::wire::{ErrorOut, RefusedAck};

/// The meeting's id is missing or no id.
pub(crate) fn no_meeting(error: Error) -> Error {
    let shown = Error::invalid("Meeting ID is invalid or not provided").with_code("INVALID_MEETING_ID");
    shown.with_detail(error.message)
}

/// A payload that does not hold what it must.
pub(crate) fn bad_data(error: Error) -> Error {
    Error::invalid("Invalid data").with_code("INVALID_DATA").with_detail(error.message)
}

/// Only those in a meeting may do that.
pub(crate) fn not_in_meeting() -> Error {
    Error::forbidden("You are not in this meeting").with_code("NOT_IN_MEETING")
}

/// Only detection engines may do that.
pub(crate) fn no_detector() -> Error {
    Error::forbidden("Only detection engines may send results").with_code("NOT_A_DETECTOR")
}

/// There is no such alert.
pub(crate) fn no_alert() -> Error {
    Error::not_found("There is no such alert").with_code("ALERT_NOT_FOUND")
}

/// Tells the client what went wrong, whether or not it wants an acknowledgement.
pub(crate) fn told<T>(conn: &Conn, outcome: Result<T>) -> Result<T> {
    outcome.map_err(|error| {
        let shown = shown(&error);
        // A client that has gone meanwhile needs no telling.
        let _gone = conn.emit("error", &shown);
        error.with_body(RefusedAck { success: false, error: shown })
    })
}

fn shown(error: &Error) -> ErrorOut {
    // What is wrong with the client's own data is no secret; what is wrong with us is.
    let detail = error.detail().filter(|_| error.code == Code::Invalid).map(str::to_owned);
    ErrorOut { code: error.code_str().to_owned(), message: error.message.clone(), severity: "error", detail }
}
