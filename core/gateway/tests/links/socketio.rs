//! Socket.IO as a client meets it: order, completeness, refusals.

use exedra_hub::Limits;
use exedra_wire::websocket::{Item, Opcode, client_frame};

use crate::{Server, client::Client};

const KEY: [u8; 4] = [9, 8, 7, 6];

#[tokio::test(flavor = "multi_thread")]
async fn burst_comes_back_complete_and_in_order() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    let burst: Vec<u8> = (0..5000)
        .flat_map(|i| client_frame(Opcode::Text, format!(r#"42["message",{i}]"#).as_bytes(), KEY))
        .collect();
    client.raw(&burst).await;
    for i in 0..5000 {
        assert_eq!(client.text().await, format!(r#"42["message-back",{i}]"#));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_mailbox_pauses_reading_only() {
    let server = Server::with(Limits { inbound_queue: 4, ..Limits::default() }, |_| ()).await;
    let mut client = Client::connected(server.addr, "").await;
    let burst: Vec<u8> = (0..300)
        .flat_map(|i| client_frame(Opcode::Text, format!(r#"42{i}["slow",{i}]"#).as_bytes(), KEY))
        .collect();
    client.raw(&burst).await;
    for i in 0..300 {
        assert_eq!(client.text().await, format!("43{i}[{i}]"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn first_event_finds_its_connection() {
    let server = Server::start().await;
    let clients: Vec<_> = (0..1000)
        .map(|i| {
            tokio::spawn(async move {
                let mut client = Client::socketio(server.addr).await;
                client.send("40").await;
                assert!(client.text().await.starts_with("40{"));
                client.send(&format!(r#"42["message",{i}]"#)).await;
                assert_eq!(client.text().await, r#"42["auth",{}]"#);
                assert_eq!(client.text().await, format!(r#"42["message-back",{i}]"#));
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn events_per_second_slow_the_reader_down() {
    let server = Server::with(Limits::default(), |config| config.limits.events_per_second = 50).await;
    let mut client = Client::connected(server.addr, "").await;
    let start = std::time::Instant::now();
    for i in 0..70 {
        client.send(&format!(r#"42["message",{i}]"#)).await;
    }
    for i in 0..70 {
        assert_eq!(client.text().await, format!(r#"42["message-back",{i}]"#));
    }
    assert!(start.elapsed() > std::time::Duration::from_millis(300));
}

#[tokio::test]
async fn events_beyond_the_rate_wait_unread() {
    let server = Server::with(Limits::default(), |config| config.limits.events_per_second = 1).await;
    let free = Server::start().await;
    for (addr, comes_back) in [(server.addr, 1), (free.addr, 3)] {
        let mut client = Client::connected(addr, "").await; // joining was one packet already
        for i in 0..3 {
            client.send(&format!(r#"42["message",{i}]"#)).await;
        }
        let mut seen = 0;
        let soon = std::time::Duration::from_millis(1500);
        while tokio::time::timeout(soon, client.text()).await.is_ok() && seen < 3 {
            seen += 1;
            if seen == comes_back {
                break;
            }
        }
        assert_eq!(seen, comes_back);
    }
}

#[tokio::test]
async fn refusal_carries_code_and_retry() {
    let server = Server::start().await;
    let mut client = Client::socketio(server.addr).await;
    client.send("40/closed,").await;
    assert_eq!(
        client.text().await,
        r#"44/closed,{"message":"not today","data":{"code":"BUSY","message":"not today","retryable":true}}"#
    );
    client.send("40/nowhere,").await;
    assert_eq!(client.text().await, r#"44/nowhere,{"message":"Invalid namespace"}"#);
    client.send("40/private,").await;
    assert!(client.text().await.contains(r#""code":"UNAUTHORIZED""#));
}

#[tokio::test]
async fn token_may_come_three_ways() {
    let server = Server::start().await;
    let path = "/socket.io/?EIO=4&transport=websocket";
    let from = async |path: &str, headers: &str, auth: &str| {
        let mut client = Client::open(server.addr, path, headers).await.unwrap();
        client.text().await;
        client.send(&format!("40/private,{auth}")).await;
        client.text().await.starts_with("40/private,{")
    };
    assert!(from(path, "", r#"{"token":"token-of-ann"}"#).await);
    assert!(from(path, "authorization: Bearer token-of-ann\r\n", "").await);
    assert!(from(&format!("{path}&token=token-of-ann"), "", "").await);
    assert!(!from(&format!("{path}&token=token-of-ann"), "", r#"{"token":"wrong"}"#).await);
}

#[tokio::test]
async fn kicked_client_may_come_back() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "/custom,").await;
    client.send(r#"42/custom,["kick"]"#).await;
    assert_eq!(client.text().await, "41/custom,");
    client.send(r#"42/custom,["message"]"#).await; // late: it is ignored
    client.send("40/custom,").await;
    assert!(client.text().await.starts_with("40/custom,{"));
    assert_eq!(client.text().await, r#"42/custom,["auth",{}]"#);
}

#[tokio::test]
async fn namespaces_per_link_are_limited() {
    let server = Server::start().await;
    let mut client = Client::socketio(server.addr).await;
    for i in 0..16 {
        client.send(&format!("40/room/{i},")).await;
        assert!(client.text().await.starts_with("40"));
        assert!(client.text().await.contains("auth"));
    }
    client.send("40/room/16,").await;
    assert!(client.text().await.contains(r#""code":"RATE_LIMITED""#));
    client.send("41/room/3,").await;
    client.send("40/room/16,").await;
    assert!(client.text().await.starts_with("40/room/16,{"));
}

#[tokio::test]
async fn endless_refusals_close_the_link() {
    let server = Server::start().await;
    let mut client = Client::socketio(server.addr).await;
    for i in 0..100 {
        client.send(&format!("40/nowhere{i},")).await;
    }
    assert_eq!(client.closed().await, Some(1008));
}

#[tokio::test]
async fn bad_events_are_refused() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    client.send(r#"427["disconnect"]"#).await;
    assert!(client.text().await.starts_with(r#"437[{"error":{"code":"INVALID""#));
    let deep = format!(r#"428["a",{}{}]"#, "[".repeat(5000), "]".repeat(5000));
    client.send(&deep).await;
    assert!(client.text().await.starts_with(r#"438[{"error":{"code":"INVALID""#));
    client.send(r#"42["disconnect"]"#).await;
    assert_eq!(client.closed().await, Some(1002));
}

#[tokio::test]
async fn attachments_come_back() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    client.send(r#"451-["message",{"_placeholder":true,"num":0}]"#).await;
    client.raw(&client_frame(Opcode::Binary, b"\x00\xff", KEY)).await;
    assert_eq!(client.text().await, r#"451-["message-back",{"_placeholder":true,"num":0}]"#);
    assert_eq!(client.item().await, Some(Item::Binary(b"\x00\xff".as_slice().into())));
    client.send(r#"451-["message",{"_placeholder":true,"num":1}]"#).await;
    client.raw(&client_frame(Opcode::Binary, b"\x00", KEY)).await;
    assert_eq!(client.closed().await, Some(1002));
}

#[tokio::test]
async fn ten_attachments_and_no_more() {
    let server = Server::start().await;
    let event = |count: usize| {
        let places: Vec<_> = (0..count).map(|i| format!(r#"{{"_placeholder":true,"num":{i}}}"#)).collect();
        format!(r#"45{count}-["message",{}]"#, places.join(","))
    };
    let mut client = Client::connected(server.addr, "").await;
    client.send(&event(10)).await;
    for _ in 0..10 {
        client.raw(&client_frame(Opcode::Binary, b"x", KEY)).await;
    }
    assert!(client.text().await.starts_with(r#"4510-["message-back""#));
    for _ in 0..10 {
        assert_eq!(client.item().await, Some(Item::Binary(b"x".as_slice().into())));
    }
    client.send(&event(11)).await;
    assert_eq!(client.closed().await, Some(1009));
}

#[tokio::test]
async fn depth_is_limited_on_both_gateways() {
    let server = Server::start().await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let mut client = Client::connected(server.addr, "").await;
    client.send(&format!(r#"421["message",{}]"#, nested(127))).await;
    assert_eq!(client.text().await, format!("431[{}]", nested(127)));
    client.send(&format!(r#"422["message",{}]"#, nested(128))).await;
    assert!(client.text().await.starts_with(r#"432[{"error":{"code":"INVALID""#));
    let mut plain = Client::open(server.addr, "/ws/echo", "").await.unwrap();
    plain.text().await;
    plain.send(&format!(r#"{{"type":"PING","a":{}}}"#, nested(127))).await;
    assert!(plain.text().await.starts_with(r#"{"type":"PING""#));
    plain.send(&format!(r#"{{"type":"PING","a":{}}}"#, nested(128))).await;
    assert!(plain.text().await.contains("BAD_MESSAGE"));
}

#[tokio::test]
async fn largest_message_passes() {
    let server = Server::start().await;
    let mut client = Client::connected(server.addr, "").await;
    let packet = |length: usize| format!(r#"421["message","{}"]"#, "x".repeat(length - 17));
    client.send(&packet(1_000_000)).await;
    assert!(client.text().await.starts_with("431["));
    client.send(&packet(1_000_001)).await;
    assert_eq!(client.closed().await, Some(1009));
}

#[tokio::test]
async fn idle_session_is_closed_in_time() {
    let server = Server::with(Limits::default(), |config| {
        config.socketio.connect_timeout = std::time::Duration::from_millis(100);
    })
    .await;
    let mut client = Client::socketio(server.addr).await;
    assert_eq!(client.closed().await, Some(1000));
    let mut joined = Client::connected(server.addr, "").await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    joined.send(r#"42["message"]"#).await;
    assert_eq!(joined.text().await, r#"42["message-back"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_client_is_closed_others_go_on() {
    let server = Server::start().await;
    let mut slow = Client::connected(server.addr, "").await;
    let mut quick = Client::connected(server.addr, "").await;
    slow.send(r#"42["flood"]"#).await; // and never reads
    for i in 0..200 {
        quick.send(&format!(r#"42["message",{i}]"#)).await;
        assert_eq!(quick.text().await, format!(r#"42["message-back",{i}]"#));
    }
    // What the kernel took is still read; then the connection ends, without the rest.
    let mut blobs = 0;
    while let Some(item) = slow.item().await {
        match item {
            Item::Text(text) if text.starts_with("42[\"blob\"") => blobs += 1,
            Item::Close(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(blobs < 100, "{blobs}");
}
