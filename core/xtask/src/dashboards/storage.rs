//! What is behind the hub: the bus to outside services, and the store.

use super::model::{Dashboard, Kind, Panel, Unit};
use super::promql::{buckets, grown, mean, of, quantile, rate};

const COMMITS: &str = "exedra_store_commit_seconds";
const BATCHES: &str = "exedra_store_batch_size";

pub(crate) fn dashboard() -> Dashboard {
    Dashboard::new(
        "bus-and-store",
        "Exedra: bus and store",
        "Do messages get in and out, and is what was answered on disk in time.",
    )
    .row("Bus", bus())
    .row("Outside services", outside())
    .row("Store", store())
}

fn bus() -> [Panel; 3] {
    [
        Panel::new(
            Kind::Lines,
            "Bus up",
            Unit::Count,
            "When was the bus away, and on which nodes? 1 is up, 0 is away.",
        )
        .ask("{{instance}}", of("exedra_bus_up", ""))
        .wide(8),
        Panel::new(Kind::Bars, "Reconnects", Unit::Count, "How often did the bus come back in this time?")
            .ask("{{instance}}", grown("exedra_bus_reconnects_total", "", "instance"))
            .marks(1.0, 5.0)
            .wide(8),
        Panel::new(
            Kind::Lines,
            "Messages",
            Unit::MessagesPerSecond,
            "How much goes over the bus, in and out?",
        )
        .ask("{{direction}}", rate("exedra_bus_messages_total", "", "direction"))
        .wide(8),
    ]
}

fn outside() -> [Panel; 4] {
    let injected = r#"kind=~"inject|rpc""#;
    [
        Panel::new(
            Kind::Lines,
            "Injections and requests",
            Unit::PerSecond,
            "What do outside services ask of plugins, and how does it end?",
        )
        .ask("{{kind}} {{outcome}}", rate("exedra_plugin_calls_total", injected, "kind, outcome"))
        .wide(12),
        Panel::new(
            Kind::Lines,
            "Dead letters",
            Unit::MessagesPerSecond,
            "Whose messages were refused, and set aside as dead letters?",
        )
        .ask("{{plugin}}", rate("exedra_dead_letters_total", "", "plugin"))
        .wide(12),
        Panel::new(
            Kind::Lines,
            "Injected events once more",
            Unit::PerSecond,
            "In a cluster: are events tried again because a plugin is busy, or given again because a node or the bus was away?",
        )
        .ask("tried again, {{plugin}}", rate("exedra_inject_retries_total", "", "plugin"))
        .ask("given again, {{plugin}}", rate("exedra_inject_redeliveries_total", "", "plugin"))
        .wide(12),
        Panel::new(
            Kind::Lines,
            "Lost before a plugin saw them",
            Unit::MessagesPerSecond,
            "Did messages come faster than plugins take them? Good is 0: each is a loss.",
        )
        .ask("{{plugin}}", rate("exedra_events_dropped_total", r#"reason="bus_slow""#, "plugin"))
        .wide(12),
    ]
}

fn store() -> [Panel; 5] {
    [
        Panel::new(
            Kind::Heatmap,
            "Commit time",
            Unit::Seconds,
            "How long does it take until a write is on disk?",
        )
        .ask("{{le}}", buckets(COMMITS, "", "")),
        Panel::new(
            Kind::Lines,
            "Commit time by node",
            Unit::Seconds,
            "Is a disk slow? Every answer to a write waits for its commit.",
        )
        .ask("{{instance}} median", quantile(0.5, COMMITS, "", "instance"))
        .ask("{{instance}} 99 %", quantile(0.99, COMMITS, "", "instance"))
        .marks(0.1, 0.25),
        Panel::new(Kind::Lines, "Commits", Unit::PerSecond, "How often is the disk asked to commit?")
            .ask("{{instance}}", rate(&format!("{COMMITS}_count"), "", "instance"))
            .wide(8),
        Panel::new(Kind::Lines, "Writes", Unit::PerSecond, "How many writes are made?")
            .ask("{{instance}}", rate(&format!("{BATCHES}_sum"), "", "instance"))
            .wide(8),
        Panel::new(
            Kind::Lines,
            "Writes in a commit",
            Unit::Count,
            "Are writes committed together? It rises with load, and keeps the disk's share of each small.",
        )
        .ask("mean", mean(BATCHES, "", ""))
        .ask("95 %", quantile(0.95, BATCHES, "", ""))
        .wide(8),
    ]
}
