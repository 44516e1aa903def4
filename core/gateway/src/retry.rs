//! When a client that is sent away should come back. Each is told another time, so that those who were sent away
//! together do not come back together.

use std::time::Duration;

use exedra_hub::CloseReason;
use http::HeaderValue;
use rand::Rng;

/// The earliest and the latest time that a client is told, in milliseconds.
const SPREAD: std::ops::RangeInclusive<u64> = 500..=3000;

/// A time to wait, different for everybody.
fn wait() -> Duration {
    Duration::from_millis(rand::rng().random_range(SPREAD))
}

/// The reason in a close frame: the label, and for a hub that stops, when to come back. Clients that do not know the
/// hint see a reason and come back in their own time.
pub(crate) fn close_reason(reason: CloseReason) -> String {
    match reason {
        CloseReason::ShuttingDown => format!("{}; retry={}ms", reason.label(), wait().as_millis()),
        _ => reason.label().to_owned(),
    }
}

/// The value of `Retry-After`, in whole seconds as HTTP has them.
pub(crate) fn after() -> HeaderValue {
    HeaderValue::from(wait().as_millis().div_ceil(1000) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_differ_and_keep_bounds() {
        let hints: std::collections::BTreeSet<u64> = (0..100)
            .map(|_| {
                let reason = close_reason(CloseReason::ShuttingDown);
                let hint = reason.strip_prefix("shutting_down; retry=").and_then(|r| r.strip_suffix("ms"));
                hint.and_then(|ms| ms.parse().ok()).unwrap_or_else(|| panic!("{reason}"))
            })
            .collect();
        assert!(hints.len() > 10 && hints.iter().all(|ms| SPREAD.contains(ms)), "{hints:?}");
        let value = after();
        assert!((1..=3).any(|seconds| value == seconds.to_string()), "{value:?}");
    }

    #[test]
    fn other_reasons_are_their_label() {
        assert_eq!(close_reason(CloseReason::Kicked), "kicked");
    }
}
