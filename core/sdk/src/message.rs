//! An event on its way to clients, built step by step.

use bytes::Bytes;
use serde::Serialize;

use crate::{Args, Conn, Error, Result, args::placeholder, border::ops::Outgoing};

#[derive(Debug, Clone, Default)]
enum Delivery {
    #[default]
    Reliable,
    Latest(String),
    Volatile,
}

/// An event for [`Conn::send`], [`Conn::request`](Conn::request_message) or [`Room::send`](crate::Room::send).
///
/// ```
/// use exedra_sdk::Message;
/// let frame = Message::new("video-frame").arg(&42).binary(vec![1, 2, 3]).volatile();
/// ```
#[derive(Debug, Clone)]
pub struct Message {
    event: String,
    json: Vec<u8>,
    attachments: Vec<Bytes>,
    delivery: Delivery,
    except: u64,
    broken: Option<Error>,
}

impl Message {
    /// An event without arguments. Reliable: it arrives in order, and a link that cannot keep up is closed.
    pub fn new(event: impl Into<String>) -> Self {
        Self {
            event: event.into(),
            json: Vec::new(),
            attachments: Vec::new(),
            delivery: Delivery::Reliable,
            except: 0,
            broken: None,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.push(&json),
            Err(error) => self.broken = Some(error.into()),
        }
        self
    }

    /// One more argument: bytes.
    #[must_use]
    pub fn binary(self, bytes: impl Into<Bytes>) -> Self {
        let at = placeholder(self.attachments.len());
        self.arg(&at).attachment(bytes)
    }

    /// Bytes that a [`placeholder`] inside of an argument names by their place.
    #[must_use]
    pub fn attachment(mut self, bytes: impl Into<Bytes>) -> Self {
        self.attachments.push(bytes.into());
        self
    }

    /// All arguments at once, as they came from elsewhere.
    #[must_use]
    pub fn args(mut self, args: Args) -> Self {
        match args.json.strip_prefix(b"[").and_then(|json| json.strip_suffix(b"]")) {
            Some(inner) => self.json = inner.to_vec(),
            None => self.broken = Some(Error::invalid("arguments must be a JSON array")),
        }
        self.attachments = args.attachments;
        self
    }

    pub(crate) fn event(&self) -> &str {
        &self.event
    }

    /// Only the newest message of this event and key waits for a slow link.
    #[must_use]
    pub fn latest(mut self, key: impl Into<String>) -> Self {
        self.delivery = Delivery::Latest(key.into());
        self
    }

    /// Dropped when the link is busy.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.delivery = Delivery::Volatile;
        self
    }

    /// Not to this connection. Only meant for rooms.
    #[must_use]
    pub fn except(mut self, conn: &Conn) -> Self {
        self.except = conn.id();
        self
    }

    fn push(&mut self, json: &[u8]) {
        if !self.json.is_empty() {
            self.json.push(b',');
        }
        self.json.extend_from_slice(json);
    }

    pub(crate) fn excepted(&self) -> u64 {
        self.except
    }

    pub(crate) fn lend<R>(&self, use_it: impl FnOnce(&Outgoing<'_>) -> Result<R>) -> Result<R> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let args = [b"[", &self.json[..], b"]"].concat();
        let (delivery, key) = match &self.delivery {
            Delivery::Reliable => (exedra_abi::RELIABLE, ""),
            Delivery::Latest(key) => (exedra_abi::LATEST, key.as_str()),
            Delivery::Volatile => (exedra_abi::VOLATILE, ""),
        };
        let attachments = &self.attachments;
        use_it(&Outgoing { name: &self.event, args: &args, attachments, delivery, key })
    }
}

/// The common case: one argument, no builder.
pub(crate) fn plain<R, T: Serialize + ?Sized>(
    event: &str,
    payload: &T,
    use_it: impl FnOnce(&Outgoing<'_>) -> Result<R>,
) -> Result<R> {
    let args = crate::answer::one_argument(payload)?;
    let delivery = exedra_abi::RELIABLE;
    use_it(&Outgoing { name: event, args: &args, attachments: &[], delivery, key: "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_keep_their_order() {
        let message = Message::new("m").arg(&1).binary(&b"ab"[..]).arg("x").latest("k");
        let seen = message.lend(|out| {
            assert_eq!(out.key, "k");
            assert_eq!(out.attachments.len(), 1);
            Ok(String::from_utf8(out.args.to_vec()).unwrap())
        });
        assert_eq!(seen.unwrap(), r#"[1,{"_placeholder":true,"num":0},"x"]"#);
    }

    #[test]
    fn unit_payload_sends_no_arguments() {
        assert_eq!(plain("m", &(), |out| Ok(out.args.to_vec())).unwrap(), b"[]");
    }
}
