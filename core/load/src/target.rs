//! Where the load goes, and who the clients are.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use crate::{Common, LoadError};

/// Makes a token for a user's id.
pub type Mint = Box<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// The server under load.
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// What goes into the `Host` header.
    pub(crate) authority: String,
    /// The arguments that all scenarios share.
    pub(crate) common: Common,
    /// Local addresses that clients take turns in; empty to let the kernel choose.
    sources: Vec<IpAddr>,
    tokens: Arc<Tokens>,
}

enum Tokens {
    None,
    Same(String),
    Minted(Mint),
}

impl Target {
    /// Looks at the arguments; loads nothing that is not this machine unless told to.
    pub(crate) fn new(common: &Common, mint: Option<Mint>) -> Result<Self, LoadError> {
        let (authority, addr) = find(common, &common.url)?;
        if !common.namespace.starts_with('/') || common.namespace.contains([',', '?']) {
            return Err(LoadError::Usage("a namespace is written like /bench".to_owned()));
        }
        if common.concurrency == 0 || !common.connect_rate.is_finite() || common.connect_rate < 0.0 {
            return Err(LoadError::Usage("--concurrency and --connect-rate must be positive".to_owned()));
        }
        let tokens = match (&common.token, mint) {
            _ if common.anonymous => Tokens::None,
            (Some(token), _) => Tokens::Same(token.clone()),
            (None, Some(mint)) => Tokens::Minted(mint),
            (None, None) => Tokens::None,
        };
        let sources = sources(addr, common.sources);
        Ok(Self { addr, authority, common: common.clone(), sources, tokens: Arc::new(tokens) })
    }

    /// The same load for another server; which process that must be is not said.
    pub(crate) fn other(&self, url: &str) -> Result<Self, LoadError> {
        let (authority, addr) = find(&self.common, url)?;
        let common = Common { expect_pid: None, ..self.common.clone() };
        let sources = sources(addr, common.sources);
        Ok(Self { addr, authority, common, sources, tokens: self.tokens.clone() })
    }

    /// Where client number `index` comes from.
    pub(crate) fn source(&self, index: usize) -> Option<IpAddr> {
        self.sources.get(index.checked_rem(self.sources.len())?).copied()
    }

    /// The token of client number `index`.
    pub(crate) fn token(&self, index: usize) -> Result<Option<String>, LoadError> {
        match &*self.tokens {
            Tokens::None => Ok(None),
            Tokens::Same(token) => Ok(Some(token.clone())),
            Tokens::Minted(mint) => mint(&format!("load-{index}")).map(Some).map_err(LoadError::Usage),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Host, port and address of a server that may be loaded.
fn find(common: &Common, url: &str) -> Result<(String, SocketAddr), LoadError> {
    let authority = authority(url)?;
    let addr = resolve(&authority)?;
    if !addr.ip().is_loopback() && !common.allow_remote {
        return Err(LoadError::Usage(format!(
            "{addr} is another machine; --allow-remote says that you may load it"
        )));
    }
    Ok((authority, addr))
}

/// Host and port of a URL without TLS.
fn authority(url: &str) -> Result<String, LoadError> {
    let wrong = |why: &str| LoadError::Usage(format!("{url}: {why}"));
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("write it like http://127.0.0.1:3000"))?;
    if !matches!(scheme, "http" | "ws") {
        return Err(wrong("only http:// and ws:// are spoken: TLS would be measured too"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') || authority.contains(char::is_control) {
        return Err(wrong("no host"));
    }
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:80") })
}

fn resolve(authority: &str) -> Result<SocketAddr, LoadError> {
    let mut found = authority
        .to_socket_addrs()
        .map_err(|error| LoadError::Usage(format!("{authority} cannot be resolved: {error}")))?;
    found.next().ok_or_else(|| LoadError::Usage(format!("{authority} has no address")))
}

/// Several addresses, because one has too few ports for waves of thousands.
fn sources(addr: SocketAddr, count: u8) -> Vec<IpAddr> {
    let local = matches!(addr.ip(), IpAddr::V4(ip) if ip.is_loopback());
    let last = if local { count.min(250) } else { 0 };
    (0..last).map(|n| Ipv4Addr::new(127, 0, 0, 2 + n).into()).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        common: Common,
    }

    fn target(arguments: &[&str]) -> Result<Target, LoadError> {
        let arguments = ["load"].iter().chain(arguments);
        Target::new(&Cli::try_parse_from(arguments).unwrap().common, None)
    }

    #[test]
    fn other_machines_need_leave() {
        let error = target(&["--url", "http://192.0.2.1:80"]).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("--allow-remote"));
        assert!(target(&["--url", "http://192.0.2.1:80", "--allow-remote"]).is_ok());
    }

    #[test]
    fn urls_are_read_or_refused() {
        assert_eq!(target(&["--url", "ws://127.0.0.1:8080/x"]).unwrap().addr.port(), 8080);
        assert_eq!(target(&["--url", "http://127.0.0.1"]).unwrap().addr.port(), 80);
        for url in ["127.0.0.1:80", "https://127.0.0.1", "http://", "http://u@127.0.0.1"] {
            assert!(target(&["--url", url]).is_err(), "{url}");
        }
    }

    #[test]
    fn local_clients_take_turns_in_sources() {
        let target = target(&["--sources", "3"]).unwrap();
        let taken: Vec<_> = (0..4).filter_map(|i| target.source(i)).map(|ip| ip.to_string()).collect();
        assert_eq!(taken, ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.2"]);
    }

    #[test]
    fn same_token_for_all_when_given() {
        let target = target(&["--token", "t"]).unwrap();
        assert_eq!(target.token(7), Ok(Some("t".to_owned())));
    }
}
