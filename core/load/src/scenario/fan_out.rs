//! Events to a room of many. Counted strictly: an event is done when the last member has it, and with one in flight
//! the next goes out only then. At a rate, events go out at their time, whatever became of those before.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::task::JoinSet;

use super::{connecting, report, sample};
use crate::{
    LoadError, Report, Unit,
    board::Board,
    client::{Client, Heard},
    fleet::{Fleet, Schedule, raw},
    process::{Sample, Server},
    progress::Progress,
};

/// The one room.
const ROOM: &str = "fan-out";

/// What to do.
pub(super) struct Plan {
    pub(super) members: usize,
    pub(super) events: u64,
    pub(super) warm_up: u64,
    pub(super) pace: Pace,
    pub(super) payload: usize,
    /// Longest time for an event to reach everybody.
    pub(super) patience: Duration,
}

/// When the next event goes out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// When fewer than so many are on their way.
    InFlight(usize),
    /// So many times per second.
    Rate(f64),
}

pub(super) async fn run(
    fleet: &Arc<Fleet>,
    server: Option<Server>,
    plan: &Plan,
) -> Result<Report, LoadError> {
    let mut report = report(fleet, server, "fan-out", "last");
    let board = Arc::new(Board::new(match plan.pace {
        Pace::InFlight(n) => n,
        Pace::Rate(_) => 1,
    }));
    let members = fleet.muster(plan.members, |_| ROOM.to_owned()).await?;
    let _listening = listen_all(fleet, &board, members);
    let mut publisher = fleet.client().await?;
    let measured = publish_all(fleet, server, &board, &mut publisher, plan).await;
    let tally = board.tally();
    let Measured { before, after, start } = measured?;
    fleet.check_ended()?;
    report.count("members", plan.members as u64);
    report.count("events", plan.events);
    report.count("deliveries", tally.delivered);
    report.count("lost", board.missing() as u64);
    report.count("surplus", tally.surplus);
    if tally.delivered != plan.events * plan.members as u64 || tally.surplus > 0 {
        let (delivered, surplus) = (tally.delivered, tally.surplus);
        return Err(LoadError::Lost(format!(
            "{} events to {} members gave {delivered} deliveries, and {surplus} that nobody waited for",
            plan.events, plan.members
        )));
    }
    let seconds = tally.complete_at.map_or(0.0, |at| (at - start).as_secs_f64());
    report.figure("deliveries_per_second", tally.delivered as f64 / seconds.max(1e-9), Unit::PerSecond);
    report.figure("events_per_second", plan.events as f64 / seconds.max(1e-9), Unit::PerSecond);
    if let (Some(before), Some(after)) = (before, after) {
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        report.figure("cpu", cpu, Unit::Seconds);
        report.figure("cpu_per_delivery", cpu * 1e6 / tally.delivered.max(1) as f64, Unit::Microseconds);
    }
    report.latency("delivery", &tally.delivery);
    report.latency("last", &tally.last);
    connecting(&mut report, fleet);
    Ok(report)
}

struct Measured {
    before: Option<Sample>,
    after: Option<Sample>,
    start: Instant,
}

/// Sends all events and waits for the last delivery.
async fn publish_all(
    fleet: &Arc<Fleet>,
    server: Option<Server>,
    board: &Board,
    publisher: &mut Client,
    plan: &Plan,
) -> Result<Measured, LoadError> {
    let warm = Progress::start(fleet.target.common.quiet, "warming up", plan.warm_up);
    publish(fleet, board, publisher, plan, plan.warm_up, false, &warm).await?;
    drop(warm);
    let progress = Progress::start(fleet.target.common.quiet, "publishing", plan.events);
    let (before, start) = (sample(server)?, Instant::now());
    publish(fleet, board, publisher, plan, plan.events, true, &progress).await?;
    Ok(Measured { before, after: sample(server)?, start })
}

/// Sends `count` events and waits until each has reached everybody.
async fn publish(
    fleet: &Arc<Fleet>,
    board: &Board,
    publisher: &mut Client,
    plan: &Plan,
    count: u64,
    measured: bool,
    progress: &Progress,
) -> Result<(), LoadError> {
    let schedule = match plan.pace {
        Pace::InFlight(_) => Schedule::exact(0.0),
        Pace::Rate(rate) => Schedule::exact(rate),
    };
    for i in 0..count {
        if let Pace::InFlight(_) = plan.pace {
            in_time(board, plan.patience, board.may_go()).await?;
        }
        let intended = schedule.reach(i).await.unwrap_or_else(Instant::now);
        let number = board.begin(intended, plan.members, measured);
        publisher.send(&packet(fleet, ROOM, number, plan.payload)).await?;
        publisher.attend().await?;
        progress.add(1);
    }
    in_time(board, plan.patience, board.complete()).await?;
    fleet.check_ended()
}

pub(super) async fn in_time(
    board: &Board,
    patience: Duration,
    what: impl Future<Output = ()>,
) -> Result<(), LoadError> {
    let lost =
        |_| LoadError::Lost(format!("{} deliveries did not come within {patience:?}", board.missing()));
    tokio::time::timeout(patience, what).await.map_err(lost)
}

/// The packet that publishes event `number`, with a payload of `size` bytes, to a room.
pub(super) fn packet(fleet: &Fleet, room: &str, number: u64, size: usize) -> String {
    let bare = json!({ "n": number, "pad": "" }).to_string().len();
    let payload = json!({ "n": number, "pad": "x".repeat(size.saturating_sub(bare)) });
    let argument = raw(&json!({ "room": room, "payload": payload }));
    fleet.packets.event(&fleet.target.common.publish, &argument, None)
}

/// Lets every member note what it gets.
pub(super) fn listen_all(fleet: &Arc<Fleet>, board: &Arc<Board>, members: Vec<Client>) -> JoinSet<()> {
    let prefix: Arc<str> = format!(r#"["{}",{{"n":"#, fleet.target.common.event).into();
    let mut listening = JoinSet::new();
    for mut member in members {
        let (fleet, board, prefix) = (fleet.clone(), board.clone(), prefix.clone());
        listening.spawn(async move {
            while let Ok(heard) = member.next().await {
                if let Heard::Event(event) = heard
                    && let Some(number) = number_of(&event, &prefix)
                {
                    board.delivered(number);
                }
            }
            fleet.ended.fetch_add(1, Ordering::Relaxed);
        });
    }
    listening
}

/// The event's number, right behind what every event begins with.
fn number_of(event: &str, prefix: &str) -> Option<u64> {
    let rest = event.strip_prefix(prefix)?;
    rest[..rest.bytes().take_while(u8::is_ascii_digit).count()].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_without_parsing_all() {
        let prefix = r#"["tick",{"n":"#;
        assert_eq!(number_of(r#"["tick",{"n":42,"pad":"xx"}]"#, prefix), Some(42));
        assert_eq!(number_of(r#"["tock",{"n":42}]"#, prefix), None);
        assert_eq!(number_of(r#"["tick",{"n":"x"}]"#, prefix), None);
    }
}
