//! Requests as they are heard, and events as they are given, matched by what they say: the first with the first. Each
//! waits for the other for a while, whichever comes first. Messages without an address are heard too and take their
//! own event's place, so that a request is never answered for an equal message that nobody asked about.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hash, RandomState},
    time::Duration,
};

use crate::port::BusMessage;

/// What both sides of a match have in common: topic, headers and body. Keyed at random, so that nobody outside can make
/// two that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(u64, u64);

/// Makes digests.
#[derive(Debug, Default)]
pub struct Digests(RandomState, RandomState);

/// Those who wait for their match: `A` were heard, `B` were given.
#[derive(Debug)]
pub struct Pairs<A, B> {
    waiting: HashMap<Digest, Side<A, B>>,
    /// Who waits, in order of coming.
    order: VecDeque<(Duration, Digest)>,
    most: usize,
}

#[derive(Debug)]
enum Side<A, B> {
    Heard(VecDeque<(Duration, A)>),
    Given(VecDeque<(Duration, B)>),
}

impl Digests {
    /// The digest of a message. Headers that the broker takes off, or reads for itself, do not count.
    pub fn of(&self, message: &BusMessage) -> Digest {
        let counts = |(name, _): &&(String, String)| !name.starts_with("Nats-") || name == "Nats-Msg-Id";
        let headers: Vec<_> = message.headers.iter().filter(counts).collect();
        let whole = (&message.topic, headers, &message.payload);
        let of = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            whole.hash(&mut hasher);
            std::hash::Hasher::finish(&hasher)
        };
        Digest(of(&self.0), of(&self.1))
    }
}

impl<A, B> Pairs<A, B> {
    /// At most `most` may wait.
    pub fn new(most: usize) -> Self {
        Self { waiting: HashMap::new(), order: VecDeque::new(), most }
    }

    /// A message was heard: its event, if that has been given already.
    pub fn heard(&mut self, digest: Digest, asker: A, now: Duration) -> Option<B> {
        if let Some(Side::Given(given)) = self.waiting.get_mut(&digest) {
            let matched = given.pop_front().map(|(_, event)| event);
            if given.is_empty() {
                self.waiting.remove(&digest);
            }
            return matched;
        }
        let side = self.waiting.entry(digest).or_insert_with(|| Side::Heard(VecDeque::new()));
        if let Side::Heard(heard) = side {
            heard.push_back((now, asker));
            self.order.push_back((now, digest));
        }
        None
    }

    /// Whoever was heard last to say this waits no longer.
    pub fn take_back(&mut self, digest: Digest) {
        if let Some(Side::Heard(heard)) = self.waiting.get_mut(&digest) {
            heard.pop_back();
            if heard.is_empty() {
                self.waiting.remove(&digest);
            }
        }
    }

    /// An event was given: who was heard to speak of it. With `all`, everybody; else the first.
    pub fn given(&mut self, digest: Digest, event: B, all: bool, now: Duration) -> Vec<A> {
        if let Some(Side::Heard(heard)) = self.waiting.get_mut(&digest) {
            let count = if all { heard.len() } else { heard.len().min(1) };
            let matched = heard.drain(..count).map(|(_, asker)| asker).collect();
            if heard.is_empty() {
                self.waiting.remove(&digest);
            }
            return matched;
        }
        let side = self.waiting.entry(digest).or_insert_with(|| Side::Given(VecDeque::new()));
        if let Side::Given(given) = side {
            given.push_back((now, event));
            self.order.push_back((now, digest));
        }
        Vec::new()
    }

    /// Ends the wait of all who came before `before`, and of the oldest while there are too many; gives those who were
    /// heard.
    pub fn give_up(&mut self, before: Duration) -> Vec<A> {
        let mut lonely = Vec::new();
        while let Some(&(came, digest)) = self.order.front() {
            if came >= before && self.order.len() <= self.most {
                break;
            }
            self.order.pop_front();
            // Those of one digest wait in the same order; whoever was matched meanwhile is not there any more.
            let is_first = |first: Option<Duration>| first.is_some_and(|first| first <= came);
            let empty = match self.waiting.get_mut(&digest) {
                Some(Side::Heard(heard)) => {
                    if is_first(heard.front().map(|first| first.0)) {
                        lonely.extend(heard.pop_front().map(|(_, asker)| asker));
                    }
                    heard.is_empty()
                }
                Some(Side::Given(given)) => {
                    if is_first(given.front().map(|first| first.0)) {
                        given.pop_front();
                    }
                    given.is_empty()
                }
                None => false,
            };
            if empty {
                self.waiting.remove(&digest);
            }
        }
        lonely
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Topic;

    const SECOND: Duration = Duration::from_secs(1);

    fn message(payload: &str, headers: &[(&str, &str)]) -> BusMessage {
        BusMessage {
            topic: Topic::In { plugin: "p".into(), room: "r".into(), event: "e".into() },
            reply: None,
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            payload: payload.to_owned().into(),
        }
    }

    #[test]
    fn digest_is_what_is_said() {
        let digests = Digests::default();
        let of = |payload: &str, headers: &[(&str, &str)]| digests.of(&message(payload, headers));
        assert_eq!(of("a", &[]), of("a", &[("Nats-Expected-Stream", "s")]));
        assert_ne!(of("a", &[]), of("b", &[]));
        assert_ne!(of("a", &[("Nats-Msg-Id", "1")]), of("a", &[("Nats-Msg-Id", "2")]));
        assert_ne!(of("a", &[("x", "1")]), of("a", &[]));
        assert_ne!(Digests::default().of(&message("a", &[])), of("a", &[]), "keyed at random");
    }

    #[test]
    fn first_is_matched_with_first() {
        let mut pairs: Pairs<&str, u32> = Pairs::new(10);
        let same = Digest(1, 1);
        assert_eq!(pairs.heard(same, "one", SECOND), None);
        assert_eq!(pairs.heard(same, "two", SECOND), None);
        assert_eq!(pairs.given(same, 1, false, SECOND), ["one"]);
        assert_eq!(pairs.given(same, 2, false, SECOND), ["two"]);
        assert!(pairs.given(same, 3, false, SECOND).is_empty());
        assert_eq!(pairs.heard(same, "three", SECOND), Some(3));
        assert!(pairs.waiting.is_empty());
    }

    #[test]
    fn everybody_asks_about_a_named_one() {
        let mut pairs: Pairs<&str, u32> = Pairs::new(10);
        pairs.heard(Digest(1, 1), "one", SECOND);
        pairs.heard(Digest(1, 1), "two", SECOND);
        assert_eq!(pairs.given(Digest(1, 1), 1, true, SECOND), ["one", "two"]);
    }

    #[test]
    fn nobody_waits_forever() {
        let mut pairs: Pairs<&str, u32> = Pairs::new(3);
        pairs.heard(Digest(1, 1), "matched", SECOND);
        pairs.given(Digest(1, 1), 1, false, SECOND);
        pairs.heard(Digest(1, 1), "lonely", SECOND * 2);
        pairs.given(Digest(2, 2), 7, false, SECOND * 2);
        assert!(pairs.give_up(SECOND * 2).is_empty());
        assert_eq!(pairs.give_up(SECOND * 3), ["lonely"]);
        assert!(pairs.waiting.is_empty() && pairs.order.is_empty());
        for name in ["a", "b", "c", "d", "e"] {
            pairs.heard(Digest(3, 3), name, SECOND * 3);
        }
        assert_eq!(pairs.give_up(SECOND), ["a", "b"], "the oldest, when there are too many");
    }
}
