//! Every metric of the hub, in one place. With [`readings`] and `cluster`, the only file that names the metrics library.
//!
//! Counters exist at 0 from the start and labels come from closed sets: children are made here, once, so that
//! counting is an atomic add. Cloning a handle shares it.

mod cluster;
mod readings;

use std::{collections::HashMap, sync::Arc};

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::{
    CloseReason,
    manifest::{Metric, MetricKind},
    port::AuthFailure,
};

pub use cluster::ClusterMetrics;
pub use readings::{CallReadings, PluginReadings, Readings, Spread};

/// Upper bounds of latency buckets in seconds: from what a fan-out takes to what a client gives up after.
const SECONDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Why a connection was refused before it was one.
pub const CONNECT_REFUSALS: [&str; 8] =
    ["unauthorized", "namespace", "plugin", "limit", "origin", "timeout", "malformed", "draining"];
/// Why an event was dropped.
pub const DROPS: [&str; 7] =
    ["slow_consumer", "volatile", "closed", "unknown_event", "bus_slow", "queue_full", "refused"];
/// What became of clients that wanted their session back.
pub const RECOVERIES: [&str; 4] = ["recovered", "unknown", "foreign", "gap"];
/// What a rate limit protects.
pub const RATE_SCOPES: [&str; 4] = ["connects", "events", "connections_per_ip", "connections"];
/// How a plugin call ended.
pub const CALL_OUTCOMES: [&str; 4] = ["ok", "refused", "timeout", "panicked"];
/// The kinds of plugin calls, as [`crate::port::Call::kind`] names them.
pub const CALL_KINDS: [&str; 9] =
    ["connect", "event", "disconnect", "leave", "http", "inject", "rpc", "timer", "refresh"];
/// The kinds of connections.
pub const GATEWAYS: [&str; 2] = ["socketio", "websocket"];

/// Open connections of one namespace.
pub type ConnectionsGauge = IntGauge;

/// The registry and every handle that is not a plugin's.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: IntGaugeVec,
    /// Connections accepted into a namespace.
    pub connects: IntCounter,
    connect_refusals: IntCounterVec,
    disconnects: IntCounterVec,
    recoveries: IntCounterVec,
    /// Sessions without a link whose clients may still come back.
    pub recoverable_sessions: IntGauge,
    /// Bytes kept for clients that come back.
    pub recovery_bytes: IntGauge,
    rooms: IntGaugeVec,
    room_members: IntGaugeVec,
    events_received: IntCounterVec,
    events_delivered: IntCounterVec,
    events_dropped: IntCounterVec,
    bytes: IntCounterVec,
    delivery_seconds: HistogramVec,
    /// Bytes that wait in all outboxes, sampled when scraped.
    pub outbound_queue_bytes: IntGauge,
    /// Links closed because they read too slowly.
    pub slow_links: IntCounter,
    /// 1 while the bus carries messages.
    pub bus_up: IntGauge,
    /// Times the bus came back.
    pub bus_reconnects: IntCounter,
    bus_messages: IntCounterVec,
    dead_letters: IntCounterVec,
    inject_retries: IntCounterVec,
    inject_redeliveries: IntCounterVec,
    /// Time of a durable commit.
    pub store_commit_seconds: Histogram,
    /// Writes in one durable commit.
    pub store_batch_size: Histogram,
    auth_failures: IntCounterVec,
    rate_limited: IntCounterVec,
    plugin_up: IntGaugeVec,
    plugin_calls: IntCounterVec,
    plugin_call_seconds: HistogramVec,
    plugin_panics: IntCounterVec,
    plugin_generation: IntGaugeVec,
    /// What the nodes of a cluster count.
    pub cluster: ClusterMetrics,
    /// 1 while the newest configuration is in force.
    pub config_last_reload_successful: IntGauge,
}

