//! What a connection has sent so far, and since when: for operators, who look for the one that is in the way. Sixteen
//! bytes a connection and two relaxed adds an event, so it is counted always and not only while somebody looks.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// The account of one connection.
#[derive(Debug)]
pub(crate) struct Account {
    bytes: AtomicU64,
    /// Starts again from 0 after four billion.
    events: AtomicU32,
    /// Seconds since 1970.
    since: u32,
}

impl Account {
    pub(crate) fn opened(now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Self {
            bytes: AtomicU64::new(0),
            events: AtomicU32::new(0),
            since: u32::try_from(since).unwrap_or(u32::MAX),
        }
    }

    /// Counts an event from the client.
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn events(&self) -> u32 {
        self.events.load(Ordering::Relaxed)
    }

    pub(crate) fn since(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(self.since))
    }
}
