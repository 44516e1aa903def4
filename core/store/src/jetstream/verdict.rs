//! What to make of a write whose answer was not plain: the server says that the key has changed, or the answer was
//! lost. Decided on what is under the key now, and on whether that was written by this very write.

use exedra_hub::port::Revision;

use super::bucket::Found;
use crate::queue::WriteKind;

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The write is in the store.
    Done(Revision),
    /// The key is another one's; nothing was written.
    Conflict(Revision),
    /// Send it (again), on this condition. An earlier attempt that comes late changes nothing: the server takes a
    /// write's id once, and the condition holds once.
    Send(Option<Revision>),
    /// It may have been written and overwritten since: nobody can know.
    Unknown,
}

/// The condition of the first attempt.
pub(super) fn first(kind: &WriteKind) -> Option<Revision> {
    match kind {
        WriteKind::Put(_) | WriteKind::Delete(None) => None,
        WriteKind::Create(_) => Some(0),
        WriteKind::Update(_, expected) | WriteKind::Delete(Some(expected)) => Some(*expected),
    }
}

/// Judges by what was `found` under the key. `doubt` says that an earlier attempt may have been written.
pub(super) fn judge(kind: &WriteKind, id: &str, found: Option<&Found>, doubt: bool) -> Verdict {
    if let Some(own) = found.filter(|found| found.id.as_deref() == Some(id)) {
        return Verdict::Done(own.revision);
    }
    let marker = found.filter(|found| found.value.is_none()).map(|found| found.revision);
    let current = found.filter(|found| found.value.is_some()).map(|found| found.revision);
    match kind {
        WriteKind::Delete(_) if current.is_none() => Verdict::Done(0),
        // Without a condition a second attempt could overwrite what others wrote after the first.
        WriteKind::Put(_) | WriteKind::Delete(None) if doubt => Verdict::Unknown,
        // It may have been created by the first attempt and deleted by another since.
        WriteKind::Create(_) if doubt && marker.is_some() => Verdict::Unknown,
        _ => match kind.conflict(current) {
            Some(_) if doubt => Verdict::Unknown,
            Some(revision) => Verdict::Conflict(revision),
            // A deleted key may have left its marker; it is what stands there now.
            None => Verdict::Send(marker.or(current).or(first(kind))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict::*, WriteKind::*, *};

    fn found(revision: Revision, value: Option<&'static str>, id: &str) -> Found {
        Found { revision, value: value.map(Into::into), id: Some(id.to_owned()) }
    }

    fn judged(kind: &WriteKind, found: Option<Found>, doubt: bool) -> Verdict {
        judge(kind, "own", found.as_ref(), doubt)
    }

    #[test]
    fn own_write_is_done() {
        for kind in [Put("v".into()), Create("v".into()), Update("v".into(), 3)] {
            assert_eq!(judged(&kind, Some(found(7, Some("v"), "own")), true), Done(7));
        }
        assert_eq!(judged(&Delete(Some(3)), Some(found(7, None, "own")), true), Done(7));
    }

    #[test]
    fn others_write_conflicts_without_doubt() {
        let other = || Some(found(7, Some("v"), "other"));
        for kind in [Create("v".into()), Update("v".into(), 3), Delete(Some(3))] {
            assert_eq!(judged(&kind, other(), false), Conflict(7));
            assert_eq!(judged(&kind, other(), true), Unknown, "it may have been overwritten");
        }
        assert_eq!(judged(&Put("v".into()), other(), true), Unknown);
        assert_eq!(judged(&Delete(None), other(), true), Unknown);
    }

    #[test]
    fn absent_key_is_created_deleted_never_updated() {
        for absent in [None, Some(found(7, None, "other"))] {
            let marker = absent.as_ref().map_or(0, |found| found.revision);
            let again = if marker == 0 { Send(Some(0)) } else { Unknown };
            assert_eq!(judged(&Create("v".into()), absent.clone(), false), Send(Some(marker)));
            assert_eq!(judged(&Create("v".into()), absent.clone(), true), again);
            for doubt in [false, true] {
                assert_eq!(judged(&Delete(Some(3)), absent.clone(), doubt), Done(0));
                assert_eq!(judged(&Delete(None), absent.clone(), doubt), Done(0));
            }
            for expected in [0, 3, 7] {
                assert_eq!(judged(&Update("v".into(), expected), absent.clone(), false), Conflict(0));
                assert_eq!(judged(&Update("v".into(), expected), absent.clone(), true), Unknown);
            }
        }
    }

    #[test]
    fn unchanged_key_is_sent_again() {
        let expected = || Some(found(3, Some("v"), "other"));
        for doubt in [false, true] {
            assert_eq!(judged(&Update("v".into(), 3), expected(), doubt), Send(Some(3)));
            assert_eq!(judged(&Delete(Some(3)), expected(), doubt), Send(Some(3)));
        }
    }
}
