//! REST: requests to routes that plugins declared, and how errors look.

use std::net::IpAddr;

use axum::{body::Body, response::Response};
use exedra_hub::{
    Code, Refusal,
    hub::{RouteMatch, problem},
    port::{HttpRequest, HttpResponse},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;

use crate::{
    admission::Denied,
    front::Front,
    request::{BodyTrouble, query, read_body, take_token},
    retry,
};

/// Headers of a connection, not of a message; plugins do not set them.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
];

impl Front {
    /// Reads the request, asks the plugin, gives its answer.
    pub(crate) async fn rest(
        &self,
        route: RouteMatch,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        if head.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return plain_problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "bodies must not be compressed",
                "INVALID",
            );
        }
        let body = match read_body(body, route.body_limit).await {
            Ok(body) => body,
            Err(BodyTrouble::TooLarge) => {
                return refuse(&Refusal::new(Code::TooLarge, "the body is too large"));
            }
            Err(trouble) => return plain_problem(trouble.status(), "the body did not come", "INVALID"),
        };
        let (token, query) = take_token(&head.headers, query(&head.uri));
        let request = HttpRequest {
            identity: None,
            params: Vec::new(),
            query,
            headers: visible(&head.headers),
            peer,
            body,
        };
        response(self.hub.http(route, token, request).await)
    }
}

/// The headers that plugins may see.
fn visible(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| {
            !matches!(**name, header::AUTHORIZATION | header::COOKIE | header::PROXY_AUTHORIZATION)
        })
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

/// A plugin's answer as an HTTP response; what is no valid one becomes 500.
fn response(answer: HttpResponse) -> Response<Body> {
    let HttpResponse { status, headers, body } = answer;
    let Some(status) = StatusCode::from_u16(status).ok().filter(|s| (200..600).contains(&s.as_u16())) else {
        return refuse(&Refusal::new(Code::Internal, "the plugin gave no valid status"));
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in headers {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::try_from(value);
        if let (Ok(name), Ok(value)) = (name, value)
            && !HOP_BY_HOP.contains(&name.as_str())
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A refusal as `application/problem+json`.
pub(crate) fn refuse(refusal: &Refusal) -> Response<Body> {
    response(problem(refusal))
}

/// The refusal of one link too many.
pub(crate) fn denied(denied: Denied) -> Response<Body> {
    let mut response = refuse(&Refusal::new(Code::RateLimited, "too many connections"));
    *response.status_mut() = denied.status();
    response.headers_mut().insert(header::RETRY_AFTER, retry::after());
    response
}

/// The answer to everything new while the hub stops: another node, or this one later.
pub(crate) fn stopping() -> Response<Body> {
    let mut response = refuse(&Refusal::new(Code::ShuttingDown, "the hub is stopping, connect again"));
    response.headers_mut().insert(header::RETRY_AFTER, retry::after());
    response
}

/// The answer to a path that nobody serves.
pub(crate) fn not_found() -> Response<Body> {
    refuse(&Refusal::new(Code::NotFound, "there is nothing at this path"))
}

/// The answer to a method that a path does not have.
pub(crate) fn wrong_method(allowed: &[String]) -> Response<Body> {
    let mut response =
        plain_problem(StatusCode::METHOD_NOT_ALLOWED, "the path has no such method", "METHOD_NOT_ALLOWED");
    if let Ok(allowed) = HeaderValue::try_from(allowed.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// The answer to a page of a foreign origin.
pub(crate) fn foreign_origin() -> Response<Body> {
    plain_problem(StatusCode::FORBIDDEN, "this origin may not connect", "FORBIDDEN")
}

/// The answer to a plain request to a WebSocket endpoint.
pub(crate) fn upgrade_required() -> Response<Body> {
    let detail = "this path speaks WebSocket only";
    let mut response = plain_problem(StatusCode::UPGRADE_REQUIRED, detail, "UPGRADE_REQUIRED");
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// A problem with a status that no refusal has.
fn plain_problem(status: StatusCode, detail: &str, code: &str) -> Response<Body> {
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
    });
    let mut response = Response::new(Body::from(problem.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response<Body> {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        response(HttpResponse { status, headers, body: "x".into() })
    }

    #[test]
    fn plugins_cannot_break_the_framing() {
        let response = answer(
            200,
            &[
                ("Transfer-Encoding", "chunked"),
                ("Content-Length", "9"),
                ("x-a", "b"),
                ("x-bad", "a\r\nb: c"),
            ],
        );
        assert_eq!(response.headers().len(), 1);
        assert_eq!(response.headers()["x-a"], "b");
    }

    #[test]
    fn odd_statuses_are_the_plugins_fault() {
        for status in [0, 99, 101, 600, 65535] {
            assert_eq!(answer(status, &[]).status(), 500);
        }
        assert_eq!(answer(418, &[]).status(), 418);
    }

    #[test]
    fn wrong_method_names_the_right_ones() {
        let response = wrong_method(&["GET".into(), "PUT".into()]);
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET, PUT");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }

    #[test]
    fn credentials_are_not_shown_to_plugins() {
        let mut headers = HeaderMap::new();
        for name in [header::AUTHORIZATION, header::COOKIE, header::USER_AGENT] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        assert_eq!(visible(&headers), [("user-agent".to_owned(), "v".to_owned())]);
    }
}
