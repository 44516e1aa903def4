//! What operators look at: the hub at a glance, who is connected, which rooms there are. Walks over all connections
//! run where they keep no link waiting.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use exedra_hub::{
    ConnId, Hub,
    hub::{ConnectionOrder, RoomOrder},
    page::Want,
    port::BusState,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{Admin, Refused, history::millis};

/// Rows of a page when nothing is said.
const ROWS: usize = 100;

/// Why a request was answered with a problem.
type Answer<T> = Result<T, Refused>;

/// The hub at a glance.
pub(super) async fn overview(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let hub = &admin.hub;
    let plugins: Vec<_> = hub
        .slots()
        .iter()
        .zip(admin.host.states())
        .map(|(slot, state)| json!({ "name": state.name, "condition": state.condition, "counts": slot.metrics.readings() }))
        .collect();
    Json(json!({
        "version": super::version(),
        "started": millis(admin.started),
        "public": admin.public.to_string(),
        "reasons": admin.reasons(),
        "connections": hub.connection_count(),
        "rooms": hub.room_count(),
        "queue": hub.outbound_bytes(),
        "watchers": hub.watcher_count(),
        "memory": resident(),
        "hub": hub.metrics().readings(),
        "plugins": plugins,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    #[serde(default)]
    since: u64,
}

/// The last minutes.
pub(super) async fn history(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Since>, QueryRejection>,
) -> Answer<Json<Value>> {
    let since = asked(query)?.since;
    Ok(Json(json!({ "points": admin.history.since(since) })))
}

/// How the parts are.
pub(super) async fn health(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let settings = admin.settings.read();
    let hub = &admin.hub;
    let in_nats = settings.value("store.kind").is_some_and(|kind| kind.contains("jetstream"));
    Json(json!({
        "reasons": admin.reasons(),
        "warnings": admin.warnings(),
        "bus": {
            "kind": if settings.is_set("nats.url") { "nats" } else { "embedded" },
            "where": settings.value("nats.url"),
            "up": hub.bus().state() == BusState::Up,
        },
        "cluster": {
            "enabled": settings.value("cluster.enabled"),
            "name": settings.value("cluster.node"),
            "trouble": hub.cluster_trouble(),
            "nodes": hub.view_nodes(),
        },
        "store": {
            "kind": settings.value("store.kind"),
            "where": settings.value(if in_nats { "nats.url" } else { "store.path" }),
            "trouble": hub.store().trouble(),
        },
        "hub": hub.metrics().readings(),
        "plugins": admin.host.states(),
    }))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    #[default]
    Queue,
    Bytes,
    Age,
    User,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoomSort {
    #[default]
    Members,
    Connections,
    Name,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    Asc,
    #[default]
    Desc,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List<S: Default> {
    #[serde(default)]
    search: String,
    #[serde(default)]
    sort: S,
    #[serde(default)]
    order: Order,
    limit: Option<usize>,
    after: Option<String>,
    plugin: Option<String>,
}

impl<S: Default> List<S> {
    fn want(self) -> (S, Option<String>, Want) {
        let want = Want {
            search: self.search,
            descending: matches!(self.order, Order::Desc),
            limit: self.limit.unwrap_or(ROWS),
            after: self.after.filter(|after| !after.is_empty()),
        };
        (self.sort, self.plugin.filter(|plugin| !plugin.is_empty()), want)
    }
}

/// A page of the connections.
pub(super) async fn connections(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<List<Sort>>, QueryRejection>,
) -> Answer<Json<Value>> {
    let (sort, _, want) = asked(query)?.want();
    let order = match sort {
        Sort::Queue => ConnectionOrder::Queue,
        Sort::Bytes => ConnectionOrder::Bytes,
        Sort::Age => ConnectionOrder::Age,
        Sort::User => ConnectionOrder::User,
    };
    aside(&admin.hub, move |hub| hub.view_connections(order, &want)).await
}

/// One connection.
pub(super) async fn connection(State(admin): State<Arc<Admin>>, Path(id): Path<u64>) -> Answer<Json<Value>> {
    admin.hub.view_connection(ConnId(id)).map(|view| Json(json!(view))).ok_or_else(gone)
}

/// Ends a connection.
pub(super) async fn disconnect(State(admin): State<Arc<Admin>>, Path(id): Path<u64>) -> Answer<StatusCode> {
    if admin.hub.disconnect_by_operator(ConnId(id)) { Ok(StatusCode::NO_CONTENT) } else { Err(gone()) }
}

fn gone() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "the connection has ended")
}

/// A page of the rooms.
pub(super) async fn rooms(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<List<RoomSort>>, QueryRejection>,
) -> Answer<Json<Value>> {
    let (sort, plugin, want) = asked(query)?.want();
    let plugin = match plugin {
        Some(name) => Some(admin.hub.plugin_named(&name).ok_or_else(no_plugin)?),
        None => None,
    };
    let order = match sort {
        RoomSort::Members => RoomOrder::Members,
        RoomSort::Connections => RoomOrder::Connections,
        RoomSort::Name => RoomOrder::Name,
    };
    aside(&admin.hub, move |hub| hub.view_rooms(order, plugin, &want)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneRoom {
    plugin: String,
    room: String,
    limit: Option<usize>,
    after: Option<String>,
}

/// A page of a room's members.
pub(super) async fn members(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<OneRoom>, QueryRejection>,
) -> Answer<Json<Value>> {
    let asked = asked(query)?;
    let plugin = admin.hub.plugin_named(&asked.plugin).ok_or_else(no_plugin)?;
    let skip = asked.after.and_then(|after| after.parse().ok()).unwrap_or(0);
    aside(&admin.hub, move |hub| hub.view_members(plugin, &asked.room, skip, asked.limit.unwrap_or(ROWS)))
        .await
}

pub(super) fn no_plugin() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "no such plugin is loaded")
}

pub(super) fn asked<T>(query: Result<Query<T>, QueryRejection>) -> Answer<T> {
    query.map(|Query(query)| query).map_err(|why| Refused::new(StatusCode::BAD_REQUEST, why.body_text()))
}

/// Looks at the hub on a thread that may take its time.
async fn aside<T, F>(hub: &Arc<Hub>, look: F) -> Answer<Json<Value>>
where
    T: Serialize + Send + 'static,
    F: FnOnce(&Hub) -> T + Send + 'static,
{
    let hub = hub.clone();
    match tokio::time::timeout(Duration::from_secs(10), spawn_blocking(move || json!(look(&hub)))).await {
        Ok(Ok(value)) => Ok(Json(value)),
        _ => Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the hub is too busy to look")),
    }
}

/// Bytes of memory that the process holds, where the system says so.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
