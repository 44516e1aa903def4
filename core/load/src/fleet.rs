//! Many clients: let in at a steady rate, joined to their rooms, each timed from when it should have started.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde_json::{json, value::RawValue};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    LoadError,
    board::histogram,
    client::{Client, Packets, Ticket},
    progress::Progress,
    target::Target,
};

/// Before its time an exact sender stops sleeping and watches the clock: the timer's grain is a millisecond.
const GRAIN: Duration = Duration::from_millis(2);

/// What all clients of a run share.
pub(crate) struct Fleet {
    pub(crate) target: Target,
    pub(crate) packets: Arc<Packets>,
    /// Clients that were made; each has a user and a source of its own.
    made: AtomicUsize,
    /// Intended start to the acknowledged join, in microseconds.
    pub(crate) connecting: Mutex<Histogram<u64>>,
    /// Connections that ended although nobody wanted it.
    pub(crate) ended: AtomicU64,
}

impl Fleet {
    pub(crate) fn new(target: Target) -> Arc<Self> {
        Self::numbered_from(0, target)
    }

    /// A fleet whose first client has the number `first`.
    pub(crate) fn numbered_from(first: usize, target: Target) -> Arc<Self> {
        let packets = Arc::new(Packets::new(&target.common.namespace));
        Arc::new(Self {
            target,
            packets,
            made: AtomicUsize::new(first),
            connecting: Mutex::new(histogram()),
            ended: AtomicU64::new(0),
        })
    }

    /// A number for one more client.
    pub(crate) fn number(&self) -> usize {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// One more client, in no room.
    pub(crate) async fn client(&self) -> Result<Client, LoadError> {
        Client::connect(&self.target, &self.packets, self.number(), None).await
    }

    /// Connects client number `index` and joins it to a room.
    pub(crate) async fn member(&self, index: usize, room: &str) -> Result<Client, LoadError> {
        let mut client = Client::connect(&self.target, &self.packets, index, None).await?;
        let join = &self.target.common.join;
        if join != "-" {
            let answered = client.call(join, &room_argument(room)).await;
            answered.map_err(|error| LoadError::Connect { index, why: format!("{join}: {error}") })?;
        }
        Ok(client)
    }

    /// Connects client number `index` again, which must get its session back.
    pub(crate) async fn returning(&self, index: usize, ticket: &Ticket) -> Result<Client, LoadError> {
        let client = Client::connect(&self.target, &self.packets, index, Some(ticket)).await?;
        match client.ticket() {
            Some(now) if now.pid == ticket.pid => Ok(client),
            _ => Err(LoadError::Lost(format!("client {index} did not get its session back"))),
        }
    }

    /// Lets `count` clients in, at the rate and concurrency of the arguments, each into the room that `room` names.
    pub(crate) async fn muster(
        self: &Arc<Self>,
        count: usize,
        room: impl Fn(usize) -> String,
    ) -> Result<Vec<Client>, LoadError> {
        let common = &self.target.common;
        let progress = Progress::start(common.quiet, "connecting", count as u64);
        let doors = Arc::new(Semaphore::new(common.concurrency));
        let mut entering = JoinSet::new();
        let mut clients = Vec::with_capacity(count);
        let schedule = Schedule::new(common.connect_rate);
        for i in 0..count {
            let intended = schedule.reach(i as u64).await;
            let Ok(door) = doors.clone().acquire_owned().await else { break };
            let (fleet, room, index) = (self.clone(), room(i), self.number());
            entering.spawn(async move {
                let started = intended.unwrap_or_else(Instant::now);
                let client = Box::pin(fleet.member(index, &room)).await?;
                fleet.connecting.lock().saturating_record(micros(started.elapsed()));
                drop(door);
                Ok(client)
            });
            while let Some(entered) = entering.try_join_next() {
                clients.push(joined(entered)?);
                progress.add(1);
            }
        }
        while let Some(entered) = entering.join_next().await {
            clients.push(joined(entered)?);
            progress.add(1);
        }
        Ok(clients)
    }

    /// Whether connections ended that should not have.
    pub(crate) fn check_ended(&self) -> Result<(), LoadError> {
        match self.ended.load(Ordering::Relaxed) {
            0 => Ok(()),
            n => Err(LoadError::Ended(format!("{n} of them, in the middle of the run"))),
        }
    }
}

fn joined<T>(ended: Result<Result<T, LoadError>, tokio::task::JoinError>) -> Result<T, LoadError> {
    ended.map_err(|error| LoadError::Failed(error.to_string()))?
}

/// `{"room": NAME}`.
pub(crate) fn room_argument(room: &str) -> Box<RawValue> {
    raw(&json!({ "room": room }))
}

/// A value as JSON text.
pub(crate) fn raw(value: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("names and numbers always have a JSON form")
}

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// When each of a row of things should start: every `1 / rate` seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    start: Instant,
    /// Seconds between two starts; 0 for at once.
    period: f64,
    /// Whether a millisecond matters.
    exact: bool,
}

impl Schedule {
    /// A schedule that starts now; rate 0 has no times at all.
    pub(crate) fn new(rate: f64) -> Self {
        Self { start: Instant::now(), period: if rate > 0.0 { 1.0 / rate } else { 0.0 }, exact: false }
    }

    /// A schedule whose times are kept to the microsecond, at the cost of watching the clock.
    pub(crate) fn exact(rate: f64) -> Self {
        Self { exact: true, ..Self::new(rate) }
    }

    /// When number `i` should start.
    fn time(&self, i: u64) -> Instant {
        self.start + Duration::from_secs_f64(self.period * i as f64)
    }

    /// Waits for number `i`'s time and gives it, however late we are; `None` without a rate.
    pub(crate) async fn reach(&self, i: u64) -> Option<Instant> {
        if self.period == 0.0 {
            tokio::task::yield_now().await;
            return None;
        }
        let time = self.time(i);
        let grain = if self.exact { GRAIN } else { Duration::ZERO };
        if let Some(early) =
            time.checked_duration_since(Instant::now()).and_then(|left| left.checked_sub(grain))
        {
            tokio::time::sleep(early).await;
        }
        while Instant::now() < time {
            tokio::task::yield_now().await;
        }
        Some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn schedule_keeps_its_times_when_late() {
        let schedule = Schedule::exact(1000.0);
        let first = schedule.reach(0).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let tenth = schedule.reach(10).await.unwrap();
        assert_eq!(tenth - first, Duration::from_millis(10));
        assert!(schedule.reach(50).await.unwrap() <= Instant::now());
    }

    #[test]
    fn rooms_are_named_in_json() {
        assert_eq!(room_argument("a\"b").get(), r#"{"room":"a\"b"}"#);
    }
}
