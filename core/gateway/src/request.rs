//! What a request says, taken apart once: query, token, WebSocket handshake, body.

use std::{net::IpAddr, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use exedra_wire::websocket::deflate::{Window, negotiate};
use http::{HeaderMap, Method, Response, StatusCode, Uri, Version, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// A body must be complete by then.
const BODY: Duration = Duration::from_secs(20);
/// Parameters of Engine.IO itself; plugins do not see them.
const ENGINE_PARAMETERS: [&str; 6] = ["EIO", "transport", "sid", "t", "b64", "j"];

/// A decoded query string.
pub(crate) type Query = Vec<(String, String)>;

/// What an owner may know of how its link began. Has no `Debug`: it holds the token.
pub(crate) struct Handshake {
    /// The client's address, trusted proxies taken off.
    pub(crate) peer: IpAddr,
    /// The query string without the token and the parameters of the transport.
    pub(crate) query: Query,
    /// The token of the request, from its header or its query.
    pub(crate) token: Option<String>,
}

impl Handshake {
    /// Takes the token out of header and query.
    pub(crate) fn new(peer: IpAddr, headers: &HeaderMap, query: Query) -> Self {
        let (token, mut query) = take_token(headers, query);
        query.retain(|(name, _)| !ENGINE_PARAMETERS.contains(&name.as_str()));
        query.shrink_to_fit(); // it is kept for as long as the link lives
        Self { peer, query, token }
    }
}

/// The parameters of a URI, decoded; those that cannot be decoded are left out.
pub(crate) fn query(uri: &Uri) -> Query {
    axum::extract::Query::<Query>::try_from_uri(uri).map(|q| q.0).unwrap_or_default()
}

/// The first value of a parameter.
pub(crate) fn parameter<'q>(query: &'q Query, name: &str) -> Option<&'q str> {
    query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// The token of a request (header before query), and the query without it.
pub(crate) fn take_token(headers: &HeaderMap, mut query: Query) -> (Option<String>, Query) {
    let mut in_query = None;
    query.retain_mut(|(name, value)| {
        if name != "token" {
            return true;
        }
        in_query.get_or_insert(std::mem::take(value));
        false
    });
    let token = bearer(headers).map(str::to_owned).or(in_query).filter(|token| !token.is_empty());
    (token, query)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a request wants to become a WebSocket.
pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    has_word(headers, header::UPGRADE, "websocket") && has_word(headers, header::CONNECTION, "upgrade")
}

/// The values of a header that are text.
pub(crate) fn values(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

fn has_word(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(word))
}

/// A response that says no; boxed, since most requests get the other one.
pub(crate) type Refused = Box<Response<Body>>;

/// The 101 to a WebSocket handshake, or the refusal of a bad one. With `compress`, permessage-deflate is agreed on
/// when it is offered, and its window given; subprotocols are not negotiated.
pub(crate) fn switch_to_websocket<B>(
    request: &http::Request<B>,
    compress: bool,
) -> Result<(Response<Body>, Option<Window>), Refused> {
    let headers = request.headers();
    let is_get = request.method() == Method::GET && request.version() == Version::HTTP_11;
    if !is_get || !wants_websocket(headers) || only(headers, header::HOST).is_none() || has_body(headers) {
        return Err(refuse_handshake(StatusCode::BAD_REQUEST));
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refuse_handshake(StatusCode::UPGRADE_REQUIRED));
    }
    let accept = only(headers, header::SEC_WEBSOCKET_KEY)
        .and_then(|key| exedra_wire::websocket::accept_key(key.as_bytes()))
        .and_then(|accept| header::HeaderValue::try_from(accept).ok())
        .ok_or_else(|| refuse_handshake(StatusCode::BAD_REQUEST))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = response.headers_mut();
    out.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    out.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
    out.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    let agreed = compress.then(|| negotiate(values(headers, header::SEC_WEBSOCKET_EXTENSIONS))).flatten();
    let window = agreed.and_then(|agreed| {
        out.insert(header::SEC_WEBSOCKET_EXTENSIONS, header::HeaderValue::try_from(agreed.answer).ok()?);
        Some(agreed.window)
    });
    Ok((response, window))
}

/// The refusal of a bad handshake; it says what would be taken.
fn refuse_handshake(status: StatusCode) -> Refused {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_VERSION, header::HeaderValue::from_static("13"));
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
    }
    Box::new(response)
}

