//! Events that are kept until they have been handled: this node takes those of a plugin while it looks after them,
//! handles each in its room's turn, and settles it when that has ended.
//!
//! A taking is a [`Term`]. When it ends, by another node's word or because the order of the events was in doubt, what
//! has not begun is left for the next one, here or elsewhere, which is given the same events in the same order. What has
//! begun goes on while this node is the taker. So a room's events are begun in order whatever happens, and what has ended
//! here is not begun here again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::{Either, select},
    stream::{PollNext, select_with_strategy},
};
use parking_lot::Mutex;
use serde_json::json;

use super::{Event, Key, Letter};
use crate::{
    Code, Refusal,
    hub::Hub,
    injected::{
        TRIES,
        books::{Books, Outcome, Verdict},
        may_be_tried_again, pause,
    },
    port::{BusError, BusMessage, BusState, Call, Delivery, Intake, Interest, Messages, PluginId, Topic},
};

/// How often it is looked who looks after a plugin's events.
const LOOK: Duration = Duration::from_millis(250);
/// How often events in hand are held.
const HOLD: Duration = Duration::from_secs(8);
/// The pause before a taking that has ended is followed by another, or one that failed is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// How long what is in hand may take when another node takes over.
const GRACE: Duration = Duration::from_secs(1);
/// How often the bus is looked at while it is away.
const AWAY: Duration = Duration::from_millis(250);

/// What an event that is kept has beside it.
pub(super) struct Kept {
    identity: Arc<str>,
    stream: Arc<str>,
    number: u64,
    taken_in: u64,
    books: Arc<Mutex<Books>>,
    term: Arc<Term>,
}

/// One taking of a plugin's events.
#[derive(Default)]
struct Term(AtomicBool);

