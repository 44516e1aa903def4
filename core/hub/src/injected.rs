//! What one node knows of the events that it takes for a plugin: which are in hand, how the last ones ended, and who
//! waits for an answer. Pure: no IO, no time of its own, no locks.
//!
//! An event may be given twice, and one that a service sent twice under one `Nats-Msg-Id` may be kept twice after the
//! broker has lost its memory; [`Books`](books::Books) sees to it that neither is handled again here. What keeps events keeps no
//! address for an answer, so requests are heard beside it and [matched](pairs::Pairs) with what is given.

pub mod books;
pub mod pairs;

use std::time::Duration;

use crate::{Code, Refusal};

/// How often an event is tried before it becomes a dead letter.
pub const TRIES: u32 = 10;
/// The first pause between two tries, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Whether the same event may be taken a little later.
pub fn may_be_tried_again(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::Busy | Code::Unavailable | Code::Timeout | Code::ShuttingDown)
}

/// The pause after so many tries: doubled each time, up to a bound.
pub fn pause(tries: u32) -> Duration {
    let (first, longest) = PAUSES;
    longest.min(first.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let pauses: Vec<u128> = (1..TRIES).map(|tries| pause(tries).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(pause(u32::MAX), PAUSES.1);
    }

    #[test]
    fn what_is_wrong_stays_wrong() {
        let again = |code| may_be_tried_again(&Refusal::new(code, ""));
        assert!([Code::Busy, Code::Unavailable, Code::Timeout, Code::ShuttingDown].into_iter().all(again));
        assert!(![Code::Invalid, Code::NotFound, Code::Conflict, Code::Internal].into_iter().any(again));
    }
}
