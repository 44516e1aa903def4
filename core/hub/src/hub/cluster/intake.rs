//! Which node takes a plugin's injected events.

use std::sync::atomic::Ordering;

use super::Hub;

impl Hub {
    /// Whether this node looks after a thing; `None` while it is not known who else is there. It does when it runs alone.
    pub(in crate::hub) fn surely_looks_after(&self, thing: &str) -> Option<bool> {
        let Some(united) = self.united.get() else { return Some(true) };
        if !united.settled.load(Ordering::Acquire) || !united.is_up() {
            return None;
        }
        let nodes = united.nodes.lock();
        nodes.all_known().then(|| nodes.owner(thing) == united.me)
    }
}
