//! What keeps a crowd, a flood or a sloth from taking the gateway.

use std::time::Duration;

use exedra_hub::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Server,
    client::{Client, get},
};

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

#[tokio::test]
async fn links_per_address_are_limited() {
    let server = Server::with(Limits::default(), |config| config.limits.connections_per_ip = 2).await;
    let first = Client::socketio(server.addr).await;
    let _second = Client::open(server.addr, "/ws/echo", "").await.unwrap();
    assert_eq!(Client::open(server.addr, WEBSOCKET, "").await.err().map(|a| a.status), Some(429));
    assert_eq!(get(server.addr, POLLING).await.status, 429);
    drop(first);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(Client::open(server.addr, WEBSOCKET, "").await.is_ok());
}

#[tokio::test]
async fn links_behind_a_proxy_count_by_client() {
    let server = Server::with(Limits::default(), |config| {
        config.limits.connections_per_ip = 1;
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let open = async |client: &str| {
        Client::open(server.addr, WEBSOCKET, &format!("x-forwarded-for: 6.6.6.6, {client}\r\n")).await
    };
    let _first = open("203.0.113.1").await.unwrap();
    assert!(open("203.0.113.1").await.is_err());
    assert!(open("203.0.113.2").await.is_ok());
}

#[tokio::test]
async fn all_links_are_limited() {
    let server = Server::with(Limits::default(), |config| config.limits.connections = 1).await;
    let _first = Client::socketio(server.addr).await;
    let refused = Client::open(server.addr, WEBSOCKET, "").await.err().unwrap();
    assert_eq!(refused.status, 503);
    assert_eq!(get(server.addr, "/page").await.status, 200);
    assert_eq!(Client::open(server.addr, "/ws/echo", "").await.err().map(|a| a.status), Some(503));
}

#[tokio::test]
async fn refusals_spread_the_retries() {
    let server = Server::with(Limits::default(), |config| config.limits.connections = 1).await;
    let _first = Client::socketio(server.addr).await;
    let mut seen = std::collections::BTreeSet::new();
    for path in [POLLING, WEBSOCKET, "/ws/echo"].iter().cycle().take(60) {
        let refused = if *path == POLLING {
            get(server.addr, path).await
        } else {
            Client::open(server.addr, path, "").await.err().unwrap()
        };
        let after = refused.head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
        seen.insert(after.parse::<u32>().unwrap());
    }
    assert!(seen.len() > 1 && seen.iter().all(|after| (1..=5).contains(after)), "{seen:?}");
}

#[tokio::test]
async fn connects_per_second_are_limited() {
    let server = Server::with(Limits::default(), |config| config.limits.connects_per_second = 3).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(get(server.addr, POLLING).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 503, 503]);
    let open = Server::start().await;
    for _ in 0..5 {
        assert_eq!(get(open.addr, POLLING).await.status, 200);
    }
}

/// How long the server bears with a connection that says only this.
async fn patience(server: &Server, said: &[u8]) -> Duration {
    let start = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(said).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn slow_openings_are_closed() {
    let server = Server::start().await;
    let second = |d: Duration| d.as_secs();
    assert_eq!(second(patience(&server, b"").await), 5);
    assert_eq!(second(patience(&server, b"GET / HT").await), 10);
    assert_eq!(second(patience(&server, b"GET / HTTP/1.1\r\nhost: hub.test\r\nx: ").await), 10);
    let body = b"POST /echo/1 HTTP/1.1\r\nhost: hub.test\r\ncontent-length: 10\r\n\r\nhalf";
    assert!((20..=31).contains(&second(patience(&server, body).await)));
}

/// What the server answers to a request that comes in two pieces with a pause between, itself behind a pause.
async fn answer_in_pieces(server: &Server, pieces: [(u64, &[u8]); 2]) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    for (pause, piece) in pieces {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        stream.write_all(piece).await.unwrap();
    }
    let mut status = vec![0; 12];
    stream.read_exact(&mut status).await.unwrap();
    String::from_utf8(status).unwrap()
}

#[tokio::test(start_paused = true)]
async fn openings_in_time_are_served() {
    let server = Server::start().await;
    let head: [(u64, &[u8]); 2] = [(4, b"GET /page HT"), (9, b"TP/1.1\r\nhost: hub.test\r\n\r\n")];
    assert_eq!(answer_in_pieces(&server, head).await, "HTTP/1.1 200");
    let post = b"POST /echo/1 HTTP/1.1\r\nhost: hub.test\r\ncontent-length: 10\r\n\r\nhalf ";
    assert_eq!(answer_in_pieces(&server, [(0, post), (19, b"whole")]).await, "HTTP/1.1 200");
}

#[tokio::test]
async fn smuggled_requests_are_refused() {
    let server = Server::start().await;
    for bad in [
        "POST /echo/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "GET /page HTTP/1.1\r\nhost: a\r\nx: a\r\n folded\r\n\r\n",
        "GET /page HTTP/1.1\r\nhost : a\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(bad.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 400", "{bad:?}");
    }
}
