//! The last ten minutes as the console draws them: a reading of the counters every two seconds, and rates between
//! two of them. Kept whether somebody looks or not, because trouble is looked at after it began.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use exedra_hub::metrics::Spread;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::Admin;

/// Time between two readings.
const EVERY: Duration = Duration::from_secs(2);
/// Readings kept; the oldest goes.
const KEPT: usize = 300;

/// What happened in one interval; rates are per second.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Point {
    /// Its end, in milliseconds since 1970.
    pub(super) at: u64,
    connections: usize,
    received: f64,
    delivered: f64,
    dropped: f64,
    bytes_in: f64,
    bytes_out: f64,
    /// Of events handled in the interval, in seconds; none without events.
    p50: Option<f64>,
    p99: Option<f64>,
}

/// The points, oldest first.
#[derive(Default)]
pub(super) struct History(Mutex<VecDeque<Point>>);

impl History {
    /// The points after a moment.
    pub(super) fn since(&self, at: u64) -> Vec<Point> {
        self.0.lock().iter().filter(|point| point.at > at).cloned().collect()
    }

    fn push(&self, point: Point) {
        let mut points = self.0.lock();
        if points.len() >= KEPT {
            points.pop_front();
        }
        points.push_back(point);
    }
}

/// All plugins' counters at one moment.
struct Reading {
    at: Instant,
    received: u64,
    delivered: u64,
    dropped: u64,
    bytes_in: u64,
    bytes_out: u64,
    delivery: Spread,
}

impl Reading {
    fn of(admin: &Admin) -> Self {
        let hub = admin.hub.metrics().readings();
        let mut reading = Self {
            at: Instant::now(),
            received: 0,
            delivered: 0,
            dropped: 0,
            bytes_in: hub.bytes_in,
            bytes_out: hub.bytes_out,
            delivery: Spread::default(),
        };
        for slot in admin.hub.slots() {
            let plugin = slot.metrics.readings();
            reading.received += plugin.from_clients + plugin.from_bus;
            reading.delivered += plugin.delivered;
            reading.dropped += plugin.dropped.iter().map(|(_, count)| count).sum::<u64>();
            reading.delivery = reading.delivery.plus(&plugin.delivery);
        }
        reading
    }

    fn point(&self, before: &Self, connections: usize) -> Point {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(0.001);
        let rate = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds * 10.0).round() / 10.0;
        let delivery = self.delivery.since(&before.delivery);
        Point {
            at: millis(SystemTime::now()),
            connections,
            received: rate(self.received, before.received),
            delivered: rate(self.delivered, before.delivered),
            dropped: rate(self.dropped, before.dropped),
            bytes_in: rate(self.bytes_in, before.bytes_in),
            bytes_out: rate(self.bytes_out, before.bytes_out),
            p50: delivery.p50,
            p99: delivery.p99,
        }
    }
}

impl Admin {
    /// Reads the counters until the end.
    pub async fn remember(self: Arc<Self>) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.tick().await;
        let mut before = Reading::of(&self);
        loop {
            tick.tick().await;
            let now = Reading::of(&self);
            self.history.push(now.point(&before, self.hub.connection_count()));
            before = now;
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