impl Term {
    fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Ends a term whatever the way out.
struct Running(Arc<Term>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

enum Word {
    Heard(BusMessage),
    Given(Delivery),
    Over,
}

/// How a taking ended.
#[derive(PartialEq, Eq)]
enum End {
    /// Another node looks after the events from now on.
    Elsewhere,
    /// Nothing more is given; why is for the next taking to find out.
    Broken,
}

impl Hub {
    /// Injected events come from where they are kept from now on. Before [`Hub::run`], and once.
    ///
    /// # Errors
    /// That it has been done before.
    pub fn keep_injected(&self, intake: Arc<dyn Intake>) -> Result<(), String> {
        self.injected.intake.set(intake).map_err(|_| "injected events are kept already".to_owned())
    }

    /// Why this node cannot take the injected events that it is to take; `None` when it can, or has none to take.
    pub fn intake_trouble(&self) -> Option<String> {
        let takes = self.injected.taken.load(Ordering::Acquire) > 0;
        self.injected.intake.get().filter(|_| takes)?.trouble()
    }

    /// Takes no more injected events that are kept; ends when those in hand have ended, or after a moment.
    pub async fn end_intake(&self) {
        self.injected.ended.store(true, Ordering::Release);
        let mut waited = Duration::ZERO;
        while self.injected.taken.load(Ordering::Acquire) > 0 && waited < GRACE + LOOK * 2 {
            self.parts.clock.sleep(LOOK / 5).await;
            waited += LOOK / 5;
        }
    }

    /// Whether this node is to take a plugin's events; `None` while nobody can say.
    fn is_taker(&self, plugin: PluginId, thing: &str) -> Option<bool> {
        if self.injected.ended.load(Ordering::Acquire) || !self.is_enabled(plugin) {
            return Some(false);
        }
        self.surely_looks_after(thing)
    }

    /// Takes a plugin's events whenever it is this node's turn; never ends.
    pub(super) async fn take_kept(self: Arc<Self>, plugin: PluginId, intake: Arc<dyn Intake>, name: String) {
        let thing = format!("in/{name}");
        loop {
            self.parts.clock.sleep(LOOK).await;
            if self.is_taker(plugin, &thing) != Some(true) {
                continue;
            }
            self.injected.taken.fetch_add(1, Ordering::AcqRel);
            let books = Arc::default();
            self.keep_taking(plugin, &*intake, (&name, &thing), &books).await;
            let waiting = books.lock().close();
            self.injected.taken.fetch_sub(1, Ordering::AcqRel);
            let refusal = Refusal::new(Code::Unavailable, "another node takes over; ask again");
            waiting.iter().for_each(|reply| self.answer(reply, &refused(&refusal)));
        }
    }

    /// One taking after the other, until it is another node's turn.
    async fn keep_taking(
        self: &Arc<Self>,
        plugin: PluginId,
        intake: &dyn Intake,
        (name, thing): (&str, &str),
        books: &Arc<Mutex<Books>>,
    ) {
        let mut heard: Option<Messages> = None;
        let mut said = None;
        while self.is_taker(plugin, thing) != Some(false) {
            let taking = match intake.take(name).await {
                Ok(taking) => taking,
                Err(error) => {
                    if said.as_ref() != Some(&error) {
                        tracing::warn!(%error, plugin = name, "injected events cannot be taken; they are kept");
                    }
                    said = Some(error);
                    self.parts.clock.sleep(AGAIN).await;
                    continue;
                }
            };
            said = None;
            // Whoever asks before this is heard by nobody; what is kept already was not asked for by anybody heard.
            let newest = if heard.is_some() { 0 } else { taking.newest };
            let messages = match heard.take() {
                Some(messages) => messages,
                None => match self.parts.bus.subscribe(&Interest::In { plugin: name.to_owned() }, None).await
                {
                    Ok(messages) => messages,
                    Err(error) => return tracing::error!(%error, plugin = name, "requests are not heard"),
                },
            };
            tracing::info!(plugin = name, "this node takes the injected events");
            let term = Running(Arc::default());
            let given = taking.events.map(Word::Given).chain(futures_util::stream::iter([Word::Over]));
            let mut words =
                select_with_strategy(messages.map(Word::Heard), given, |(): &mut ()| PollNext::Left);
            let end = self.serve(plugin, thing, books, (&term.0, newest), &mut words).await;
            heard = Some(words.into_inner().0.into_inner());
            if end == End::Elsewhere {
                self.finish(books).await;
                tracing::info!(plugin = name, "another node takes the injected events");
                return;
            }
            drop(term);
            books.lock().leave_waiting();
            self.parts.clock.sleep(AGAIN).await;
        }
    }

    /// What comes during one taking.
    async fn serve(
        self: &Arc<Self>,
        plugin: PluginId,
        thing: &str,
        books: &Arc<Mutex<Books>>,
        (term, newest): (&Arc<Term>, u64),
        words: &mut (impl futures_util::Stream<Item = Word> + Unpin),
    ) -> End {
        let mut look = self.parts.clock.sleep(LOOK);
        let mut held = self.parts.clock.elapsed();
        loop {
            match select(words.next(), &mut look).await {
                Either::Left((Some(Word::Heard(message)), _)) => self.hear(books, &message),
                Either::Left((Some(Word::Given(delivery)), _)) => {
                    let old = delivery.number <= newest;
                    self.take_in(plugin, delivery, old, (books, term));
                }
                Either::Left((Some(Word::Over) | None, _)) => return End::Broken,
                Either::Right(_) => {
                    look = self.parts.clock.sleep(LOOK);
                    let now = self.parts.clock.elapsed();
                    self.sweep_books(books, now);
                    if now.saturating_sub(held) >= HOLD {
                        held = now;
                        books.lock().in_hand().iter().for_each(|slip| slip.hold());
                    }
                    if self.is_taker(plugin, thing) == Some(false) {
                        return End::Elsewhere;
                    }
                }
            }
        }
    }

    fn hear(&self, books: &Mutex<Books>, message: &BusMessage) {
        if !matches!(message.topic, Topic::In { .. }) {
            return;
        }
        let answer = books.lock().heard(message, self.parts.clock.elapsed());
        if let Some((reply, answer)) = answer {
            self.answer(&reply, &answer);
        }
    }

    fn take_in(
        self: &Arc<Self>,
        plugin: PluginId,
        delivery: Delivery,
        old: bool,
        (books, term): (&Arc<Mutex<Books>>, &Arc<Term>),
    ) {
        let verdict = books.lock().given(&delivery, old, self.parts.clock.elapsed());
        if verdict != Verdict::Handle
            && let Some(slot) = self.slot(plugin)
        {
            slot.metrics.redeliveries.inc();
        }
        match verdict {
            Verdict::InHand => {}
            Verdict::Ended => delivery.slip.settle(),
            Verdict::Handle => {
                let kept = Kept {
                    identity: delivery.identity,
                    stream: delivery.stream,
                    number: delivery.number,
                    taken_in: delivery.taken_in,
                    books: books.clone(),
                    term: term.clone(),
                };
                self.inject(plugin, delivery.message, Some(kept));
            }
        }
    }

    fn sweep_books(&self, books: &Mutex<Books>, now: Duration) {
        let lonely = books.lock().sweep(now);
        if !lonely.is_empty() {
            let refusal = Refusal::new(Code::Unavailable, "it is not known what became of it; ask again");
            lonely.iter().for_each(|reply| self.answer(reply, &refused(&refusal)));
        }
    }

    /// Lets what is in hand end while the next taker waits for a moment.
    async fn finish(&self, books: &Mutex<Books>) {
        let mut waited = Duration::ZERO;
        while waited < GRACE && !books.lock().in_hand().is_empty() {
            self.parts.clock.sleep(GRACE / 20).await;
            waited += GRACE / 20;
        }
    }

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
