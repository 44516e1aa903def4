//! Names in the store. Each id is a segment of its own, encoded by the SDK, so that no two lists of ids make the same
//! key whatever characters they hold.

use exedra_sdk::keys::{key, prefix};

/// The meeting's record.
pub(crate) fn meeting(meeting: &str) -> String {
    key(&["meetings", meeting])
}

/// The note that a meeting is one of a user's own.
pub(crate) fn mine(user: &str, meeting: &str) -> String {
    key(&["mine", user, meeting])
}

/// All notes of [`mine`] for a user.
pub(crate) fn mine_prefix(user: &str) -> String {
    prefix(&["mine", user])
}

/// A user's vote.
pub(crate) fn vote(meeting: &str, phase: &str, kind: &str, user: &str) -> String {
    key(&["votes", meeting, phase, kind, user])
}

/// All votes of a meeting, or of one of its phases.
pub(crate) fn votes_prefix(meeting: &str, phase: Option<&str>) -> String {
    match phase {
        Some(phase) => prefix(&["votes", meeting, phase]),
        None => prefix(&["votes", meeting]),
    }
}

/// The small note that a user has voted: counting need not read the votes themselves.
pub(crate) fn voted(meeting: &str, phase: &str, kind: &str, user: &str) -> String {
    key(&["voted", meeting, phase, kind, user])
}

/// All notes of [`voted`] of one kind in one phase.
pub(crate) fn voted_prefix(meeting: &str, phase: &str, kind: &str) -> String {
    prefix(&["voted", meeting, phase, kind])
}

/// The answer that was given for a user's `Idempotency-Key` on a meeting's votes of one kind.
pub(crate) fn once(user: &str, meeting: &str, kind: &str, given: &str) -> String {
    key(&["once", user, meeting, kind, given])
}

/// All answers of [`once`].
pub(crate) const ONCE_PREFIX: &str = "once/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_key_fits() {
        let id = "💬".repeat(128);
        assert!(once(&id, &id, "understanding", &id).len() < 512);
        assert!(vote(&id, &id, "understanding", &id).len() < 512);
    }

    #[test]
    fn prefixes_take_whole_segments() {
        assert!(!mine("anna", "m").starts_with(&mine_prefix("ann")));
        assert!(mine("ann", "m").starts_with(&mine_prefix("ann")));
        assert!(vote("m", "p", "emotional", "u").starts_with(&votes_prefix("m", Some("p"))));
        assert!(!vote("m", "p2", "emotional", "u").starts_with(&votes_prefix("m", Some("p"))));
        assert!(once("u", "m", "emotional", "k").starts_with(ONCE_PREFIX));
    }

    #[test]
    fn slashes_do_not_reach_other_meetings() {
        assert_ne!(vote("m/p", "q", "emotional", "u"), vote("m", "p/q", "emotional", "u"));
        assert!(!vote("m/p", "q", "emotional", "u").starts_with(&votes_prefix("m", None)));
    }
}
