//! What the nodes of a cluster count. All of it is there in a hub that runs alone too, where nothing of it moves: so a
//! page shows the same whatever the hub is, and an alert needs no exception.

use prometheus::{IntCounter, IntGauge, Registry};

use super::{counter, counters, gauge};

/// The handles.
#[derive(Debug)]
pub struct ClusterMetrics {
    /// Other nodes of which it is known who is connected there; sampled when scraped.
    pub nodes: IntGauge,
    /// 1 while the node can do its part, and in a hub that runs alone; sampled when scraped.
    pub up: IntGauge,
    /// Entries of the other nodes that were read.
    pub entries_in: IntCounter,
    /// Entries that were written.
    pub entries_out: IntCounter,
    /// Room messages of other nodes.
    pub parcels_in: IntCounter,
    /// Room messages for other nodes.
    pub parcels_out: IntCounter,
    /// Room messages that were missed, and handed on late.
    pub caught_up: IntCounter,
    /// Nodes that were taken for dead.
    pub nodes_lost: IntCounter,
    /// Sessions of other nodes that go on here.
    pub sessions: IntCounter,
}

impl ClusterMetrics {
    pub(super) fn new(r: &Registry) -> Self {
        let entries =
            counters(r, "exedra_cluster_entries_total", "Entries of the nodes' ledger.", &["direction"]);
        let parcels =
            counters(r, "exedra_cluster_parcels_total", "Room messages between nodes.", &["direction"]);
        let up = gauge(r, "exedra_cluster_up", "1 while the node does its part in the cluster, or is alone.");
        up.set(1);
        Self {
            nodes: gauge(r, "exedra_cluster_nodes", "Other nodes that are known."),
            up,
            entries_in: entries.with_label_values(&["in"]),
            entries_out: entries.with_label_values(&["out"]),
            parcels_in: parcels.with_label_values(&["in"]),
            parcels_out: parcels.with_label_values(&["out"]),
            caught_up: counter(
                r,
                "exedra_cluster_caught_up_total",
                "Room messages of other nodes that were missed and handed on late.",
            ),
            nodes_lost: counter(r, "exedra_cluster_nodes_lost_total", "Nodes that were taken for dead."),
            sessions: counter(
                r,
                "exedra_cluster_sessions_total",
                "Sessions of other nodes that went on here.",
            ),
        }
    }
}
