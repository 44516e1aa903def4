//! The way of events from a link into a mailbox: one at a time, as fast as the mailbox and the limit allow.
//! No event is lost: one that finds no room waits here, and the link is not read meanwhile.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use exedra_hub::{Connection, Hub, Inbound, hub::Received};
use tokio::time::{Instant, Sleep};

use crate::{owner::Flow, rate::Bucket};

/// The intake of one link.
pub(crate) struct Intake {
    hub: Arc<Hub>,
    /// The event that found no room, and whose it is.
    waiting: Option<Box<(Arc<Connection>, Inbound)>>,
    /// The limit of events per second; none without one.
    limit: Option<Box<Limit>>,
}

struct Limit {
    bucket: Bucket,
    /// Until when no other event is taken.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Intake {
    pub(crate) fn new(hub: Arc<Hub>, events_per_second: u32) -> Self {
        let limit = (events_per_second > 0)
            .then(|| Box::new(Limit { bucket: Bucket::new(events_per_second, Instant::now()), pause: None }));
        Self { hub, waiting: None, limit }
    }

    /// Counts a packet, whatever is in it.
    pub(crate) fn count(&mut self) {
        let Some(limit) = &mut self.limit else { return };
        let now = Instant::now();
        let wait = limit.bucket.charge(now);
        if !wait.is_zero() {
            self.hub.metrics().rate_limited("events");
            limit.pause = Some(Box::pin(tokio::time::sleep_until(now + wait)));
        }
    }

    /// Hands an event to the hub.
    pub(crate) fn take(&mut self, conn: Arc<Connection>, event: Inbound) {
        if let Received::Full(event) = self.hub.receive(&conn, event) {
            self.waiting = Some(Box::new((conn, event)));
        }
    }

    /// Whether the next one may come.
    pub(crate) fn flow(&self) -> Flow {
        let paused = self.limit.as_ref().is_some_and(|limit| limit.pause.is_some());
        if paused || self.waiting.is_some() { Flow::Full } else { Flow::More }
    }

    /// Ready once the next one may come.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(waiting) = self.waiting.take() {
            let (conn, event) = *waiting;
            if self.hub.poll_room(&conn, cx).is_pending() {
                self.waiting = Some(Box::new((conn, event)));
                return Poll::Pending;
            }
            self.take(conn, event);
        }
        if let Some(limit) = &mut self.limit
            && let Some(pause) = &mut limit.pause
        {
            ready!(pause.as_mut().poll(cx));
            limit.pause = None;
        }
        Poll::Ready(())
    }
}
