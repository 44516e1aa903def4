//! Taking the events of a plugin from where they are kept, while this node looks after them.
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

use futures_util::{
    StreamExt,
    future::{Either, select},
    stream::{PollNext, select_with_strategy},
};
use parking_lot::Mutex;

use super::{
    AGAIN,
    kept::{Kept, refused},
};
use crate::{
    Code, Refusal,
    hub::Hub,
    injected::books::{Books, Verdict},
    port::{BusMessage, Delivery, Intake, Interest, Messages, PluginId, Topic},
};

/// How often it is looked who takes a plugin's events.
const LOOK: Duration = Duration::from_millis(250);
/// How often events in hand are held.
const HOLD: Duration = Duration::from_secs(8);
/// How long what is in hand may take when another node takes over.
const GRACE: Duration = Duration::from_secs(1);

/// One taking of a plugin's events.
#[derive(Default)]
pub(super) struct Term(AtomicBool);

impl Term {
    pub(super) fn is_over(&self) -> bool {
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

    /// Why this node cannot take the injected events that it is to take; `None` when it can, or has none to take. A
    /// node that starts is in trouble until they are kept for it; one that takes over from another is not.
    pub fn intake_trouble(&self) -> Option<String> {
        let intake = self.injected.intake.get()?;
        let takes = self.injected.taken.load(Ordering::Acquire) > 0;
        intake.trouble().filter(|_| takes).or_else(|| self.intake_to_start())
    }

    fn intake_to_start(&self) -> Option<String> {
        let started = self.injected.started.load(Ordering::Acquire) || self.injected.is_ended();
        if started || self.slots().is_empty() {
            return None;
        }
        let given = self.injected.given.lock();
        for (plugin, slot) in (0..).map(PluginId).zip(self.slots()) {
            let name = &slot.manifest.name;
            if slot.manifest.injects.is_empty() || given.contains(&plugin) {
                continue;
            }
            match self.is_taker(plugin, name) {
                Some(false) => {}
                Some(true) => return Some(format!("what is injected into {name} is not kept yet")),
                None => return None, // the cluster says why
            }
        }
        self.injected.started.store(true, Ordering::Release);
        None
    }

    /// Takes no more injected events that are kept; ends when those in hand have ended, or after a moment.
    pub async fn end_intake(&self) {
        self.injected.end();
        let mut waited = Duration::ZERO;
        while self.injected.taken.load(Ordering::Acquire) > 0 && waited < GRACE + LOOK * 2 {
            self.parts.clock.sleep(LOOK / 5).await;
            waited += LOOK / 5;
        }
    }

    /// Whether this node is to take a plugin's events; `None` while nobody can say.
    fn is_taker(&self, plugin: PluginId, name: &str) -> Option<bool> {
        if self.injected.is_ended() || !self.is_enabled(plugin) {
            return Some(false);
        }
        self.takes_injected(name)
    }

    /// Takes a plugin's events whenever it is this node's turn; never ends.
    pub(super) async fn take_kept(self: Arc<Self>, plugin: PluginId, intake: Arc<dyn Intake>, name: String) {
        loop {
            self.parts.clock.sleep(LOOK).await;
            if self.is_taker(plugin, &name) != Some(true) {
                continue;
            }
            self.injected.taken.fetch_add(1, Ordering::AcqRel);
            let books = Arc::default();
            self.keep_taking(plugin, &*intake, &name, &books).await;
            let waiting = books.lock().close();
            self.injected.given.lock().remove(&plugin);
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
        name: &str,
        books: &Arc<Mutex<Books>>,
    ) {
        let mut heard: Option<Messages> = None;
        let mut said = None;
        while self.is_taker(plugin, name) != Some(false) {
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
            self.injected.given.lock().insert(plugin);
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
            let end = self.serve(plugin, name, books, (&term.0, newest), &mut words).await;
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
        name: &str,
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
                    if self.is_taker(plugin, name) == Some(false) {
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
}
