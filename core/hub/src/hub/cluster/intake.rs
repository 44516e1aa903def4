//! Which node takes a plugin's injected events: one of those where the plugin is on. Each says with every entry in the
//! ledger whose events it may take, so all have the same answer as soon as they have read the same.

use std::sync::{Arc, atomic::Ordering};

use super::Hub;

impl Hub {
    /// Whether this node takes a plugin's injected events; `None` while it is not known who else is there. It does when
    /// it runs alone.
    pub fn takes_injected(&self, plugin: &str) -> Option<bool> {
        let Some(united) = self.united.get() else { return Some(true) };
        if !united.settled.load(Ordering::Acquire) || !united.is_up() {
            return None;
        }
        let nodes = united.nodes.lock();
        nodes.all_known().then(|| nodes.taker(plugin) == Some(united.me))
    }

    /// The plugins whose injected events this node may take.
    pub(super) fn takes(&self) -> Vec<Arc<str>> {
        if self.injected.is_ended() {
            return Vec::new();
        }
        let takes =
            self.slots().iter().filter(|slot| slot.switch.is_on() && !slot.manifest.injects.is_empty());
        takes.map(|slot| slot.manifest.name.as_str().into()).collect()
    }
}
