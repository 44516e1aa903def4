//! permessage-deflate (RFC 7692) and compressed polling answers as clients meet them.

use std::net::SocketAddr;

use exedra_gateway::{Compression, GatewayConfig};
use exedra_hub::Limits;
use exedra_wire::websocket::{
    Item, Opcode, client_frame,
    deflate::{Window, compress},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Server,
    client::{Client, get, http},
};

const KEY: [u8; 4] = [5, 6, 7, 8];
const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
const OFFER: &str = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";

fn off(config: &mut GatewayConfig) {
    config.socketio.compression = Compression::Off;
}

/// A session past its `auth` event.
async fn connected(addr: SocketAddr, headers: &str) -> Client {
    let mut client = Client::open(addr, PATH, headers).await.unwrap();
    assert!(client.text().await.starts_with("0{"));
    client.send("40").await;
    assert!(client.text().await.starts_with("40{"));
    assert!(client.text().await.contains("\"auth\""));
    client
}

fn squeezed(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = client_frame(opcode, &compress(payload, Window::Wide).unwrap(), KEY);
    bytes[0] |= 0x40;
    bytes
}

/// What the echo of a large event costs on the wire.
async fn echoed(client: &mut Client, length: usize) -> usize {
    let text = "x".repeat(length);
    let before = client.read;
    client.send(&format!(r#"42["message","{text}"]"#)).await;
    assert_eq!(client.text().await, format!(r#"42["message-back","{text}"]"#));
    client.read - before
}

#[tokio::test]
async fn large_events_travel_compressed_when_offered() {
    let server = Server::start().await;
    let mut client = connected(server.addr, OFFER).await;
    assert!(echoed(&mut client, 5000).await < 200);
    assert!(echoed(&mut client, 500).await > 500);
    let narrow = OFFER.replace("client_max_window_bits", "server_max_window_bits=9");
    assert!(echoed(&mut connected(server.addr, &narrow).await, 5000).await < 400);
}

#[tokio::test]
async fn nothing_is_compressed_unasked() {
    let server = Server::start().await;
    assert!(echoed(&mut connected(server.addr, "").await, 5000).await > 5000);
    let declined = OFFER.replace("client_max_window_bits", "unheard_of");
    assert!(echoed(&mut connected(server.addr, &declined).await, 5000).await > 5000);
    let server = Server::with(Limits::default(), off).await;
    assert!(echoed(&mut connected(server.addr, OFFER).await, 5000).await > 5000);
}

#[tokio::test]
async fn compressed_events_are_read() {
    let server = Server::start().await;
    let mut client = connected(server.addr, OFFER).await;
    let text = "y".repeat(3000);
    let mut bytes = squeezed(Opcode::Text, format!(r#"42["message","{text}"]"#).as_bytes());
    bytes.extend(client_frame(Opcode::Text, br#"42["message","plain"]"#, KEY));
    client.raw(&bytes).await;
    assert_eq!(client.text().await, format!(r#"42["message-back","{text}"]"#));
    assert_eq!(client.text().await, r#"42["message-back","plain"]"#);
}

#[tokio::test]
async fn attachments_travel_compressed_both_ways() {
    let server = Server::start().await;
    let mut client = connected(server.addr, OFFER).await;
    let before = client.read;
    client.send(r#"451-["message",{"_placeholder":true,"num":0}]"#).await;
    client.raw(&squeezed(Opcode::Binary, &[7; 9000])).await;
    assert!(client.text().await.starts_with(r#"451-["message-back""#));
    assert_eq!(client.item().await, Some(Item::Binary(vec![7; 9000].into())));
    assert!(client.read - before < 300);
}

#[tokio::test]
async fn endpoints_compress_too() {
    let server = Server::start().await;
    let mut client = Client::open(server.addr, "/ws/echo", OFFER).await.unwrap();
    assert_eq!(client.text().await, r#"{"type":"auth"}"#);
    let text = "z".repeat(4000);
    client.raw(&squeezed(Opcode::Text, format!(r#"{{"action":"JOIN","text":"{text}"}}"#).as_bytes())).await;
    assert!(client.text().await.contains(&text));
    assert!(client.read < 300, "{}", client.read);
}

#[tokio::test]
async fn unagreed_compression_closes_with_1002() {
    let server = Server::start().await;
    let mut client = connected(server.addr, "").await;
    client.raw(&squeezed(Opcode::Text, &[b'4'; 2000])).await;
    assert_eq!(client.closed().await, Some(1002));
}

#[tokio::test]
async fn bombs_close_with_1009() {
    let server = Server::start().await;
    let mut client = connected(server.addr, OFFER).await;
    client.raw(&squeezed(Opcode::Text, &vec![b'0'; 10 << 20])).await;
    assert_eq!(client.closed().await, Some(1009));
}

#[tokio::test]
async fn garbage_closes_with_1007() {
    let server = Server::start().await;
    let mut client = connected(server.addr, OFFER).await;
    let mut bytes = client_frame(Opcode::Text, b"no deflate at all", KEY);
    bytes[0] |= 0x40;
    client.raw(&bytes).await;
    assert_eq!(client.closed().await, Some(1007));
}

// === polling ===

/// Head and body of a poll that accepts gzip.
async fn poll(addr: SocketAddr, path: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: hub.test\r\nconnection: close\r\naccept-encoding: gzip, deflate\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase(), answer[end + 4..].to_vec())
}

/// A session that has been told of its namespace and `auth`.
async fn polling(addr: SocketAddr) -> String {
    let opened = get(addr, "/socket.io/?EIO=4&transport=polling").await;
    let json: serde_json::Value = serde_json::from_str(&opened.body[1..]).unwrap();
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", json["sid"].as_str().unwrap());
    http(addr, &format!("POST {path}"), "", "40").await;
    let mut seen = String::new();
    while !seen.contains("\"auth\"") {
        seen.push_str(&get(addr, &path).await.body);
    }
    path
}

#[tokio::test]
async fn large_polls_are_compressed_when_accepted() {
    let server = Server::start().await;
    let path = polling(server.addr).await;
    let event = format!(r#"42["message","{}"]"#, "p".repeat(6000));
    http(server.addr, &format!("POST {path}"), "", &event).await;
    let (head, body) = poll(server.addr, &path).await;
    assert!(head.contains("content-encoding: gzip") && head.contains("accept-encoding"), "{head}");
    assert!(body.starts_with(&[0x1f, 0x8b]) && body.len() < 200);
    http(server.addr, &format!("POST {path}"), "", r#"42["message","small"]"#).await;
    let (head, body) = poll(server.addr, &path).await;
    assert!(!head.contains("content-encoding"), "{head}");
    assert_eq!(body, br#"42["message-back","small"]"#);
    http(server.addr, &format!("POST {path}"), "", &event).await;
    let plain = get(server.addr, &path).await;
    assert!(!plain.head.contains("content-encoding") && plain.body.len() > 6000);
}

#[tokio::test]
async fn compressed_posts_are_refused() {
    let server = Server::start().await;
    let path = polling(server.addr).await;
    let answer = http(server.addr, &format!("POST {path}"), "content-encoding: gzip\r\n", "4").await;
    assert_eq!(answer.status, 415);
}
