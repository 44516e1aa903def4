//! What the metrics say, as numbers for the console: read now and then, never on the way of an event.

use prometheus::{core::Metric as _, proto};
use serde::Serialize;

use super::{CALL_KINDS, CALL_OUTCOMES, DROPS, GATEWAYS, Histogram, Metrics, PluginMetrics, SECONDS};
use crate::CloseReason;

/// What a histogram says.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The median, from the buckets; none without observations.
    pub p50: Option<f64>,
    /// The 99th percentile, from the buckets.
    pub p99: Option<f64>,
    /// How many up to each bound.
    #[serde(skip)]
    below: Vec<u64>,
}

impl Spread {
    fn of(count: u64, sum: f64, bounds: &[f64], below: Vec<u64>) -> Self {
        let quantile = |share| quantile(bounds, &below, count, share);
        Self { count, sum, p50: quantile(0.5), p99: quantile(0.99), below }
    }

    /// Two of latencies as one.
    pub fn plus(&self, other: &Self) -> Self {
        let below = if self.below.is_empty() { vec![0; other.below.len()] } else { self.below.clone() };
        let below = below.iter().zip(&other.below).map(|(one, two)| one + two).collect();
        Self::of(self.count + other.count, self.sum + other.sum, &SECONDS, below)
    }

    /// What of latencies came after an earlier reading.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.below.iter().copied().chain(std::iter::repeat(0));
        let below = self.below.iter().zip(before).map(|(now, then)| now.saturating_sub(then)).collect();
        Self::of(self.count.saturating_sub(earlier.count), self.sum - earlier.sum, &SECONDS, below)
    }
}

/// The hub's counters.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readings {
    /// Connections accepted.
    pub connects: u64,
    /// Ended connections by reason, those that have happened.
    pub disconnects: Vec<(&'static str, u64)>,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Links closed because they read too slowly.
    pub slow_links: u64,
    /// Messages from the bus.
    pub bus_in: u64,
    /// Messages to the bus.
    pub bus_out: u64,
    /// Times the bus came back.
    pub bus_reconnects: u64,
    /// Durable commits, in seconds.
    pub commits: Spread,
    /// Whether the newest configuration is in force.
    pub config_current: bool,
}

/// The counters of one plugin.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginReadings {
    /// Rooms with members.
    pub rooms: i64,
    /// Members of all its rooms.
    pub members: i64,
    /// Events from clients.
    pub from_clients: u64,
    /// Events from the bus.
    pub from_bus: u64,
    /// Events queued for links.
    pub delivered: u64,
    /// Drops by reason, those that have happened.
    pub dropped: Vec<(&'static str, u64)>,
    /// Refused injected messages.
    pub dead_letters: u64,
    /// Panics.
    pub panics: u64,
    /// From an event coming in to its last local queueing.
    pub delivery: Spread,
    /// Calls by kind, those that have happened.
    pub calls: Vec<CallReadings>,
}

/// The calls of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct CallReadings {
    /// The kind.
    pub kind: &'static str,
    /// How they ended, what has happened.
    pub outcomes: Vec<(&'static str, u64)>,
    /// How long they took, in seconds.
    pub took: Spread,
}

impl Metrics {
    /// The hub's counters, now.
    pub fn readings(&self) -> Readings {
        let bytes = |direction| GATEWAYS.iter().map(|gateway| self.bytes(gateway, direction).get()).sum();
        let disconnects = CloseReason::ALL.map(|reason| {
            let label = reason.label();
            (label, self.disconnects.with_label_values(&[label]).get())
        });
        Readings {
            connects: self.connects.get(),
            disconnects: happened(disconnects),
            bytes_in: bytes("in"),
            bytes_out: bytes("out"),
            slow_links: self.slow_links.get(),
            bus_in: self.bus_messages("in").get(),
            bus_out: self.bus_messages("out").get(),
            bus_reconnects: self.bus_reconnects.get(),
            commits: spread(&self.store_commit_seconds),
            config_current: self.config_last_reload_successful.get() == 1,
        }
    }
}

