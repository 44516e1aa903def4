//! The console's files, part of the program: plain HTML, CSS and modules as they are in the repository, so that
//! nothing has to be built and nothing is fetched from elsewhere.

use std::sync::Arc;

use axum::{Router, http::header, routing::get};

use super::Admin;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal, $kind:expr, $file:literal;)*) => {
        [$(($path, $kind, include_str!(concat!("../../console/", $file)))),*]
    };
}

/// Path, type and text.
const FILES: [(&str, &str, &str); 18] = files! {
    "/", HTML, "index.html";
    "/console/style.css", CSS, "style.css";
    "/console/icon.svg", SVG, "icon.svg";
    "/console/app.js", JS, "app.js";
    "/console/api.js", JS, "api.js";
    "/console/chart.js", JS, "chart.js";
    "/console/dom.js", JS, "dom.js";
    "/console/format.js", JS, "format.js";
    "/console/live.js", JS, "live.js";
    "/console/table.js", JS, "table.js";
    "/console/overview.js", JS, "overview.js";
    "/console/connections.js", JS, "connections.js";
    "/console/rooms.js", JS, "rooms.js";
    "/console/plugins.js", JS, "plugins.js";
    "/console/tail.js", JS, "tail.js";
    "/console/publish.js", JS, "publish.js";
    "/console/configuration.js", JS, "configuration.js";
    "/console/health.js", JS, "health.js";
};

/// A route per file.
pub(super) fn router() -> Router<Arc<Admin>> {
    FILES.iter().fold(Router::new(), |router, &(path, kind, text)| {
        router.route(path, get(async move || ([(header::CONTENT_TYPE, kind)], text)))
    })
}
