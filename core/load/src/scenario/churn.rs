//! Waves of clients that connect, join and leave: whether a server gives back what it took.

use std::{sync::Arc, time::Duration};

use super::{SETTLE, connecting, idle::hold_all, report, sample};
use crate::{LoadError, Report, Unit, fleet::Fleet, process::Server};

pub(super) async fn run(
    fleet: &Arc<Fleet>,
    server: Option<Server>,
    connections: usize,
    waves: usize,
) -> Result<Report, LoadError> {
    let mut report = report(fleet, server, "churn", "connect");
    let before = sample(server)?;
    let (mut full, mut empty) = (Vec::new(), Vec::new());
    for _ in 0..waves {
        let clients = fleet.muster(connections, |_| "churn".to_owned()).await?;
        let held = hold_all(fleet, clients);
        tokio::time::sleep(SETTLE).await;
        full.extend(sample(server)?.map(|sample| sample.rss as f64));
        fleet.check_ended()?;
        drop(held);
        rest(server).await?;
        empty.extend(sample(server)?.map(|sample| sample.rss as f64));
    }
    report.count("connections", connections as u64);
    report.count("waves", waves as u64);
    if let Some(before) = before {
        report.figure("rss_before", before.rss as f64, Unit::Bytes);
    }
    for (values, first, last, growth) in [
        (&full, "rss_first_wave", "rss_last_wave", "growth"),
        (&empty, "rss_after_first_wave", "rss_after_last_wave", "growth_empty"),
    ] {
        if let (Some(&one), Some(&ten)) = (values.first(), values.last()) {
            report.figure(first, one, Unit::Bytes);
            report.figure(last, ten, Unit::Bytes);
            report.figure(growth, ten / one, Unit::Ratio);
        }
    }
    connecting(&mut report, fleet);
    Ok(report)
}

/// Waits until the server has stopped working, so that it has cleared away what left.
async fn rest(server: Option<Server>) -> Result<(), LoadError> {
    let mut last = sample(server)?;
    for _ in 0..30 {
        tokio::time::sleep(SETTLE / 4).await;
        let now = sample(server)?;
        let busy = now.zip(last).is_some_and(|(now, last)| now.cpu - last.cpu > Duration::from_millis(20));
        last = now;
        if !busy {
            break;
        }
    }
    tokio::time::sleep(SETTLE / 2).await;
    Ok(())
}
