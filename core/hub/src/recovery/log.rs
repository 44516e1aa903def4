//! The last events of one room or one session.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{Heard, Origin, Recovery, Word};
use crate::{Message, rooms::RoomKey};

/// What an entry costs beside its message, about.
const OVERHEAD: usize = 128;

/// Whom events were for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// Everyone in a room.
    Room(RoomKey),
    /// One session, by where it began.
    Session(Origin),
}

/// Bytes of everything that a hub keeps for recovery.
#[derive(Debug, Clone, Default)]
pub(crate) struct Total(Arc<AtomicUsize>);

impl Total {
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether `more` bytes would be more than `limit` in all.
    pub(crate) fn over(&self, more: usize, limit: usize) -> bool {
        self.bytes().saturating_add(more) > limit
    }
}

/// An event by its sender and the sender's number of it.
pub(crate) type Numbered = (Word, u64);

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its number in the line.
    pub(crate) number: u64,
    /// Who sent it, and its number there.
    pub(crate) from: Numbered,
    /// The end of its offset: how far the line had come with the events of other nodes.
    pub(crate) others: Arc<str>,
    /// When it was sent, monotonic.
    pub(crate) at: Duration,
    /// What was sent.
    pub(crate) message: Message,
    /// The one session that it was not for.
    pub(crate) except: Option<Origin>,
}

impl Entry {
    fn size(&self) -> usize {
        self.message.size() + OVERHEAD
    }
}

/// Events in order of their numbers. Gives its bytes back to the total when it goes.
#[derive(Debug)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    /// The largest number that has been forgotten, and when its event was sent.
    floor: (u64, Duration),
    /// Sessions that wait for their clients and count on this log.
    pub(crate) waiting: u32,
    /// The number of the last event that was sent here.
    pub(crate) last_own: u64,
    bytes: usize,
    total: Total,
}

impl Log {
    pub(crate) fn new(total: Total) -> Self {
        Self {
            entries: VecDeque::new(),
            floor: (0, Duration::ZERO),
            waiting: 0,
            last_own: 0,
            bytes: 0,
            total,
        }
    }

    /// Keeps an event, forgetting older ones as the bounds ask.
    pub(crate) fn push(&mut self, entry: Entry, rules: &Recovery) {
        self.expire(entry.at, rules);
        let size = entry.size();
        while !self.entries.is_empty()
            && (self.entries.len() >= rules.max_events || self.total.over(size, rules.max_bytes))
        {
            self.forget();
        }
        if rules.max_events == 0 || self.total.over(size, rules.max_bytes) {
            self.floor = (entry.number, entry.at);
            return;
        }
        self.bytes += size;
        self.total.add(size);
        self.entries.push_back(entry);
    }

    /// Takes note of an event that is kept elsewhere, if anywhere.
    pub(crate) fn pass(&mut self, number: u64, at: Duration) {
        self.floor = (number, at);
    }

    /// Forgets what is too old to be missed by anybody.
    pub(crate) fn expire(&mut self, now: Duration, rules: &Recovery) {
        let before = now.saturating_sub(rules.keep());
        let had = self.entries.len();
        while self.entries.front().is_some_and(|entry| entry.at < before) {
            self.forget();
        }
        if self.entries.len() < had && self.entries.capacity() > 4 * self.entries.len().max(4) {
            self.entries.shrink_to_fit(); // an idle log keeps no burst's memory
        }
    }

    /// Whether it says nothing that anybody could still ask for.
    pub(crate) fn is_over(&self, now: Duration, rules: &Recovery) -> bool {
        let floor_counts = self.floor.0 > 0 && self.floor.1 + rules.keep() >= now;
        self.waiting == 0 && self.entries.is_empty() && !floor_counts
    }

    /// Whether it still has every event after `number`.
    pub(crate) fn reaches(&self, number: u64) -> bool {
        self.floor.0 <= number
    }

    /// The events after `number` that were for `session`.
    pub(crate) fn after(&self, number: u64, session: Origin) -> impl Iterator<Item = &Entry> {
        let from = self.entries.partition_point(|entry| entry.number <= number);
        self.entries.range(from..).filter(move |entry| entry.except != Some(session))
    }

    /// The events that are newer than `heard` and were for `session`.
    pub(crate) fn beyond(&self, heard: &Heard, session: Origin) -> impl Iterator<Item = &Entry> {
        let new =
            move |entry: &&Entry| entry.from.1 > heard.of(entry.from.0) && entry.except != Some(session);
        self.entries.iter().filter(new)
    }

    fn forget(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.floor = (entry.number, entry.at);
            self.bytes -= entry.size();
            self.total.take(entry.size());
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.total.take(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ME: Origin = Origin { word: Word(1), conn: crate::ConnId(1) };

    fn rules() -> Recovery {
        Recovery { window: SECOND * 10, slack: SECOND * 5, max_events: 3, max_bytes: 10_000 }
    }

    fn entry(number: u64, at: Duration, length: usize) -> Entry {
        Entry {
            number,
            from: (Word(1), number),
            others: "".into(),
            at,
            message: Message::new("", vec![b' '; length]),
            except: None,
        }
    }

    fn missed(log: &Log, last: u64) -> Option<Vec<u64>> {
        log.reaches(last).then(|| log.after(last, ME).map(|entry| entry.number).collect())
    }

    #[test]
    fn count_is_bounded() {
        let mut log = Log::new(Total::default());
        for number in 1..=4 {
            log.push(entry(number, SECOND, 1), &rules());
        }
        assert_eq!(missed(&log, 1), Some(vec![2, 3, 4]));
        assert_eq!(missed(&log, 3), Some(vec![4]));
        assert_eq!(missed(&log, 0), None, "the first is forgotten");
    }

    #[test]
    fn age_is_bounded() {
        let mut log = Log::new(Total::default());
        log.push(entry(1, SECOND, 1), &rules());
        log.push(entry(2, SECOND * 17, 1), &rules());
        assert_eq!(missed(&log, 1), Some(vec![2]));
        assert_eq!(missed(&log, 0), None);
    }

    #[test]
    fn bytes_are_bounded_for_all() {
        let total = Total::default();
        let (mut one, mut two) = (Log::new(total.clone()), Log::new(total.clone()));
        one.push(entry(1, SECOND, 6000), &rules());
        two.push(entry(2, SECOND, 6000), &rules());
        assert_eq!(missed(&one, 0), Some(vec![1]));
        assert_eq!(missed(&two, 0), None, "there was no room for it");
        assert_eq!(missed(&two, 2), Some(vec![]));
        one.push(entry(3, SECOND, 7000), &rules());
        assert_eq!(missed(&one, 1), Some(vec![3]), "its own older one made room");
        drop((one, two));
        assert_eq!(total.bytes(), 0);
    }

    #[test]
    fn floor_outlives_the_events() {
        let mut log = Log::new(Total::default());
        let mut rules = rules();
        rules.max_bytes = 0;
        log.push(entry(1, SECOND, 1), &rules);
        assert!(!log.is_over(SECOND * 16, &rules), "a client may still have missed it");
        assert!(log.is_over(SECOND * 17, &rules));
    }

    #[test]
    fn excepted_session_misses_nothing() {
        let mut log = Log::new(Total::default());
        log.push(entry(1, SECOND, 1), &rules());
        log.push(Entry { except: Some(ME), ..entry(2, SECOND, 1) }, &rules());
        log.push(entry(3, SECOND, 1), &rules());
        assert_eq!(missed(&log, 0), Some(vec![1, 3]));
        assert_eq!(missed(&log, 1), Some(vec![3]));
    }
}
