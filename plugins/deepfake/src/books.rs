//! The numbers of meetings in memory, and their copies in the store: read when a meeting is touched first, written
//! when its analytics are sent, so that a restart loses at most one interval.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use exedra_sdk::{keys::key, prelude::*};

use crate::{analytics::Tally, update::Analytics};

/// Meetings whose numbers are in memory at once; of more nothing is counted until some have been put away.
const MOST_MEETINGS: usize = 10_000;
/// How long numbers stay in memory untouched.
const IDLE_MS: u64 = 2 * 60_000;

/// The numbers of all meetings.
pub(crate) struct Books {
    hub: Hub,
    meetings: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    tally: Tally,
    /// What an engine has said itself, and when.
    given: Option<(Analytics, u64)>,
    touched_ms: u64,
    /// Whether the store knows less.
    dirty: bool,
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
            entry.given = Some((analytics, now_ms));
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
        let meetings = self.lock();
        let Some(entry) = meetings.get(meeting) else {
            return Ok((Tally::default().analytics(participants), false));
        };
        Ok(match &entry.given {
            Some((analytics, at)) if *at > since_ms => (analytics.clone(), true),
            _ => (entry.tally.analytics(participants), false),
        })
    }

    /// Writes the numbers of a meeting into the store if they have changed.
    pub(crate) async fn save(&self, meeting: &str) -> Result<()> {
        let tally = {
            let mut meetings = self.lock();
            let Some(entry) = meetings.get_mut(meeting).filter(|entry| entry.dirty) else { return Ok(()) };
            entry.dirty = false;
            entry.tally.clone()
        };
        let saved = self.hub.kv().put(&key_of(meeting), &tally).await;
        if saved.is_err()
            && let Some(entry) = self.lock().get_mut(meeting)
        {
            entry.dirty = true;
        }
        saved.map(drop)
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
        let stored = self.hub.kv().get::<Tally>(&key_of(meeting)).await?;
        let entry = Entry {
            tally: stored.map(|stored| stored.value).unwrap_or_default(),
            touched_ms: self.hub.now_ms(),
            ..Entry::default()
        };
        self.lock().entry(meeting.to_owned()).or_insert(entry);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.meetings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
