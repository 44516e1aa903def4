//! Whether a plugin takes part. It stays loaded while it is off, so that it can be put back without a restart; it is
//! told who leaves, and of nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ConnId;

/// The switch of one plugin; on at first.
#[derive(Debug, Default)]
pub struct Switch {
    /// 0 while on; else the number of the first connection that the plugin has not been asked about.
    unseen: AtomicU64,
}

impl Switch {
    /// Whether the plugin takes part.
    pub fn is_on(&self) -> bool {
        self.unseen.load(Ordering::Acquire) == 0
    }

    /// Turns it off; connections from `next` on are unknown to the plugin. `false` when it was off.
    pub(crate) fn off(&self, next: ConnId) -> bool {
        self.unseen.compare_exchange(0, next.0.max(1), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Turns it on, and gives the first connection that the plugin does not know; `None` when it was on.
    pub(crate) fn on(&self) -> Option<ConnId> {
        Some(self.unseen.swap(0, Ordering::AcqRel)).filter(|unseen| *unseen != 0).map(ConnId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_first_unseen_connection() {
        let switch = Switch::default();
        assert!(switch.is_on() && switch.on().is_none());
        assert!(switch.off(ConnId(7)));
        assert!(!switch.off(ConnId(9)) && !switch.is_on());
        assert_eq!(switch.on(), Some(ConnId(7)));
        assert!(switch.is_on());
    }
}
