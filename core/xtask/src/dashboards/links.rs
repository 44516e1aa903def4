//! Clients and what reaches them: connections, rooms, events, delivery, and clients that come back.

use super::model::{Dashboard, Kind, Panel, Unit};
use super::promql::{buckets, gauge, of, quantile, rate};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard::new(
        "links-and-delivery",
        "Exedra: links and delivery",
        "Who is connected, who is turned away, what reaches clients and how fast, and who comes back.",
    )
    .row("Connections", connections())
    .row("Turned away", turned_away())
    .row("Events", events())
    .row("Delivery", delivery())
    .folded("Links", links())
    .folded("Recovery", recovery())
}

fn connections() -> [Panel; 4] {
    [
        Panel::new(Kind::Stack, "Open connections", Unit::Count, "How many clients are there, of which kind, in which namespace?")
            .ask("{{gateway}} {{namespace}}", gauge("exedra_connections", "", "gateway, namespace")),
        Panel::new(
            Kind::Lines,
            "Coming and going",
            Unit::PerSecond,
            "Do clients stay? Both lines high at once: they are losing their links and coming again.",
        )
        .ask("connected", rate("exedra_connects_total", "", ""))
        .ask("ended", rate("exedra_disconnects_total", "", "")),
        Panel::new(
            Kind::Stack,
            "Why connections ended",
            Unit::PerSecond,
            "Did clients leave (client_left), lose the network (transport_lost, ping_timeout), or were they closed?",
        )
        .ask("{{reason}}", rate("exedra_disconnects_total", "", "reason")),
        Panel::new(Kind::Lines, "Rooms and members", Unit::Count, "How many rooms of each plugin are in use, and how full are they?")
            .ask("{{plugin}} rooms", gauge("exedra_rooms", "", "plugin"))
            .ask("{{plugin}} members", gauge("exedra_room_members", "", "plugin")),
    ]
}

fn turned_away() -> [Panel; 3] {
    [
        Panel::new(Kind::Stack, "Refused connections", Unit::PerSecond, "Why are clients not let in?")
            .ask("{{reason}}", rate("exedra_connect_refusals_total", "", "reason"))
            .wide(8),
        Panel::new(
            Kind::Stack,
            "Refused tokens",
            Unit::PerSecond,
            "What is wrong with tokens? signature and algorithm: somebody tries; unknown_key: keys were changed on one side only.",
        )
        .ask("{{reason}}", rate("exedra_auth_failures_total", "", "reason"))
        .wide(8),
        Panel::new(Kind::Stack, "Limits that were hit", Unit::PerSecond, "Which limit holds clients back, and is it still the right one?")
            .ask("{{scope}}", rate("exedra_rate_limited_total", "", "scope"))
            .wide(8),
    ]
}

fn events() -> [Panel; 4] {
    [
        Panel::new(Kind::Stack, "Events received", Unit::EventsPerSecond, "Which plugin gets events, from clients and from the bus?")
            .ask("{{plugin}} {{source}}", rate("exedra_events_received_total", "", "plugin, source")),
        Panel::new(Kind::Stack, "Events delivered", Unit::EventsPerSecond, "What is sent to links, one for each receiver?")
            .ask("{{plugin}} {{gateway}}", rate("exedra_events_delivered_total", "", "plugin, gateway")),
        Panel::new(
            Kind::Lines,
            "Deliveries for an event",
            Unit::Count,
            "How many receivers has an event on average? It is what one event costs.",
        )
        .ask(
            "{{plugin}}",
            format!(
                "{} / {}",
                rate("exedra_events_delivered_total", "", "plugin"),
                rate("exedra_events_received_total", "", "plugin")
            ),
        ),
        Panel::new(
            Kind::Stack,
            "Events dropped",
            Unit::EventsPerSecond,
            "What was not delivered? volatile and closed are by design; queue_full and bus_slow are losses; refused and \
             unknown_event are bad input.",
        )
        .ask("{{plugin}} {{reason}}", rate("exedra_events_dropped_total", "", "plugin, reason")),
    ]
}

fn delivery() -> [Panel; 2] {
    [
        Panel::new(
            Kind::Heatmap,
            "Delivery time",
            Unit::Seconds,
            "How long does delivery take, and are there two kinds of it?",
        )
        .ask("{{le}}", buckets("exedra_delivery_seconds", "", "")),
        Panel::new(
            Kind::Lines,
            "Delivery time by plugin",
            Unit::Seconds,
            "Whose events are late? 99 of 100 are faster than the line.",
        )
        .ask("{{plugin}} median", quantile(0.5, "exedra_delivery_seconds", "", "plugin"))
        .ask("{{plugin}} 99 %", quantile(0.99, "exedra_delivery_seconds", "", "plugin"))
        .marks(0.1, 0.5),
    ]
}

fn links() -> [Panel; 3] {
    [
        Panel::new(Kind::Lines, "Bytes", Unit::BytesPerSecond, "How much goes over public links, by kind and direction?")
            .ask("{{gateway}} {{direction}}", rate("exedra_bytes_total", "", "gateway, direction"))
            .wide(8),
        Panel::new(
            Kind::Lines,
            "Bytes that wait",
            Unit::Bytes,
            "How much waits for clients that read slowly? Near 0 is normal; a plateau is a group of bad links.",
        )
        .ask("{{instance}}", gauge("exedra_outbound_queue_bytes", "", "instance"))
        .wide(8),
        Panel::new(Kind::Lines, "Slow links closed", Unit::PerSecond, "Are clients closed because they read too slowly?")
            .ask("{{instance}}", rate("exedra_slow_links_total", "", "instance"))
            .wide(8),
    ]
}

fn recovery() -> [Panel; 4] {
    let all = rate("exedra_recoveries_total", "", "");
    let recovered = rate("exedra_recoveries_total", r#"outcome="recovered""#, "");
    [
        Panel::new(
            Kind::Stack,
            "Clients that came back",
            Unit::PerSecond,
            "Do clients find their sessions again? gap: too much was missed; unknown: too late or another node; foreign: \
             another user's session.",
        )
        .ask("{{outcome}}", rate("exedra_recoveries_total", "", "outcome"))
        .wide(9),
        Panel::new(Kind::Stat, "Recovered", Unit::Share, "Which share of those who came back missed nothing? Good is near 100 %.")
            .ask("", format!("{recovered} / {all}"))
            .marks(0.9, 0.5)
            .wide(3),
        Panel::new(Kind::Lines, "Sessions that wait", Unit::Count, "How many clients may still come back?")
            .ask("{{instance}}", of("exedra_recoverable_sessions", ""))
            .wide(6),
        Panel::new(Kind::Lines, "Bytes kept for them", Unit::Bytes, "What does waiting for them cost in memory?")
            .ask("{{instance}}", of("exedra_recovery_bytes", ""))
            .wide(6),
    ]
}
