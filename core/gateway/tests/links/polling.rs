//! HTTP polling and the move to WebSocket, beyond what the official suite asks.

use std::{net::SocketAddr, time::Duration};

use crate::{
    Server,
    client::{Answer, Client, get, http},
};

async fn open(addr: SocketAddr) -> String {
    let opened = get(addr, "/socket.io/?EIO=4&transport=polling").await;
    assert_eq!(opened.status, 200);
    let json: serde_json::Value = serde_json::from_str(&opened.body[1..]).unwrap();
    format!("/socket.io/?EIO=4&transport=polling&sid={}", json["sid"].as_str().unwrap())
}

async fn post(addr: SocketAddr, path: &str, body: &str) -> Answer {
    http(addr, &format!("POST {path}"), "content-type: text/plain\r\n", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_both_ways_in_order() {
    let server = Server::start().await;
    let path = open(server.addr).await;
    assert_eq!(post(server.addr, &path, "40").await.body, "ok");
    let mut seen = get(server.addr, &path).await.body;
    assert!(seen.starts_with("40{"));
    let events: Vec<String> = (0..1000).map(|i| format!(r#"42["message",{i}]"#)).collect();
    assert_eq!(post(server.addr, &path, &events.join("\u{1e}")).await.body, "ok");
    while !seen.contains("999]") {
        seen = format!("{seen}\u{1e}{}", get(server.addr, &path).await.body);
    }
    let back: Vec<&str> = seen.split('\u{1e}').filter(|p| p.contains("message-back")).collect();
    let expected: Vec<String> = (0..1000).map(|i| format!(r#"42["message-back",{i}]"#)).collect();
    assert_eq!(back, expected);
}

#[tokio::test]
async fn binary_travels_as_base64() {
    let server = Server::start().await;
    let path = open(server.addr).await;
    post(server.addr, &path, "40").await;
    let event = "451-[\"message\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQIDBA==";
    assert_eq!(post(server.addr, &path, event).await.body, "ok");
    let mut seen = String::new();
    while !seen.contains("bAQIDBA==") {
        seen.push_str(&get(server.addr, &path).await.body);
    }
    assert!(seen.contains(r#"451-["message-back""#));
}

#[tokio::test]
async fn large_body_ends_the_session() {
    let server = Server::start().await;
    let path = open(server.addr).await;
    assert_eq!(post(server.addr, &path, &"4".repeat(1_000_001)).await.status, 413);
    assert_eq!(get(server.addr, &path).await.status, 400);
}

#[tokio::test]
async fn largest_body_passes() {
    let server = Server::start().await;
    let path = open(server.addr).await;
    post(server.addr, &path, "40").await;
    let event = format!(r#"42["message","{}"]"#, "x".repeat(1_000_000 - 16));
    assert_eq!((event.len(), post(server.addr, &path, &event).await.status), (1_000_000, 200));
}

#[tokio::test]
async fn idle_session_is_forgotten_in_time() {
    let server = Server::with(Default::default(), |config| {
        config.socketio.connect_timeout = Duration::from_millis(100);
    })
    .await;
    let (idle, joined) = (open(server.addr).await, open(server.addr).await);
    assert_eq!(post(server.addr, &joined, "40").await.body, "ok");
    assert_eq!(get(server.addr, &idle).await.body, "1");
    assert_eq!(get(server.addr, &idle).await.status, 400);
    assert!(get(server.addr, &joined).await.body.starts_with("40{"));
}

#[tokio::test(flavor = "multi_thread")]
async fn move_to_websocket_loses_nothing() {
    let server = Server::start().await;
    let path = open(server.addr).await;
    post(server.addr, &path, "40").await;
    let first = get(server.addr, &path).await.body;
    assert!(first.starts_with("40{"));
    let ws_path = path.replace("polling", "websocket");
    let mut client = Client::open(server.addr, &ws_path, "").await.unwrap();
    let polled = tokio::spawn({
        let path = path.clone();
        async move { get(server.addr, &path).await.body }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    polled.await.unwrap();
    post(server.addr, &path, r#"42["message","posted"]"#).await;
    client.send("5").await;
    client.send(r#"42["message","sent"]"#).await;
    let mut seen = vec![client.text().await, client.text().await];
    seen.retain(|text| text.contains("message-back"));
    assert_eq!(seen, [r#"42["message-back","posted"]"#, r#"42["message-back","sent"]"#]);
    assert_eq!(get(server.addr, &path).await.status, 400);
}

/// Events keep coming while the client moves: by polls, then on the WebSocket, each once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn move_among_events_loses_none() {
    const NUMBERS: u32 = 4000;
    let server = Server::start().await;
    for _ in 0..5 {
        let path = open(server.addr).await;
        post(server.addr, &path, "40").await;
        let mut seen = get(server.addr, &path).await.body;
        post(server.addr, &path, &format!(r#"42["count",{NUMBERS}]"#)).await;
        for _ in 0..3 {
            seen += &get(server.addr, &path).await.body;
        }
        let mut client = Client::open(server.addr, &path.replace("polling", "websocket"), "").await.unwrap();
        client.send("2probe").await;
        let polling = tokio::spawn({
            let path = path.clone();
            async move { get(server.addr, &path).await.body }
        });
        assert_eq!(client.text().await, "3probe");
        seen += &polling.await.unwrap();
        client.send("5").await;
        let last = format!(r#"42["number",{}]"#, NUMBERS - 1);
        while !seen.ends_with(&last) {
            seen += "\n";
            seen += &client.text().await;
        }
        let numbers = seen.split(r#"42["number","#).skip(1).map(|rest| rest.split(']').next().unwrap());
        let numbers: Vec<u32> = numbers.map(|number| number.parse().unwrap()).collect();
        assert!(numbers.iter().copied().eq(0..NUMBERS), "{numbers:?}");
    }
}

#[tokio::test]
async fn failed_probe_leaves_polling_alone() {
    let server = Server::start().await;
    let path = open(server.addr).await;
    post(server.addr, &path, "40").await;
    let mut client = Client::open(server.addr, &path.replace("polling", "websocket"), "").await.unwrap();
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    drop(client);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(get(server.addr, &path).await.body.starts_with("40{"));
    assert_eq!(post(server.addr, &path, r#"42["message",1]"#).await.body, "ok");
}

#[tokio::test]
async fn unknown_sessions_and_transports_are_refused() {
    let server = Server::start().await;
    let unknown = get(server.addr, "/socket.io/?EIO=4&transport=polling&sid=guess").await;
    assert_eq!((unknown.status, &*unknown.body), (400, r#"{"code":1,"message":"Session ID unknown"}"#));
    let old = get(server.addr, "/socket.io/?EIO=3&transport=polling").await;
    assert_eq!((old.status, &*old.body), (400, r#"{"code":5,"message":"Unsupported protocol version"}"#));
}

#[tokio::test]
async fn drained_polls_end_with_a_close() {
    let server = Server::start().await;
    let path = open(server.addr).await;
    let polled = tokio::spawn(async move { get(server.addr, &path).await.body });
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.gateway.drain(Duration::from_millis(10)).await;
    assert_eq!(polled.await.unwrap(), "1");
}
