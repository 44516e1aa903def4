//! Listens to the pulse of all connections of this node. Which client was heard when is known where it is connected and
//! goes with the connection, so it is in no store.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use exedra_sdk::{Alarms, Rate, prelude::*};

use crate::pulse::{Act, Deed, Pulse, Times};

/// The connections.
#[derive(Debug)]
pub(crate) struct Watch {
    hub: Hub,
    times: Times,
    pulses: Mutex<HashMap<u64, Pulse>>,
    alarms: Alarms,
    connections: Gauge,
}

impl Watch {
    pub(crate) fn new(hub: Hub, times: Times, connections: Gauge) -> Self {
        Self { alarms: Alarms::new(hub.clone()), pulses: Mutex::default(), hub, times, connections }
    }

    /// The connection said something; one that is not known is watched from now on.
    pub(crate) fn heard(&self, conn: &Conn) {
        let now = self.hub.now_ms();
        let mut pulses = self.pulses();
        let before = pulses.len();
        let due = pulses.entry(conn.id()).or_insert_with(|| Pulse::new(now)).heard(&self.times, now);
        self.count(pulses, before);
        self.alarms.set(conn.id(), due);
    }

    /// The connection answered; gives how long it took, if that was in time.
    pub(crate) fn pong(&self, conn: &Conn) -> Option<Duration> {
        let took = self.pulses().get_mut(&conn.id())?.pong(self.hub.now_ms());
        took.map(Duration::from_millis)
    }

    /// The connection has ended.
    pub(crate) fn forget(&self, conn: u64) {
        self.alarms.clear(conn);
        let mut pulses = self.pulses();
        let before = pulses.len();
        pulses.remove(&conn);
        if pulses.capacity() > 1024 && pulses.len() < pulses.capacity() / 8 {
            pulses.shrink_to_fit(); // a wave that has left keeps no memory
        }
        self.count(pulses, before);
    }

    /// When the connection came, milliseconds since 1970.
    pub(crate) fn since(&self, conn: &Conn) -> Option<u64> {
        self.pulses().get(&conn.id()).map(|pulse| pulse.since)
    }

    /// How many connections there are on this node.
    pub(crate) fn len(&self) -> usize {
        self.pulses().len()
    }

    /// Takes one of what the connection may do of a kind.
    pub(crate) fn allow(&self, conn: &Conn, deed: Deed, per_second: u32) -> bool {
        let (rate, now) = (Rate::per_second(per_second), self.hub.now_ms());
        self.pulses().get_mut(&conn.id()).is_none_or(|pulse| pulse.allow(deed, rate, now))
    }

    /// Asks who is silent, and ends who does not answer, for as long as the hub runs.
    pub(crate) async fn run(&self, ping: impl Fn(&Conn) -> Result<()>, end: impl Fn(&Conn)) {
        while let Ok(due) = self.alarms.ring().await {
            for id in due {
                let now = self.hub.now_ms();
                let Some(act) = self.pulses().get_mut(&id).map(|pulse| pulse.look(&self.times, now)) else {
                    continue;
                };
                let conn = self.hub.conn(id);
                match act {
                    Act::Wait(until) => self.alarms.set(id, until),
                    Act::Ping(until) if ping(&conn).is_ok() => self.alarms.set(id, until),
                    Act::Ping(_) => self.forget(id), // it has ended meanwhile
                    Act::End => {
                        self.forget(id);
                        end(&conn);
                    }
                }
            }
        }
    }

    fn count(&self, pulses: MutexGuard<'_, HashMap<u64, Pulse>>, before: usize) {
        let now = pulses.len();
        drop(pulses);
        if now != before {
            self.connections.add(now as f64 - before as f64);
        }
    }

    fn pulses(&self) -> MutexGuard<'_, HashMap<u64, Pulse>> {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
