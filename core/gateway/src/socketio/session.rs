//! What a Socket.IO client says in its session, turned into calls of the hub.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use exedra_hub::{
    Class, CloseReason, Code, Connection, Format, Frame, Hub, Inbound, Message, Refusal, hub::Knock,
    manifest::AuthMode, outbox::Outbox, recovery::Ticket,
};
use serde_json::{Map, Value, json};

use super::{
    event::{BadEvent, arguments, nests_deeper, take_apart},
    format::{Formats, unknown_namespace},
    members::{Knocks, Members},
    packet::{Data, Decoder, Packet, Payload},
};
use crate::{
    intake::Intake,
    links::Links,
    owner::{Flow, Opener, Owner},
    request::Handshake,
};

/// Deepest nesting of `auth`; it is parsed.
const AUTH_DEPTH: usize = 64;
/// Refused knocks after which a link is closed.
const MAX_REFUSED: u8 = 64;

/// What all Socket.IO sessions share.
pub(crate) struct SocketIo {
    pub(crate) hub: Arc<Hub>,
    pub(crate) formats: Formats,
    /// Longest time for plugins to let a client in.
    pub(crate) connect_timeout: Duration,
    pub(crate) max_payload: usize,
    pub(crate) events_per_second: u32,
    pub(crate) links: Arc<Links>,
}

/// Makes a session's owner.
pub(crate) struct SocketIoOpener(pub(crate) Arc<SocketIo>);

impl Opener for SocketIoOpener {
    fn open(&self, handshake: Handshake, outbox: Arc<Outbox>) -> Box<dyn Owner> {
        let shared = self.0.clone();
        Box::new(Client {
            handshake: Arc::new(handshake),
            members: Members::new(shared.hub.clone()),
            decoder: Decoder::new(shared.max_payload),
            intake: Intake::new(shared.hub.clone(), shared.events_per_second),
            refused: 0,
            outbox,
            shared,
        })
    }
}

/// One client.
struct Client {
    shared: Arc<SocketIo>,
    handshake: Arc<Handshake>,
    outbox: Arc<Outbox>,
    members: Arc<Members>,
    decoder: Decoder,
    intake: Intake,
    refused: u8,
}

impl Owner for Client {
    fn text(&mut self, text: String) -> Result<Flow, CloseReason> {
        self.intake.count();
        match self.decoder.text(text)? {
            Some(packet) => self.packet(packet)?,
            None => return Ok(Flow::More), // the attachments belong to the event: they may come
        }
        Ok(self.intake.flow())
    }

    fn binary(&mut self, data: Bytes) -> Result<Flow, CloseReason> {
        match self.decoder.binary(data)? {
            Some(packet) => self.packet(packet)?,
            None => return Ok(Flow::More),
        }
        Ok(self.intake.flow())
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        self.intake.poll_room(cx).map(Ok)
    }

    fn settled(&self) -> bool {
        self.members.has_joined()
    }

    fn closed(&mut self, reason: CloseReason) {
        self.members.end(reason);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.members.end(CloseReason::TransportLost); // does nothing after `closed`
    }
}

impl Client {
    fn packet(&mut self, Packet { namespace, data }: Packet) -> Result<(), CloseReason> {
        match data {
            Data::Connect(auth) => return self.connect(namespace, auth),
            Data::Disconnect => self.members.leave(&namespace),
            // A client may speak to a namespace that it was just put out of: that is no fault.
            Data::Event { payload, ack } => {
                if let Some(conn) = self.members.find(&namespace) {
                    return self.event(conn, &payload, ack);
                }
            }
            Data::Ack { payload, ack } => {
                if let Some(conn) = self.members.find(&namespace) {
                    let args = arguments(&payload).map_err(|_| CloseReason::ProtocolError)?;
                    self.shared.hub.acked(&conn, ack, args, payload.attachments);
                }
            }
        }
        Ok(())
    }

