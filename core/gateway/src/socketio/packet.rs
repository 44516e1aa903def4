//! Packets as text, through the packet crates; the only file that names them.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use exedra_hub::CloseReason;
use socketioxide_core::{
    Str, Value,
    packet::{Packet as CorePacket, PacketData},
    parser::{Parse, ParseConfig, ParseError, ParserState},
};
use socketioxide_parser_common::CommonParser;

/// Attachments of one packet.
const MAX_ATTACHMENTS: usize = 10;
/// Digits before a payload: the packet's type and an id below 10^17, beyond what a client's numbers can count.
const MAX_ACK_DIGITS: usize = 18;
/// All attachments of a packet must have come by then.
const COMPLETE: Duration = Duration::from_secs(30);

/// A packet of a client. Payloads are JSON text that was not looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) namespace: String,
    pub(crate) data: Data,
}

/// What a packet is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    Connect(Option<String>),
    Disconnect,
    Event { payload: Payload, ack: Option<u64> },
    Ack { payload: Payload, ack: u64 },
}

/// JSON text and attachments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) text: String,
    pub(crate) attachments: Vec<Bytes>,
}

/// Decodes the packets of one link.
pub(crate) struct Decoder {
    config: ParseConfig,
    /// A packet whose attachments have not all come; nothing in between.
    partial: Option<Box<ParserState>>,
}

impl Decoder {
    /// A decoder that takes attachments of up to `max_payload` bytes together.
    pub(crate) fn new(max_payload: usize) -> Self {
        let config = ParseConfig {
            max_incoming_binary_buf_size: max_payload,
            max_incoming_binaries: MAX_ATTACHMENTS,
            packet_completion_timeout: COMPLETE,
        };
        Self { config, partial: None }
    }

    /// Reads a text message; `None` when attachments must follow.
    pub(crate) fn text(&mut self, text: String) -> Result<Option<Packet>, CloseReason> {
        if self.partial.is_some() || ack_overflows(&text) {
            return Err(CloseReason::ProtocolError);
        }
        let state = ParserState::default();
        match CommonParser.decode_str(&self.config, &state, Str::from(text)) {
            Ok(packet) => whole(packet).map(Some),
            Err(ParseError::NeedsMoreBinaryData) => {
                self.partial = Some(Box::new(state));
                Ok(None)
            }
            Err(error) => Err(reason(&error)),
        }
    }

    /// Reads an attachment; the packet when it was the last one.
    pub(crate) fn binary(&mut self, data: Bytes) -> Result<Option<Packet>, CloseReason> {
        let Some(state) = &self.partial else { return Err(CloseReason::ProtocolError) };
        match CommonParser.decode_bin(&self.config, state, data) {
            Ok(packet) => {
                self.partial = None;
                whole(packet).map(Some)
            }
            Err(ParseError::NeedsMoreBinaryData) => Ok(None),
            Err(error) => Err(reason(&error)),
        }
    }
}

/// Whether the acknowledgement's id is larger than any client counts to. The parser would leave such an id out and
/// the client would wait for an answer that never comes.
fn ack_overflows(text: &str) -> bool {
    let head = text.split(['[', '{']).next().unwrap_or_default();
    head.bytes().rev().take_while(u8::is_ascii_digit).count() > MAX_ACK_DIGITS
}

fn reason(error: &ParseError) -> CloseReason {
    match error {
        ParseError::AttachmentsTooHeavy { .. } | ParseError::TooManyAttachments { .. } => {
            CloseReason::TooLarge
        }
        _ => CloseReason::ProtocolError,
    }
}

