//! Whose address a request really has: behind proxies that we trust, what they say; else the TCP peer.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Longest chain of proxies that is followed.
const MAX_HOPS: usize = 32;

/// The client's address: `X-Forwarded-For` is walked from the right for as long as the hop that wrote it is
/// trusted. A hop that cannot be read ends the walk.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut address = peer.to_canonical();
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or("").rsplit(','));
    for hop in hops.take(MAX_HOPS) {
        if !trusted.iter().any(|net| net.contains(&address)) {
            break;
        }
        match parse_hop(hop.trim()) {
            Some(next) => address = next.to_canonical(),
            None => break,
        }
    }
    address
}

/// An address, with or without a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn resolve(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn strangers_are_not_believed() {
        assert_eq!(resolve("203.0.113.9", &["1.2.3.4"]), "203.0.113.9");
        assert_eq!(resolve("203.0.113.9", &[]), "203.0.113.9");
    }

    #[test]
    fn rightmost_untrusted_hop_counts() {
        assert_eq!(resolve("10.0.0.1", &["6.6.6.6, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(resolve("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"]), "1.2.3.4");
        assert_eq!(resolve("10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.0.0.2"]), "1.2.3.4");
        assert_eq!(resolve("::1", &["[2001:db8::5]:443"]), "2001:db8::5");
        assert_eq!(resolve("::ffff:10.0.0.1", &["1.2.3.4:99"]), "1.2.3.4");
    }

    #[test]
    fn garbage_ends_the_walk() {
        assert_eq!(resolve("10.0.0.1", &["1.2.3.4, nonsense, 10.0.0.3"]), "10.0.0.3");
        assert_eq!(resolve("10.0.0.1", &[""]), "10.0.0.1");
        assert_eq!(resolve("10.0.0.1", &[&"10.0.0.7,".repeat(200)]), "10.0.0.1");
    }
}
