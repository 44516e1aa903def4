//! Rooms that are spread over the nodes of a cluster: what a delivery costs the nodes. One node alone is the figure to
//! compare with, and so are several that do not know each other, where each room is at one of them. The load is the
//! same in all three: events go out at their time, to one room after the other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    connecting,
    fan_out::{in_time, listen_all, packet},
    report, sample, share,
};
use crate::{
    LoadError, Report, Unit,
    board::Board,
    client::Client,
    fleet::{Fleet, Schedule},
    process::{Sample, Server},
    progress::Progress,
};

/// Clients that a node may have before their names are those of the next node's.
const NAMES: usize = 1_000_000;

/// What to do.
pub(super) struct Plan {
    pub(super) members: usize,
    pub(super) rooms: usize,
    /// Whether each room is at one node.
    pub(super) apart: bool,
    pub(super) events: u64,
    pub(super) warm_up: u64,
    /// Events per second, over all rooms.
    pub(super) rate: f64,
    pub(super) payload: usize,
    /// Longest time for an event to reach everybody.
    pub(super) patience: Duration,
}

impl Plan {
    fn members_of(&self, room: usize) -> usize {
        share(self.members, self.rooms, room)
    }

    /// Which of `nodes` the `at`-th member of a room is at. Its speaker is where the first is.
    fn node_of(&self, room: usize, at: usize, nodes: usize) -> usize {
        if self.apart { room % nodes } else { (room + at) % nodes }
    }

    /// The room of each member, by node.
    fn seats(&self, nodes: usize) -> Vec<Vec<usize>> {
        let mut seats = vec![Vec::new(); nodes];
        for room in 0..self.rooms {
            for at in 0..self.members_of(room) {
                seats[self.node_of(room, at, nodes)].push(room);
            }
        }
        seats
    }

    /// Measured events of a room.
    fn events_of(&self, room: usize) -> u64 {
        share(self.events as usize, self.rooms, room) as u64
    }
}

/// A node: its clients, and its process if it is on this machine.
struct Node {
    fleet: Arc<Fleet>,
    server: Option<Server>,
}

impl Node {
    /// The node that the arguments name, and the others beside it.
    fn all(first: &Arc<Fleet>, server: Option<Server>, urls: &[String]) -> Result<Vec<Self>, LoadError> {
        let mut nodes = vec![Self { fleet: first.clone(), server }];
        for (at, url) in urls.iter().enumerate() {
            let target = first.target.other(url)?;
            let server = Server::find(&target)?;
            nodes.push(Self { fleet: Fleet::numbered_from((at + 1) * NAMES, target), server });
        }
        Ok(nodes)
    }

    /// Whether it is still the process that it was.
    fn check(&self) -> Result<(), LoadError> {
        self.fleet.check_ended()?;
        super::check_same(&self.fleet, self.server)
    }
}

pub(super) async fn run(
    fleet: &Arc<Fleet>,
    server: Option<Server>,
    urls: &[String],
    plan: &Plan,
) -> Result<Report, LoadError> {
    let nodes = Node::all(fleet, server, urls)?;
    let seats = plan.seats(nodes.len());
    let mut report = report(fleet, server, "cluster", "last");
    let board = Arc::new(Board::new(1));
    let mut listening = Vec::new();
    for (node, seats) in nodes.iter().zip(&seats) {
        let members = node.fleet.muster(seats.len(), |i| name(seats[i])).await?;
        listening.push(listen_all(&node.fleet, &board, members));
    }
    let mut speakers = Vec::new();
    for room in 0..plan.rooms {
        speakers.push(nodes[plan.node_of(room, 0, nodes.len())].fleet.client().await?);
    }
    speak(fleet, &board, &mut speakers, plan, Part::WarmUp).await?;
    let (before, start) = (samples(&nodes)?, Instant::now());
    speak(fleet, &board, &mut speakers, plan, Part::Measured).await?;
    let after = samples(&nodes)?;
    nodes.iter().try_for_each(Node::check)?;

    let deliveries: Vec<u64> =
        seats.iter().map(|seats| seats.iter().map(|room| plan.events_of(*room)).sum()).collect();
    let tally = board.tally();
    report.count("nodes", nodes.len() as u64);
    report.count("members", plan.members as u64);
    report.count("rooms", plan.rooms as u64);
    report.count("events", plan.events);
    report.count("deliveries", tally.delivered);
    report.count("surplus", tally.surplus);
    if tally.delivered != deliveries.iter().sum::<u64>() || tally.surplus > 0 {
        let (delivered, surplus) = (tally.delivered, tally.surplus);
        return Err(LoadError::Lost(format!("{delivered} deliveries, and {surplus} that nobody waited for")));
    }
    let seconds = tally.complete_at.map_or(0.0, |at| (at - start).as_secs_f64());
    report.figure("events_per_second", plan.events as f64 / seconds.max(1e-9), Unit::PerSecond);
    if let (Some(before), Some(after)) = (before, after) {
        note_cpu(&mut report, &before, &after, &deliveries);
    }
    report.latency("delivery", &tally.delivery);
    report.latency("last", &tally.last);
    connecting(&mut report, fleet);
    Ok(report)
}

