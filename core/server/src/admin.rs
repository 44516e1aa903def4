//! The operators' listener: metrics, health, version, plugins. It has no CORS, and on loopback it answers only to
//! loopback names, so that a web page cannot reach it through a name of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use exedra_host::{Condition, Host};
use exedra_hub::{Hub, port::BusState};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

/// What the admin pages look at.
pub struct Admin {
    /// The hub.
    pub hub: Arc<Hub>,
    /// The plugins.
    pub host: Arc<Host>,
    /// Whether the hub is on its way out.
    pub draining: AtomicBool,
    /// The bearer token of `/api`; without one it is open, which the configuration allows on loopback only.
    pub token: Option<SecretString>,
    /// Where the listener is.
    pub listen: SocketAddr,
    /// Where the public listener is.
    pub public: SocketAddr,
}

/// The pages.
pub fn router(admin: Arc<Admin>) -> Router {
    let api = Router::new()
        .route("/api/plugins", get(plugins))
        .route_layer(middleware::from_fn_with_state(admin.clone(), bearer));
    Router::new()
        .route("/", get(overview))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/version", get(async || Json(version())))
        .merge(api)
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is no such page"))
        .layer(middleware::from_fn_with_state(admin.clone(), own_host))
        .layer(middleware::map_response(harden))
        .with_state(admin)
}

/// The version, as JSON.
pub fn version() -> Value {
    json!({
        "name": "exedra",
        "version": crate::VERSION,
        "revision": crate::REVISION,
        "rustc": crate::RUSTC,
        "abi": format!("{}.{}", exedra_abi::ABI_MAJOR, exedra_abi::ABI_MINOR),
    })
}

impl Admin {
    /// Why the hub should get no traffic; empty when it should.
    pub fn reasons(&self) -> Vec<Value> {
        let mut reasons = Vec::new();
        let mut say = |part: &str, why: String| reasons.push(json!({ "part": part, "why": why }));
        if self.draining.load(Ordering::Acquire) || self.hub.is_draining() {
            say("hub", "draining".to_owned());
        }
        if self.hub.bus().state() == BusState::Down {
            say("bus", "not connected".to_owned());
        }
        if let Some(why) = self.hub.store().trouble() {
            say("store", why);
        }
        for plugin in self.host.states() {
            let part = format!("plugin {}", plugin.name);
            match plugin.condition {
                Condition::Running => {}
                Condition::Loaded => say(&part, "not started".to_owned()),
                Condition::Stuck => say(&part, "stuck in a call".to_owned()),
                Condition::Quarantined(why) => say(&part, format!("out of service: {why}")),
                Condition::Stopped => say(&part, "stopped".to_owned()),
            }
        }
        reasons
    }
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let reasons = admin.reasons();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons }))).into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let metrics = admin.hub.metrics();
    metrics.outbound_queue_bytes.set(i64::try_from(admin.hub.outbound_bytes()).unwrap_or(i64::MAX));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
}

async fn plugins(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(json!({ "plugins": admin.host.states() }))
}

async fn overview(State(admin): State<Arc<Admin>>) -> Html<String> {
    let mut rows = String::new();
    for plugin in admin.host.states() {
        let condition = match &plugin.condition {
            Condition::Quarantined(why) => format!("out of service: {why}"),
            other => format!("{other:?}").to_lowercase(),
        };
        let cells = [plugin.name, plugin.version, condition, plugin.in_flight.to_string()];
        let cells = cells.map(|cell| format!("<td>{}</td>", escaped(&cell)));
        rows.push_str(&format!("<tr>{}</tr>\n", cells.concat()));
    }
    let ready = if admin.reasons().is_empty() { "ready" } else { "not ready" };
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Exedra</title>\n\
         <style>body{{font:16px system-ui;margin:2rem auto;max-width:48rem;padding:0 1rem}}\
         table{{border-collapse:collapse}}td,th{{text-align:left;padding:.3rem 1.2rem .3rem 0}}</style>\n\
         <h1>Exedra {version}</h1>\n<p>{ready}; {count} connections; public listener {public}</p>\n\
         <table><tr><th>plugin<th>version<th>state<th>calls under way</tr>\n{rows}</table>\n\
         <p><a href=\"/metrics\">metrics</a> · <a href=\"/readyz\">readyz</a> · <a href=\"/livez\">livez</a> · \
         <a href=\"/version\">version</a> · <a href=\"/api/plugins\">plugins</a></p>\n</html>\n",
        version = crate::VERSION,
        count = admin.hub.connection_count(),
        public = admin.public,
    ))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// Refuses `/api` without the token.
async fn bearer(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let Some(token) = &admin.token else { return next.run(request).await };
    let given =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
    let fits = given.is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.ct_eq(token.expose_secret().as_bytes()))
    });
    if fits {
        return next.run(request).await;
    }
    let mut refusal = problem(StatusCode::UNAUTHORIZED, "the admin API needs its bearer token");
    refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refusal
}

/// On loopback, refuses names that are not loopback's: behind them is a web page that made a name point here.
async fn own_host(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
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
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_local() {
        let local = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            is_local_host(&headers)
        };
        for good in ["127.0.0.1:9464", "localhost", "[::1]:1", "LOCALHOST:2", "127.0.0.2"] {
            assert!(local(good), "{good}");
        }
        for bad in ["evil.example:9464", "10.0.0.1", "localhost.evil.example", "[::2]", ""] {
            assert!(!local(bad), "{bad}");
        }
        assert!(!is_local_host(&HeaderMap::new()));
    }
}
