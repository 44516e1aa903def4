//! RFC 6455 as a client meets it.

use bytes::Bytes;
use exedra_wire::websocket::{Close, Item, Opcode, client_frame, frame};

use crate::{Server, client::Client};

const KEY: [u8; 4] = [9, 8, 7, 6];

#[tokio::test]
async fn frames_may_come_byte_by_byte() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    for byte in client_frame(Opcode::Text, br#"42["message","grues\u00ef"]"#, KEY) {
        client.raw(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.text().await, r#"42["message-back","grues\u00ef"]"#);
}

#[tokio::test]
async fn many_frames_may_come_at_once() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    let frames: Vec<u8> = (0..100)
        .flat_map(|i| client_frame(Opcode::Text, format!(r#"42["message",{i}]"#).as_bytes(), KEY))
        .collect();
    client.raw(&frames).await;
    for i in 0..100 {
        assert_eq!(client.text().await, format!(r#"42["message-back",{i}]"#));
    }
}

#[tokio::test]
async fn frames_may_come_with_the_handshake() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    let mut early = Client::open(server.addr, "/socket.io/?EIO=4&transport=websocket", "").await.unwrap();
    early.send("40").await; // before the OPEN packet was read
    assert!(early.text().await.starts_with('0'));
    assert!(early.text().await.starts_with("40{"));
    client.send(r#"42["message"]"#).await;
    assert_eq!(client.text().await, r#"42["message-back"]"#);
}

#[tokio::test]
async fn oversized_frame_closes_with_1009() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    let oversized = client_frame(Opcode::Text, &vec![b'x'; 1_000_001], KEY);
    client.raw(&oversized[..14]).await; // the head alone is enough
    assert_eq!(client.closed().await, Some(1009));
}

#[tokio::test]
async fn oversized_message_closes_with_1009() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    let mut first = client_frame(Opcode::Text, &vec![b'4'; 600_000], KEY);
    first[0] &= 0x7f;
    client.raw(&first).await;
    client.raw(&client_frame(Opcode::Continuation, &vec![b'4'; 600_000], KEY)[..14]).await;
    assert_eq!(client.closed().await, Some(1009));
}

#[tokio::test]
async fn unmasked_frame_closes_with_1002() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    client.raw(&frame(Opcode::Text, b"42[\"message\"]")).await;
    assert_eq!(client.closed().await, Some(1002));
}

#[tokio::test]
async fn bad_utf8_closes_with_1007() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    client.raw(&client_frame(Opcode::Text, b"4\xff", KEY)).await;
    assert_eq!(client.closed().await, Some(1007));
}

#[tokio::test]
async fn ping_is_answered_with_pong() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    client.raw(&client_frame(Opcode::Ping, b"are you there", KEY)).await;
    assert_eq!(client.item().await, Some(Item::Pong(Bytes::from_static(b"are you there"))));
}

#[tokio::test]
async fn close_is_answered_with_its_code() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    client.raw(&client_frame(Opcode::Close, &Close::encode(3001, "bye"), KEY)).await;
    assert_eq!(client.closed().await, Some(3001));
    assert_eq!(client.item().await, None);
}

#[tokio::test]
async fn silent_client_is_given_up() {
    let server = Server::with(Default::default(), |config| {
        config.socketio.ping_interval = std::time::Duration::from_millis(50);
        config.socketio.ping_timeout = std::time::Duration::from_millis(100);
    })
    .await;
    let mut client = Client::socketio(server.addr).await;
    assert_eq!(client.item().await, Some(Item::Text("2".into())));
    assert_eq!(client.closed().await, Some(1001));
}

#[tokio::test]
async fn drain_says_goodbye_with_1012() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::connected(server.addr, "").await);
    }
    let drained = tokio::spawn(server.gateway.drain(std::time::Duration::from_millis(100)));
    for client in &mut clients {
        assert_eq!(client.closed().await, Some(1012));
    }
    drained.await.unwrap();
    assert!(tokio::net::TcpStream::connect(server.addr).await.is_err());
}
