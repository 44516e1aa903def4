//! At most one of a kind in a window: the first goes at once, of those that follow within the window the newest goes
//! at its end. Pure; whoever holds it sends, and waits.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What waits, by key. A key is here from the first send until a window has passed in which nothing came.
#[derive(Debug)]
pub(crate) struct Throttle<K, V> {
    slots: Mutex<HashMap<K, Option<V>>>,
    /// Keys that may be here at once. One more is not held back: it is sent as it comes.
    most: usize,
}

/// What to do with something that came.
#[derive(Debug, PartialEq)]
pub(crate) enum Turn<V> {
    /// Send it, wait for the window, then ask [`Throttle::next`].
    First(V),
    /// Send it: there is no room to remember it.
    Unheld(V),
    /// It waits for the window's end; `replaced` says whether an older one made place for it.
    Waits {
        /// Whether an older one will never be sent.
        replaced: bool,
    },
}

impl<K: Eq + Hash, V> Throttle<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { slots: Mutex::default(), most }
    }

    /// Something came.
    pub(crate) fn offer(&self, key: K, value: V) -> Turn<V> {
        let mut slots = self.lock();
        let full = slots.len() >= self.most;
        match slots.get_mut(&key) {
            Some(waiting) => Turn::Waits { replaced: waiting.replace(value).is_some() },
            None if full => Turn::Unheld(value),
            None => {
                slots.insert(key, None);
                Turn::First(value)
            }
        }
    }

    /// A window has passed: what to send now, before waiting for another. With `None` the key is at rest.
    pub(crate) fn next(&self, key: &K) -> Option<V> {
        let mut slots = self.lock();
        let waiting = slots.get_mut(key)?.take();
        if waiting.is_none() {
            slots.remove(key);
            if slots.capacity() > 1024 && slots.len() < slots.capacity() / 8 {
                slots.shrink_to_fit();
            }
        }
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Option<V>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_goes_newest_follows() {
        let throttle = Throttle::new(10);
        assert_eq!(throttle.offer("ann", 1), Turn::First(1));
        assert_eq!(throttle.offer("ann", 2), Turn::Waits { replaced: false });
        assert_eq!(throttle.offer("ann", 3), Turn::Waits { replaced: true });
        assert_eq!(throttle.next(&"ann"), Some(3));
        assert_eq!(throttle.offer("ann", 4), Turn::Waits { replaced: false });
        assert_eq!(throttle.next(&"ann"), Some(4));
        assert_eq!(throttle.next(&"ann"), None);
        assert_eq!(throttle.offer("ann", 5), Turn::First(5), "at rest again");
    }

    #[test]
    fn keys_do_not_hold_each_other() {
        let throttle = Throttle::new(2);
        assert_eq!(throttle.offer(1, 'a'), Turn::First('a'));
        assert_eq!(throttle.offer(2, 'b'), Turn::First('b'));
        assert_eq!(throttle.offer(3, 'c'), Turn::Unheld('c'), "no room is no reason to lose it");
        assert_eq!(throttle.next(&1), None);
        assert_eq!(throttle.offer(3, 'd'), Turn::First('d'));
    }
}