/// Our view of a packet that is complete.
fn whole(packet: CorePacket) -> Result<Packet, CloseReason> {
    let namespace = packet.ns.as_str().to_owned();
    drop(packet.ns); // it shares the payload's memory, which then need not be copied
    let number = |ack: i64| u64::try_from(ack).map_err(|_| CloseReason::ProtocolError);
    let data = match packet.inner {
        PacketData::Connect(None) => Data::Connect(None),
        PacketData::Connect(Some(value)) => Data::Connect(Some(payload(value)?.text)),
        PacketData::Disconnect => Data::Disconnect,
        PacketData::Event(value, ack) | PacketData::BinaryEvent(value, ack) => {
            Data::Event { payload: payload(value)?, ack: ack.map(number).transpose()? }
        }
        PacketData::EventAck(value, ack) | PacketData::BinaryAck(value, ack) => {
            Data::Ack { payload: payload(value)?, ack: number(ack)? }
        }
        PacketData::ConnectError(_) => return Err(CloseReason::ProtocolError),
    };
    Ok(Packet { namespace, data })
}

fn payload(value: Value) -> Result<Payload, CloseReason> {
    match value {
        Value::Str(text, attachments) => {
            Ok(Payload { text: text.into(), attachments: attachments.unwrap_or_default().into() })
        }
        Value::Bytes(_) => Err(CloseReason::ProtocolError),
    }
}

/// What stands before the payload of a packet to a client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prefix {
    Connect,
    ConnectError,
    Disconnect,
    Event { attachments: usize, ack: Option<u64> },
    Ack { attachments: usize, ack: u64 },
}

