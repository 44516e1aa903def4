//! Room states that are sent as a whole: the first change at once, then at most one send per window, and always one
//! after the last change. Without it a presence list of n members would cost n² entries per wave of joins.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::port::PluginId;

/// Which state of which room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateKey {
    /// Whose state.
    pub plugin: PluginId,
    /// Index into `states` of the manifest.
    pub state: u32,
    /// The room's name.
    pub room: Arc<str>,
}

/// The states that are being sent now. One entry per room and state with a send in its window; it goes with it.
#[derive(Debug, Default)]
pub struct Coalescer {
    /// The value: whether something changed since the send began.
    active: Mutex<HashMap<StateKey, bool>>,
}

impl Coalescer {
    /// Notes a change. `true`: the caller must send, wait for the window, and then ask [`again`](Self::again).
    pub fn changed(&self, key: &StateKey) -> bool {
        let mut active = self.active.lock();
        match active.get_mut(key) {
            Some(dirty) => {
                *dirty = true;
                false
            }
            None => {
                active.insert(key.clone(), false);
                true
            }
        }
    }

    /// After the window: `true` if something changed meanwhile and must be sent; else the key is at rest.
    pub fn again(&self, key: &StateKey) -> bool {
        let mut active = self.active.lock();
        match active.get_mut(key) {
            Some(dirty) if *dirty => {
                *dirty = false;
                true
            }
            _ => {
                active.remove(key);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> StateKey {
        StateKey { plugin: PluginId(0), state: 0, room: "r".into() }
    }

    #[test]
    fn first_change_is_sent_at_once() {
        let states = Coalescer::default();
        assert!(states.changed(&key()));
        assert!(!states.again(&key()));
        assert!(states.changed(&key()), "at rest again");
    }

    #[test]
    fn changes_in_a_window_become_one() {
        let states = Coalescer::default();
        assert!(states.changed(&key()));
        assert!(!states.changed(&key()));
        assert!(!states.changed(&key()));
        assert!(states.again(&key()));
        assert!(!states.again(&key()));
        assert!(states.active.lock().is_empty());
    }
}