impl Metrics {
    /// A fresh registry with everything at 0.
    pub fn new() -> Arc<Self> {
        let r = &Registry::new();
        let metrics = Self {
            connections: gauges(r, "exedra_connections", "Open connections.", &["gateway", "namespace"]),
            connects: counter(r, "exedra_connects_total", "Connections accepted into a namespace."),
            connect_refusals: counters(
                r,
                "exedra_connect_refusals_total",
                "Refused connections.",
                &["reason"],
            ),
            disconnects: counters(r, "exedra_disconnects_total", "Ended connections.", &["reason"]),
            recoveries: counters(
                r,
                "exedra_recoveries_total",
                "Clients that wanted their session back.",
                &["outcome"],
            ),
            recoverable_sessions: gauge(
                r,
                "exedra_recoverable_sessions",
                "Sessions without a link whose clients may come back.",
            ),
            recovery_bytes: gauge(r, "exedra_recovery_bytes", "Bytes kept for clients that come back."),
            rooms: gauges(r, "exedra_rooms", "Rooms with members.", &["plugin"]),
            room_members: gauges(r, "exedra_room_members", "Members of all rooms.", &["plugin"]),
            events_received: counters(
                r,
                "exedra_events_received_total",
                "Events that came in, from clients and from the bus.",
                &["plugin", "source"],
            ),
            events_delivered: counters(
                r,
                "exedra_events_delivered_total",
                "Events queued for a link, one per receiver.",
                &["plugin", "gateway"],
            ),
            events_dropped: counters(
                r,
                "exedra_events_dropped_total",
                "Events that did not reach a receiver or a handler.",
                &["plugin", "reason"],
            ),
            bytes: counters(r, "exedra_bytes_total", "Bytes on public links.", &["gateway", "direction"]),
            delivery_seconds: histograms(
                r,
                "exedra_delivery_seconds",
                "From an event coming in to its last local queueing.",
                &["plugin"],
            ),
            outbound_queue_bytes: gauge(r, "exedra_outbound_queue_bytes", "Bytes that wait for links."),
            slow_links: counter(r, "exedra_slow_links_total", "Links closed because they read too slowly."),
            bus_up: gauge(r, "exedra_bus_up", "1 while the bus carries messages."),
            bus_reconnects: counter(r, "exedra_bus_reconnects_total", "Times the bus came back."),
            bus_messages: counters(r, "exedra_bus_messages_total", "Messages on the bus.", &["direction"]),
            dead_letters: counters(
                r,
                "exedra_dead_letters_total",
                "Injected messages that were refused.",
                &["plugin"],
            ),
            inject_retries: counters(
                r,
                "exedra_inject_retries_total",
                "Times that an injected event was tried once more.",
                &["plugin"],
            ),
            inject_redeliveries: counters(
                r,
                "exedra_inject_redeliveries_total",
                "Injected events that were given once more and not handled again.",
                &["plugin"],
            ),
            store_commit_seconds: histogram(
                r,
                "exedra_store_commit_seconds",
                "Time of a durable commit.",
                &SECONDS,
            ),
            store_batch_size: histogram(
                r,
                "exedra_store_batch_size",
                "Writes in one durable commit.",
                &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0],
            ),
            auth_failures: counters(r, "exedra_auth_failures_total", "Refused tokens.", &["reason"]),
            rate_limited: counters(
                r,
                "exedra_rate_limited_total",
                "Hits on a rate or count limit.",
                &["scope"],
            ),
            plugin_up: gauges(
                r,
                "exedra_plugin_up",
                "1 while the plugin takes calls.",
                &["plugin", "version"],
            ),
            plugin_calls: counters(
                r,
                "exedra_plugin_calls_total",
                "Calls into plugins.",
                &["plugin", "kind", "outcome"],
            ),
            plugin_call_seconds: histograms(
                r,
                "exedra_plugin_call_seconds",
                "Time of calls into plugins.",
                &["plugin", "kind"],
            ),
            plugin_panics: counters(
                r,
                "exedra_plugin_panics_total",
                "Panics caught in plugins.",
                &["plugin"],
            ),
            plugin_generation: gauges(r, "exedra_plugin_generation", "The loaded generation.", &["plugin"]),
            cluster: ClusterMetrics::new(r),
            config_last_reload_successful: gauge(
                r,
                "exedra_config_last_reload_successful",
                "1 while the newest configuration is in force.",
            ),
            registry: r.clone(),
        };
        metrics.touch_closed_sets();
        #[cfg(target_os = "linux")]
        register(r, prometheus::process_collector::ProcessCollector::for_self());
        Arc::new(metrics)
    }

    /// Says what is running: `exedra_build_info{version,revision,rustc}` is always 1.
    pub fn build_info(&self, version: &str, revision: &str, rustc: &str) {
        let info = gauges(
            &self.registry,
            "exedra_build_info",
            "What is running; always 1.",
            &["version", "revision", "rustc"],
        );
        info.with_label_values(&[version, revision, rustc]).set(1);
    }

    fn touch_closed_sets(&self) {
        for reason in CONNECT_REFUSALS {
            self.connect_refusals.with_label_values(&[reason]);
        }
        for reason in CloseReason::ALL {
            self.disconnects.with_label_values(&[reason.label()]);
        }
        for outcome in RECOVERIES {
            self.recoveries.with_label_values(&[outcome]);
        }
        for reason in AuthFailure::ALL {
            self.auth_failures.with_label_values(&[reason.label()]);
        }
        for scope in RATE_SCOPES {
            self.rate_limited.with_label_values(&[scope]);
        }
        for direction in ["in", "out"] {
            self.bus_messages.with_label_values(&[direction]);
            for gateway in GATEWAYS {
                self.bytes.with_label_values(&[gateway, direction]);
            }
        }
    }

    /// Handles of one plugin; call once per plugin name and keep them.
    pub fn plugin(&self, name: &str) -> PluginMetrics {
        PluginMetrics {
            rooms: self.rooms.with_label_values(&[name]),
            members: self.room_members.with_label_values(&[name]),
            from_clients: self.events_received.with_label_values(&[name, "client"]),
            from_bus: self.events_received.with_label_values(&[name, "bus"]),
            delivered: GATEWAYS.map(|g| self.events_delivered.with_label_values(&[name, g])),
            dropped: DROPS.map(|d| self.events_dropped.with_label_values(&[name, d])),
            delivery_seconds: self.delivery_seconds.with_label_values(&[name]),
            dead_letters: self.dead_letters.with_label_values(&[name]),
            retries: self.inject_retries.with_label_values(&[name]),
            redeliveries: self.inject_redeliveries.with_label_values(&[name]),
            calls: CALL_KINDS.map(|kind| {
                CALL_OUTCOMES.map(|outcome| self.plugin_calls.with_label_values(&[name, kind, outcome]))
            }),
            call_seconds: CALL_KINDS.map(|kind| self.plugin_call_seconds.with_label_values(&[name, kind])),
            panics: self.plugin_panics.with_label_values(&[name]),
            generation: self.plugin_generation.with_label_values(&[name]),
        }
    }

    /// `exedra_plugin_up{plugin,version}`.
    pub fn plugin_up(&self, name: &str, version: &str) -> IntGauge {
        self.plugin_up.with_label_values(&[name, version])
    }

    /// A version of a plugin is not there any more: it is neither up nor down.
    pub fn plugin_gone(&self, name: &str, version: &str) {
        let _ = self.plugin_up.remove_label_values(&[name, version]); // it is fine if it never was there
    }

    /// `exedra_connections{gateway,namespace}`; `namespace` is the declared pattern, never what a client sent.
    pub fn connections(&self, gateway: &str, namespace: &str) -> ConnectionsGauge {
        self.connections.with_label_values(&[gateway, namespace])
    }

    /// Counts an ended connection.
    pub fn disconnected(&self, reason: CloseReason) {
        self.disconnects.with_label_values(&[reason.label()]).inc();
    }

    /// Counts a client that wanted its session back; `outcome` is one of [`RECOVERIES`].
    pub(crate) fn recovery(&self, outcome: &'static str) {
        self.recoveries.with_label_values(&[outcome]).inc();
    }

    /// Counts a refused connection; `reason` is one of [`CONNECT_REFUSALS`].
    pub fn connect_refused(&self, reason: &'static str) {
        self.connect_refusals.with_label_values(&[reason]).inc();
    }

    /// Counts a refused token.
    pub fn auth_failed(&self, reason: AuthFailure) {
        self.auth_failures.with_label_values(&[reason.label()]).inc();
    }

    /// Counts a hit on a limit; `scope` is one of [`RATE_SCOPES`].
    pub fn rate_limited(&self, scope: &'static str) {
        self.rate_limited.with_label_values(&[scope]).inc();
    }

    /// The counter of bytes on public links; `direction` is `in` or `out`. Keep the handle.
    pub fn bytes(&self, gateway: &str, direction: &str) -> IntCounter {
        self.bytes.with_label_values(&[gateway, direction])
    }

    /// The counter of bus messages; `direction` is `in` or `out`. Keep the handle.
    pub fn bus_messages(&self, direction: &str) -> IntCounter {
        self.bus_messages.with_label_values(&[direction])
    }

    /// Registers a plugin's own metric as `exedra_<plugin>_<name>` and touches its closed set of label values.
    ///
    /// # Errors
    /// A sentence when the name or a label is not a metric name, or the metric exists already.
    pub fn own(&self, plugin: &str, metric: &Metric) -> Result<OwnMetric, String> {
        OwnMetric::register(&self.registry, plugin, metric)
    }

    /// All metrics in the text exposition format 0.0.4.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// The handles of one plugin.
