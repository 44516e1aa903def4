//! The bodies of HTTP polling: packets separated by 0x1e, binary messages as `b` and base64.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose},
};
use bytes::Bytes;

use super::{Kind, Malformed, split};

/// Stands between two packets.
const SEPARATOR: char = '\u{1e}';

/// Some clients leave the padding out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One packet of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Any packet that is text.
    Text(Kind, &'a str),
    /// A binary message.
    Binary(Bytes),
}

/// The packets of a body, in order. Stops being useful at the first malformed one.
pub fn packets(body: &str) -> impl Iterator<Item = Result<Packet<'_>, Malformed>> {
    body.split(SEPARATOR).map(|packet| match packet.strip_prefix('b') {
        Some(encoded) => {
            LENIENT.decode(encoded).map(|data| Packet::Binary(data.into())).map_err(|_| Malformed)
        }
        None => split(packet).map(|(kind, content)| Packet::Text(kind, content)),
    })
}

/// Puts packets together into one body.
#[derive(Debug, Default)]
pub struct Writer {
    body: Vec<u8>,
}

impl Writer {
    /// Adds a text packet, its type character included.
    pub fn text(&mut self, packet: &[u8]) {
        self.separate();
        self.body.extend_from_slice(packet);
    }

    /// Adds a binary message.
    pub fn binary(&mut self, data: &[u8]) {
        self.separate();
        self.body.push(b'b');
        let start = self.body.len();
        self.body.resize(start + data.len().div_ceil(3) * 4, 0);
        // The slice is exactly as long as padded base64 of `data`.
        let _ = general_purpose::STANDARD.encode_slice(data, &mut self.body[start..]);
    }

    /// Whether nothing has been added.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The body.
    pub fn finish(self) -> Vec<u8> {
        self.body
    }

    fn separate(&mut self) {
        if !self.body.is_empty() {
            self.body.push(SEPARATOR as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Sent {
        Text(String),
        Binary(Vec<u8>),
    }

    fn any_sent() -> impl Strategy<Value = Sent> {
        prop_oneof!["[^\u{1e}]*".prop_map(Sent::Text), any::<Vec<u8>>().prop_map(Sent::Binary)]
    }

    proptest! {
        #[test]
        fn payloads_survive_the_round_trip(sent in proptest::collection::vec(any_sent(), 1..6)) {
            let mut writer = Writer::default();
            for packet in &sent {
                match packet {
                    Sent::Text(text) => writer.text(format!("4{text}").as_bytes()),
                    Sent::Binary(data) => writer.binary(data),
                }
            }
            let body = String::from_utf8(writer.finish()).unwrap();
            let read: Vec<_> = packets(&body).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), sent.len());
            for (read, sent) in read.iter().zip(&sent) {
                match (read, sent) {
                    (Packet::Text(Kind::Message, read), Sent::Text(sent)) => prop_assert_eq!(read, sent),
                    (Packet::Binary(read), Sent::Binary(sent)) => prop_assert_eq!(&read[..], &sent[..]),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }

        #[test]
        fn hostile_bodies_never_panic(body: String) {
            let _ = packets(&body).count();
        }
    }

    #[test]
    fn reads_the_example_of_the_protocol() {
        let read: Vec<_> = packets("4hello\u{1e}2\u{1e}bAQIDBA==").collect();
        assert_eq!(read[0], Ok(Packet::Text(Kind::Message, "hello")));
        assert_eq!(read[1], Ok(Packet::Text(Kind::Ping, "")));
        assert_eq!(read[2], Ok(Packet::Binary(Bytes::from_static(&[1, 2, 3, 4]))));
    }

    #[test]
    fn padding_may_be_missing() {
        assert_eq!(packets("bAQIDBA").next(), Some(Ok(Packet::Binary(Bytes::from_static(&[1, 2, 3, 4])))));
    }

    #[test]
    fn bad_packets_are_malformed() {
        for body in ["", "abc", "4a\u{1e}", "b%%%"] {
            assert!(packets(body).any(|p| p == Err(Malformed)), "{body:?}");
        }
    }
}
