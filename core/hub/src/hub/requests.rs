//! REST: requests for the routes that plugins declared.

use std::sync::Arc;

use serde_json::json;

use super::Hub;
use crate::{
    Code, Refusal,
    port::{Call, HttpRequest, HttpResponse, Reply},
    table::{RouteMatch, Routed},
};

impl Hub {
    /// Which route takes a request.
    pub fn route(&self, method: &str, path: &str) -> Routed {
        self.table().map_or(Routed::NotFound, |table| table.route(method, path))
    }

    /// Checks the token, asks the plugin and gives its response; a refusal becomes `application/problem+json`.
    pub async fn http(
        self: &Arc<Self>,
        route: RouteMatch,
        token: Option<String>,
        mut request: HttpRequest,
    ) -> HttpResponse {
        let identity = match self.identify(route.auth, token.as_deref()) {
            Ok(identity) => identity,
            Err(refusal) => return problem(&refusal),
        };
        request.identity = identity;
        request.params = route.params;
        let call = Call::Http { handler: route.handler, route: route.name, request: Box::new(request) };
        match self.call(route.plugin, call).await {
            Ok(Reply::Http(response)) => response,
            Ok(Reply::Empty) => HttpResponse { status: 204, headers: Vec::new(), body: bytes::Bytes::new() },
            Ok(Reply::Args { .. }) => {
                problem(&Refusal::new(Code::Internal, "the plugin gave no HTTP response"))
            }
            Err(refusal) => problem(&refusal),
        }
    }
}

/// A refusal as RFC 9457 `application/problem+json`.
pub fn problem(refusal: &Refusal) -> HttpResponse {
    let status = refusal.code.http_status();
    let json = "application/problem+json".to_owned();
    let mut headers = vec![("content-type".to_owned(), json)];
    if refusal.code == Code::Unauthorized {
        headers.push(("www-authenticate".to_owned(), "Bearer".to_owned()));
    }
    if refusal.code.retryable() {
        headers.push(("retry-after".to_owned(), "1".to_owned()));
    }
    let body = refusal.body.clone().unwrap_or_else(|| {
        let title = title(status);
        let problem = json!({
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": refusal.message,
            "code": refusal.code_str(),
        });
        problem.to_string().into()
    });
    HttpResponse { status, headers, body }
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}
