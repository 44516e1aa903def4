//! A REST request to the hub under test.

use std::net::IpAddr;

use bytes::Bytes;
use exedra_hub::{
    Code, Refusal,
    hub::{Routed, problem},
    port::{HttpRequest, HttpResponse},
};
use serde::Serialize;
use serde_json::Value;

use super::{TestHub, client::json_of, token_of};
use crate::User;

/// Status, headers and body of an answer; the body is a JSON string when it is no JSON.
pub type TestResponse = (u16, Vec<(String, String)>, Value);

/// A request, built step by step.
pub struct TestRequest<'a> {
    hub: &'a TestHub,
    method: String,
    path: String,
    user: Option<User>,
    headers: Vec<(String, String)>,
    peer: IpAddr,
    body: Bytes,
}

impl<'a> TestRequest<'a> {
    pub(super) fn new(hub: &'a TestHub, method: &str, path: &str) -> Self {
        Self {
            hub,
            method: method.to_owned(),
            path: path.to_owned(),
            user: None,
            headers: Vec::new(),
            peer: IpAddr::from([192, 0, 2, 1]),
            body: Bytes::new(),
        }
    }

    /// With a token of this user.
    #[must_use]
    pub fn as_user(mut self, user: impl Into<User>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(mut self, body: impl Serialize) -> Self {
        self.body = json_of(body);
        self.header("content-type", "application/json")
    }

    /// With any body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// From this address.
    #[must_use]
    pub fn peer(mut self, peer: impl Into<IpAddr>) -> Self {
        self.peer = peer.into();
        self
    }

    /// Sends it.
    pub async fn send(self) -> TestResponse {
        let HttpResponse { status, headers, body } = self.answer().await;
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap_or_else(|_| text())
        };
        (status, headers, body)
    }

    async fn answer(self) -> HttpResponse {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let refuse = |code, sentence: &str| problem(&Refusal::new(code, sentence));
        let route = match self.hub.bench.hub.route(&self.method, path) {
            Routed::Found(route) => route,
            Routed::NotFound => return refuse(Code::NotFound, "there is no such path"),
            Routed::WrongMethod(_) => {
                return HttpResponse { status: 405, headers: Vec::new(), body: Bytes::new() };
            }
        };
        if self.body.len() > route.body_limit {
            return refuse(Code::TooLarge, "the body is too large");
        }
        let request = HttpRequest {
            identity: None,
            params: Vec::new(),
            query: query.split('&').filter(|pair| !pair.is_empty()).map(pair_of).collect(),
            headers: self.headers,
            peer: self.peer,
            body: self.body,
        };
        self.hub.bench.hub.http(route, self.user.as_ref().map(token_of), request).await
    }
}

fn pair_of(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decoded(name), decoded(value))
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
