//! How a Socket.IO namespace puts events into frames. One object per namespace serves all links, so that a
//! broadcast is encoded once.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use exedra_hub::{Connection, Format, Frame, Message, Refusal, recovery::Beginning};
use parking_lot::Mutex;
use serde_json::json;

use super::packet::Prefix;
use crate::frames;

/// The formats in use, by namespace.
#[derive(Default)]
pub(crate) struct Formats {
    /// Swept when it has doubled; a format lives as long as a connection of its namespace.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    formats: HashMap<Arc<str>, Weak<NamespaceFormat>>,
    sweep_at: usize,
}

impl Formats {
    /// The format of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> Arc<NamespaceFormat> {
        let mut known = self.known.lock();
        if let Some(format) = known.formats.get(namespace).and_then(Weak::upgrade) {
            return format;
        }
        if known.formats.len() >= known.sweep_at {
            known.formats.retain(|_, format| format.strong_count() > 0);
            known.sweep_at = (known.formats.len() * 2).max(64);
        }
        let namespace: Arc<str> = namespace.into();
        let format = Arc::new(NamespaceFormat::new(namespace.clone()));
        known.formats.insert(namespace, Arc::downgrade(&format));
        format
    }
}

/// The format of one namespace.
pub(crate) struct NamespaceFormat {
    namespace: Arc<str>,
    /// What most events begin with: no attachments, no acknowledgement.
    event: String,
}

impl NamespaceFormat {
    fn new(namespace: Arc<str>) -> Self {
        let event = Prefix::Event { attachments: 0, ack: None }.text(&namespace);
        Self { namespace, event }
    }

    /// The packet that tells a client that it is connected: `sid`; with recovery `pid`, by which it may get its session
    /// back should its link break; and `lost`, when it wanted one back and could not have it, with the reason.
    pub(crate) fn connected(&self, connection: &Connection) -> Frame {
        let facts = connection.facts();
        let mut payload = json!({ "sid": facts.public_id });
        if let Some(pid) = connection.pid() {
            payload["pid"] = pid.into();
        }
        if let Beginning::Lost(lost) = facts.beginning {
            payload["lost"] = lost.label().into();
        }
        self.packet(Prefix::Connect, &payload.to_string())
    }

