//! The operators' listener: metrics, health, version, the console and the API behind it. It has no CORS, and on
//! loopback it answers only to loopback names, so that a web page cannot reach it through a name of its own.

mod access;
mod history;
mod pages;
mod plugins;
mod publish;
mod settings;
mod tail;
mod views;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use exedra_host::{Condition, Host};
use exedra_hub::{Hub, port::BusState};
use parking_lot::{Mutex, RwLock};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{config::Loaded, lineup::Lineup};
use access::Guesses;
pub use access::is_local_host;
use history::History;
pub use settings::Settings;

/// What the browser may do with the console: run its files, talk to this listener, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the admin pages look at.
pub struct Admin {
    /// The hub.
    pub hub: Arc<Hub>,
    /// The plugins.
    pub host: Arc<Host>,
    /// How they change.
    pub lineup: Arc<Lineup>,
    /// Whether the hub is on its way out.
    pub draining: AtomicBool,
    /// The bearer token of `/api`; without one it is open, which the configuration allows on loopback only.
    pub token: Option<SecretString>,
    /// Where the listener is.
    pub listen: SocketAddr,
    /// Where the public listener is.
    pub public: SocketAddr,
    /// The settings in force.
    pub settings: RwLock<Settings>,
    started: SystemTime,
    history: History,
    guesses: Guesses,
    /// Taken while a plugin is turned off or on: one after another.
    switching: Mutex<()>,
}

/// The pages.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/version", get(async || Json(version())))
        .merge(pages::router())
        .merge(api(&admin))
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is no such page"))
        .layer(middleware::from_fn_with_state(admin.clone(), access::own_host))
        .layer(middleware::map_response(harden))
        .with_state(admin)
}

fn api(admin: &Arc<Admin>) -> Router<Arc<Admin>> {
    Router::new()
        .route("/api/overview", get(views::overview))
        .route("/api/history", get(views::history))
        .route("/api/health", get(views::health))
        .route("/api/connections", get(views::connections))
        .route("/api/connections/{id}", get(views::connection).delete(views::disconnect))
        .route("/api/rooms", get(views::rooms))
        .route("/api/members", get(views::members))
        .route("/api/plugins", get(plugins::list))
        .route("/api/plugins/{name}/enable", post(plugins::enable))
        .route("/api/plugins/{name}/disable", post(plugins::disable))
        .route("/api/plugins/{name}/reload", post(plugins::reload))
        .route("/api/config", get(settings::show))
        .route("/api/publish", post(publish::publish))
        .route("/api/tail", get(tail::tail))
        .route_layer(middleware::from_fn_with_state(admin.clone(), access::bearer))
        .route_layer(middleware::from_fn(access::own_pages))
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
    /// For a hub and its plugins, and the addresses of the admin and the public listener.
    pub fn new(
        loaded: &Loaded,
        (hub, host, lineup): (&Arc<Hub>, &Arc<Host>, &Arc<Lineup>),
        token: Option<SecretString>,
        (listen, public): (SocketAddr, SocketAddr),
    ) -> Self {
        Self {
            hub: hub.clone(),
            host: host.clone(),
            lineup: lineup.clone(),
            draining: AtomicBool::new(false),
            token,
            listen,
            public,
            settings: RwLock::new(Settings::of(loaded)),
            started: SystemTime::now(),
            history: History::default(),
            guesses: Guesses::default(),
            switching: Mutex::default(),
        }
    }

    /// Why the hub should get no traffic; empty when it should. A plugin that an operator has turned off is none.
    pub fn reasons(&self) -> Vec<Value> {
        let mut reasons = Vec::new();
        let mut say = |part: &str, why: String| reasons.push(json!({ "part": part, "why": why }));
        if self.draining.load(Ordering::Acquire) || self.hub.is_draining() {
            say("hub", "draining".to_owned());
        }
        if self.hub.bus().state() == BusState::Down {
            say("bus", "not connected".to_owned());
        }
        if let Some(why) = self.hub.cluster_trouble() {
            say("cluster", why);
        }
        if let Some(why) = self.hub.intake_trouble() {
            say("injected events", why);
        }
        if let Some(why) = self.hub.store().trouble() {
            say("store", why);
        }
        for plugin in self.host.states() {
            let part = format!("plugin {}", plugin.name);
            match plugin.condition {
                Condition::Running | Condition::Disabled => {}
                Condition::Loaded => say(&part, "not started".to_owned()),
                Condition::Stuck => say(&part, "stuck in a call".to_owned()),
                Condition::Quarantined(why) => say(&part, format!("out of service: {why}")),
                Condition::Stopped => say(&part, "stopped".to_owned()),
            }
        }
        reasons
    }

    /// What works but should not stay so; it keeps no traffic away.
    pub fn warnings(&self) -> Vec<Value> {
        self.hub.store().notes().into_iter().map(|why| json!({ "part": "store", "why": why })).collect()
    }
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let reasons = admin.reasons();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let settings = admin.settings.read();
    let (waiting, failed) = settings.unmet();
    // Neither warnings nor what a restart would change keep traffic away.
    let said = json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "warnings": admin.warnings(),
        "needs_restart": waiting,
        "failed": failed,
    });
    (status, Json(said)).into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let metrics = admin.hub.metrics();
    admin.hub.sample_cluster();
    metrics.outbound_queue_bytes.set(i64::try_from(admin.hub.outbound_bytes()).unwrap_or(i64::MAX));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
}

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

/// A request that is not done, and why.
struct Refused(StatusCode, String);

impl Refused {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(status, detail.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        problem(self.0, &self.1)
    }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
