//! The books of one plugin's events: what is in hand, how the last ones ended, and whom to tell.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde_json::json;

use super::pairs::{Digests, Pairs};
use crate::port::{BusMessage, Delivery, Slip, Topic};

/// How long a request waits for its event to be given, and an event for its request.
pub const APART: Duration = Duration::from_secs(3);
/// How long it is remembered how an event ended: as long as the broker knows its name.
const REMEMBERED: Duration = Duration::from_secs(120);
/// Requests and events that may wait for each other.
const MOST_APART: usize = 8192;
/// Ends that are remembered.
const MOST_ENDS: usize = 8192;

/// How an event ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was handled; where it was kept.
    Done {
        /// What has kept it.
        stream: Arc<str>,
        /// Its number there.
        number: u64,
    },
    /// It was refused; the answer.
    Refused(Bytes),
}

/// Somebody who waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Where.
    pub reply: Topic,
    /// Whether it has sent something that was sent before.
    pub again: bool,
}

/// What to do with an event that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new here.
    Handle,
    /// It is in hand.
    InHand,
    /// It was in hand here already, and has ended.
    Ended,
}

enum Event {
    /// In hand: waiting for its turn, or begun.
    Open {
        slip: Arc<dyn Slip>,
        askers: Vec<Asker>,
        name: Option<String>,
        begun: bool,
    },
    /// Given up here: it will be given again, here or elsewhere.
    Left {
        askers: Vec<Asker>,
    },
    Ended {
        outcome: Outcome,
        name: Option<String>,
    },
}

/// The books.
pub struct Books {
    digests: Digests,
    events: HashMap<Arc<str>, Event>,
    /// The first event of each `Nats-Msg-Id`.
    named: HashMap<String, Arc<str>>,
    /// What has ended, in that order.
    ends: VecDeque<(Duration, Arc<str>)>,
    pairs: Pairs<Option<Topic>, Arc<str>>,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            digests: Digests::default(),
            events: HashMap::new(),
            named: HashMap::new(),
            ends: VecDeque::new(),
            pairs: Pairs::new(MOST_APART),
        }
    }
}

impl Event {
    fn leave(&mut self) {
        if let Self::Open { askers, .. } = self {
            *self = Self::Left { askers: std::mem::take(askers) };
        }
    }
}

impl Outcome {
    /// As whoever asked is told. A publisher that awaits the confirmation of a stream reads it as one.
    pub fn answer(&self, again: bool) -> Bytes {
        match self {
            Self::Done { stream, number } => {
                let mut answer = json!({"ok": true, "stream": &**stream, "seq": number});
                if again {
                    answer["duplicate"] = true.into();
                }
                answer.to_string().into()
            }
            Self::Refused(answer) => answer.clone(),
        }
    }
}

impl Books {
    /// An event was given. `old` says that it was kept before anybody listened here: no request can be about it.
    pub fn given(&mut self, delivery: &Delivery, old: bool, now: Duration) -> Verdict {
        let (identity, slip) = (&delivery.identity, &delivery.slip);
        let (mut askers, first) = match self.events.get_mut(identity) {
            Some(Event::Ended { .. }) => return Verdict::Ended,
            Some(Event::Open { slip: known, .. }) => {
                known.clone_from(slip); // an older one may be worth nothing any more
                return Verdict::InHand;
            }
            Some(Event::Left { askers }) => (std::mem::take(askers), false),
            None => (Vec::new(), !old),
        };
        let name = name_of(&delivery.message);
        if first {
            let digest = self.digests.of(&delivery.message);
            let heard = self.pairs.given(digest, identity.clone(), name.is_some(), now);
            let replies = heard.into_iter().enumerate();
            askers.extend(replies.filter_map(|(at, reply)| Some(Asker { reply: reply?, again: at > 0 })));
        }
        if let Some(name) = &name {
            self.named.entry(name.clone()).or_insert_with(|| identity.clone());
        }
        let slip = slip.clone();
        self.events.insert(identity.clone(), Event::Open { slip, askers, name, begun: false });
        Verdict::Handle
    }

