//! The scenarios: what the clients do, and what is measured meanwhile.

mod churn;
mod cluster;
mod fan_out;
mod idle;
mod mixed;
mod stall;
mod storm;

use std::{sync::Arc, time::Duration};

use crate::{
    LoadArgs, LoadError, Report, Scenario, Unit,
    fleet::Fleet,
    process::{Sample, Server},
    target::Target,
};

/// How long a server may take to come to rest before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// Runs a scenario.
pub(crate) async fn run(args: &LoadArgs, target: Target) -> Result<Report, LoadError> {
    let server = Server::find(&target)?;
    let fleet = Fleet::new(target);
    let report = match &args.scenario {
        Scenario::Idle { connections, rooms, hold, .. } => {
            idle::run(&fleet, server, *connections, *rooms, *hold).await
        }
        Scenario::FanOut { members, events, warm_up, in_flight, rate, payload, patience, .. } => {
            let pace = match rate {
                Some(rate) if rate.is_finite() && *rate > 0.0 => fan_out::Pace::Rate(*rate),
                Some(_) => return Err(LoadError::Usage("--rate must be positive".to_owned())),
                None => fan_out::Pace::InFlight((*in_flight).max(1)),
            };
            let plan = fan_out::Plan {
                members: *members,
                events: *events,
                warm_up: *warm_up,
                pace,
                payload: *payload,
                patience: *patience,
            };
            fan_out::run(&fleet, server, &plan).await
        }
        Scenario::Storm { connections, patience, recover, .. } => {
            storm::run(&fleet, server, *connections, *patience, *recover).await
        }
        Scenario::Churn { connections, waves, .. } => churn::run(&fleet, server, *connections, *waves).await,
        Scenario::Mixed { members, rooms, rate, asks, visitors, duration, .. } => {
            let plan = mixed::Plan {
                members: *members,
                rooms: (*rooms).max(1),
                rate: *rate,
                asks: *asks,
                visitors: *visitors,
                duration: *duration,
            };
            mixed::run(&fleet, server, &plan).await
        }
        Scenario::Stall { members, stalled, rate, payload, rounds, phase, patience, .. } => {
            if *stalled == 0 || stalled >= members || !rate.is_finite() || *rate <= 0.0 {
                let usage = "--stalled must be positive and less than -n, --rate positive";
                return Err(LoadError::Usage(usage.to_owned()));
            }
            let plan = stall::Plan {
                members: *members,
                stalled: *stalled,
                rate: *rate,
                payload: *payload,
                rounds: (*rounds).max(1),
                phase: *phase,
                patience: *patience,
            };
            stall::run(&fleet, server, &plan).await
        }
        Scenario::Cluster {
            nodes, members, rooms, apart, events, warm_up, rate, payload, patience, ..
        } => {
            if *rooms == 0 || members < rooms || !rate.is_finite() || *rate <= 0.0 {
                let usage = "--rate must be positive, and each room needs a member";
                return Err(LoadError::Usage(usage.to_owned()));
            }
            let plan = cluster::Plan {
                members: *members,
                rooms: *rooms,
                apart: *apart,
                events: *events,
                warm_up: *warm_up,
                rate: *rate,
                payload: *payload,
                patience: *patience,
            };
            cluster::run(&fleet, server, nodes, &plan).await
        }
    }?;
    check_same(&fleet, server)?;
    Ok(report)
}

/// Whether the port is still held by the process that held it.
fn check_same(fleet: &Fleet, server: Option<Server>) -> Result<(), LoadError> {
    if Server::find(&fleet.target)? == server {
        return Ok(());
    }
    Err(LoadError::WrongServer("the server was replaced during the run".to_owned()))
}

/// The share of `total` that part `at` of `parts` has; the first have one more when it does not come out even.
fn share(total: usize, parts: usize, at: usize) -> usize {
    total / parts + usize::from(at < total % parts)
}

/// An empty report about this server.
fn report(fleet: &Fleet, server: Option<Server>, scenario: &'static str, main: &'static str) -> Report {
    Report::new(scenario, fleet.target.addr.to_string(), server.map(|server| server.pid), main)
}

fn sample(server: Option<Server>) -> Result<Option<Sample>, LoadError> {
    server.map(Server::sample).transpose()
}

/// Memory that each of `connections` costs, by what the server held without and with them.
fn memory(report: &mut Report, before: Option<Sample>, with: Option<Sample>, connections: usize) {
    if let (Some(before), Some(with)) = (before, with) {
        let grown = with.rss as f64 - before.rss as f64;
        report.figure("rss_before", before.rss as f64, Unit::Bytes);
        report.figure("rss_with_connections", with.rss as f64, Unit::Bytes);
        report.figure("rss_per_connection", grown / connections as f64, Unit::Bytes);
    }
}

/// How the clients got in.
fn connecting(report: &mut Report, fleet: &Arc<Fleet>) {
    report.latency("connect", &fleet.connecting.lock());
}
