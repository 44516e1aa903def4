//! Limits that both buses keep.

use std::time::Duration;

/// The largest message of the bus in memory, headers included: what a NATS server takes unless told otherwise.
pub(crate) const MAX_PAYLOAD: usize = 1024 * 1024;
/// The most requests that wait for an answer; one more is refused at once.
pub(crate) const MAX_REQUESTS: usize = 4096;
/// The longest wait for an answer.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The wait that was asked for, within bounds.
pub(crate) fn bounded(wait: Duration) -> Duration {
    wait.min(MAX_WAIT)
}