    /// A message was heard that is kept too; gives the answer if that is known already.
    pub fn heard(&mut self, message: &BusMessage, now: Duration) -> Option<(Topic, Bytes)> {
        let reply = message.reply.clone();
        let known = match name_of(message) {
            Some(name) => self.named.get(&name).cloned(),
            None => None,
        };
        let digest = self.digests.of(message);
        let (identity, again) = match self.pairs.heard(digest, reply.clone(), now) {
            Some(identity) => (identity, false),
            None => (known?, true),
        };
        if again {
            self.pairs.take_back(digest); // nothing new will be given for it
        }
        let reply = reply?;
        match self.events.get_mut(&identity)? {
            Event::Ended { outcome, .. } => return Some((reply, outcome.answer(again))),
            Event::Open { askers, .. } | Event::Left { askers } => {
                if askers.len() < MOST_APART {
                    askers.push(Asker { reply, again });
                }
            }
        }
        None
    }

    /// How an event ended that bears the same name as this one and came before it.
    pub fn namesake(&self, identity: &str) -> Option<Outcome> {
        let Event::Open { name: Some(name), .. } = self.events.get(identity)? else { return None };
        let first = self.named.get(name).filter(|first| &***first != identity)?;
        match self.events.get(first)? {
            Event::Ended { outcome, .. } => Some(outcome.clone()),
            _ => None,
        }
    }

    /// An event has ended; gives its slip, and who is to be told.
    pub fn end(
        &mut self,
        identity: &Arc<str>,
        outcome: &Outcome,
        now: Duration,
    ) -> Option<(Arc<dyn Slip>, Vec<Asker>)> {
        let event = self.events.get_mut(identity)?;
        let Event::Open { slip, askers, name, .. } = event else { return None };
        let ended = (slip.clone(), std::mem::take(askers));
        *event = Event::Ended { outcome: outcome.clone(), name: name.take() };
        self.ends.push_back((now, identity.clone()));
        Some(ended)
    }

    /// An event's turn has come.
    pub fn begin(&mut self, identity: &str) {
        if let Some(Event::Open { begun, .. }) = self.events.get_mut(identity) {
            *begun = true;
        }
    }

    /// Whether an event is still in hand.
    pub fn holds(&self, identity: &str) -> bool {
        matches!(self.events.get(identity), Some(Event::Open { .. }))
    }

    /// An event is given up here without an end.
    pub fn leave(&mut self, identity: &str) {
        if let Some(event) = self.events.get_mut(identity) {
            event.leave();
        }
    }

    /// Everything is given up that has not begun.
    pub fn leave_waiting(&mut self) {
        for event in self.events.values_mut() {
            if matches!(event, Event::Open { begun: false, .. }) {
                event.leave();
            }
        }
    }

    /// The slips of what is in hand.
    pub fn in_hand(&self) -> Vec<Arc<dyn Slip>> {
        let open = |event: &Event| match event {
            Event::Open { slip, .. } => Some(slip.clone()),
            _ => None,
        };
        self.events.values().filter_map(open).collect()
    }

    /// Forgets what is too old; gives those who have waited in vain for their event.
    pub fn sweep(&mut self, now: Duration) -> Vec<Topic> {
        while let Some((at, identity)) = self.ends.front() {
            if self.ends.len() <= MOST_ENDS && now.saturating_sub(*at) < REMEMBERED {
                break;
            }
            if let Some(Event::Ended { name: Some(name), .. }) = self.events.remove(identity)
                && self.named.get(&name) == Some(identity)
            {
                self.named.remove(&name);
            }
            self.ends.pop_front();
        }
        self.pairs.give_up(now.saturating_sub(APART)).into_iter().flatten().collect()
    }

    /// Closes the books: everybody who still waits.
    pub fn close(&mut self) -> Vec<Topic> {
        let mut waiting: Vec<Topic> = self.pairs.give_up(Duration::MAX).into_iter().flatten().collect();
        for (_, event) in self.events.drain() {
            if let Event::Open { askers, .. } | Event::Left { askers } = event {
                waiting.extend(askers.into_iter().map(|asker| asker.reply));
            }
        }
        *self = Self::default();
        waiting
    }
}

/// What its publisher calls an event.
fn name_of(message: &BusMessage) -> Option<String> {
    let named = message.headers.iter().find(|(name, _)| name == "Nats-Msg-Id");
    named.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
