//! The demo: pages from a folder and ready-made tokens for three users. Tokens are given away only where everybody
//! could make them anyway: on loopback, with the public development secret.

use std::{path::Path, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use exedra_auth::AuthConfig;
use secrecy::ExposeSecret;
use serde_json::json;
use tower_http::{services::ServeDir, set_header::SetResponseHeaderLayer};

use crate::{
    admin,
    config::{Config, DEVELOPMENT_SECRET},
    token::{self, Subject},
};

/// The users of the demo pages.
pub const USERS: [&str; 3] = ["ann", "bob", "carol"];
const TTL: Duration = Duration::from_secs(24 * 3600);
/// Pages load nothing from elsewhere and talk to this hub only.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:";

/// What the public listener serves beside the gateway's and the plugins' paths.
pub fn pages(config: &Config) -> Router {
    let Some(folder) = &config.server.examples else { return Router::new() };
    let mut pages = folder_pages(folder);
    if gives_tokens(config) {
        pages = pages
            .merge(Router::new().route("/demo/tokens.json", get(tokens)).with_state(config.auth.clone()));
    }
    let set =
        |name: HeaderName, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    pages
        .layer(set(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::REFERRER_POLICY, "no-referrer"))
}

fn folder_pages(folder: &Path) -> Router {
    Router::new().fallback_service(ServeDir::new(folder))
}

/// Whether tokens may be given away: demo pages, loopback, development secret.
pub fn gives_tokens(config: &Config) -> bool {
    let secret = config.auth.shared_secret().ok().flatten();
    config.server.examples.is_some()
        && config.server.listen.ip().is_loopback()
        && secret.is_some_and(|secret| secret.expose_secret() == DEVELOPMENT_SECRET)
}

/// A token for each user, valid from now on.
///
/// # Errors
/// A sentence, when the key is not a shared secret.
pub fn mint_all(config: &AuthConfig) -> Result<Vec<(&'static str, String)>, String> {
    USERS.iter().map(|user| Ok((*user, token::mint(config, &Subject::named(user), TTL)?))).collect()
}

/// Made anew for each request, so that a hub that runs for days gives no stale ones. A page of another site must
/// not read them, whatever name it gave to this address.
async fn tokens(State(config): State<AuthConfig>, headers: HeaderMap) -> Response {
    let foreign = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if foreign || !admin::is_local_host(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match mint_all(&config) {
        Ok(tokens) => {
            let users: Vec<_> = tokens
                .into_iter()
                .map(|(user, token)| json!({ "userId": user, "name": Subject::named(user).name, "token": token }))
                .collect();
            ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "users": users }))).into_response()
        }
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
