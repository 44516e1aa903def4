//! Some members of a room stop reading. The others' deliveries are timed with and without that, in turns within one run,
//! and so is how long each that stopped goes on being served. In the quiet half the same number of members read, so
//! that both halves send the same at first. Only those that never stop are measured.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use super::{
    connecting,
    fan_out::{listen_all, packet},
    report, sample,
};
use crate::{
    LoadError, Report, Unit,
    board::{Board, histogram},
    client::Client,
    fleet::{Fleet, Schedule, micros},
    process::Server,
    progress::Progress,
};

/// The one room.
const ROOM: &str = "stall";

/// What to do.
pub(super) struct Plan {
    /// All in the room.
    pub(super) members: usize,
    /// How many of them stop.
    pub(super) stalled: usize,
    pub(super) rate: f64,
    pub(super) payload: usize,
    pub(super) rounds: usize,
    pub(super) phase: Duration,
    pub(super) patience: Duration,
}

/// Whether those beside the measured members read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Others {
    Read,
    Stall,
}

/// A run that goes on.
struct Run<'r> {
    fleet: &'r Arc<Fleet>,
    plan: &'r Plan,
    board: Arc<Board>,
    publisher: Client,
    /// The stop to the cut.
    cuts: Histogram<u64>,
}

pub(super) async fn run(
    fleet: &Arc<Fleet>,
    server: Option<Server>,
    plan: &Plan,
) -> Result<Report, LoadError> {
    let mut report = report(fleet, server, "stall", "beside_stalled");
    let board = Arc::new(Board::new(1));
    let members = fleet.muster(plan.members - plan.stalled, |_| ROOM.to_owned()).await?;
    let _listening = listen_all(fleet, &board, members);
    let mut run = Run { fleet, plan, board, publisher: fleet.client().await?, cuts: histogram() };
    run.half(Others::Read, Duration::from_secs(1)).await?; // warms up
    let before = sample(server)?;
    let (mut quiet, mut beside, mut ratios) = (histogram(), histogram(), Vec::new());
    for round in 0..plan.rounds {
        // The order changes, so that what drifts does not favour one.
        let order = [[Others::Read, Others::Stall], [Others::Stall, Others::Read]][round % 2];
        let mut p99 = [0.0; 2];
        for others in order {
            let deliveries = run.half(others, plan.phase).await?;
            p99[others as usize] = deliveries.value_at_quantile(0.99) as f64;
            let sum = if others == Others::Read { &mut quiet } else { &mut beside };
            sum.add(&deliveries).map_err(|error| LoadError::Failed(error.to_string()))?;
        }
        ratios.push(p99[1] / p99[0].max(1.0));
    }
    ratios.sort_by(f64::total_cmp);
    report.count("members", plan.members as u64);
    report.count("stalled", (plan.stalled * plan.rounds) as u64);
    report.count("cut", run.cuts.len());
    let p99 = |times: &Histogram<u64>| times.value_at_quantile(0.99).max(1) as f64;
    report.figure("p99_ratio", p99(&beside) / p99(&quiet), Unit::Ratio);
    report.figure("p99_ratio_median", median(&ratios), Unit::Ratio);
    report.figure("p99_ratio_worst", ratios[ratios.len() - 1], Unit::Ratio);
    report.time("cut_last", Duration::from_micros(run.cuts.max()));
    let due = plan.rate * plan.payload as f64 * run.cuts.max() as f64 / 1e6;
    report.figure("due_at_last_cut", due, Unit::Bytes);
    if let (Some(before), Some(after)) = (before, sample(server)?) {
        report.figure("rss_growth", after.rss as f64 - before.rss as f64, Unit::Bytes);
    }
    report.latency("quiet", &quiet);
    report.latency("beside_stalled", &beside);
    report.latency("cut", &run.cuts);
    connecting(&mut report, fleet);
    Ok(report)
}

/// Of the rounds' ratios, in order.
fn median(sorted: &[f64]) -> f64 {
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    f64::midpoint(low, high)
}

impl Run<'_> {
    /// Lets new others in, publishes for so long, and gives how long each delivery to the measured members took.
    async fn half(&mut self, others: Others, time: Duration) -> Result<Histogram<u64>, LoadError> {
        let count = self.plan.stalled;
        let clients = self.fleet.muster(count, |_| ROOM.to_owned()).await?;
        let start = Instant::now();
        let mut tasks: JoinSet<Result<Duration, LoadError>> = JoinSet::new();
        for mut client in clients {
            tasks.spawn(async move {
                match others {
                    Others::Read => loop {
                        client.next().await?;
                    },
                    Others::Stall => client.reset().await,
                }
                Ok(start.elapsed())
            });
        }
        self.publish(time).await?;
        match others {
            Others::Read => {
                if let Some(Ok(Err(error))) = tasks.try_join_next() {
                    return Err(LoadError::Ended(format!("a member that reads: {error}")));
                }
            }
            Others::Stall => self.await_cuts(&mut tasks).await?,
        }
        Ok(self.board.take_tally().delivery)
    }

    /// Publishes at the rate until the time is over, and waits for what is on its way.
    async fn publish(&mut self, time: Duration) -> Result<(), LoadError> {
        let measured = self.plan.members - self.plan.stalled;
        let events = (time.as_secs_f64() * self.plan.rate).ceil() as u64;
        let progress = Progress::start(self.fleet.target.common.quiet, "publishing", events);
        let schedule = Schedule::exact(self.plan.rate);
        for i in 0..events {
            let intended = schedule.reach(i).await.unwrap_or_else(Instant::now);
            let number = self.board.begin(intended, measured, true);
            self.publisher.send(&packet(self.fleet, ROOM, number, self.plan.payload)).await?;
            self.publisher.attend().await?;
            progress.add(1);
        }
        let complete = tokio::time::timeout(self.plan.patience, self.board.complete()).await;
        complete.map_err(|_| {
            let missing = self.board.missing();
            LoadError::Lost(format!("{missing} deliveries to members that read did not come"))
        })?;
        self.fleet.check_ended()
    }

    /// Notes when each that stopped was cut; whoever never is fails the run.
    async fn await_cuts(
        &mut self,
        tasks: &mut JoinSet<Result<Duration, LoadError>>,
    ) -> Result<(), LoadError> {
        let end = tokio::time::Instant::now() + self.plan.patience;
        while let Ok(Some(cut)) = tokio::time::timeout_at(end, tasks.join_next()).await {
            if let Ok(Ok(after)) = cut {
                self.cuts.saturating_record(micros(after));
            }
        }
        match tasks.len() {
            0 => Ok(()),
            left => Err(LoadError::Lost(format!("{left} that stopped reading were never cut"))),
        }
    }
}
