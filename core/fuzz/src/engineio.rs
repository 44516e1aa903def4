//! Bodies of HTTP polling. The input is a body.

use exedra_wire::engineio::{Packet, Writer, packets};

/// A body is either malformed or says the same once it is written again.
///
/// # Panics
/// When that does not hold.
pub fn engineio_payload(body: &str) {
    let read: Vec<_> = packets(body).collect();
    assert_eq!(read.len(), body.split('\u{1e}').count(), "packets are lost or made up");
    let Ok(read) = read.into_iter().collect::<Result<Vec<_>, _>>() else { return };
    let mut writer = Writer::default();
    for packet in &read {
        match packet {
            Packet::Text(kind, content) => writer.text(format!("{}{content}", kind.as_char()).as_bytes()),
            Packet::Binary(data) => writer.binary(data),
        }
    }
    assert!(!writer.is_empty());
    let written = String::from_utf8(writer.finish());
    let written = written.unwrap_or_else(|error| panic!("not UTF-8: {error}"));
    let again: Result<Vec<_>, _> = packets(&written).collect();
    assert_eq!(again.as_ref(), Ok(&read), "{written:?} is not {body:?}");
}
