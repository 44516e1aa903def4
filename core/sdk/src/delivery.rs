//! Which injected event it is. In a cluster an event comes once more when the node that had it in hand has gone, so what
//! it changes is marked with it: then it changes it once.

use serde::{Deserialize, Serialize};

use crate::{Error, Headers, Result, call::Call, extract::FromCall, keys::digest};

/// The header with the identity of an event.
const IDENTITY: &str = "Exedra-Delivery";
/// The header with its time.
const TAKEN_IN: &str = "Exedra-Taken-In";

/// An injected event that comes until it has been handled. Take an `Option<Delivery>`: where there is no cluster, events
/// come at most once, and none of them is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What keeps it.
    origin: String,
    /// Its number there: later events of a room have higher ones.
    number: u64,
    /// When it was taken in, in microseconds since 1970.
    taken_in: u64,
}

/// How far the events of a room have changed a value. Keep it in the value, so that both are written at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mark {
    origin: String,
    number: u64,
}

impl Delivery {
    /// Its identity: the same whenever it comes, and no other event's.
    pub fn identity(&self) -> String {
        format!("{}-{}", self.origin, self.number)
    }

    /// An identifier like those of [`Sequence`](crate::random::Sequence), the same whenever the event comes: by the time
    /// at which it was taken in.
    pub fn sequence_id(&self) -> String {
        let end = digest(self.identity().as_bytes());
        format!("{:016}-{}", self.taken_in.min(9_999_999_999_999_999), &end[..12])
    }

    fn of(headers: &Headers) -> Result<Option<Self>> {
        let Some(identity) = headers.get(IDENTITY) else { return Ok(None) };
        let read = || {
            let (origin, number) = identity.rsplit_once('-')?;
            let taken_in = headers.get(TAKEN_IN)?.parse().ok()?;
            Some(Self { origin: origin.to_owned(), number: number.parse().ok()?, taken_in })
        };
        read()
            .map(Some)
            .ok_or_else(|| Error::internal(format_args!("the identity of an event: {identity:?}")))
    }
}

impl FromCall for Option<Delivery> {
    fn from_call(call: &Call<'_>) -> Result<Self> {
        Delivery::of(&Headers::from_call(call)?)
    }
}

impl Mark {
    /// Whether an event has been at work already.
    pub fn has(&self, delivery: Option<&Delivery>) -> bool {
        delivery.is_some_and(|delivery| delivery.origin == self.origin && delivery.number <= self.number)
    }

    /// Notes an event; `false` when it has been at work already.
    pub fn take(&mut self, delivery: Option<&Delivery>) -> bool {
        if self.has(delivery) {
            return false;
        }
        if let Some(delivery) = delivery {
            *self = Self { origin: delivery.origin.clone(), number: delivery.number };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::random::Sequence;

    fn delivery(identity: &str, taken_in: u64) -> Option<Delivery> {
        let headers = json!({"exedra-delivery": identity, "exedra-taken-in": taken_in.to_string()});
        Delivery::of(&Headers::of(headers.as_object().unwrap())).unwrap()
    }

    #[test]
    fn event_marks_a_value_once() {
        let mut mark = Mark::default();
        let (one, two) = (delivery("a-1", 5), delivery("a-2", 6));
        assert!(mark.take(one.as_ref()) && mark.take(two.as_ref()));
        assert!(!mark.take(one.as_ref()) && !mark.take(two.as_ref()));
        assert!(mark.take(None), "nothing is known of it");
        assert!(mark.has(two.as_ref()), "and nothing is forgotten by it");
        assert!(mark.take(delivery("b-1", 7).as_ref()), "what keeps events has been made anew");
    }

    #[test]
    fn identifiers_sort_by_time() {
        let ids = [("a-9", 1_768_905_000_000_000), ("a-10", 1_768_905_000_000_001)]
            .map(|(identity, at)| delivery(identity, at).unwrap().sequence_id());
        assert!(ids[0] < ids[1] && ids.iter().all(|id| Sequence::made(id)));
        assert_eq!(Sequence::time_ms(&ids[0]), 1_768_905_000_000);
        assert_eq!(delivery("a-9", 1_768_905_000_000_000).unwrap().sequence_id(), ids[0]);
    }

    #[test]
    fn only_the_hub_says_who_it_is() {
        assert_eq!(Delivery::of(&Headers::of(&Map::new())).unwrap(), None);
        for bad in ["", "x", "a-", "a-b"] {
            let headers = json!({"exedra-delivery": bad, "exedra-taken-in": "1"});
            assert!(Delivery::of(&Headers::of(headers.as_object().unwrap())).is_err(), "{bad}");
        }
    }
}
