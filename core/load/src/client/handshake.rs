//! From nothing to a WebSocket: a TCP connection from one of our addresses, and the upgrade.

use std::{io, net::SocketAddr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use exedra_wire::websocket::accept_key;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::target::Target;

/// Longest head of an answer.
const MAX_HEAD: usize = 16 * 1024;
/// A server that takes longer to upgrade is not there.
const PATIENCE: Duration = Duration::from_secs(60);

/// A WebSocket, and what came together with the answer.
pub(super) struct Opened {
    pub(super) stream: TcpStream,
    pub(super) early: Bytes,
}

/// Opens a session over WebSocket. An error says why in a sentence.
pub(super) async fn open(target: &Target, index: usize) -> Result<Opened, String> {
    match tokio::time::timeout(PATIENCE, upgrade(target, index)).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn upgrade(target: &Target, index: usize) -> Result<Opened, String> {
    let mut stream = dial(target, index).await.map_err(|error| error.to_string())?;
    let key = STANDARD.encode(rand::random::<[u8; 16]>());
    let request = format!(
        "GET {}?EIO=4&transport=websocket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
        target.common.path, target.authority
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let (head, early) = read_head(&mut stream).await?;
    check(&head, &key)?;
    Ok(Opened { stream, early })
}

async fn dial(target: &Target, index: usize) -> io::Result<TcpStream> {
    let socket = if target.addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = target.source(index) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(target.addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads up to the empty line; what follows it is given back too.
async fn read_head(stream: &mut TcpStream) -> Result<(String, Bytes), String> {
    let mut read = Vec::with_capacity(512);
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let early = Bytes::copy_from_slice(&read[end + 4..]);
            read.truncate(end);
            return Ok((String::from_utf8_lossy(&read).into_owned(), early));
        }
        if read.len() > MAX_HEAD {
            return Err("the answer's head does not end".to_owned());
        }
        match stream.read_buf(&mut read).await {
            Ok(0) => return Err("the server closed the connection before it answered".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn check(head: &str, key: &str) -> Result<(), String> {
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(format!("the server answered \"{status}\""));
    }
    let accept = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-accept").then(|| value.trim())
    });
    if accept.is_some() && accept == accept_key(key.as_bytes()).as_deref() {
        Ok(())
    } else {
        Err("the server did not answer our key".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_key_is_an_answer() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let head = "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(check(head, key), Ok(()));
        assert!(check(head, "AAAAAAAAAAAAAAAAAAAAAA==").is_err());
        assert!(check("HTTP/1.1 101 x", key).is_err());
    }

    #[test]
    fn refusals_are_told() {
        let error = check("HTTP/1.1 503 Service Unavailable", "x").unwrap_err();
        assert!(error.contains("503"), "{error}");
    }
}
