//! Socket.IO packets inside of Engine.IO messages, of one namespace: what a load tester says and hears.

use exedra_wire::engineio::{Kind, split};
use serde_json::{Map, Value, json, value::RawValue};

use crate::LoadError;

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The session is open.
    Open,
    /// A heartbeat, to be answered.
    Ping,
    /// The namespace let us in; by what a lost session is found again, where the server has that.
    Connected(Option<String>),
    /// An event: its arguments, name first, as a JSON array.
    Event(String),
    /// The answer to an event of ours: its number, and the arguments as a JSON array.
    Ack(u64, String),
}

/// What a client shows to have its session back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// What the server gave it.
    pub(crate) pid: String,
    /// The last argument of the last event whose last argument was text, as stock clients take it.
    pub(crate) offset: Option<String>,
}

/// Writes and reads the packets of one namespace.
#[derive(Debug)]
pub(crate) struct Packets {
    /// `/bench,`; empty for the main namespace.
    namespace: String,
}

impl Packets {
    /// For a namespace.
    pub(crate) fn new(namespace: &str) -> Self {
        let namespace = if namespace == "/" { String::new() } else { format!("{namespace},") };
        Self { namespace }
    }

    /// Knocks at the namespace; with a ticket, to have a session back.
    pub(crate) fn connect(&self, token: Option<&str>, ticket: Option<&Ticket>) -> String {
        let mut auth = Map::new();
        if let Some(token) = token {
            auth.insert("token".to_owned(), token.into());
        }
        if let Some(Ticket { pid, offset }) = ticket {
            auth.insert("pid".to_owned(), pid.as_str().into());
            auth.insert("offset".to_owned(), offset.clone().into());
        }
        let auth = if auth.is_empty() { String::new() } else { Value::Object(auth).to_string() };
        format!("40{}{auth}", self.namespace)
    }

    /// An event with one argument.
    pub(crate) fn event(&self, event: &str, argument: &RawValue, ack: Option<u64>) -> String {
        let ack = ack.map(|n| n.to_string()).unwrap_or_default();
        format!("42{}{ack}[{},{}]", self.namespace, json!(event), argument.get())
    }

    /// Reads a text message.
    pub(crate) fn hear(&self, mut text: String) -> Result<Heard, LoadError> {
        let protocol = |what: &str| LoadError::Protocol(what.to_owned());
        let (kind, content) = split(&text).map_err(|_| protocol("no Engine.IO packet"))?;
        match kind {
            Kind::Open => return Ok(Heard::Open),
            Kind::Ping => return Ok(Heard::Ping),
            Kind::Close => return Err(LoadError::Ended("the server closed the session".to_owned())),
            Kind::Message => {}
            Kind::Pong | Kind::Upgrade | Kind::Noop => {
                return Err(protocol("an unexpected Engine.IO packet"));
            }
        }
        let packet = content.bytes().next();
        let content = content.get(1..).unwrap_or_default();
        let rest = content.strip_prefix(&self.namespace);
        let rest = rest.ok_or_else(|| protocol(&format!("another namespace: {text}")))?;
        match packet {
            Some(b'0') => Ok(Heard::Connected(pid(rest))),
            Some(b'1') => Err(LoadError::Ended("the server put the client out".to_owned())),
            Some(b'2') if rest.starts_with('[') => {
                text.drain(..text.len() - rest.len());
                Ok(Heard::Event(text))
            }
            Some(b'3') => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                let number =
                    rest[..digits].parse().map_err(|_| protocol("an acknowledgement without a number"))?;
                Ok(Heard::Ack(number, rest[digits..].to_owned()))
            }
            Some(b'4') => Err(LoadError::Failed(format!("the namespace refused: {rest}"))),
            _ => Err(protocol(&format!("an unexpected packet: {text}"))),
        }
    }
}

/// The `pid` in the payload of a CONNECT.
fn pid(payload: &str) -> Option<String> {
    let payload: Value = serde_json::from_str(payload).ok()?;
    payload["pid"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(text: &str) -> Result<Heard, LoadError> {
        Packets::new("/bench").hear(text.to_owned())
    }

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn packets_are_written_as_servers_read_them() {
        let bench = Packets::new("/bench");
        assert_eq!(bench.connect(Some("t"), None), r#"40/bench,{"token":"t"}"#);
        assert_eq!(bench.event("join", &raw("1"), Some(7)), r#"42/bench,7["join",1]"#);
        let main = Packets::new("/");
        assert_eq!(main.connect(None, None), "40");
        let ticket = Ticket { pid: "p".to_owned(), offset: Some("o".to_owned()) };
        assert_eq!(main.connect(None, Some(&ticket)), r#"40{"pid":"p","offset":"o"}"#);
        assert_eq!(main.event("a\"b", &raw("{}"), None), r#"42["a\"b",{}]"#);
    }

    #[test]
    fn packets_are_read() {
        assert_eq!(hear("0{}"), Ok(Heard::Open));
        assert_eq!(hear("2"), Ok(Heard::Ping));
        assert_eq!(hear(r#"40/bench,{"sid":"x"}"#), Ok(Heard::Connected(None)));
        assert_eq!(hear(r#"40/bench,{"sid":"x","pid":"p"}"#), Ok(Heard::Connected(Some("p".to_owned()))));
        assert_eq!(hear(r#"42/bench,["tick",1]"#), Ok(Heard::Event(r#"["tick",1]"#.to_owned())));
        assert_eq!(hear("43/bench,12[{}]"), Ok(Heard::Ack(12, "[{}]".to_owned())));
        assert_eq!(Packets::new("/").hear(r#"42["a"]"#.into()), Ok(Heard::Event(r#"["a"]"#.to_owned())));
    }

    #[test]
    fn refusals_and_ends_are_errors() {
        for text in [r#"44/bench,{"message":"no"}"#, "41/bench,", "1", "", "42/other,[1]", "4", "42/bench,x"]
        {
            assert!(hear(text).is_err(), "{text}");
        }
    }
}