    fn event(
        &mut self,
        conn: Arc<Connection>,
        payload: &Payload,
        ack: Option<u64>,
    ) -> Result<(), CloseReason> {
        match (take_apart(payload, self.shared.hub.limits().name_length), ack) {
            (Ok((event, args)), _) => {
                let message = Message { event, args, attachments: payload.attachments.clone() };
                self.intake.take(conn, Inbound { message, ack });
                Ok(())
            }
            (Err(BadEvent::Malformed), _) | (Err(_), None) => Err(CloseReason::ProtocolError),
            (Err(bad), Some(_)) => {
                let refusal = Refusal::new(Code::Invalid, bad.sentence());
                let args = json!([{ "error": refusal.describe() }]).to_string().into();
                let format = self.shared.formats.of(&conn.facts().namespace);
                if let Some(frame) = format.ack(ack, &args, &[]) {
                    self.push(&frame);
                }
                Ok(())
            }
        }
    }

    fn push(&self, frame: &Frame) {
        self.outbox.push(frame, Class::Reliable);
    }

    /// A client knocks at a namespace. The answer comes when the plugins have been asked.
    fn connect(&mut self, namespace: String, auth: Option<String>) -> Result<(), CloseReason> {
        let hub = &self.shared.hub;
        if namespace.len() > hub.limits().name_length {
            return Err(CloseReason::ProtocolError);
        }
        let Some(mode) = hub.auth_mode("socketio", &namespace) else {
            hub.metrics().connect_refused("namespace");
            self.push(&unknown_namespace(&namespace));
            return self.count_refusal();
        };
        let recovers = hub.limits().recovery.is_some();
        let Auth { token, ticket, auth } = take_auth(auth, mode, recovers)?;
        let number = match self.members.knock(&namespace) {
            Knocks::Go(number) => number,
            Knocks::Again => return Ok(()),
            Knocks::TooMany => {
                hub.metrics().connect_refused("limit");
                let refusal = Refusal::new(Code::RateLimited, "too many namespaces on one connection");
                self.push(&self.shared.formats.of(&namespace).refused(&refusal));
                return self.count_refusal();
            }
        };
        let format = self.shared.formats.of(&namespace);
        let knock = Knock {
            gateway: "socketio",
            token: token.or_else(|| self.handshake.token.clone()),
            auth,
            query: self.handshake.query.clone(),
            peer: self.handshake.peer,
            outbox: self.outbox.clone(),
            format: format.clone(),
            namespace,
            ticket,
        };
        let (shared, members, outbox) = (self.shared.clone(), self.members.clone(), self.outbox.clone());
        self.shared.links.spawn(async move {
            match knock_in_time(&shared.hub, knock, shared.connect_timeout).await {
                Ok(conn) => {
                    if members.admit(number, &conn) {
                        conn.open(&format.connected(&conn));
                    }
                }
                Err(refusal) => {
                    members.refuse(number);
                    outbox.push(&format.refused(&refusal), Class::Reliable);
                }
            }
        });
        Ok(())
    }

    fn count_refusal(&mut self) -> Result<(), CloseReason> {
        self.refused += 1;
        if self.refused < MAX_REFUSED { Ok(()) } else { Err(CloseReason::RateLimited) }
    }
}

/// Asks the hub to let a connection in; plugins have `limit` to answer.
pub(crate) async fn knock_in_time(
    hub: &Arc<Hub>,
    knock: Knock,
    limit: Duration,
) -> Result<Arc<Connection>, Refusal> {
    match tokio::time::timeout(limit, hub.connect(knock)).await {
        Ok(answer) => answer,
        Err(_) => {
            hub.metrics().connect_refused("timeout");
            Err(Refusal::new(Code::Timeout, "the connection was not answered in time"))
        }
    }
}

/// What a CONNECT payload says.
#[derive(Debug, PartialEq, Eq)]
struct Auth {
    token: Option<String>,
    /// What a client shows to get its session back.
    ticket: Option<Ticket>,
    /// The rest, which is the application's.
    auth: Bytes,
}

