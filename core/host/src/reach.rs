//! How far the room messages go that a plugin sends right now: while it is asked for the state of a room, to the members
//! here alone, because every node asks its own plugin. What a plugin does is done on the thread that is inside it, and
//! tasks remember what they were made for.

use std::cell::Cell;

use exedra_hub::{Reach, port::Call};

thread_local! {
    static NOW: Cell<Reach> = const { Cell::new(Reach::Everywhere) };
}

/// Sets the reach on this thread until it is dropped.
pub(crate) struct Within(Reach);

impl Within {
    pub(crate) fn new(reach: Reach) -> Self {
        Self(NOW.replace(reach))
    }

    /// What a call is made with.
    pub(crate) fn of(call: &Call) -> Self {
        Self::new(if matches!(call, Call::Refresh { .. }) { Reach::Here } else { Reach::Everywhere })
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        NOW.set(self.0);
    }
}

/// The reach on this thread.
pub(crate) fn now() -> Reach {
    NOW.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_ends_with_its_guard() {
        let refresh = Call::Refresh { handler: 0, room: "r".into() };
        {
            let _outer = Within::of(&refresh);
            assert_eq!(now(), Reach::Here);
            drop(Within::of(&Call::Timer { handler: 0 }));
            assert_eq!(now(), Reach::Here);
        }
        assert_eq!(now(), Reach::Everywhere);
    }
}
