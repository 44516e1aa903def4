//! The namespaces of one link. The link and the tasks that knock for it share this table.

use std::sync::Arc;

use exedra_hub::{CloseReason, Connection, Hub};
use parking_lot::Mutex;

/// Namespaces of one link at the same time; one more is refused.
const MAX_NAMESPACES: usize = 16;

/// The table. The hub's methods are never called under its lock.
pub(crate) struct Members {
    hub: Arc<Hub>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    next: u64,
    joined: bool,
    /// Set once; who is let in later is turned away for that reason.
    ended: Option<CloseReason>,
}

struct Slot {
    /// Tells a knock from a later one at the same namespace.
    number: u64,
    namespace: Box<str>,
    /// None while the plugins are being asked.
    connection: Option<Arc<Connection>>,
}

/// Whether a client may knock at a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knocks {
    /// Yes; the number belongs to [`Members::admit`].
    Go(u64),
    /// It is in already, or has knocked.
    Again,
    /// The link has too many.
    TooMany,
}

impl Members {
    pub(crate) fn new(hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self { hub, state: Mutex::default() })
    }

    /// Reserves a place.
    pub(crate) fn knock(&self, namespace: &str) -> Knocks {
        let mut state = self.state.lock();
        // Connections that the hub has closed leave their place to the next.
        state.slots.retain(|slot| slot.connection.as_ref().is_none_or(|c| !c.is_closed()));
        if state.slots.iter().any(|slot| &*slot.namespace == namespace) {
            return Knocks::Again;
        }
        if state.slots.len() >= MAX_NAMESPACES {
            return Knocks::TooMany;
        }
        let number = state.next;
        state.next += 1;
        if state.slots.is_empty() {
            state.slots.reserve_exact(1); // most clients are in one namespace
        }
        state.slots.push(Slot { number, namespace: namespace.into(), connection: None });
        Knocks::Go(number)
    }

    /// Fills the place; false (and the connection is ended) when the link or the client gave it up meanwhile.
    pub(crate) fn admit(&self, number: u64, connection: &Arc<Connection>) -> bool {
        let given_up = {
            let mut state = self.state.lock();
            match state.slots.iter_mut().find(|slot| slot.number == number) {
                Some(slot) => {
                    slot.connection = Some(connection.clone());
                    state.joined = true;
                    return true;
                }
                None => state.ended,
            }
        };
        match given_up {
            Some(reason) => self.hub.link_lost(connection, reason),
            None => self.hub.disconnect(connection, CloseReason::ClientLeft),
        }
        false
    }

    /// Gives the place of a refused knock back.
    pub(crate) fn refuse(&self, number: u64) {
        self.state.lock().slots.retain(|slot| slot.number != number);
    }

    /// The connection in a namespace.
    pub(crate) fn find(&self, namespace: &str) -> Option<Arc<Connection>> {
        let state = self.state.lock();
        state.slots.iter().find(|slot| &*slot.namespace == namespace)?.connection.clone()
    }

    /// The client leaves a namespace, or takes its knock back.
    pub(crate) fn leave(&self, namespace: &str) {
        let left = {
            let mut state = self.state.lock();
            let at = state.slots.iter().position(|slot| &*slot.namespace == namespace);
            at.map(|at| state.slots.swap_remove(at))
        };
        if let Some(connection) = left.and_then(|slot| slot.connection) {
            self.hub.disconnect(&connection, CloseReason::ClientLeft);
        }
    }

    /// Whether the client has ever been let into a namespace.
    pub(crate) fn has_joined(&self) -> bool {
        self.state.lock().joined
    }

    /// The link has ended, and with it all its connections.
    pub(crate) fn end(&self, reason: CloseReason) {
        let slots = {
            let mut state = self.state.lock();
            state.ended.get_or_insert(reason);
            std::mem::take(&mut state.slots)
        };
        for connection in slots.into_iter().filter_map(|slot| slot.connection) {
            self.hub.link_lost(&connection, reason);
        }
    }
}