fn name(room: usize) -> String {
    format!("room-{room}")
}

/// Of all nodes, or of none.
fn samples(nodes: &[Node]) -> Result<Option<Vec<Sample>>, LoadError> {
    nodes.iter().map(|node| sample(node.server)).collect()
}

/// What a delivery cost: over all nodes, and at the node where it cost most.
fn note_cpu(report: &mut Report, before: &[Sample], after: &[Sample], deliveries: &[u64]) {
    let spent =
        |(before, after): (&Sample, &Sample)| after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6;
    let spent: Vec<f64> = before.iter().zip(after).map(spent).collect();
    let each = spent.iter().zip(deliveries).map(|(spent, count)| spent / (*count).max(1) as f64);
    let (all, count) = (spent.iter().sum::<f64>(), deliveries.iter().sum::<u64>());
    report.figure("cpu", all / 1e6, Unit::Seconds);
    report.figure("cpu_per_delivery", all / count.max(1) as f64, Unit::Microseconds);
    report.figure("cpu_per_delivery_worst", each.fold(0.0, f64::max), Unit::Microseconds);
}

/// Which events.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    WarmUp,
    Measured,
}

/// Sends the events of a part at their times and waits until each has reached everybody.
async fn speak(
    fleet: &Fleet,
    board: &Board,
    speakers: &mut [Client],
    plan: &Plan,
    part: Part,
) -> Result<(), LoadError> {
    let (count, what) = match part {
        Part::WarmUp => (plan.warm_up, "warming up"),
        Part::Measured => (plan.events, "publishing"),
    };
    let progress = Progress::start(fleet.target.common.quiet, what, count);
    let schedule = Schedule::new(plan.rate);
    for i in 0..count {
        let room = (i % plan.rooms as u64) as usize;
        let intended = schedule.reach(i).await.unwrap_or_else(Instant::now);
        let number = board.begin(intended, plan.members_of(room), part == Part::Measured);
        speakers[room].send(&packet(fleet, &name(room), number, plan.payload)).await?;
        speakers[room].attend().await?;
        progress.add(1);
    }
    in_time(board, plan.patience, board.complete()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(apart: bool) -> Plan {
        Plan {
            members: 10,
            rooms: 3,
            apart,
            events: 4,
            warm_up: 0,
            rate: 1.0,
            payload: 0,
            patience: Duration::ZERO,
        }
    }

    #[test]
    fn rooms_are_spread_or_apart() {
        assert_eq!(plan(false).seats(3), [vec![0, 0, 1, 2], vec![0, 1, 2], vec![0, 1, 2]]);
        assert_eq!(plan(true).seats(3), [vec![0; 4], vec![1; 3], vec![2; 3]]);
    }

    #[test]
    fn first_rooms_have_what_does_not_come_out_even() {
        let plan = plan(false);
        assert_eq!([0, 1, 2].map(|room| plan.members_of(room)), [4, 3, 3]);
        assert_eq!([0, 1, 2].map(|room| plan.events_of(room)), [2, 1, 1]);
    }
}