    /// The packet that tells a client why it is not connected.
    pub(crate) fn refused(&self, refusal: &Refusal) -> Frame {
        let message = json!(refusal.message);
        let data = match &refusal.body {
            Some(body) => String::from_utf8_lossy(body).into_owned(),
            None => json!(refusal.describe()).to_string(),
        };
        self.packet(Prefix::ConnectError, &format!(r#"{{"message":{message},"data":{data}}}"#))
    }

    fn packet(&self, prefix: Prefix, payload: &str) -> Frame {
        frames::packet(&format!("4{}{payload}", prefix.text(&self.namespace)))
    }
}

/// The packet for a namespace that does not exist; as the reference server words it.
pub(crate) fn unknown_namespace(namespace: &str) -> Frame {
    let prefix = Prefix::ConnectError.text(namespace);
    frames::packet(&format!(r#"4{prefix}{{"message":"Invalid namespace"}}"#))
}

/// A packet and its attachments as one frame.
fn with_attachments(head: exedra_hub::frame::Part, attachments: &[Bytes]) -> Frame {
    if attachments.is_empty() {
        return Frame::one(head);
    }
    let rest = attachments.iter().map(|data| frames::binary(data));
    Frame::many(std::iter::once(head).chain(rest).collect())
}

impl NamespaceFormat {
    /// An event; `more` is one more argument at its end, as JSON.
    fn write(&self, message: &Message, ack: Option<u64>, more: Option<&str>) -> Frame {
        let attachments = message.attachments.len();
        let rare = (ack.is_some() || attachments > 0)
            .then(|| Prefix::Event { attachments, ack }.text(&self.namespace));
        let prefix = rare.as_ref().unwrap_or(&self.event);
        let name = json!(message.event).to_string();
        let args = message.args.trim_ascii();
        let args = args.strip_prefix(b"[").unwrap_or(args).trim_ascii_start();
        let comma: &[u8] = if args.first() == Some(&b']') { b"" } else { b"," };
        let (prefix, name) = (prefix.as_bytes(), name.as_bytes());
        let head = match more {
            None => frames::text(&[b"4", prefix, b"[", name, comma, args]),
            Some(more) => {
                let args = args.strip_suffix(b"]").unwrap_or(args);
                frames::text(&[b"4", prefix, b"[", name, comma, args, b",", more.as_bytes(), b"]"])
            }
        };
        with_attachments(head, &message.attachments)
    }
}

impl Format for NamespaceFormat {
    fn event(&self, message: &Message, ack: Option<u64>) -> Frame {
        self.write(message, ack, None)
    }

    fn recoverable(&self, message: &Message, offset: &str) -> Frame {
        self.write(message, None, Some(&json!(offset).to_string()))
    }

    fn recovers(&self) -> bool {
        true
    }

    fn ack(&self, ack: Option<u64>, args: &Bytes, attachments: &[Bytes]) -> Option<Frame> {
        let prefix = Prefix::Ack { attachments: attachments.len(), ack: ack? }.text(&self.namespace);
        Some(with_attachments(frames::text(&[b"4", prefix.as_bytes(), args]), attachments))
    }

    fn goodbye(&self) -> Option<Frame> {
        Some(self.packet(Prefix::Disconnect, ""))
    }

    fn gateway(&self) -> &'static str {
        "socketio"
    }
}

#[cfg(test)]
mod tests {
    use exedra_hub::Code;

    use super::*;

    fn texts(frame: &Frame) -> Vec<String> {
        frame.parts().iter().map(|p| String::from_utf8(p.payload().to_vec()).unwrap()).collect()
    }

    #[test]
    fn events_are_written_as_clients_read_them() {
        let format = Formats::default().of("/x");
        let event = |args: &'static str| format.event(&Message::new("a\"b", args), None);
        assert_eq!(texts(&event("[]")), [r#"42/x,["a\"b"]"#]);
        assert_eq!(texts(&event(" [ ] ")), [r#"42/x,["a\"b"]"#]);
        assert_eq!(texts(&event(r#"[1,"2"]"#)), [r#"42/x,["a\"b",1,"2"]"#]);
        assert_eq!(texts(&format.event(&Message::new("e", "[1]"), Some(5))), [r#"42/x,5["e",1]"#]);
    }

    #[test]
    fn offset_is_the_last_argument() {
        let format = Formats::default().of("/x");
        let event = |args: &'static str| format.recoverable(&Message::new("e", args), "w~7");
        assert_eq!(texts(&event("[]")), [r#"42/x,["e","w~7"]"#]);
        assert_eq!(texts(&event(" [ [1] , {} ] ")), [r#"42/x,["e",[1] , {} ,"w~7"]"#]);
        let message = Message { attachments: vec!["one".into()], ..Message::new("e", "[1]") };
        assert_eq!(texts(&format.recoverable(&message, "w~7")), [r#"451-/x,["e",1,"w~7"]"#, "one"]);
    }

    #[test]
    fn attachments_follow_their_event() {
        let message = Message { attachments: vec!["one".into(), "two".into()], ..Message::new("e", "[1]") };
        let frame = Formats::default().of("/").event(&message, None);
        assert_eq!(texts(&frame), [r#"452-["e",1]"#, "one", "two"]);
        assert!(!frame.parts()[0].binary && frame.parts()[2].binary);
    }

    #[test]
    fn acknowledgements_need_a_number() {
        let format = Formats::default().of("/");
        assert!(format.ack(None, &"[1]".into(), &[]).is_none());
        assert_eq!(texts(&format.ack(Some(7), &"[1]".into(), &[]).unwrap()), ["437[1]"]);
        assert_eq!(texts(&format.goodbye().unwrap()), ["41"]);
    }

    #[test]
    fn refusals_carry_code_and_retry() {
        let frame = Formats::default().of("/x").refused(&Refusal::new(Code::Busy, "later"));
        let expected =
            r#"44/x,{"message":"later","data":{"code":"BUSY","message":"later","retryable":true}}"#;
        assert_eq!(texts(&frame), [expected]);
        assert_eq!(texts(&unknown_namespace("/random")), [r#"44/random,{"message":"Invalid namespace"}"#]);
    }

    #[test]
    fn unused_formats_are_forgotten() {
        let formats = Formats::default();
        let kept = formats.of("/kept");
        for i in 0..1000 {
            formats.of(&format!("/room/{i}"));
        }
        assert!(Arc::ptr_eq(&kept, &formats.of("/kept")));
        assert!(formats.known.lock().formats.len() <= 128);
    }
}
