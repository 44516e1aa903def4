//! Connections that do nothing but answer heartbeats: what each costs in memory and CPU time.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{SETTLE, connecting, memory, report, sample};
use crate::{LoadError, Report, Unit, fleet::Fleet, process::Server, progress::Progress};

pub(super) async fn run(
    fleet: &Arc<Fleet>,
    server: Option<Server>,
    connections: usize,
    rooms: usize,
    hold: Duration,
) -> Result<Report, LoadError> {
    let mut report = report(fleet, server, "idle", "connect");
    let before = sample(server)?;
    let clients = fleet.muster(connections, |i| format!("room-{}", i % rooms.max(1))).await?;
    report.count("connections", clients.len() as u64);
    let _held = hold_all(fleet, clients);
    tokio::time::sleep(SETTLE).await;
    let with = sample(server)?;
    memory(&mut report, before, with, connections);
    watch(fleet, hold).await;
    if let (Some(with), Some(after)) = (with, sample(server)?) {
        let cpu = after.cpu.saturating_sub(with.cpu).as_secs_f64();
        let per_second = cpu * 1e6 / hold.as_secs_f64().max(0.001) / connections.max(1) as f64;
        report.figure("cpu_per_connection_second", per_second, Unit::Microseconds);
    }
    fleet.check_ended()?;
    connecting(&mut report, fleet);
    Ok(report)
}

/// Lets each client answer heartbeats until the set is dropped.
pub(super) fn hold_all(fleet: &Arc<Fleet>, clients: Vec<crate::client::Client>) -> JoinSet<()> {
    let mut held = JoinSet::new();
    for mut client in clients {
        let fleet = fleet.clone();
        held.spawn(async move {
            while client.next().await.is_ok() {}
            fleet.ended.fetch_add(1, Ordering::Relaxed);
        });
    }
    held
}

/// Passes the time.
async fn watch(fleet: &Arc<Fleet>, hold: Duration) {
    let progress = Progress::start(fleet.target.common.quiet, "watching (seconds)", hold.as_secs());
    let end = Instant::now() + hold;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        progress.add(1);
    }
}