/// The value of a header that must come exactly once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&header::HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a body follows the head: before a WebSocket it would be taken for frames.
fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyTrouble {
    /// More than the limit.
    TooLarge,
    /// It did not come in time.
    Slow,
    /// The connection broke, or the body is malformed.
    Broken,
}

impl BodyTrouble {
    /// The HTTP status that says it.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads a body of up to `limit` bytes.
pub(crate) async fn read_body<B>(body: B, limit: usize) -> Result<Bytes, BodyTrouble>
where
    B: http_body_util::BodyExt + hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyTrouble::TooLarge);
    }
    match tokio::time::timeout(BODY, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyTrouble::TooLarge),
        Ok(Err(_)) => Err(BodyTrouble::Broken),
        Err(_) => Err(BodyTrouble::Slow),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn token_leaves_the_query() {
        let uri: Uri = "/socket.io/?EIO=4&token=secret&room=a%20b&token=second&sid=x".parse().unwrap();
        let handshake = Handshake::new([127, 0, 0, 1].into(), &HeaderMap::new(), query(&uri));
        assert_eq!(handshake.token.as_deref(), Some("secret"));
        assert_eq!(handshake.query, [("room".to_owned(), "a b".to_owned())]);
    }

    #[test]
    fn header_comes_before_query() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer  from-header"));
        let (token, query) = take_token(&headers, vec![("token".into(), "from-query".into())]);
        assert_eq!(token.as_deref(), Some("from-header"));
        assert!(query.is_empty());
    }

    fn handshake(version: &str, key: &str) -> http::Request<()> {
        http::Request::builder()
            .uri("/ws")
            .header("host", "hub.test")
            .header("upgrade", "WebSocket")
            .header("connection", "keep-alive, Upgrade")
            .header("sec-websocket-version", version)
            .header("sec-websocket-key", key)
            .body(())
            .unwrap()
    }

    #[test]
    fn good_handshake_is_accepted() {
        let (response, window) =
            switch_to_websocket(&handshake("13", "dGhlIHNhbXBsZSBub25jZQ=="), true).unwrap();
        assert_eq!(window, None);
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
    }

    #[test]
    fn bad_handshake_is_refused() {
        let old = switch_to_websocket(&handshake("8", "dGhlIHNhbXBsZSBub25jZQ=="), true).unwrap_err();
        assert_eq!(old.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(old.headers()["upgrade"], "websocket");
        let keyless = switch_to_websocket(&handshake("13", "short"), true).unwrap_err();
        assert_eq!(keyless.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn doubled_headers_and_bodies_are_refused() {
        for (name, value, status) in [
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==", 400),
            ("sec-websocket-version", "13", 426),
            ("host", "other.test", 400),
            ("content-length", "5", 400),
            ("transfer-encoding", "chunked", 400),
        ] {
            let mut request = handshake("13", "dGhlIHNhbXBsZSBub25jZQ==");
            request.headers_mut().append(name, HeaderValue::from_static(value));
            assert_eq!(switch_to_websocket(&request, true).unwrap_err().status(), status, "{name}");
        }
        let mut request = handshake("13", "dGhlIHNhbXBsZSBub25jZQ==");
        request.headers_mut().append("content-length", HeaderValue::from_static("0"));
        assert!(switch_to_websocket(&request, true).is_ok());
    }

    #[test]
    fn compression_is_agreed_on_when_offered() {
        let mut request = handshake("13", "dGhlIHNhbXBsZSBub25jZQ==");
        let offer = HeaderValue::from_static("permessage-deflate; client_max_window_bits");
        request.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, offer);
        let (response, window) = switch_to_websocket(&request, true).unwrap();
        assert_eq!(window, Some(Window::Wide));
        let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert_eq!(response.headers()["sec-websocket-extensions"], answer);
        let (response, window) = switch_to_websocket(&request, false).unwrap();
        assert_eq!(window, None);
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
    }

    #[tokio::test]
    async fn large_bodies_are_cut_off() {
        assert_eq!(read_body(Body::from("12345"), 5).await, Ok(Bytes::from("12345")));
        assert_eq!(read_body(Body::from("123456"), 5).await, Err(BodyTrouble::TooLarge));
    }
}