impl PluginMetrics {
    /// The plugin's counters, now.
    pub fn readings(&self) -> PluginReadings {
        let dropped = DROPS.iter().zip(&self.dropped).map(|(reason, counter)| (*reason, counter.get()));
        let calls = CALL_KINDS.iter().zip(self.calls.iter().zip(&self.call_seconds));
        let calls = calls.map(|(kind, (outcomes, seconds))| CallReadings {
            kind,
            outcomes: happened(CALL_OUTCOMES.iter().zip(outcomes).map(|(outcome, c)| (*outcome, c.get()))),
            took: spread(seconds),
        });
        PluginReadings {
            rooms: self.rooms.get(),
            members: self.members.get(),
            from_clients: self.from_clients.get(),
            from_bus: self.from_bus.get(),
            delivered: self.delivered.iter().map(|counter| counter.get()).sum(),
            dropped: happened(dropped),
            dead_letters: self.dead_letters.get(),
            panics: self.panics.get(),
            delivery: spread(&self.delivery_seconds),
            calls: calls.filter(|call| call.took.count > 0).collect(),
        }
    }
}

fn happened(counts: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<(&'static str, u64)> {
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn spread(histogram: &Histogram) -> Spread {
    let metric = histogram.metric();
    let buckets = metric.get_histogram().get_bucket();
    let bounds: Vec<_> = buckets.iter().map(proto::Bucket::upper_bound).collect();
    let below = buckets.iter().map(proto::Bucket::cumulative_count).collect();
    Spread::of(histogram.get_sample_count(), histogram.get_sample_sum(), &bounds, below)
}

/// Where a share of the observations lies, evenly spread within its bucket; the last bound for what is beyond it.
fn quantile(bounds: &[f64], below: &[u64], count: u64, share: f64) -> Option<f64> {
    if count == 0 {
        return None;
    }
    let wanted = share * count as f64;
    let (mut lower, mut before) = (0.0, 0);
    for (&upper, &until) in bounds.iter().zip(below) {
        if until as f64 >= wanted && until > before {
            return Some(lower + (upper - lower) * (wanted - before as f64) / (until - before) as f64);
        }
        (lower, before) = (upper, until);
    }
    Some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_lies_within_its_bucket() {
        let (bounds, below) = ([1.0, 2.0, 4.0], [0, 10, 20]);
        assert_eq!(quantile(&bounds, &below, 20, 0.5), Some(2.0));
        assert_eq!(quantile(&bounds, &below, 20, 0.75), Some(3.0));
        assert_eq!(quantile(&bounds, &below, 0, 0.5), None);
        assert_eq!(quantile(&bounds, &below, 40, 0.99), Some(4.0), "beyond the last bound");
    }

    #[test]
    fn spreads_add_and_subtract() {
        let plugin = Metrics::new().plugin("echo");
        let before = plugin.readings().delivery;
        plugin.delivery_seconds.observe(0.002);
        let after = plugin.readings().delivery;
        plugin.delivery_seconds.observe(4.0);
        let recent = plugin.readings().delivery.since(&after);
        assert!(recent.count == 1 && recent.p50.is_some_and(|p50| p50 > 2.0), "{recent:?}");
        assert_eq!(Spread::default().plus(&after).since(&before).count, 1);
        assert_eq!(after.since(&after).p99, None);
    }

    #[test]
    fn only_what_happened_is_read() {
        let metrics = Metrics::new();
        let plugin = metrics.plugin("echo");
        plugin.called("event", "ok", std::time::Duration::from_millis(2));
        plugin.dropped("closed");
        let readings = plugin.readings();
        assert_eq!(readings.calls.len(), 1);
        assert_eq!(readings.calls[0].outcomes, [("ok", 1)]);
        assert!(readings.calls[0].took.p99.is_some_and(|p99| p99 > 0.001 && p99 < 0.0026));
        assert_eq!(readings.dropped, [("closed", 1)]);
        assert!(metrics.readings().disconnects.is_empty());
    }
}
