//! REST, pages, and who may ask from a browser.

use crate::{
    Server,
    client::{Client, get, http},
};

#[tokio::test]
async fn routes_get_path_and_body() {
    let server = Server::start().await;
    let answer = http(server.addr, "POST /echo/a%20b?x=1", "", "body").await;
    assert_eq!((answer.status, &*answer.body), (200, "a b:body"));
}

#[tokio::test]
async fn pages_come_last() {
    let server = Server::start().await;
    assert_eq!(get(server.addr, "/page").await.body, "a page");
    let missing = get(server.addr, "/missing").await;
    assert_eq!(missing.status, 404);
    assert!(missing.head.contains("application/problem+json"));
}

#[tokio::test]
async fn wrong_method_names_the_right_one() {
    let server = Server::start().await;
    let answer = get(server.addr, "/echo/1").await;
    assert_eq!(answer.status, 405);
    assert!(answer.head.contains("allow: post"));
}

#[tokio::test]
async fn tokens_open_routes() {
    let server = Server::start().await;
    assert_eq!(get(server.addr, "/secret").await.status, 401);
    assert_eq!(get(server.addr, "/secret?token=token-of-ann").await.status, 200);
    let header = "authorization: Bearer token-of-ann\r\n";
    assert_eq!(http(server.addr, "GET /secret", header, "").await.status, 200);
}

#[tokio::test]
async fn bodies_are_limited() {
    let server = Server::start().await;
    assert_eq!(http(server.addr, "POST /echo/1", "", &"x".repeat(101)).await.status, 413);
    let gzip = http(server.addr, "POST /echo/1", "content-encoding: gzip\r\n", "x").await;
    assert_eq!(gzip.status, 415);
}

#[tokio::test]
async fn foreign_origins_open_nothing() {
    let server = Server::start().await;
    let polling = "GET /socket.io/?EIO=4&transport=polling";
    for origin in ["https://evil.example", "null", "https://good.example.evil", "http://good.example"] {
        let header = format!("origin: {origin}\r\n");
        assert_eq!(http(server.addr, polling, &header, "").await.status, 403);
        for path in ["/socket.io/?EIO=4&transport=websocket", "/ws/echo"] {
            let Err(refused) = Client::open(server.addr, path, &header).await else { panic!("let in") };
            assert_eq!(refused.status, 403);
        }
    }
    for origin in ["https://good.example", "http://hub.test"] {
        let header = format!("origin: {origin}\r\n");
        assert_eq!(http(server.addr, polling, &header, "").await.status, 200);
    }
}

#[tokio::test]
async fn preflights_are_for_listed_origins() {
    let server = Server::start().await;
    let ask = async |origin: &str| {
        let headers = format!("origin: {origin}\r\naccess-control-request-method: POST\r\n");
        http(server.addr, "OPTIONS /echo/1", &headers, "").await
    };
    let listed = ask("https://good.example").await;
    assert_eq!(listed.status, 204);
    assert!(listed.head.contains("access-control-allow-origin: https://good.example"));
    assert!(listed.head.contains("access-control-allow-credentials: true"));
    let foreign = ask("https://evil.example").await;
    assert_eq!(foreign.status, 403);
    assert!(!foreign.head.contains("access-control-allow-origin"));
}
