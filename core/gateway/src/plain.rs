//! Plain WebSocket endpoints: one JSON object per message, `action` or `type` names the event.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use exedra_hub::{Class, CloseReason, Connection, Format, Frame, Hub, Inbound, Message, outbox::Outbox};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    frames,
    intake::Intake,
    owner::{Flow, Owner},
    socketio::event::nests_deeper,
};

/// Deepest nesting of a message.
const MAX_DEPTH: usize = 128;

/// The client of an endpoint.
pub(crate) struct PlainClient {
    hub: Arc<Hub>,
    conn: Arc<Connection>,
    outbox: Arc<Outbox>,
    intake: Intake,
}

impl PlainClient {
    pub(crate) fn new(
        hub: Arc<Hub>,
        conn: Arc<Connection>,
        outbox: Arc<Outbox>,
        events_per_second: u32,
    ) -> Self {
        Self { intake: Intake::new(hub.clone(), events_per_second), hub, conn, outbox }
    }

    /// Says what is wrong; the connection stays.
    fn complain(&self, message: &str) {
        let error = json!({ "type": "ERROR", "code": "BAD_MESSAGE", "message": message }).to_string();
        self.outbox.push(&Frame::one(frames::text(&[error.as_bytes()])), Class::Reliable);
    }
}

impl Owner for PlainClient {
    fn text(&mut self, text: String) -> Result<Flow, CloseReason> {
        self.intake.count();
        match event_of(&text, self.hub.limits().name_length) {
            Ok(message) => self.intake.take(self.conn.clone(), Inbound { message, ack: None }),
            Err(sentence) => self.complain(sentence),
        }
        Ok(self.intake.flow())
    }

    fn binary(&mut self, _: Bytes) -> Result<Flow, CloseReason> {
        self.intake.count();
        self.complain("messages are text");
        Ok(self.intake.flow())
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        self.intake.poll_room(cx).map(Ok)
    }

    fn opened(&mut self) {
        // A client knows that it is connected when its WebSocket opens; no frame says so.
        self.conn.open(&Frame::many(Vec::new()));
    }

    fn closed(&mut self, reason: CloseReason) {
        self.hub.disconnect(&self.conn, reason);
    }
}

impl Drop for PlainClient {
    fn drop(&mut self) {
        self.hub.disconnect(&self.conn, CloseReason::TransportLost); // does nothing after `closed`
    }
}

/// The event in a message, or what is wrong with it.
fn event_of(text: &str, longest_name: usize) -> Result<Message, &'static str> {
    #[derive(Deserialize)]
    struct Named {
        action: Option<String>,
        r#type: Option<String>,
    }

    let text = text.trim();
    if nests_deeper(text, MAX_DEPTH) {
        return Err("the message is nested too deeply");
    }
    if !text.starts_with('{') {
        return Err("the message is no JSON object");
    }
    let named: Named =
        serde_json::from_str(text).map_err(|_| "the message is no JSON object with an action or type")?;
    let name = named.action.or(named.r#type).ok_or("the message has neither action nor type")?;
    if name.is_empty() || name.len() > longest_name {
        return Err("the name of the action is empty or too long");
    }
    Ok(Message::new(name, ["[", text, "]"].concat()))
}

/// The format of all plain WebSocket links.
pub(crate) struct PlainFormat;

impl PlainFormat {
    fn frame(pieces: &[&[u8]], attachments: &[Bytes]) -> Frame {
        let head = frames::text(pieces);
        if attachments.is_empty() {
            return Frame::one(head);
        }
        Frame::many(std::iter::once(head).chain(attachments.iter().map(|a| frames::binary(a))).collect())
    }
}

impl Format for PlainFormat {
    fn event(&self, message: &Message, _: Option<u64>) -> Frame {
        let name = json!(message.event).to_string();
        let name = name.as_bytes();
        let frame = |pieces: &[&[u8]]| Self::frame(pieces, &message.attachments);
        let Some(argument) = first_argument(&message.args) else {
            return frame(&[b"{\"type\":", name, b"}"]);
        };
        match argument.strip_prefix('{') {
            Some(_) if has_type(argument) => frame(&[argument.as_bytes()]),
            Some(rest) => {
                let rest = rest.trim_start();
                let comma: &[u8] = if rest.starts_with('}') { b"" } else { b"," };
                frame(&[b"{\"type\":", name, comma, rest.as_bytes()])
            }
            None => frame(&[b"{\"type\":", name, b",\"data\":", argument.as_bytes(), b"}"]),
        }
    }

    fn ack(&self, _: Option<u64>, args: &Bytes, attachments: &[Bytes]) -> Option<Frame> {
        let argument = first_argument(args).filter(|argument| *argument != "null")?;
        Some(Self::frame(&[argument.as_bytes()], attachments))
    }

    fn goodbye(&self) -> Option<Frame> {
        None // the link is the connection: it is closed
    }

    fn gateway(&self) -> &'static str {
        "websocket"
    }
}

/// The first element of a JSON array as it is written.
fn first_argument(args: &[u8]) -> Option<&str> {
    let args: Vec<&RawValue> = serde_json::from_slice(args).ok()?;
    args.first().map(|argument| argument.get())
}

/// Whether a JSON object has a `type`.
fn has_type(object: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        _type: serde::de::IgnoredAny,
    }
    serde_json::from_str::<Typed>(object).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(args: &'static str) -> String {
        let frame = PlainFormat.event(&Message::new("NEWS", args), None);
        String::from_utf8(frame.parts()[0].payload().to_vec()).unwrap()
    }

    #[test]
    fn type_comes_first() {
        assert_eq!(written(r#"[{"a":1}]"#), r#"{"type":"NEWS","a":1}"#);
        assert_eq!(written(r#"[{ }]"#), r#"{"type":"NEWS"}"#);
        assert_eq!(written("[]"), r#"{"type":"NEWS"}"#);
        assert_eq!(written("[7, 8]"), r#"{"type":"NEWS","data":7}"#);
    }

    #[test]
    fn own_type_is_kept() {
        assert_eq!(written(r#"[{"a":1,"type":"OWN"}]"#), r#"{"a":1,"type":"OWN"}"#);
        assert_eq!(written(r#"[{"a":{"type":1}}]"#), r#"{"type":"NEWS","a":{"type":1}}"#);
    }

    #[test]
    fn answers_are_the_object_alone() {
        let ack = |args: &'static str| {
            PlainFormat.ack(None, &Bytes::from_static(args.as_bytes()), &[]).map(|f| f.parts()[0].payload())
        };
        assert_eq!(ack(r#"[{"type":"PONG"}]"#), Some(Bytes::from_static(br#"{"type":"PONG"}"#)));
        assert_eq!(ack("[null]"), None);
        assert_eq!(ack("[]"), None);
    }

    #[test]
    fn action_or_type_names_the_event() {
        let name = |text: &str| event_of(text, 50).map(|m| String::from(m.event));
        assert_eq!(name(r#" {"action":"JOIN","roomId":1}"#), Ok("JOIN".into()));
        assert_eq!(name(r#"{"type":"JOIN"}"#), Ok("JOIN".into()));
        assert_eq!(name(r#"{"type":"x","action":"y"}"#), Ok("y".into()));
        assert_eq!(&event_of(r#"{"type":"x"}"#, 50).unwrap().args[..], br#"[{"type":"x"}]"#);
        for bad in ["", "[]", "{", r#"{"a":1}"#, r#"{"type":1}"#, r#"{"type":""}"#, &"[".repeat(100_000)] {
            assert!(name(bad).is_err(), "{bad:.20}");
        }
    }
}
