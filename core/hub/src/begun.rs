//! What runs for a plugin beside its connections, each begun once: versions come and go, and what was begun for one of
//! them goes on for the next, even if a version in between had no use for it.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// What runs for one plugin; nothing at first.
#[derive(Debug, Default)]
pub struct Begun {
    injects: AtomicBool,
    rpcs: AtomicBool,
    timers: AtomicUsize,
}

impl Begun {
    /// Whether injected events are to be listened for from now on.
    pub(crate) fn injects(&self, wanted: bool) -> bool {
        wanted && !self.injects.swap(true, Ordering::AcqRel)
    }

    /// Whether methods are to be listened for from now on.
    pub(crate) fn rpcs(&self, wanted: bool) -> bool {
        wanted && !self.rpcs.swap(true, Ordering::AcqRel)
    }

    /// The timers that are to be started, of so many.
    pub(crate) fn timers(&self, declared: usize) -> Range<usize> {
        self.timers.fetch_max(declared, Ordering::AcqRel)..declared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_begun_twice() {
        let begun = Begun::default();
        let wanted = [true, false, true];
        assert_eq!(wanted.map(|wanted| begun.injects(wanted)), [true, false, false]);
        assert_eq!(wanted.map(|wanted| begun.rpcs(wanted)), [true, false, false]);
        assert_eq!([2, 0, 3, 2].map(|declared| begun.timers(declared).count()), [2, 0, 1, 0]);
    }
}
