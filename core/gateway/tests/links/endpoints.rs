//! Plain WebSocket endpoints.

use exedra_wire::websocket::{Opcode, client_frame};

use crate::{
    Server,
    client::{Client, get},
};

#[tokio::test]
async fn events_are_json_objects() {
    let server = Server::start().await;
    let mut client = Client::open(server.addr, "/ws/echo?userId=7", "").await.unwrap();
    assert_eq!(client.text().await, r#"{"type":"auth"}"#);
    client.send(r#"{"action":"JOIN","room":1}"#).await;
    assert_eq!(client.text().await, r#"{"type":"JOIN-back","action":"JOIN","room":1}"#);
    client.send(r#"{"type":"PING"}"#).await;
    assert_eq!(client.text().await, r#"{"type":"PING"}"#);
}

#[tokio::test]
async fn bad_messages_leave_it_open() {
    let server = Server::start().await;
    let mut client = Client::open(server.addr, "/ws/echo", "").await.unwrap();
    client.text().await;
    client.send("not json").await;
    assert!(client.text().await.starts_with(r#"{"type":"ERROR","code":"BAD_MESSAGE""#));
    client.raw(&client_frame(Opcode::Binary, b"\x00", [1, 2, 3, 4])).await;
    assert!(client.text().await.contains("BAD_MESSAGE"));
    client.send(r#"{"type":"PING"}"#).await;
    assert_eq!(client.text().await, r#"{"type":"PING"}"#);
}

#[tokio::test]
async fn refusal_comes_before_the_upgrade() {
    let server = Server::start().await;
    let Err(refused) = Client::open(server.addr, "/ws/private", "").await else { panic!("it was let in") };
    assert_eq!(refused.status, 401);
    assert!(refused.body.contains(r#""code":"UNAUTHORIZED""#));
    assert!(Client::open(server.addr, "/ws/private?token=token-of-ann", "").await.is_ok());
}

#[tokio::test]
async fn plain_requests_are_told_to_upgrade() {
    let server = Server::start().await;
    assert_eq!(get(server.addr, "/ws/echo").await.status, 426);
}

#[tokio::test]
async fn kicked_client_is_closed() {
    let server = Server::start().await;
    let mut client = Client::open(server.addr, "/ws/echo", "").await.unwrap();
    client.text().await;
    client.send(r#"{"type":"kick"}"#).await;
    assert_eq!(client.closed().await, Some(1008));
}
