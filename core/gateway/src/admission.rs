//! Who may still come in: how many links at once, from one address, and per second.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use exedra_hub::metrics::Metrics;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{config::LinkLimits, rate::Bucket};

/// The door. Counts links by [`Ticket`]s.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: LinkLimits,
    /// Held for a few instructions. Bounded by `connections`: an address is in it only while it has a link.
    state: Mutex<State>,
    metrics: Option<Arc<Metrics>>,
}

#[derive(Debug)]
struct State {
    links: usize,
    by_address: HashMap<IpAddr, usize>,
    connects: Bucket,
}

/// Why a link was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Too many links.
    Full,
    /// Too many links from that address.
    Address,
    /// Too many links in this second.
    Rate,
}

impl Denied {
    /// The label of `exedra_rate_limited_total`.
    fn scope(self) -> &'static str {
        match self {
            Self::Full => "connections",
            Self::Address => "connections_per_ip",
            Self::Rate => "connects",
        }
    }

    /// The HTTP status that says it.
    pub(crate) fn status(self) -> http::StatusCode {
        match self {
            Self::Address => http::StatusCode::TOO_MANY_REQUESTS,
            Self::Full | Self::Rate => http::StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// One link's place; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Ticket {
    door: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(crate) fn new(limits: LinkLimits, metrics: Option<Arc<Metrics>>) -> Arc<Self> {
        let connects = Bucket::new(limits.connects_per_second, Instant::now());
        let state = Mutex::new(State { links: 0, by_address: HashMap::new(), connects });
        Arc::new(Self { limits, state, metrics })
    }

    /// Lets a link in, or says why not.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Ticket, Denied> {
        let address = counted_address(peer);
        match self.count(address) {
            Ok(()) => Ok(Ticket { door: self.clone(), address }),
            Err(denied) => {
                if let Some(metrics) = &self.metrics {
                    metrics.rate_limited(denied.scope());
                    metrics.connect_refused("limit");
                }
                Err(denied)
            }
        }
    }

    fn count(&self, address: IpAddr) -> Result<(), Denied> {
        let mut state = self.state.lock();
        if self.limits.connections != 0 && state.links >= self.limits.connections {
            return Err(Denied::Full);
        }
        let from_there = state.by_address.get(&address).copied().unwrap_or(0);
        if self.limits.connections_per_ip != 0 && from_there >= self.limits.connections_per_ip {
            return Err(Denied::Address);
        }
        if state.connects.take(Instant::now()) > Duration::ZERO {
            return Err(Denied::Rate);
        }
        state.links += 1;
        state.by_address.insert(address, from_there + 1);
        Ok(())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.door.state.lock();
        state.links -= 1;
        if let Some(count) = state.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: an IPv6 site is a /64, and an IPv4 address is one in either form.
fn counted_address(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(limits: LinkLimits) -> Arc<Admission> {
        Admission::new(limits, None)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn left_links_make_room() {
        let door = door(LinkLimits { connections: 1, ..LinkLimits::default() });
        let ticket = door.enter(ip("10.0.0.1")).unwrap();
        assert_eq!(door.enter(ip("10.0.0.2")).unwrap_err(), Denied::Full);
        drop(ticket);
        assert!(door.enter(ip("10.0.0.2")).is_ok());
        assert!(door.state.lock().by_address.is_empty());
    }

    #[test]
    fn ipv6_counts_by_site() {
        let door = door(LinkLimits { connections_per_ip: 1, ..LinkLimits::default() });
        let _ticket = door.enter(ip("2001:db8:1:2::1")).unwrap();
        assert_eq!(door.enter(ip("2001:db8:1:2:ffff::9")).unwrap_err(), Denied::Address);
        assert!(door.enter(ip("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn mapped_ipv4_is_ipv4() {
        let door = door(LinkLimits { connections_per_ip: 1, ..LinkLimits::default() });
        let _ticket = door.enter(ip("10.0.0.1")).unwrap();
        assert_eq!(door.enter(ip("::ffff:10.0.0.1")).unwrap_err(), Denied::Address);
    }

    #[tokio::test(start_paused = true)]
    async fn connects_per_second_are_held() {
        let door = door(LinkLimits { connects_per_second: 2, ..LinkLimits::default() });
        let tickets: Vec<_> = (0..3).map(|_| door.enter(ip("10.0.0.1"))).collect();
        assert_eq!(tickets.iter().filter(|t| t.is_ok()).count(), 2);
        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(door.enter(ip("10.0.0.1")).is_ok());
    }
}
