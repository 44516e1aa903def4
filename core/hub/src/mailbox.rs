//! A bounded queue with one consumer at a time: what gives each connection, and each room of injected events, its
//! order. Pure: whoever pushes is told whether a drain must be started, and the drain asks for the next item until
//! there is none. So the task that drains exists only while there is work.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

/// The queue. Guard it with a lock; no method waits.
#[derive(Debug)]
pub struct Mailbox<T> {
    waiting: VecDeque<T>,
    /// Whether somebody is taking items out; they will see what is pushed now.
    draining: bool,
    /// The gateway's link, when it stopped reading because the mailbox was full.
    paused: Option<Waker>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), draining: false, paused: None }
    }
}

/// What became of a pushed item.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<T> {
    /// It waits, and the caller must start a drain.
    Start,
    /// It waits; a drain is running.
    Waits,
    /// The mailbox is full; here it is back.
    Full(T),
}

impl<T> Mailbox<T> {
    /// Queues an item unless `limit` wait already.
    pub fn push(&mut self, item: T, limit: usize) -> Pushed<T> {
        if self.waiting.len() >= limit { Pushed::Full(item) } else { self.push_last(item) }
    }

    /// Queues an item whatever the limit; only for what comes once, such as the end of a connection.
    pub fn push_last(&mut self, item: T) -> Pushed<T> {
        self.waiting.push_back(item);
        if std::mem::replace(&mut self.draining, true) { Pushed::Waits } else { Pushed::Start }
    }

    /// The next item for the drain; after `None` the drain must end. Gives back the waker of a paused reader,
    /// which the caller wakes without holding the lock.
    pub fn next(&mut self, limit: usize) -> (Option<T>, Option<Waker>) {
        let item = self.waiting.pop_front();
        if item.is_none() {
            self.draining = false;
            self.waiting = VecDeque::new(); // an idle connection keeps no queue
        }
        let resume = if self.waiting.len() <= limit / 2 { self.paused.take() } else { None };
        (item, resume)
    }

    /// Ready when there is room for one more.
    pub fn poll_room(&mut self, limit: usize, cx: &Context<'_>) -> Poll<()> {
        if self.waiting.len() < limit {
            return Poll::Ready(());
        }
        self.paused = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Lets a paused reader look again, for example because the connection has ended.
    pub fn resume(&mut self) -> Option<Waker> {
        self.paused.take()
    }

    /// Whether nothing waits and nobody drains.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.draining
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_drain_at_a_time() {
        let mut mailbox = Mailbox::default();
        assert_eq!(mailbox.push(1, 8), Pushed::Start);
        assert_eq!(mailbox.push(2, 8), Pushed::Waits);
        assert_eq!(mailbox.next(8).0, Some(1));
        assert_eq!(mailbox.push(3, 8), Pushed::Waits);
        assert_eq!(mailbox.next(8).0, Some(2));
        assert_eq!(mailbox.next(8).0, Some(3));
        assert_eq!(mailbox.next(8).0, None);
        assert!(mailbox.is_idle());
        assert_eq!(mailbox.push(4, 8), Pushed::Start);
    }

    #[test]
    fn full_gives_the_item_back() {
        let mut mailbox = Mailbox::default();
        mailbox.push("a", 1);
        assert_eq!(mailbox.push("b", 1), Pushed::Full("b"));
        assert_eq!(mailbox.push_last("end"), Pushed::Waits);
    }

    #[test]
    fn paused_reader_resumes_at_half() {
        let mut mailbox = Mailbox::default();
        for n in 0..4 {
            mailbox.push(n, 4);
        }
        assert!(mailbox.poll_room(4, &Context::from_waker(Waker::noop())).is_pending());
        assert!(mailbox.next(4).1.is_none());
        assert!(mailbox.next(4).1.is_some());
        assert!(mailbox.poll_room(4, &Context::from_waker(Waker::noop())).is_ready());
    }
}
