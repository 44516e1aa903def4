//! The first page: is it well, what does it carry, and where to look when it is not.

use super::model::{Dashboard, Kind, Panel, Unit};
use super::promql::{gauge, grown, of, quantile, rate};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard::new(
        "overview",
        "Exedra: overview",
        "Is the hub well, what does it carry, and where to look when it is not.",
    )
    .row("Now", now())
    .row("Traffic", traffic())
    .row("Trouble", trouble())
    .folded("Process", process())
}

fn now() -> [Panel; 8] {
    let light =
        |title, question| Panel::new(Kind::Light, title, Unit::Count, question).marks(1.0, 0.5).wide(3);
    let stat = |title, unit, question| Panel::new(Kind::Stat, title, unit, question).wide(3);
    [
        light("Hub", "Does every hub answer Prometheus? One that does not shows as down.")
            .ask("", format!("min({})", of("up", ""))),
        light("Bus", "Does the bus carry messages on every node? Clients stay connected without it.")
            .ask("", format!("min({})", of("exedra_bus_up", "")))
            .more("bus-and-store"),
        light("Plugins", "Do all plugins take calls? One in quarantine shows as down.")
            .ask("", format!("min(max by (instance, plugin) ({}))", of("exedra_plugin_up", "")))
            .more("plugins"),
        light(
            "Configuration",
            "Is the newest configuration in force? Down: a reload was refused, the old one stays.",
        )
        .ask("", format!("min({})", of("exedra_config_last_reload_successful", ""))),
        stat(
            "Alerts",
            Unit::Count,
            "How many of the hub's alerts are firing? Good is 0; the runbooks say what to do.",
        )
        .ask("", r#"count(ALERTS{alertstate="firing", alertname=~"Exedra.+"}) or vector(0)"#)
        .marks(1.0, 3.0),
        stat("Connections", Unit::Count, "How many connections are open now?")
            .ask("", gauge("exedra_connections", "", ""))
            .more("links-and-delivery"),
        stat(
            "Room members",
            Unit::Count,
            "How many places in rooms are taken now? One connection may be in several.",
        )
        .ask("", gauge("exedra_room_members", "", ""))
        .more("links-and-delivery"),
        stat(
            "Youngest process",
            Unit::Seconds,
            "When was a hub started last? A short time without a deployment is a crash.",
        )
        .ask("", format!("time() - max({})", of("process_start_time_seconds", ""))),
    ]
}

fn traffic() -> [Panel; 5] {
    [
        Panel::new(Kind::Stack, "Connections by node", Unit::Count, "Are the connections spread over the nodes as expected?")
            .ask("{{instance}}", gauge("exedra_connections", "", "instance"))
            .wide(8),
        Panel::new(
            Kind::Lines,
            "Events in and out",
            Unit::EventsPerSecond,
            "How much comes in, and how many deliveries does it become? Out follows in, times the size of rooms.",
        )
        .ask("in", rate("exedra_events_received_total", "", ""))
        .ask("out", rate("exedra_events_delivered_total", "", ""))
        .wide(8)
        .more("links-and-delivery"),
        Panel::new(
            Kind::Lines,
            "Delivery time",
            Unit::Seconds,
            "How long from an event coming in to the last receiver's queue? Rises first when the machine is full.",
        )
        .ask("median", quantile(0.5, "exedra_delivery_seconds", "", ""))
        .ask("99 %", quantile(0.99, "exedra_delivery_seconds", "", ""))
        .marks(0.1, 0.5)
        .wide(8)
        .more("links-and-delivery"),
        Panel::new(Kind::Lines, "Bytes on public links", Unit::BytesPerSecond, "How much of the network does the hub use?")
            .ask("{{direction}}", rate("exedra_bytes_total", "", "direction")),
        Panel::new(Kind::Lines, "Calls into plugins", Unit::PerSecond, "Which plugin works how much?")
            .ask("{{plugin}}", rate("exedra_plugin_calls_total", "", "plugin"))
            .more("plugins"),
    ]
}

fn trouble() -> [Panel; 6] {
    let bars = |title, question| Panel::new(Kind::Bars, title, Unit::Count, question).wide(8);
    [
        bars(
            "Refused connections",
            "Why were connections refused in this time? Good is an empty row of bars.",
        )
        .ask("{{reason}}", grown("exedra_connect_refusals_total", "", "reason"))
        .more("links-and-delivery"),
        bars("Dropped events", "Which events did not reach a receiver or a handler in this time, and why?")
            .ask("{{reason}}", grown("exedra_events_dropped_total", "", "reason"))
            .more("links-and-delivery"),
        bars("Dead letters", "Which plugins refused messages of outside services in this time?")
            .ask("{{plugin}}", grown("exedra_dead_letters_total", "", "plugin"))
            .more("bus-and-store"),
        bars(
            "Refused tokens",
            "Why were tokens refused in this time? Expired ones are ordinary, bad signatures are not.",
        )
        .ask("{{reason}}", grown("exedra_auth_failures_total", "", "reason"))
        .more("links-and-delivery"),
        bars("Panics", "Which plugins panicked in this time? Each panic is a bug of the plugin.")
            .ask("{{plugin}}", grown("exedra_plugin_panics_total", "", "plugin"))
            .more("plugins"),
        bars("Slow links", "On which nodes were links closed because they read too slowly?")
            .ask("{{instance}}", grown("exedra_slow_links_total", "", "instance"))
            .more("links-and-delivery"),
    ]
}

fn process() -> [Panel; 6] {
    let lines = |title, unit, question| Panel::new(Kind::Lines, title, unit, question).wide(8);
    [
        lines("Processor", Unit::Share, "How many processors does each node use? 100 % is one of them.")
            .ask("{{instance}}", rate("process_cpu_seconds_total", "", "instance")),
        lines("Memory", Unit::Bytes, "Does memory follow the connections, or does it only grow?")
            .ask("{{instance}} resident", gauge("process_resident_memory_bytes", "", "instance"))
            .ask("{{instance}} mapped", gauge("process_virtual_memory_bytes", "", "instance")),
        lines(
            "File descriptors",
            Unit::Share,
            "How near is the limit of open files? Every connection takes one.",
        )
        .ask(
            "{{instance}}",
            format!(
                "{} / {}",
                gauge("process_open_fds", "", "instance"),
                gauge("process_max_fds", "", "instance")
            ),
        )
        .marks(0.7, 0.8),
        lines(
            "Threads",
            Unit::Count,
            "How many threads are there? A plugin that holds one for long makes another one start.",
        )
        .ask("{{instance}}", gauge("process_threads", "", "instance")),
        lines("Scrapes", Unit::Seconds, "How long does reading the metrics take?")
            .ask("{{instance}}", gauge("scrape_duration_seconds", "", "instance")),
        Panel::new(
            Kind::Table,
            "Versions",
            Unit::Count,
            "Which version runs where, and is it the same everywhere?",
        )
        .ask("running", gauge("exedra_build_info", "", "instance, version, revision, rustc"))
        .wide(8),
    ]
}