#[derive(Debug, Clone)]
pub struct PluginMetrics {
    /// Rooms with members.
    pub rooms: IntGauge,
    /// Members of all its rooms.
    pub members: IntGauge,
    /// Events from clients.
    pub from_clients: IntCounter,
    /// Events from the bus.
    pub from_bus: IntCounter,
    delivered: [IntCounter; 2],
    dropped: [IntCounter; 7],
    /// From an event coming in to its last local queueing.
    pub delivery_seconds: Histogram,
    /// Refused injected messages.
    pub dead_letters: IntCounter,
    /// Injected events tried once more.
    pub retries: IntCounter,
    /// Injected events given once more.
    pub redeliveries: IntCounter,
    calls: [[IntCounter; 4]; 9],
    call_seconds: [Histogram; 9],
    /// Panics caught.
    pub panics: IntCounter,
    /// The loaded generation.
    pub generation: IntGauge,
}

impl PluginMetrics {
    /// The counter of deliveries through a gateway (one of [`GATEWAYS`]).
    pub fn delivered(&self, gateway: &str) -> &IntCounter {
        &self.delivered[usize::from(gateway != GATEWAYS[0])]
    }

    /// Counts a drop; `reason` is one of [`DROPS`].
    pub fn dropped(&self, reason: &'static str) {
        self.dropped_times(reason, 1);
    }

