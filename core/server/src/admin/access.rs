//! Who may use the API: whoever has the token, from the console itself or a program, under a name of this machine.
//! Each rule keeps out somebody else: guessers, pages of other sites, and names that were made to point here.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::{Admin, problem};

/// The header that programs send when they change something; a page of another site cannot.
pub(crate) const INTENT: &str = "x-exedra-intent";

/// Wrong tokens that an address may send within [`WINDOW`].
const GUESSES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; the others share one count.
const ADDRESSES: usize = 1024;

/// Wrong tokens per address, IPv6 by /64.
#[derive(Default)]
pub(super) struct Guesses(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Guesses {
    /// Whether an address has guessed too often lately.
    fn too_many(&self, from: IpAddr, now: Instant) -> bool {
        let recent = |(begin, count): &(Instant, u32)| now < *begin + WINDOW && *count >= GUESSES;
        let guesses = self.0.lock();
        let full = guesses.len() >= ADDRESSES;
        match guesses.get(&network(from)) {
            Some(guess) => recent(guess),
            None => full && guesses.get(&OTHERS).is_some_and(recent),
        }
    }

    fn wrong(&self, from: IpAddr, now: Instant) {
        let mut guesses = self.0.lock();
        let mut key = network(from);
        if guesses.len() >= ADDRESSES && !guesses.contains_key(&key) {
            guesses.retain(|_, (begin, _)| now < *begin + WINDOW);
            if guesses.len() >= ADDRESSES {
                key = OTHERS;
            }
        }
        let guess = guesses.entry(key).or_insert((now, 0));
        if now >= guess.0 + WINDOW {
            *guess = (now, 0);
        }
        guess.1 = guess.1.saturating_add(1);
    }
}

/// No sender has this address.
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

/// Refuses `/api` without the token.
pub(super) async fn bearer(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = &admin.token else { return next.run(request).await };
    if admin.guesses.too_many(peer.ip(), Instant::now()) {
        let mut refusal = problem(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens from this address");
        refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(WINDOW.as_secs()));
        return refusal;
    }
    let given = request.headers().get(header::AUTHORIZATION);
    let fits = given.and_then(|value| value.as_bytes().split_at_checked(7)).is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.ct_eq(token.expose_secret().as_bytes()))
    });
    if fits {
        return next.run(request).await;
    }
    if given.is_some() {
        admin.guesses.wrong(peer.ip(), Instant::now());
        tracing::warn!(peer = %peer.ip(), "a wrong token for the admin API");
    }
    let mut refusal = problem(StatusCode::UNAUTHORIZED, "the admin API needs its bearer token");
    refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refusal
}

/// Refuses `/api` to pages of other origins, and changes to whoever does not show that it is no such page.
pub(super) async fn own_pages(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let origin = headers.get(header::ORIGIN).map(|origin| is_own(origin, headers));
    let foreign = site.is_some_and(|site| site != b"same-origin" && site != b"none") || origin == Some(false);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if foreign {
        return problem(StatusCode::FORBIDDEN, "pages of other origins may not use the admin API");
    }
    if !reads && origin.is_none() && !headers.contains_key(INTENT) {
        return problem(
            StatusCode::FORBIDDEN,
            "a change needs the header X-Exedra-Intent, or an Origin of its own",
        );
    }
    next.run(request).await
}

fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    matches!((origin, host), (Some((_, from)), Some(host)) if from.eq_ignore_ascii_case(host))
}

/// On loopback, refuses names that are not loopback's: behind them is a web page that made a name point here.
pub(super) async fn own_host(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    if admin.listen.ip().is_loopback() && !is_local_host(request.headers()) {
        return problem(StatusCode::FORBIDDEN, "this listener answers to loopback names only");
    }
    next.run(request).await
}

/// Whether the `Host` header names loopback.
pub fn is_local_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|h| h.to_str().ok()), hosts.next()) else { return false };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        headers
    }

    #[test]
    fn only_loopback_names_are_local() {
        for good in ["127.0.0.1:9464", "localhost", "[::1]:1", "LOCALHOST:2", "127.0.0.2"] {
            assert!(is_local_host(&host(good)), "{good}");
        }
        for bad in ["evil.example:9464", "10.0.0.1", "localhost.evil.example", "[::2]", ""] {
            assert!(!is_local_host(&host(bad)), "{bad}");
        }
        assert!(!is_local_host(&HeaderMap::new()));
    }

    #[test]
    fn own_origin_has_the_same_host() {
        let own = |origin: &'static str| is_own(&HeaderValue::from_static(origin), &host("localhost:9464"));
        assert!(own("http://localhost:9464") && own("https://LOCALHOST:9464"));
        assert!(!own("http://localhost:3000") && !own("null") && !own("http://localhost:9464.evil.example"));
    }

    #[test]
    fn guessers_wait_and_others_do_not() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let [one, same, other] = ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        (0..GUESSES).for_each(|_| guesses.wrong(one, now));
        assert!(guesses.too_many(one, now) && guesses.too_many(same, now));
        assert!(!guesses.too_many(other, now));
        assert!(!guesses.too_many(one, now + WINDOW));
        guesses.wrong(one, now + WINDOW);
        assert!(!guesses.too_many(one, now + WINDOW));
    }

    #[test]
    fn remembered_guessers_are_bounded() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..10_000_u32 {
            guesses.wrong(Ipv4Addr::from_bits(0x0a00_0001 + number).into(), now);
        }
        assert!(guesses.0.lock().len() <= ADDRESSES + 1);
        assert!(guesses.too_many("192.0.2.9".parse().unwrap(), now));
    }
}
