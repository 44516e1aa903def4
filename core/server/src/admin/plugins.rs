//! The plugins: how they are, what they declare, turning them off and on, and putting another version in their place.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use exedra_host::LoadError;
use exedra_hub::{Hub, port::PluginId};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{Admin, Refused, views::no_plugin};
use crate::plugins::said;

/// Every enabled plugin.
pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let settings = admin.settings.read();
    let each = admin.hub.slots().iter().zip(admin.host.states()).map(|(slot, state)| {
        let manifest = &slot.manifest;
        let mut plugin = json!(state);
        plugin["description"] = json!(manifest.description);
        plugin["counts"] = json!(slot.metrics.readings());
        plugin["settings"] = json!(settings.under(&format!("plugins.{}.", manifest.name)));
        plugin["serves"] = json!({
            "namespaces": manifest.namespaces.iter().map(|n| &n.path).collect::<Vec<_>>(),
            "endpoints": manifest.endpoints.iter().map(|e| &e.path).collect::<Vec<_>>(),
            "routes": manifest.routes.iter().map(|r| format!("{} {}", r.method, r.path)).collect::<Vec<_>>(),
            "events": manifest.events.iter().map(|e| &e.name).collect::<Vec<_>>(),
            "injects": manifest.injects.iter().map(|i| &i.event).collect::<Vec<_>>(),
            "methods": manifest.rpcs.iter().map(|r| &r.method).collect::<Vec<_>>(),
        });
        plugin
    });
    Json(json!({ "plugins": each.collect::<Vec<_>>() }))
}

/// Turns a plugin on again.
pub(super) async fn enable(admin: State<Arc<Admin>>, name: Path<String>) -> Result<Json<Value>, Refused> {
    switch(admin, name, "enabled", |hub, plugin| hub.enable(plugin)).await
}

/// Turns a plugin off.
pub(super) async fn disable(admin: State<Arc<Admin>>, name: Path<String>) -> Result<Json<Value>, Refused> {
    switch(admin, name, "disabled", |hub, plugin| hub.disable(plugin)).await
}

/// Loads the library again. What is the same stays; what is worse is refused, and the old version goes on.
pub(super) async fn reload(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refused> {
    let plugin = name.clone();
    let reloaded = spawn_blocking(move || {
        let _one_after_another = admin.switching.lock();
        admin.lineup.reload(&plugin)
    });
    let failed = |_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "the plugin could not be reloaded");
    match reloaded.await.map_err(failed)? {
        Ok(changed) => Ok(Json(json!({
            "name": name,
            "version": changed.version,
            "generation": changed.generation,
            "changed": changed.changed,
            "closed": changed.hub.closed,
            "retired": changed.retired,
        }))),
        Err(LoadError::NotRunning { .. }) => Err(no_plugin()),
        Err(error) => Err(Refused::new(StatusCode::CONFLICT, said(&error))),
    }
}

/// Twice the same is fine: the second time nothing is closed.
async fn switch(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    state: &'static str,
    turn: fn(&Arc<Hub>, PluginId) -> Option<usize>,
) -> Result<Json<Value>, Refused> {
    let plugin = admin.hub.plugin_named(&name).ok_or_else(no_plugin)?;
    let turned = spawn_blocking(move || {
        let _one_after_another = admin.switching.lock();
        turn(&admin.hub, plugin)
    });
    let failed = |_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "the plugin could not be switched");
    let closed = turned.await.map_err(failed)?;
    Ok(Json(
        json!({ "name": name, "state": state, "changed": closed.is_some(), "closed": closed.unwrap_or(0) }),
    ))
}
