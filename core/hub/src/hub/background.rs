//! What happens by itself: identities end, leases run out, timers go off, the bus is listened to.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::Hub;
use crate::{
    CloseReason, Task,
    port::{Call, PluginId},
};

/// How often a timer that is not declared any more looks whether it is again.
const REST: Duration = Duration::from_secs(1);
/// How often ends are looked for. A token is over at most this long after its `exp`.
const TICK: Duration = Duration::from_millis(250);

impl Hub {
    /// Everything that runs beside the connections; spawn it once, after [`Hub::install`]. Never ends by itself.
    pub fn run(self: &Arc<Self>) -> Task {
        let mut tasks = vec![self.clone().tick()];
        tasks.extend(self.live_together());
        for index in 0..self.slots().len() {
            tasks.extend(self.work_of(PluginId(index as u16)));
        }
        Box::pin(async move {
            join_all(tasks).await;
        })
    }

    /// What is to run for a plugin beside its connections and does not yet.
    pub(super) fn work_of(self: &Arc<Self>, plugin: PluginId) -> Vec<Task> {
        let Some(slot) = self.slot(plugin) else { return Vec::new() };
        let mut tasks = self.listen(plugin);
        let timers = slot.begun.timers(slot.manifest.timers.len());
        tasks.extend(timers.map(|handler| self.clone().timer(plugin, handler as u32)));
        tasks
    }

    fn tick(self: Arc<Self>) -> Task {
        Box::pin(async move {
            loop {
                self.parts.clock.sleep(TICK).await;
                self.end_identities();
                self.end_leases();
                self.sweep_lines(self.parts.clock.elapsed());
            }
        })
    }

    fn end_identities(self: &Arc<Self>) {
        let now = self.parts.clock.now();
        loop {
            let over = {
                let mut expiries = self.expiries.lock();
                match expiries.first() {
                    Some((at, _)) if *at <= now => expiries.pop_first(),
                    _ => None,
                }
            };
            let Some((_, id)) = over else { return };
            if let Ok(connection) = self.connection(id) {
                self.close(&connection, CloseReason::AuthExpired);
            }
        }
    }

    fn end_leases(self: &Arc<Self>) {
        let _turn = self.turn();
        for (key, left) in self.rooms.expire(self.parts.clock.elapsed()) {
            self.settle_left(&key, left);
        }
    }

    /// The period is looked up each time: another version of the plugin may have another one, or no such timer.
    pub(super) fn timer(self: Arc<Self>, plugin: PluginId, handler: u32) -> Task {
        Box::pin(async move {
            loop {
                let every = self.slot(plugin).and_then(|slot| slot.manifest.timers.get(handler as usize));
                let declared = every.map(|timer| Duration::from_millis(timer.every_ms.max(1)));
                self.parts.clock.sleep(declared.unwrap_or(REST)).await;
                if declared.is_none() || !self.is_enabled(plugin) {
                    continue;
                }
                if let Err(refusal) = self.call(plugin, Call::Timer { handler }).await {
                    let name = self.slot(plugin).map_or("?", |slot| &slot.manifest.name);
                    tracing::warn!(plugin = name, code = refusal.code_str(), "a timer failed: {refusal}");
                }
            }
        })
    }
}
