//! An event that is kept until it has been handled: its room's turn has come, the plugin is asked until it has taken or
//! refused it for good, whoever asked is told, and it is settled.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;

use super::{AGAIN, Event, Key, Letter, taking::Term};
use crate::{
    Code, Refusal,
    hub::Hub,
    injected::{
        TRIES,
        books::{Books, Outcome},
        may_be_tried_again, pause,
    },
    port::{BusError, BusMessage, BusState, Call},
};

/// How often the bus is looked at while it is away.
const AWAY: Duration = Duration::from_millis(250);

/// What an event that is kept has beside it.
pub(super) struct Kept {
    pub(super) identity: Arc<str>,
    pub(super) stream: Arc<str>,
    pub(super) number: u64,
    pub(super) taken_in: u64,
    pub(super) books: Arc<Mutex<Books>>,
    pub(super) term: Arc<Term>,
}

impl Hub {
    /// Handles an event in its turn. `worn` says that the one before it was tried in vain until it was given up: this one
    /// is tried once then, so that a room that cannot be served is done with in time.
    pub(super) async fn handle_kept(&self, key: &Key, event: Event, kept: Kept, worn: &mut bool) {
        let namesake = {
            let mut books = kept.books.lock();
            if kept.term.is_over() || !books.holds(&kept.identity) {
                return; // it is given again in another term
            }
            books.begin(&kept.identity);
            books.namesake(&kept.identity)
        };
        let outcome = match namesake {
            Some(outcome) => Some(outcome),
            None => match self.try_kept(key, &event, &kept, worn).await {
                Some(Ok(())) => Some(Outcome::Done { stream: kept.stream.clone(), number: kept.number }),
                Some(Err(refusal)) => self.bury(key, &event.message, &kept, &refusal).await,
                None => None,
            },
        };
        let Some(outcome) = outcome else { return kept.books.lock().leave(&kept.identity) };
        let ended = kept.books.lock().end(&kept.identity, &outcome, self.parts.clock.elapsed());
        let Some((slip, askers)) = ended else { return };
        // Answered first: an event that nobody will ever handle again has been answered for.
        askers.iter().for_each(|asker| self.answer(&asker.reply, &outcome.answer(asker.again)));
        slip.settle();
    }

    /// Calls the plugin until it has taken or refused the event for good; `None` when it is out of
    /// hand before.
    async fn try_kept(
        &self,
        key: &Key,
        event: &Event,
        kept: &Kept,
        worn: &mut bool,
    ) -> Option<Result<(), Refusal>> {
        let Some(handler) = event.handler else { return Some(Err(unknown(&event.name))) };
        let mut tries = 0;
        loop {
            let call = Call::Inject {
                handler,
                room: key.1.clone(),
                event: event.name.clone(),
                headers: kept.headers(&event.message),
                payload: event.message.payload.clone(),
            };
            let refusal = match self.call(key.0, call).await {
                Ok(_) => {
                    *worn = false;
                    return Some(Ok(()));
                }
                Err(refusal) => refusal,
            };
            tries += 1;
            if !may_be_tried_again(&refusal) {
                *worn = false;
                return Some(Err(refusal));
            }
            if !kept.is_in_hand() || refusal.code == Code::ShuttingDown {
                return None;
            }
            if tries >= TRIES || *worn {
                *worn = true;
                return Some(Err(refusal));
            }
            if let Some(slot) = self.slot(key.0) {
                slot.metrics.retries.inc();
            }
            self.parts.clock.sleep(pause(tries)).await;
            while kept.is_in_hand() && self.parts.bus.state() == BusState::Down {
                self.parts.clock.sleep(AWAY).await; // what the plugin needs may be away with it
            }
            if !kept.is_in_hand() {
                return None;
            }
        }
    }

    /// Keeps a refused event as a dead letter; `None` when it is out of hand before that is done.
    async fn bury(&self, key: &Key, message: &BusMessage, kept: &Kept, refusal: &Refusal) -> Option<Outcome> {
        let intake = self.injected.intake.get()?;
        let Letter { plugin, mut headers } = self.letter(key.0, message, refusal)?;
        let mut payload = message.payload.clone();
        let mut said = false;
        loop {
            if !kept.is_in_hand() {
                return None;
            }
            match intake.bury(&plugin, &kept.identity, &headers, payload.clone()).await {
                Ok(()) => break,
                Err(BusError::TooLarge) if !payload.is_empty() => {
                    headers.push(("Exedra-Left-Out".to_owned(), format!("{} bytes", payload.len())));
                    payload = Bytes::new();
                }
                Err(error) => {
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(%error, "a dead letter is not kept yet; its event is held");
                    }
                    self.parts.clock.sleep(AGAIN).await;
                }
            }
        }
        self.note_letter(key.0, message, refusal);
        Some(Outcome::Refused(refused(refusal)))
    }
}

impl Kept {
    fn is_in_hand(&self) -> bool {
        self.books.lock().holds(&self.identity)
    }

    /// The headers of the event, and which one it is.
    fn headers(&self, message: &BusMessage) -> Vec<(String, String)> {
        let mut headers = super::outside_headers(message);
        headers.push(("Exedra-Delivery".to_owned(), self.identity.to_string()));
        headers.push(("Exedra-Taken-In".to_owned(), self.taken_in.to_string()));
        headers
    }
}

pub(super) fn unknown(event: &str) -> Refusal {
    Refusal::new(Code::NotFound, format!("the plugin takes no event `{event}`"))
}

pub(super) fn refused(refusal: &Refusal) -> Bytes {
    json!({"error": refusal.describe()}).to_string().into()
}
