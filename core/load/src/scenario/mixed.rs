//! Everything at once, each at its own steady rate: broadcasts to rooms, questions that are answered, visitors who
//! come and go. Every time is counted from when the thing was due.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::{
    connecting,
    fan_out::{listen_all, packet},
    report, sample, share,
};
use crate::{
    LoadError, Report, Unit,
    board::{Board, histogram},
    client::Client,
    fleet::{Fleet, Schedule, micros, raw},
    process::Server,
    progress::Progress,
};

/// Clients that ask; each waits for its answer, so that many are needed for a steady rate.
const ASKERS: usize = 32;
/// How long a visitor stays.
const VISIT: Duration = Duration::from_secs(1);
/// What has not come by then is lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an event's payload.
const PAYLOAD: usize = 100;

/// What to do.
pub(super) struct Plan {
    pub(super) members: usize,
    pub(super) rooms: usize,
    pub(super) rate: f64,
    pub(super) asks: f64,
    pub(super) visitors: f64,
    pub(super) duration: Duration,
}

impl Plan {
    /// How many things of a rate fall into the run.
    fn number(&self, rate: f64) -> u64 {
        (rate.max(0.0) * self.duration.as_secs_f64()) as u64
    }

    fn members_of(&self, room: usize) -> usize {
        share(self.members, self.rooms, room)
    }
}

type Times = Arc<Mutex<Histogram<u64>>>;

pub(super) async fn run(
    fleet: &Arc<Fleet>,
    server: Option<Server>,
    plan: &Plan,
) -> Result<Report, LoadError> {
    let mut report = report(fleet, server, "mixed", "delivery");
    let board = Arc::new(Board::new(1));
    let members = fleet.muster(plan.members, |i| format!("room-{}", i % plan.rooms)).await?;
    let _listening = listen_all(fleet, &board, members);
    let publisher = fleet.client().await?;
    let mut askers = Vec::new();
    for _ in 0..ASKERS {
        askers.push(fleet.client().await?);
    }
    let before = sample(server)?;
    let (asked, visited) = (Times::new(Mutex::new(histogram())), Times::new(Mutex::new(histogram())));
    let mut work = JoinSet::new();
    for (i, asker) in askers.into_iter().enumerate() {
        let each = plan.asks / ASKERS as f64;
        let count = plan.number(plan.asks) / ASKERS as u64;
        let late = Duration::from_secs_f64(i as f64 / plan.asks.max(1.0));
        work.spawn(ask(fleet.clone(), asker, Schedule::new(each), late, count, asked.clone()));
    }
    let visitors = plan.number(plan.visitors);
    work.spawn(visit(fleet.clone(), Schedule::new(plan.visitors), visitors, visited.clone()));
    publish(fleet, &board, publisher, plan).await?;
    let everything = async {
        while let Some(done) = work.join_next().await {
            done.map_err(|error| LoadError::Failed(error.to_string()))??;
        }
        board.complete().await;
        Ok::<_, LoadError>(())
    };
    let in_time = tokio::time::timeout(PATIENCE, everything).await;
    in_time.map_err(|_| LoadError::Lost(format!("{} deliveries did not come", board.missing())))??;
    fleet.check_ended()?;

    let tally = board.tally();
    report.count("members", plan.members as u64);
    report.count("events", plan.number(plan.rate));
    report.count("deliveries", tally.delivered);
    report.count("surplus", tally.surplus);
    report.count("answers", asked.lock().len());
    report.count("visits", visited.lock().len());
    if let (Some(before), Some(after)) = (before, sample(server)?) {
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        report.figure("cpu_cores", cpu / plan.duration.as_secs_f64().max(0.001), Unit::Ratio);
        report.figure("rss", after.rss as f64, Unit::Bytes);
    }
    report.latency("delivery", &tally.delivery);
    report.latency("last", &tally.last);
    report.latency("ask", &asked.lock());
    report.latency("visit", &visited.lock());
    connecting(&mut report, fleet);
    Ok(report)
}

/// Broadcasts to one room after the other.
async fn publish(
    fleet: &Arc<Fleet>,
    board: &Board,
    mut publisher: Client,
    plan: &Plan,
) -> Result<(), LoadError> {
    let count = plan.number(plan.rate);
    let progress = Progress::start(fleet.target.common.quiet, "publishing", count);
    let schedule = Schedule::exact(plan.rate);
    for i in 0..count {
        let room = (i % plan.rooms as u64) as usize;
        let intended = schedule.reach(i).await.unwrap_or_else(Instant::now);
        let number = board.begin(intended, plan.members_of(room), true);
        publisher.send(&packet(fleet, &format!("room-{room}"), number, PAYLOAD)).await?;
        publisher.attend().await?;
        progress.add(1);
    }
    Ok(())
}

/// Asks `count` questions at their times and notes how long each answer took.
async fn ask(
    fleet: Arc<Fleet>,
    mut client: Client,
    schedule: Schedule,
    late: Duration,
    count: u64,
    times: Times,
) -> Result<(), LoadError> {
    tokio::time::sleep(late).await; // so that not all ask in the same moment
    for i in 0..count {
        let due = schedule.reach(i).await.map_or_else(Instant::now, |time| time + late);
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            tokio::time::sleep(early).await;
        }
        client.call(&fleet.target.common.ask, &raw(&i)).await?;
        times.lock().saturating_record(micros(due.elapsed()));
    }
    Ok(())
}

/// Lets visitors in at their times; each joins, stays for a while and goes.
async fn visit(fleet: Arc<Fleet>, schedule: Schedule, count: u64, times: Times) -> Result<(), LoadError> {
    let mut visits = JoinSet::new();
    for i in 0..count {
        let due = schedule.reach(i).await.unwrap_or_else(Instant::now);
        let (fleet, times) = (fleet.clone(), times.clone());
        visits.spawn(async move {
            let _client = Box::pin(fleet.member(fleet.number(), "visitors")).await?;
            times.lock().saturating_record(micros(due.elapsed()));
            tokio::time::sleep(VISIT).await;
            Ok::<_, LoadError>(())
        });
    }
    while let Some(visit) = visits.join_next().await {
        visit.map_err(|error| LoadError::Failed(error.to_string()))??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_in_one_room() {
        let plan = Plan {
            members: 10,
            rooms: 3,
            rate: 2.0,
            asks: 0.0,
            visitors: -1.0,
            duration: Duration::from_secs(5),
        };
        assert_eq!((0..3).map(|room| plan.members_of(room)).collect::<Vec<_>>(), [4, 3, 3]);
        assert_eq!((plan.number(plan.rate), plan.number(plan.visitors)), (10, 0));
    }
}
