//! What the plugins of a hub accept and emit, as documents: for `exedra describe`, and for everybody at
//! `/openapi.json`, `/asyncapi.json` and `/types.d.ts` of a running hub. The latter are made when they are asked for and
//! the plugins have changed since.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    sync::Arc,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use exedra_describe::{Facts, Format, document};
use exedra_hub::{Hub, hub::Install};
use parking_lot::Mutex;

use crate::{
    config::{Config, Loaded, Problem},
    plugins,
};

/// Where each document is, and of which kind it is.
const PLACES: [(&str, Format, &str); 3] = [
    ("/openapi.json", Format::OpenApi, "application/json"),
    ("/asyncapi.json", Format::AsyncApi, "application/json"),
    ("/types.d.ts", Format::TypeScript, "application/typescript; charset=utf-8"),
];

/// A document about the enabled plugins, from their files.
///
/// # Errors
/// The plugins that cannot be loaded.
pub fn describe(loaded: &Loaded, format: Format) -> Result<String, Vec<Problem>> {
    let (mut problems, mut installs) = (Vec::new(), Vec::new());
    for (name, table) in loaded.config.plugins.enabled() {
        match exedra_host::inspect(plugins::spec(&loaded.config.plugins, name, table)) {
            Ok(inspection) => installs.push(plugins::install(inspection.manifest, table)),
            Err(error) => problems.extend(plugins::refused(loaded, name, table, &error)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(document(format, &facts(&loaded.config, loaded.config.server.listen), &installs))
}

/// The documents about plugins that run; nothing where they are switched off.
pub fn pages(config: &Config, hub: &Arc<Hub>) -> Router {
    if !config.server.descriptions {
        return Router::new();
    }
    let facts = Arc::new(facts(config, config.server.listen));
    PLACES.into_iter().fold(Router::new(), |pages, (path, format, kind)| {
        let (hub, facts) = (hub.clone(), facts.clone());
        let document = Arc::new(Document { hub, facts, format, kind, page: Mutex::default() });
        let show = async |State(document): State<Arc<Document>>, headers: HeaderMap| {
            answer(document.page(), &headers)
        };
        pages.merge(Router::new().route(path, get(show)).with_state(document))
    })
}

fn facts(config: &Config, public: SocketAddr) -> Facts {
    let servers = config.nats.url.iter().flat_map(|url| url.split(','));
    let host = |server: &str| {
        let server = server.trim();
        server.split_once("://").map_or(server, |(_, host)| host).trim_end_matches('/').to_owned()
    };
    Facts {
        version: crate::VERSION.to_owned(),
        public: public.to_string(),
        socketio_path: config.socketio.path.clone(),
        nats: servers.map(host).filter(|host| !host.is_empty()).collect(),
        prefix: config.nats.prefix.clone(),
    }
}

/// A document about the plugins that take part in a hub.
struct Document {
    hub: Arc<Hub>,
    facts: Arc<Facts>,
    format: Format,
    kind: &'static str,
    /// The newest, and what it is about.
    page: Mutex<Option<(Vec<Install>, Page)>>,
}

impl Document {
    fn page(&self) -> Page {
        let plugins = self.hub.installs();
        let mut page = self.page.lock(); // whoever else asks meanwhile waits instead of making it too
        match &*page {
            Some((about, page)) if *about == plugins => page.clone(),
            _ => {
                let new = Page::new(document(self.format, &self.facts, &plugins), self.kind);
                page.insert((plugins, new)).1.clone()
            }
        }
    }
}

/// What is sent until plugins change.
#[derive(Clone)]
struct Page {
    text: Bytes,
    tag: HeaderValue,
    kind: HeaderValue,
}

impl Page {
    fn new(text: String, kind: &'static str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let tag = HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish()));
        Self {
            tag: tag.unwrap_or(HeaderValue::from_static("\"\"")),
            kind: HeaderValue::from_static(kind),
            text: text.into(),
        }
    }
}

fn answer(page: Page, headers: &HeaderMap) -> Response {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = known.flat_map(|list| list.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    let same = tags.any(|tag| tag == "*" || tag.as_bytes() == page.tag.as_bytes());
    // To be asked again, but not sent again: plugins seldom change.
    let caching = [(header::ETAG, page.tag), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if same {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(header::CONTENT_TYPE, page.kind)], page.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(known: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(known) = known {
            headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
        }
        answer(Page::new("{}".into(), "application/json"), &headers)
    }

    #[test]
    fn known_documents_are_not_sent_again() {
        let first = asked(None);
        assert_eq!(first.status(), 200);
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            assert_eq!(asked(Some(&known)).status(), 304, "{known}");
        }
        assert_eq!(asked(Some("\"x\"")).status(), 200);
    }
}