    /// Counts drops for the same reason.
    pub fn dropped_times(&self, reason: &'static str, count: u64) {
        if let Some(at) = DROPS.iter().position(|d| *d == reason) {
            self.dropped[at].inc_by(count);
        }
    }

    /// Counts a call; `kind` is one of [`CALL_KINDS`], `outcome` one of [`CALL_OUTCOMES`].
    pub fn called(&self, kind: &'static str, outcome: &'static str, took: std::time::Duration) {
        let kind = CALL_KINDS.iter().position(|k| *k == kind);
        let outcome = CALL_OUTCOMES.iter().position(|o| *o == outcome);
        if let (Some(kind), Some(outcome)) = (kind, outcome) {
            self.calls[kind][outcome].inc();
            self.call_seconds[kind].observe(took.as_secs_f64());
        }
    }
}

/// A plugin's own metric, with one handle per label value.
#[derive(Debug)]
pub struct OwnMetric {
    /// By label value; the empty string when the metric has no label.
    children: HashMap<String, Child>,
}

#[derive(Debug)]
enum Child {
    Counter(prometheus::Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl OwnMetric {
    fn register(registry: &Registry, plugin: &str, metric: &Metric) -> Result<Self, String> {
        let name = format!("exedra_{}_{}", plugin.replace('-', "_"), metric.name);
        let labels: Vec<&str> = metric.label.iter().map(String::as_str).collect();
        let values: Vec<&str> =
            if labels.is_empty() { vec![""] } else { metric.values.iter().map(String::as_str).collect() };
        let opts = Opts::new(&name, &metric.help);
        let fail = |e: prometheus::Error| format!("metric {name}: {e}");
        let key = |value: &&str| -> Vec<String> {
            if labels.is_empty() { Vec::new() } else { vec![(*value).to_owned()] }
        };
        let children = match metric.kind {
            MetricKind::Counter => {
                let vec = prometheus::CounterVec::new(opts, &labels).map_err(fail)?;
                registry.register(Box::new(vec.clone())).map_err(fail)?;
                values
                    .iter()
                    .map(|v| ((*v).to_owned(), Child::Counter(vec.with_label_values(&key(v)))))
                    .collect()
            }
            MetricKind::Gauge => {
                let vec = prometheus::GaugeVec::new(opts, &labels).map_err(fail)?;
                registry.register(Box::new(vec.clone())).map_err(fail)?;
                values
                    .iter()
                    .map(|v| ((*v).to_owned(), Child::Gauge(vec.with_label_values(&key(v)))))
                    .collect()
            }
            MetricKind::Histogram => {
                let opts = HistogramOpts::from(opts).buckets(SECONDS.to_vec());
                let vec = HistogramVec::new(opts, &labels).map_err(fail)?;
                registry.register(Box::new(vec.clone())).map_err(fail)?;
                values
                    .iter()
                    .map(|v| ((*v).to_owned(), Child::Histogram(vec.with_label_values(&key(v)))))
                    .collect()
            }
        };
        Ok(Self { children })
    }

    /// Adds to a counter, sets a gauge (`relative` adds to it), or observes seconds. A label value outside the
    /// closed set is ignored and said by `false`.
    pub fn record(&self, label: &str, value: f64, relative: bool) -> bool {
        match self.children.get(label) {
            Some(Child::Counter(counter)) if value >= 0.0 => counter.inc_by(value),
            Some(Child::Gauge(gauge)) if relative => gauge.add(value),
            Some(Child::Gauge(gauge)) => gauge.set(value),
            Some(Child::Histogram(histogram)) => histogram.observe(value),
            Some(Child::Counter(_)) | None => return false,
        }
        true
    }
}

// The names below are written in this file alone and are valid, so making and registering them cannot fail;
// a mistake shows in the first test that makes a `Metrics`.

fn register(registry: &Registry, collector: impl prometheus::core::Collector + 'static) {
    if let Err(error) = registry.register(Box::new(collector)) {
        debug_assert!(false, "{error}");
        tracing::error!(%error, "a metric could not be registered");
    }
}

macro_rules! made {
    ($registry:expr, $made:expr) => {{
        let metric = $made.expect("a valid metric");
        register($registry, metric.clone());
        metric
    }};
}

fn counter(r: &Registry, name: &str, help: &str) -> IntCounter {
    made!(r, IntCounter::new(name, help))
}

fn gauge(r: &Registry, name: &str, help: &str) -> IntGauge {
    made!(r, IntGauge::new(name, help))
}

fn histogram(r: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    made!(r, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
}

fn counters(r: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    made!(r, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    made!(r, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn histograms(r: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    made!(r, HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels))
}
