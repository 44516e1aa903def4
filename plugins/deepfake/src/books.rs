//! The numbers of meetings in memory, and what all nodes have counted together in the store: what was counted here is
//! added there when analytics are sent, so that a restart loses at most one interval, and read from there when nothing
//! was counted here.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use exedra_sdk::{keys::key, prelude::*, serde_json};

use crate::{analytics::Tally, update::Analytics};

/// Meetings whose numbers are in memory at once; of more nothing is counted until some have been put away.
const MOST_MEETINGS: usize = 10_000;
/// How long numbers stay in memory untouched.
const IDLE_MS: u64 = 2 * 60_000;
/// The largest analytics of an engine that other nodes are told of, in bytes.
const MOST_GIVEN: usize = 64 * 1024;

/// The numbers of all meetings.
pub(crate) struct Books {
    hub: Hub,
    meetings: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// As it stands, by all that is known here.
    tally: Tally,
    /// As the store had it last: what is more has been counted here.
    kept: Tally,
    given: Option<Given>,
    touched_ms: u64,
    /// Whether the store knows less.
    dirty: bool,
}

/// What an engine has said itself, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Given {
    analytics: Analytics,
    at_ms: u64,
}

/// A meeting in the store.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Page {
    #[serde(flatten)]
    tally: Tally,
    #[serde(skip_serializing_if = "Option::is_none")]
    given: Option<Given>,
}

impl Entry {
    /// Takes in what the store has now, when `then` is as the meeting stood when that was written or read.
    fn keep(&mut self, page: Page, then: &Tally) {
        self.tally = page.tally.clone().plus(&self.tally.since(then));
        self.kept = page.tally;
        self.given = newer(self.given.take(), page.given);
    }
}

fn newer(one: Option<Given>, other: Option<Given>) -> Option<Given> {
    one.into_iter().chain(other).max_by_key(|given| given.at_ms)
}

fn key_of(meeting: &str) -> String {
    key(&["analytics", meeting])
}

impl Books {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub, meetings: Mutex::default() }
    }

    /// Changes the numbers of a meeting.
    pub(crate) async fn change<T: Default>(
        &self,
        meeting: &str,
        change: impl FnOnce(&mut Tally) -> T,
    ) -> Result<T> {
        self.open(meeting).await?;
        let now = self.hub.now_ms();
        let mut meetings = self.lock();
        let Some(entry) = meetings.get_mut(meeting) else { return Ok(T::default()) };
        entry.touched_ms = now;
        entry.dirty = true;
        Ok(change(&mut entry.tally))
    }

    /// An engine says itself how a meeting stands.
    pub(crate) async fn give(&self, meeting: &str, analytics: Analytics, now_ms: u64) -> Result<()> {
        self.open(meeting).await?;
        if let Some(entry) = self.lock().get_mut(meeting) {
            entry.touched_ms = now_ms;
            entry.given = Some(Given { analytics, at_ms: now_ms });
            entry.dirty = true;
        }
        Ok(())
    }

    /// How a meeting stands, and whether an engine has said so after `since_ms`.
    pub(crate) async fn read(
        &self,
        meeting: &str,
        participants: u64,
        since_ms: u64,
    ) -> Result<(Analytics, bool)> {
        self.open(meeting).await?;
        self.look(meeting).await?;
        let meetings = self.lock();
        let Some(entry) = meetings.get(meeting) else {
            return Ok((Tally::default().analytics(participants), false));
        };
        Ok(match &entry.given {
            Some(given) if given.at_ms > since_ms => (given.analytics.clone(), true),
            _ => (entry.tally.analytics(participants), false),
        })
    }

    /// Adds what was counted here to what the store has; says whether there was something.
    pub(crate) async fn save(&self, meeting: &str) -> Result<bool> {
        let (then, new, given) = {
            let mut meetings = self.lock();
            let Some(entry) = meetings.get_mut(meeting).filter(|entry| entry.dirty) else { return Ok(false) };
            entry.dirty = false;
            let fits = |given: &Given| serde_json::to_vec(given).is_ok_and(|json| json.len() <= MOST_GIVEN);
            (entry.tally.clone(), entry.tally.since(&entry.kept), entry.given.clone().filter(fits))
        };
        let (kv, key) = (self.hub.kv(), key_of(meeting));
        let saved = kv.modify(&key, |page: Option<Page>| {
            let page = page.unwrap_or_default();
            Ok(Page { tally: page.tally.plus(&new), given: newer(page.given, given.clone()) })
        });
        let saved = saved.await;
        if let Some(entry) = self.lock().get_mut(meeting) {
            match &saved {
                Ok(page) => entry.keep(page.clone(), &then),
                Err(_) => entry.dirty = true,
            }
        }
        saved.map(|_| true)
    }

    /// Looks what other nodes have counted, unless something was counted here that they do not know yet.
    async fn look(&self, meeting: &str) -> Result<()> {
        let then = match self.lock().get(meeting) {
            Some(entry) if !entry.dirty => entry.tally.clone(),
            _ => return Ok(()),
        };
        let Some(page) = self.hub.kv().get::<Page>(&key_of(meeting)).await? else { return Ok(()) };
        if let Some(entry) = self.lock().get_mut(meeting).filter(|entry| !entry.dirty) {
            entry.keep(page.value, &then);
        }
        Ok(())
    }

    /// Puts away what nobody has touched for a while.
    pub(crate) async fn put_away(&self, now_ms: u64) -> Result<()> {
        let idle = |entry: &Entry| now_ms.saturating_sub(entry.touched_ms) > IDLE_MS;
        let names: Vec<String> =
            self.lock().iter().filter(|(_, entry)| idle(entry)).map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.save(name).await?;
        }
        // Whatever was touched while the others were written stays.
        let mut meetings = self.lock();
        for name in &names {
            if meetings.get(name).is_some_and(|entry| idle(entry) && !entry.dirty) {
                meetings.remove(name);
            }
        }
        Ok(())
    }

    /// Brings the numbers of a meeting into memory, unless there is no place.
    async fn open(&self, meeting: &str) -> Result<()> {
        {
            let meetings = self.lock();
            if meetings.contains_key(meeting) || meetings.len() >= MOST_MEETINGS {
                return Ok(());
            }
        }
        let stored = self.hub.kv().get::<Page>(&key_of(meeting)).await?;
        let Page { tally, given } = stored.map(|stored| stored.value).unwrap_or_default();
        let kept = tally.clone();
        let entry = Entry { tally, kept, given, touched_ms: self.hub.now_ms(), dirty: false };
        self.lock().entry(meeting.to_owned()).or_insert(entry);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.meetings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
