//! Packets of Socket.IO clients, by the way that the gateway takes them. The input is a polling body: text messages
//! and attachments (`b` and base64) of one link, in order.

use bytes::Bytes;
use exedra_gateway::fuzzing::{Link, Read};
use exedra_wire::engineio::{Packet, packets};
use serde_json::Value;

/// The link's limit of attachments, in bytes: small, so that it is reached.
const MAX_PAYLOAD: usize = 64;
/// The longest name of an event.
const LONGEST_NAME: usize = 50;

/// What JSON may say and Rust cannot hold.
const UNREADABLE: [&str; 3] =
    ["number out of range", "lone leading surrogate", "unexpected end of hex escape"];

/// What comes of any messages keeps to the limits, is JSON where it says so, and is read the same when it is written
/// again.
///
/// # Panics
/// When that does not hold.
pub fn socketio_packet(body: &str) {
    let mut link = Link::new(MAX_PAYLOAD);
    for packet in packets(body).map_while(Result::ok) {
        let read = match packet {
            Packet::Text(_, text) => link.text(text, LONGEST_NAME),
            Packet::Binary(data) => link.binary(data, LONGEST_NAME),
        };
        match read {
            Ok(Some(read)) => check(&read),
            Ok(None) => {}
            Err(_) => return, // the link is closed
        }
    }
}

fn check(read: &Read) {
    assert!(read.attachments.len() <= 10, "too many attachments");
    assert!(read.attachments.iter().map(Bytes::len).sum::<usize>() <= MAX_PAYLOAD, "too heavy attachments");
    if let Some(event) = &read.event {
        assert!(event.len() <= LONGEST_NAME, "the name is too long");
        assert!(!matches!(event.as_str(), "connect" | "disconnect" | "connect_error"), "{event} is reserved");
    }
    if let Some(arguments) = &read.arguments {
        match serde_json::from_slice::<Value>(arguments) {
            Ok(value @ Value::Array(_)) => assert!(depth(&value) <= 128, "nested too deeply"),
            // Numbers beyond a double and halves of surrogate pairs are JSON, and pass as they are written.
            Err(error) if UNREADABLE.iter().any(|what| error.to_string().starts_with(what)) => {}
            other => panic!("arguments that are no array: {other:?}"),
        }
    }
    assert!(
        read.refused || read.again == read.text,
        "written and read again it is another packet: {} is {}",
        read.text,
        read.again
    );
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
