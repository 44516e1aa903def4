//! The way of Socket.IO packets from a link's messages to an event's name and arguments, for the fuzz targets: the
//! same functions in the same order as in a session, without a hub behind them.

use bytes::Bytes;
use exedra_hub::CloseReason;
use serde_json::{Map, Value};

use crate::socketio::{
    event::{arguments, take_apart},
    packet::{Data, Decoder, Packet, Prefix},
};

/// The reading side of one link.
pub struct Link(Decoder);

/// A whole packet, and what it was once written and read again.
pub struct Read {
    /// The event's name, when it may be handed on.
    pub event: Option<String>,
    /// The arguments of an event or an acknowledgement that may be handed on.
    pub arguments: Option<Bytes>,
    /// The attachments.
    pub attachments: Vec<Bytes>,
    /// Whether the client is refused for it: what it says cannot be handed on.
    pub refused: bool,
    /// All of the packet, for comparison.
    pub text: String,
    /// The same of the packet as we would write it.
    pub again: String,
}

impl Link {
    /// A link that takes attachments of up to `max_payload` bytes.
    pub fn new(max_payload: usize) -> Self {
        Self(Decoder::new(max_payload))
    }

    /// Takes a text message; a packet, when it is whole.
    ///
    /// # Errors
    /// Why the link is to be closed.
    pub fn text(&mut self, text: &str, longest_name: usize) -> Result<Option<Read>, CloseReason> {
        let packet = self.0.text(text.to_owned())?;
        Ok(packet.map(|packet| Read::of(packet, longest_name)))
    }

    /// Takes an attachment; a packet, when it was the last one.
    ///
    /// # Errors
    /// Why the link is to be closed.
    pub fn binary(&mut self, data: Bytes, longest_name: usize) -> Result<Option<Read>, CloseReason> {
        let packet = self.0.binary(data)?;
        Ok(packet.map(|packet| Read::of(packet, longest_name)))
    }
}

impl Read {
    fn of(packet: Packet, longest_name: usize) -> Self {
        let (event, arguments, attachments) = match &packet.data {
            Data::Event { payload, .. } => {
                let (event, arguments) = take_apart(payload, longest_name).ok().unzip();
                (event.map(String::from), arguments, payload.attachments.clone())
            }
            Data::Ack { payload, .. } => (None, arguments(payload).ok(), payload.attachments.clone()),
            Data::Connect(_) | Data::Disconnect => (None, None, Vec::new()),
        };
        let refused = match &packet.data {
            Data::Event { .. } | Data::Ack { .. } => arguments.is_none(),
            Data::Connect(auth) => {
                auth.as_ref().is_some_and(|auth| serde_json::from_str::<Map<String, Value>>(auth).is_err())
            }
            Data::Disconnect => false,
        };
        let again = format!("{:?}", again(&packet));
        Self {
            event,
            arguments,
            attachments,
            refused,
            text: format!("{:?}", Ok::<_, CloseReason>(Some(packet))),
            again,
        }
    }
}

/// Writes a packet as the hub writes them, and reads it on a link of its own.
fn again(packet: &Packet) -> Result<Option<Packet>, CloseReason> {
    let (prefix, text, attachments) = match &packet.data {
        Data::Connect(auth) => (Prefix::Connect, auth.as_deref().unwrap_or_default(), &[][..]),
        Data::Disconnect => (Prefix::Disconnect, "", &[][..]),
        Data::Event { payload, ack } => {
            let prefix = Prefix::Event { attachments: payload.attachments.len(), ack: *ack };
            (prefix, payload.text.as_str(), &payload.attachments[..])
        }
        Data::Ack { payload, ack } => {
            let prefix = Prefix::Ack { attachments: payload.attachments.len(), ack: *ack };
            (prefix, payload.text.as_str(), &payload.attachments[..])
        }
    };
    let mut decoder = Decoder::new(usize::MAX);
    let mut read = decoder.text(prefix.text(&packet.namespace) + text)?;
    for data in attachments {
        read = decoder.binary(data.clone())?;
    }
    Ok(read)
}
