//! Several nodes as one hub: do they know each other, what do they say to each other, and what was lost on the way.

use super::model::{Dashboard, Kind, Panel, Unit};
use super::promql::{grown, of, rate};

pub(crate) fn dashboard() -> Dashboard {
    Dashboard::new(
        "cluster",
        "Exedra: cluster",
        "Do the nodes know each other, what do they say to each other, and what happened to nodes and clients. A hub that runs \
         alone shows as up, with no other nodes.",
    )
    .row("Nodes", nodes())
    .row("Between nodes", between())
    .row("After a loss", after())
}

fn nodes() -> [Panel; 3] {
    [
        Panel::new(
            Kind::Lines,
            "Part of the cluster",
            Unit::Count,
            "When could a node not do its part, and which? 1 is well, 0 is not: /readyz of the node says why.",
        )
        .ask("{{instance}}", of("exedra_cluster_up", ""))
        .wide(8),
        Panel::new(
            Kind::Lines,
            "Other nodes",
            Unit::Count,
            "How many others does each node know? All lines lie on each other, one below the number of nodes.",
        )
        .ask("{{instance}}", of("exedra_cluster_nodes", ""))
        .wide(8),
        Panel::new(
            Kind::Bars,
            "Nodes taken for dead",
            Unit::Count,
            "How many nodes did each see die in this time? A node that is stopped in order is not among them.",
        )
        .ask("{{instance}}", grown("exedra_cluster_nodes_lost_total", "", "instance"))
        .marks(1.0, 3.0)
        .wide(8),
    ]
}

fn between() -> [Panel; 2] {
    [
        Panel::new(
            Kind::Lines,
            "Room messages",
            Unit::MessagesPerSecond,
            "How much goes from node to node? Out is one for each event in a room; in is only what is said in rooms with a member here.",
        )
        .ask("{{instance}} {{direction}}", rate("exedra_cluster_parcels_total", "", "instance, direction")),
        Panel::new(
            Kind::Lines,
            "Entries of the ledger",
            Unit::PerSecond,
            "How often do joins, leaves and heartbeats come together to an entry? It rises with joins, and is about one a second in peace.",
        )
        .ask("{{instance}} {{direction}}", rate("exedra_cluster_entries_total", "", "instance, direction")),
    ]
}

fn after() -> [Panel; 2] {
    [
        Panel::new(
            Kind::Lines,
            "Sessions that moved",
            Unit::PerSecond,
            "How many clients went on here with a session of another node? A burst is a node that went, or was restarted.",
        )
        .ask("{{instance}}", rate("exedra_cluster_sessions_total", "", "instance")),
        Panel::new(
            Kind::Bars,
            "Room messages that came late",
            Unit::Count,
            "How many were missed while NATS was away, and handed on when it was back? Without recovery they are lost instead.",
        )
        .ask("{{instance}}", grown("exedra_cluster_caught_up_total", "", "instance")),
    ]
}
