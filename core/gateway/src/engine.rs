//! Engine.IO v4: sessions over HTTP polling, over WebSocket, and the move from one to the other. Knows nothing of
//! what is said in a session; its owner does.

mod poll;
mod requests;
mod session;
mod upgrade;

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use exedra_hub::{Class, outbox::Outbox};
use exedra_wire::engineio::{Open, VERSION};
use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use parking_lot::Mutex;
use rand::RngCore;

pub(crate) use session::{KnownId, Moved};
pub(crate) use upgrade::Probe;

use crate::{
    admission::{Admission, Denied},
    config::Transport,
    frames,
    link::{Keep, Opening, Rules, Stage},
    links::Links,
    listener::Visit,
    owner::Opener,
    request::{Handshake, Query, Refused, parameter, query, switch_to_websocket, wants_websocket},
    retry,
};
use session::Session;

/// Engine.IO at one path.
pub(crate) struct EngineIo {
    pub(crate) rules: Arc<Rules>,
    pub(crate) transports: Vec<Transport>,
    /// Bytes that may wait for a link.
    pub(crate) outbound_buffer: usize,
    pub(crate) opener: Arc<dyn Opener>,
    pub(crate) door: Arc<Admission>,
    pub(crate) links: Arc<Links>,
    /// Polling sessions by id. Bounded by the door: each holds a ticket.
    pub(crate) sessions: Sessions,
}

/// Polling sessions by id.
pub(crate) type Sessions = Arc<Mutex<HashMap<Box<str>, Arc<Session>>>>;

/// Why a request is refused; code and message are the protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    Transport,
    Session,
    Method,
    Request,
    Version,
}

impl Bad {
    fn describe(self) -> (u8, &'static str) {
        match self {
            Self::Transport => (0, "Transport unknown"),
            Self::Session => (1, "Session ID unknown"),
            Self::Method => (2, "Bad handshake method"),
            Self::Request => (3, "Bad request"),
            Self::Version => (5, "Unsupported protocol version"),
        }
    }

    /// The refusal with status 400.
    pub(crate) fn response(self) -> Response<Body> {
        self.with_status(StatusCode::BAD_REQUEST)
    }

    /// The refusal with another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Response<Body> {
        let (code, message) = self.describe();
        let mut response = Response::new(Body::from(format!(r#"{{"code":{code},"message":"{message}"}}"#)));
        *response.status_mut() = status;
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

impl EngineIo {
    /// Answers one request to the path.
    pub(crate) async fn serve(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        visit: Visit,
    ) -> Response<Body> {
        let query = query(request.uri());
        if parameter(&query, "EIO") != Some(VERSION) {
            return Bad::Version.response();
        }
        let transport = match parameter(&query, "transport") {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::Websocket,
            _ => return Bad::Transport.response(),
        };
        if !self.transports.contains(&transport) {
            return Bad::Transport.response();
        }
        let session = match parameter(&query, "sid") {
            None => None,
            Some(sid) => match self.sessions.lock().get(sid) {
                Some(session) => Some(session.clone()),
                None => return Bad::Session.response(),
            },
        };
        let answer = match (session, transport) {
            (Some(session), Transport::Polling) => self.polled(session, request).await,
            (Some(session), Transport::Websocket) => self.probed(session, request, visit),
            (None, _) if request.method() != Method::GET => Err(Bad::Method.into()),
            (None, Transport::Polling) => self.open_polling(&request, query, peer),
            (None, Transport::Websocket) => self.open_websocket(request, query, peer, visit),
        };
        answer.unwrap_or_else(|refusal| *refusal)
    }

    /// Whether a request comes from a client that has a session: it may fetch what waits for it until the end.
    pub(crate) fn is_poll(&self, request: &Request<Incoming>) -> bool {
        !wants_websocket(request.headers())
            && parameter(&query(request.uri()), "sid")
                .is_some_and(|sid| self.sessions.lock().contains_key(sid))
    }

    /// Opens a session that is polled.
    fn open_polling(&self, request: &Request<Incoming>, query: Query, peer: IpAddr) -> Answer {
        let (keep, outbox) = self.admit(peer)?;
        let sid = random_sid();
        let upgrades = self.transports.contains(&Transport::Websocket);
        let open = self.open(&sid, if upgrades { &["websocket"] } else { &[] });
        let owner = self.opener.open(Handshake::new(peer, request.headers(), query), outbox.clone());
        let session = Session::new(sid, owner, outbox, &self.rules, keep, self.sessions.clone());
        self.links.spawn(session.watch());
        Ok(poll::text(open.packet().into_bytes(), None))
    }

    /// Opens a session on a WebSocket.
    fn open_websocket(
        &self,
        mut request: Request<Incoming>,
        query: Query,
        peer: IpAddr,
        visit: Visit,
    ) -> Answer {
        let (response, deflate) = switch_to_websocket(&request, self.rules.compress_from.is_some())?;
        let (keep, outbox) = self.admit(peer)?;
        outbox.push(&frames::packet(&self.open(&random_sid(), &[]).packet()), Class::Reliable);
        let owner = self.opener.open(Handshake::new(peer, request.headers(), query), outbox.clone());
        let (stage, rules) = (Stage::Talking(owner), self.rules.clone());
        let opening = Opening { stage, outbox, rules, deflate, keep: Some(keep), place: visit.place };
        opening.start(&self.links, &mut request);
        Ok(response)
    }

    /// A place and an outbox for a new session, or the refusal.
    fn admit(&self, peer: IpAddr) -> Result<(Keep, Arc<Outbox>), Refused> {
        let ticket = self.door.enter(peer).map_err(|denied: Denied| retry_later(denied.status()))?;
        let outbox = Arc::new(Outbox::new(self.outbound_buffer));
        Ok((Keep::new(ticket, self.links.register(&outbox)), outbox))
    }

    fn open(&self, sid: &str, upgrades: &[&str]) -> Open {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Open {
            sid: sid.to_owned(),
            upgrades: upgrades.iter().map(|&u| u.to_owned()).collect(),
            ping_interval: ms(self.rules.pace.interval),
            ping_timeout: ms(self.rules.pace.timeout),
            max_payload: self.rules.max_payload as u64,
        }
    }
}

/// An answer or a refusal.
type Answer = Result<Response<Body>, Refused>;

fn retry_later(status: StatusCode) -> Refused {
    let mut response = Bad::Request.with_status(status);
    response.headers_mut().insert(header::RETRY_AFTER, retry::after());
    response.into()
}

impl From<Bad> for Refused {
    fn from(bad: Bad) -> Self {
        bad.response().into()
    }
}

/// 144 random bits: whoever knows a polling session's id can read and write it.
fn random_sid() -> String {
    let mut bytes = [0; 18];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
