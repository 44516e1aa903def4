//! All clients lose their connection in the same moment and come back as stock clients do: after a second, give or
//! take half of it, doubling with every failure up to five.

mod story;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet};

use super::{SETTLE, connecting, memory, report, sample};
use crate::{
    LoadError, Report, Unit,
    board::histogram,
    client::{Client, Heard},
    fleet::{Fleet, micros},
    process::Server,
    progress::Progress,
};

use story::Story;

/// `reconnectionDelay` of socket.io-client.
const DELAY: Duration = Duration::from_secs(1);
/// Its `reconnectionDelayMax`.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// Its `randomizationFactor`.
const JITTER: f64 = 0.5;
/// How often it is looked whether they are back.
const LOOK: Duration = Duration::from_millis(100);
/// The one room.
const ROOM: &str = "storm";

/// What came of the storm.
struct Back {
    times: Mutex<Histogram<u64>>,
    failures: Mutex<u64>,
    /// What sessions that come back are held to; none when clients begin anew.
    story: Option<Story>,
}

pub(super) async fn run(
    fleet: &Arc<Fleet>,
    server: Option<Server>,
    connections: usize,
    patience: Duration,
    recover: Option<u64>,
) -> Result<Report, LoadError> {
    let mut report = report(fleet, server, "storm", "back");
    let before = sample(server)?;
    let clients = fleet.muster(connections, |_| ROOM.to_owned()).await?;
    tokio::time::sleep(SETTLE).await;
    let steady = sample(server)?;
    memory(&mut report, before, steady, connections);

    let story = recover.map(|missed| Story::new(ROOM, missed));
    let back = Arc::new(Back { times: Mutex::new(histogram()), failures: Mutex::new(0), story });
    let (drop_all, dropped) = watch::channel(None);
    let mut riders = JoinSet::new();
    for client in clients {
        riders.spawn(ride(fleet.clone(), back.clone(), dropped.clone(), client));
    }
    let mut speaker = match &back.story {
        Some(story) => {
            let mut speaker = fleet.client().await?;
            story.begin(fleet, &mut speaker, connections).await?;
            Some((speaker, story))
        }
        None => None,
    };
    tokio::task::yield_now().await;
    // The kernel keeps the peak, so that none between two looks is missed.
    server.map(Server::forget_peak).transpose()?;
    let start = Instant::now();
    drop_all.send_replace(Some(start));
    if let Some((speaker, story)) = &mut speaker {
        story.go_on(fleet, speaker).await?;
    }
    wait(fleet, &back, connections, patience).await?;
    if let Some((speaker, story)) = &mut speaker {
        story.end(fleet, speaker, connections).await?;
        report.count("recovered", connections as u64);
        report.count("missed_and_made_up", recover.unwrap_or_default() * connections as u64);
    }
    let after = sample(server)?;

    let times = back.times.lock().clone();
    report.count("connections", connections as u64);
    report.count("failed_attempts", *back.failures.lock());
    report.time("all_back", Duration::from_micros(times.max()));
    if let (Some(steady), Some(after)) = (steady, after) {
        report.figure("rss_peak", after.peak as f64, Unit::Bytes);
        report.figure("rss_peak_to_steady", after.peak as f64 / steady.rss as f64, Unit::Ratio);
        report.time("cpu_of_storm", after.cpu.saturating_sub(steady.cpu));
    }
    report.latency("back", &times);
    connecting(&mut report, fleet);
    Ok(report)
}

/// One client: until the storm, through it, and then as if nothing had been.
async fn ride(
    fleet: Arc<Fleet>,
    back: Arc<Back>,
    mut dropped: watch::Receiver<Option<Instant>>,
    mut client: Client,
) {
    let mut heard = 0;
    let dropped_at = tokio::select! {
        () = live(&mut client, &back, &mut heard) => return, // counted as missing: it will never be back
        dropped = dropped.wait_for(Option::is_some) => dropped.ok().and_then(|dropped| *dropped),
    };
    let ticket = client.ticket().filter(|_| back.story.is_some()).cloned();
    if let (Some(story), None) = (&back.story, &ticket) {
        return story.fail(LoadError::Failed("the server gives no sessions back".to_owned()));
    }
    let index = client.index;
    drop(client);
    let Some(dropped_at) = dropped_at else { return };
    let mut attempt = 0;
    let mut client = loop {
        tokio::time::sleep(back_off(attempt, rand::random())).await;
        let client = match &ticket {
            Some(ticket) => Box::pin(fleet.returning(index, ticket)).await,
            None => Box::pin(fleet.member(index, ROOM)).await,
        };
        match (client, &back.story) {
            (Ok(client), _) => break client,
            (Err(error @ LoadError::Lost(_)), Some(story)) => return story.fail(error),
            (Err(_), _) => {
                attempt += 1;
                *back.failures.lock() += 1;
            }
        }
    };
    while back.story.as_ref().is_some_and(|story| !story.is_caught_up(heard)) {
        if !listen(&mut client, &back, &mut heard).await {
            return;
        }
    }
    back.times.lock().saturating_record(micros(dropped_at.elapsed()));
    live(&mut client, &back, &mut heard).await;
}

/// Until the connection ends.
async fn live(client: &mut Client, back: &Back, heard: &mut u64) {
    while listen(client, back, heard).await {}
}

/// The next thing that the server says; false when that was the last, or a wrong one.
async fn listen(client: &mut Client, back: &Back, heard: &mut u64) -> bool {
    let (said, story) = match (client.next().await, &back.story) {
        (Ok(said), Some(story)) => (said, story),
        (said, _) => return said.is_ok(),
    };
    let Heard::Event(arguments) = said else { return true };
    match story.hear(*heard, &arguments) {
        Ok(now) => {
            *heard = now;
            true
        }
        Err(error) => {
            story.fail(error);
            false
        }
    }
}

/// How long a stock client waits before its attempt number `attempt`; `chance` is between 0 and 1.
fn back_off(attempt: u32, chance: f64) -> Duration {
    let delay = DELAY.saturating_mul(2_u32.saturating_pow(attempt)).min(Duration::from_secs(3600));
    delay.mul_f64(1.0 + JITTER * (chance * 2.0 - 1.0)).min(DELAY_MAX)
}

/// Waits until all are back.
async fn wait(
    fleet: &Arc<Fleet>,
    back: &Back,
    connections: usize,
    patience: Duration,
) -> Result<(), LoadError> {
    let progress = Progress::start(fleet.target.common.quiet, "coming back", connections as u64);
    let (start, mut seen) = (Instant::now(), 0);
    loop {
        let now = back.times.lock().len();
        progress.add(now - seen);
        seen = now;
        back.story.as_ref().map_or(Ok(()), Story::check)?;
        if seen == connections as u64 {
            return Ok(());
        }
        if start.elapsed() > patience {
            let missing = connections as u64 - seen;
            return Err(LoadError::Lost(format!("{missing} clients were not back after {patience:?}")));
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_is_the_stock_client_s() {
        let seconds = |attempt, chance| back_off(attempt, chance).as_secs_f64();
        assert_eq!((seconds(0, 0.0), seconds(0, 0.5), seconds(0, 1.0)), (0.5, 1.0, 1.5));
        assert_eq!((seconds(1, 0.5), seconds(2, 1.0)), (2.0, 5.0));
        assert_eq!(seconds(1000, 1.0), 5.0);
    }
}
