//! Plugins off and on again while the hub runs. Off: connections of namespaces that nobody else serves are closed,
//! new ones are refused, and so are requests and injected events; timers rest. Others are not touched.

use std::sync::Arc;

use super::Hub;
use crate::{CloseReason, Code, Refusal, port::PluginId, table::Space};

impl Hub {
    /// Whether a plugin takes part.
    pub fn is_enabled(&self, plugin: PluginId) -> bool {
        self.slot(plugin).is_some_and(|slot| slot.switch.is_on())
    }

    /// Turns a plugin off and says how many connections were closed; `None` when it was off, or is none. In a
    /// namespace that it shares with a plugin that is on, connections stay and only its own events are refused.
    pub fn disable(self: &Arc<Self>, plugin: PluginId) -> Option<usize> {
        let slot = self.slot(plugin)?;
        if !slot.switch.off(self.connections.coming()) {
            return None;
        }
        self.tell_switched(plugin, false);
        let mut orphans = self.connections.all();
        orphans.retain(|c| c.space.plugins.contains(&plugin) && self.is_orphan(&c.space));
        for connection in &orphans {
            self.close(connection, CloseReason::Kicked);
        }
        tracing::warn!(plugin = slot.manifest.name, closed = orphans.len(), "a plugin has been disabled");
        Some(orphans.len())
    }

    /// Turns a plugin on again and says how many connections were closed; `None` when it was on, or is none.
    /// Closed are the links of those that came to a shared namespace in the meantime and that it has a say in:
    /// they connect again, and it is asked.
    pub fn enable(self: &Arc<Self>, plugin: PluginId) -> Option<usize> {
        let slot = self.slot(plugin)?;
        let unseen = slot.switch.on()?;
        self.tell_switched(plugin, true);
        let mut strangers = self.connections.all();
        strangers
            .retain(|c| slot.manifest.on_connect && c.id() >= unseen && c.space.plugins.contains(&plugin));
        for connection in &strangers {
            connection.outbox().close(CloseReason::ShuttingDown);
        }
        tracing::warn!(plugin = slot.manifest.name, closed = strangers.len(), "a plugin has been enabled");
        Some(strangers.len())
    }

    /// Refuses a connection that no plugin would serve.
    pub(super) fn served(&self, space: &Space) -> Result<(), Refusal> {
        if self.is_orphan(space) {
            return Err(Refusal::new(Code::Unavailable, "the plugin is disabled"));
        }
        Ok(())
    }

    fn is_orphan(&self, space: &Space) -> bool {
        !space.plugins.iter().any(|plugin| self.is_enabled(*plugin))
    }

    fn tell_switched(&self, plugin: PluginId, on: bool) {
        if let Ok(plugins) = self.plugins() {
            plugins.switched(plugin, on);
        }
    }
}