/// Takes a CONNECT payload, which must be an object, apart. Where tokens are not looked at, `token` is the
/// application's own field and stays; the same holds for `pid` and `offset` without recovery.
fn take_auth(auth: Option<String>, mode: AuthMode, recovers: bool) -> Result<Auth, CloseReason> {
    let Some(text) = auth else {
        return Ok(Auth { token: None, ticket: None, auth: Bytes::from_static(b"{}") });
    };
    if nests_deeper(&text, AUTH_DEPTH) {
        return Err(CloseReason::ProtocolError);
    }
    let mut fields: Map<String, Value> =
        serde_json::from_str(&text).map_err(|_| CloseReason::ProtocolError)?;
    let had = fields.len();
    let token = if mode == AuthMode::None { None } else { fields.shift_remove("token") };
    let ticket = if recovers { take_ticket(&mut fields) } else { None };
    let auth = match fields.len() {
        0 => Bytes::from_static(b"{}"), // the usual case: nothing to keep
        left if left == had => text.into(),
        _ => Value::Object(fields).to_string().into_boxed_str().into_boxed_bytes().into(),
    };
    let token = token.as_ref().and_then(Value::as_str).filter(|token| !token.is_empty());
    Ok(Auth { token: token.map(str::to_owned), ticket, auth })
}

/// `pid` and `offset`; without a `pid` that is text, `offset` is the application's own.
fn take_ticket(fields: &mut Map<String, Value>) -> Option<Ticket> {
    let pid = fields.get("pid")?.as_str()?.to_owned();
    fields.shift_remove("pid");
    let offset = match fields.shift_remove("offset") {
        None | Some(Value::Null) => None,
        Some(Value::String(offset)) => Some(offset),
        Some(other) => Some(other.to_string()), // it will not be one of ours
    };
    Some(Ticket { pid, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str) -> Result<(Option<String>, Bytes), CloseReason> {
        take_auth(Some(text.to_owned()), AuthMode::Optional, true).map(|taken| (taken.token, taken.auth))
    }

    #[test]
    fn token_leaves_the_auth() {
        assert_eq!(take(r#"{"a":1,"token":"t","b":2}"#), Ok((Some("t".into()), r#"{"a":1,"b":2}"#.into())));
        assert_eq!(take(r#"{"a":1}"#), Ok((None, r#"{"a":1}"#.into())));
        assert_eq!(take(r#"{"token":7}"#), Ok((None, "{}".into())));
        let none = Auth { token: None, ticket: None, auth: "{}".into() };
        assert_eq!(take_auth(None, AuthMode::Required, true), Ok(none));
    }

    #[test]
    fn token_stays_where_none_is_wanted() {
        let auth = take_auth(Some(r#"{"token":"123"}"#.into()), AuthMode::None, true).unwrap();
        assert_eq!(auth, Auth { token: None, ticket: None, auth: r#"{"token":"123"}"#.into() });
    }

    #[test]
    fn ticket_leaves_the_auth() {
        let take = |text: &str, recovers| take_auth(Some(text.to_owned()), AuthMode::None, recovers).unwrap();
        let taken = take(r#"{"pid":"p","offset":"w~1","a":1}"#, true);
        assert_eq!(taken.ticket, Some(Ticket { pid: "p".into(), offset: Some("w~1".into()) }));
        assert_eq!(taken.auth, r#"{"a":1}"#);
        assert_eq!(take(r#"{"pid":"p"}"#, true).ticket, Some(Ticket { pid: "p".into(), offset: None }));
        for (text, recovers) in [(r#"{"pid":"p"}"#, false), (r#"{"pid":7,"offset":"o"}"#, true)] {
            assert_eq!(
                take(text, recovers),
                Auth { token: None, ticket: None, auth: text.to_owned().into() }
            );
        }
    }

    #[test]
    fn auth_must_be_an_object() {
        for text in ["[]", "1", "x", "\"t\"", &"[".repeat(100_000)] {
            assert_eq!(take(text), Err(CloseReason::ProtocolError));
        }
    }
}