impl Prefix {
    /// The packet's text up to its payload, which may then follow as it is.
    pub(crate) fn text(self, namespace: &str) -> String {
        let value = |attachments| {
            let attachments: VecDeque<_> = std::iter::repeat_n(Bytes::new(), attachments).collect();
            Value::Str(Str::default(), Some(attachments))
        };
        let number = |ack: u64| i64::try_from(ack).unwrap_or(i64::MAX);
        let inner = match self {
            Self::Connect | Self::ConnectError => PacketData::Connect(None),
            Self::Disconnect => PacketData::Disconnect,
            Self::Event { attachments: 0, ack } => PacketData::Event(value(0), ack.map(number)),
            Self::Event { attachments, ack } => PacketData::BinaryEvent(value(attachments), ack.map(number)),
            Self::Ack { attachments: 0, ack } => PacketData::EventAck(value(0), number(ack)),
            Self::Ack { attachments, ack } => PacketData::BinaryAck(value(attachments), number(ack)),
        };
        let packet = CorePacket { inner, ns: Str::copy_from_slice(namespace) };
        let text: String = match CommonParser.encode(packet) {
            Value::Str(text, _) => text.into(),
            Value::Bytes(_) => String::new(), // another parser's form
        };
        match self {
            // The crate's own error packet has no room for `data`; otherwise the two look the same.
            Self::ConnectError => text.replacen('0', "4", 1),
            _ => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> Result<Option<Packet>, CloseReason> {
        Decoder::new(100).text(text.to_owned())
    }

    fn event(text: &str) -> Option<(String, String, Option<u64>)> {
        match decode(text).ok()?? {
            Packet { namespace, data: Data::Event { payload, ack } } => Some((namespace, payload.text, ack)),
            _ => None,
        }
    }

    #[test]
    fn reads_events_with_their_parts() {
        assert_eq!(event(r#"2["a",1]"#), Some(("/".into(), r#"["a",1]"#.into(), None)));
        assert_eq!(event(r#"2/x,12["a"]"#), Some(("/x".into(), r#"["a"]"#.into(), Some(12))));
    }

    #[test]
    fn endless_ack_ids_are_violations() {
        let with_id = |digits: usize| decode(&format!(r#"2{}["a"]"#, "9".repeat(digits)));
        assert!(with_id(17).is_ok());
        assert_eq!(with_id(18), Err(CloseReason::ProtocolError));
        assert_eq!(with_id(400), Err(CloseReason::ProtocolError));
    }

    #[test]
    fn unknown_types_are_violations() {
        for text in ["", "abc", "7", "4{}", "51-x", "5[", "3[1]"] {
            let read = decode(text);
            assert!(!matches!(read, Ok(Some(_))), "{text}: {read:?}");
        }
    }

    #[test]
    fn attachments_complete_a_packet() {
        let mut decoder = Decoder::new(100);
        assert_eq!(decoder.text(r#"52-/x,["a",{"_placeholder":true,"num":0}]"#.into()), Ok(None));
        assert_eq!(decoder.binary("one".into()), Ok(None));
        let packet = decoder.binary("two".into()).unwrap().unwrap();
        let Data::Event { payload, .. } = packet.data else { panic!("{packet:?}") };
        assert_eq!(payload.attachments, ["one", "two"]);
        assert!(decoder.binary("three".into()).is_err());
    }

    #[test]
    fn too_many_or_large_attachments_are_refused() {
        assert_eq!(decode(r#"511-["a"]"#), Err(CloseReason::TooLarge));
        let mut decoder = Decoder::new(10);
        assert_eq!(decoder.text(r#"52-["a"]"#.into()), Ok(None));
        assert_eq!(decoder.binary(vec![0; 8].into()), Ok(None));
        assert_eq!(decoder.binary(vec![0; 8].into()), Err(CloseReason::TooLarge));
    }

    #[test]
    fn text_between_attachments_is_a_violation() {
        let mut decoder = Decoder::new(100);
        assert_eq!(decoder.text(r#"51-["a"]"#.into()), Ok(None));
        assert_eq!(decoder.text(r#"2["b"]"#.into()), Err(CloseReason::ProtocolError));
    }

    #[test]
    fn prefixes_are_the_protocol_s() {
        assert_eq!(Prefix::Connect.text("/"), "0");
        assert_eq!(Prefix::Connect.text("/x"), "0/x,");
        assert_eq!(Prefix::ConnectError.text("/a0"), "4/a0,");
        assert_eq!(Prefix::Disconnect.text("/x"), "1/x,");
        assert_eq!(Prefix::Event { attachments: 0, ack: None }.text("/"), "2");
        assert_eq!(Prefix::Event { attachments: 0, ack: Some(7) }.text("/x"), "2/x,7");
        assert_eq!(Prefix::Event { attachments: 2, ack: Some(7) }.text("/x"), "52-/x,7");
        assert_eq!(Prefix::Ack { attachments: 0, ack: 456 }.text("/"), "3456");
        assert_eq!(Prefix::Ack { attachments: 2, ack: 789 }.text("/"), "62-789");
    }

    proptest! {
        #[test]
        fn packets_survive_the_round_trip(
            namespace in "/[a-z0-9/-]{0,9}",
            number in proptest::option::of(0_u64..100_000_000_000_000_000),
            words: Vec<String>,
            attachments in proptest::collection::vec(any::<Vec<u8>>(), 0..4),
            answer: bool,
        ) {
            let text = serde_json::to_string(&words).unwrap();
            let count = attachments.len();
            let attachments: Vec<Bytes> = attachments.into_iter().map(Bytes::from).collect();
            let payload = Payload { text, attachments: attachments.clone() };
            let (prefix, data) = match (answer, number) {
                (true, Some(ack)) => (Prefix::Ack { attachments: count, ack }, Data::Ack { payload, ack }),
                (_, ack) => (Prefix::Event { attachments: count, ack }, Data::Event { payload, ack }),
            };
            prop_assume!(!words.is_empty() || matches!(data, Data::Ack { .. }));
            let text = prefix.text(&namespace) + &serde_json::to_string(&words).unwrap();
            let mut decoder = Decoder::new(1 << 20);
            let mut read = decoder.text(text).unwrap();
            for attachment in attachments {
                prop_assert_eq!(read, None);
                read = decoder.binary(attachment).unwrap();
            }
            prop_assert_eq!(read, Some(Packet { namespace, data }));
        }

        #[test]
        fn hostile_packets_never_panic(texts: Vec<String>, data: Vec<u8>) {
            let mut decoder = Decoder::new(100);
            for text in texts {
                let _ = decoder.text(text);
                let _ = decoder.binary(data.clone().into());
            }
        }

        #[test]
        fn hostile_packets_of_a_kind_never_panic(text in "[0-6][0-9]{0,3}-?(/[a-zé™]{0,3},?)?[0-9]{0,22}[\\[{]?.{0,9}") {
            let _ = decode(&text);
        }
    }
}
