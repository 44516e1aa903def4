//! All plugins alike: state, calls, how long they take and how they end. Their own metrics have pages of their own.

use super::model::{Dashboard, Kind, Panel, Unit};
use super::promql::{buckets, gauge, grown, mean, of, quantile, rate};

/// The reader's choice of plugins.
const PLUGIN: &str = r#"plugin=~"$plugin""#;

pub(crate) fn dashboard() -> Dashboard {
    Dashboard::new(
        "plugins",
        "Exedra: plugins",
        "Which plugins run, what they are asked, how long it takes and how it ends.",
    )
    .by_plugin()
    .row("State", state())
    .row("Calls", calls())
    .row("Time", time())
    .folded("Events and rooms", events())
}

fn state() -> [Panel; 4] {
    let bars = |title, question| Panel::new(Kind::Bars, title, Unit::Count, question).wide(8);
    [
        Panel::new(
            Kind::Table,
            "Loaded",
            Unit::Count,
            "Which version of each plugin runs where, in which generation, and does it take calls (1) or not (0)?",
        )
        .ask("up", gauge("exedra_plugin_up", PLUGIN, "instance, plugin, version"))
        .ask("generation", gauge("exedra_plugin_generation", PLUGIN, "instance, plugin"))
        .ask("rooms", gauge("exedra_rooms", PLUGIN, "instance, plugin"))
        .ask("members", gauge("exedra_room_members", PLUGIN, "instance, plugin")),
        bars("Panics", "Which plugins panicked in this time? Too many and the plugin is put in quarantine.")
            .ask("{{plugin}}", grown("exedra_plugin_panics_total", PLUGIN, "plugin"))
            .marks(1.0, 3.0),
        bars("Timeouts", "Which plugins did not answer within their deadline in this time?")
            .ask("{{plugin}}", grown("exedra_plugin_calls_total", &format!(r#"{PLUGIN}, outcome="timeout""#), "plugin"))
            .marks(1.0, 10.0),
        bars("Dead letters", "Which plugins refused messages of outside services in this time?")
            .ask("{{plugin}}", grown("exedra_dead_letters_total", PLUGIN, "plugin"))
            .marks(1.0, 10.0),
    ]
}

fn calls() -> [Panel; 4] {
    let failed = format!(r#"{PLUGIN}, outcome!="ok""#);
    [
        Panel::new(Kind::Stack, "Calls by plugin", Unit::PerSecond, "Which plugin works how much?")
            .ask("{{plugin}}", rate("exedra_plugin_calls_total", PLUGIN, "plugin")),
        Panel::new(
            Kind::Stack,
            "Calls by kind",
            Unit::PerSecond,
            "What are plugins asked: events, REST, injections, timers?",
        )
        .ask("{{kind}}", rate("exedra_plugin_calls_total", PLUGIN, "kind")),
        Panel::new(
            Kind::Stack,
            "Calls that did not go well",
            Unit::PerSecond,
            "Which calls were refused (an answer with an error), were too late, or panicked?",
        )
        .ask(
            "{{plugin}} {{kind}} {{outcome}}",
            rate("exedra_plugin_calls_total", &failed, "plugin, kind, outcome"),
        ),
        Panel::new(
            Kind::Lines,
            "Share that did not go well",
            Unit::Share,
            "Is a plugin's trouble many calls, or a few of many?",
        )
        .ask(
            "{{plugin}}",
            format!(
                "{} / {}",
                rate("exedra_plugin_calls_total", &failed, "plugin"),
                rate("exedra_plugin_calls_total", PLUGIN, "plugin")
            ),
        )
        .marks(0.1, 0.5),
    ]
}

fn time() -> [Panel; 5] {
    [
        Panel::new(Kind::Heatmap, "Time of calls", Unit::Seconds, "How long do calls take, and are there two kinds of them?")
            .ask("{{le}}", buckets("exedra_plugin_call_seconds", PLUGIN, "")),
        Panel::new(Kind::Lines, "Time by plugin", Unit::Seconds, "Which plugin is slow? 99 of 100 calls are faster than the line.")
            .ask("{{plugin}} median", quantile(0.5, "exedra_plugin_call_seconds", PLUGIN, "plugin"))
            .ask("{{plugin}} 99 %", quantile(0.99, "exedra_plugin_call_seconds", PLUGIN, "plugin"))
            .marks(0.25, 1.0),
        Panel::new(Kind::Lines, "Time by kind", Unit::Seconds, "Which kind of call is slow? REST that writes waits for the disk.")
            .ask("{{kind}} 99 %", quantile(0.99, "exedra_plugin_call_seconds", PLUGIN, "kind"))
            .wide(8),
        Panel::new(Kind::Lines, "Mean time", Unit::Seconds, "What does a call cost on average?")
            .ask("{{plugin}}", mean("exedra_plugin_call_seconds", PLUGIN, "plugin"))
            .wide(8),
        Panel::new(
            Kind::Stack,
            "Calls in progress",
            Unit::Count,
            "How many calls are being worked on at a time, on average? Time that passes in calls, for each second.",
        )
        .ask("{{plugin}}", rate("exedra_plugin_call_seconds_sum", PLUGIN, "plugin"))
        .wide(8),
    ]
}

fn events() -> [Panel; 4] {
    [
        Panel::new(
            Kind::Lines,
            "Events in",
            Unit::EventsPerSecond,
            "What comes in for each plugin, and from where?",
        )
        .ask("{{plugin}} {{source}}", rate("exedra_events_received_total", PLUGIN, "plugin, source")),
        Panel::new(Kind::Lines, "Events out", Unit::EventsPerSecond, "What does each plugin send?")
            .ask("{{plugin}}", rate("exedra_events_delivered_total", PLUGIN, "plugin")),
        Panel::new(
            Kind::Lines,
            "Events dropped",
            Unit::EventsPerSecond,
            "What is lost or refused for each plugin, and why?",
        )
        .ask("{{plugin}} {{reason}}", rate("exedra_events_dropped_total", PLUGIN, "plugin, reason")),
        Panel::new(Kind::Lines, "Members", Unit::Count, "How many members have the rooms of each plugin?")
            .ask("{{plugin}} {{instance}}", of("exedra_room_members", PLUGIN)),
    ]
}
