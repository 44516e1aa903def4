//! A server that does just what the load tester needs, and on request what it must notice.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use exedra_wire::websocket::{Decoder, Item, Opcode, Role, accept_key, frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        oneshot,
    },
    time::timeout,
};

/// What the server does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Every tenth delivery is left out.
    Loses,
    /// Every event comes twice.
    Repeats,
    /// No client is let into the namespace.
    Refuses,
    /// A join is answered with an error.
    RefusesJoins,
    /// Who does not read is reset after a moment: no fault, what a server should do.
    Cuts,
}

type Rooms = Arc<Mutex<HashMap<String, Vec<UnboundedSender<Vec<u8>>>>>>;

/// Starts it in a thread of its own, which ends with the test process.
pub(crate) fn start(fault: Fault) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let rooms = Rooms::default();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, rooms.clone(), fault));
            }
        });
    });
    addr
}

async fn serve(stream: TcpStream, rooms: Rooms, fault: Fault) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let key = read_key(&mut read).await?;
    let (outbox, mut frames) = unbounded_channel::<Vec<u8>>();
    let accept = accept_key(key.as_bytes())?;
    let answer = format!("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n");
    outbox.send(answer.into_bytes()).ok()?;
    outbox.send(text(r#"0{"sid":"x"}"#)).ok()?;
    outbox.send(text("2")).ok()?; // a heartbeat, so that it is met everywhere
    let bear = if fault == Fault::Cuts { Duration::from_secs(3) } else { Duration::from_secs(3600) };
    let (stuck, mut is_stuck) = oneshot::channel();
    tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            match timeout(bear, write.write_all(&frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    let _ = write.as_ref().set_zero_linger();
                    let _ = stuck.send(());
                    return;
                }
            }
        }
    });
    let mut decoder = Decoder::new(Role::Server, 1 << 20);
    let mut buffer = [0; 4096];
    loop {
        let read = tokio::select! {
            Ok(()) = &mut is_stuck => return None,
            read = read.read(&mut buffer) => read,
        };
        let length = read.ok().filter(|length| *length > 0)?;
        let mut bytes = &buffer[..length];
        while !bytes.is_empty() {
            if let Some(Item::Text(packet)) = decoder.feed(&mut bytes).ok()? {
                packet_in(&packet, &outbox, &rooms, fault)?;
            }
        }
    }
}

async fn read_key(read: &mut BufReader<OwnedReadHalf>) -> Option<String> {
    use tokio::io::AsyncBufReadExt;
    let mut key = None;
    loop {
        let mut line = String::new();
        read.read_line(&mut line).await.ok()?;
        if line == "\r\n" {
            return key;
        }
        key = line.strip_prefix("Sec-WebSocket-Key: ").map(|key| key.trim().to_owned()).or(key);
    }
}

fn packet_in(packet: &str, outbox: &UnboundedSender<Vec<u8>>, rooms: &Rooms, fault: Fault) -> Option<()> {
    if packet.starts_with("40/bench,") {
        let refused = r#"44/bench,{"message":"no"}"#;
        let answer = if fault == Fault::Refuses { refused } else { r#"40/bench,{"sid":"x"}"# };
        return outbox.send(text(answer)).ok();
    }
    let Some(rest) = packet.strip_prefix("42/bench,") else { return Some(()) };
    let ack: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let event: serde_json::Value = serde_json::from_str(&rest[ack.len()..]).ok()?;
    let room = event[1]["room"].as_str().unwrap_or_default().to_owned();
    match event[0].as_str()? {
        "join" => rooms.lock().unwrap().entry(room).or_default().push(outbox.clone()),
        "publish" => {
            let tick = text(&format!(r#"42/bench,["tick",{}]"#, event[1]["payload"]));
            for (i, member) in rooms.lock().unwrap().get(&room)?.iter().enumerate() {
                if fault != Fault::Loses || i % 10 != 9 {
                    let _ = member.send(tick.clone());
                }
                if fault == Fault::Repeats {
                    let _ = member.send(tick.clone());
                }
            }
        }
        _ => {}
    }
    if ack.is_empty() {
        return Some(());
    }
    let answer = if fault == Fault::RefusesJoins { r#"{"error":{"code":"BUSY"}}"# } else { "{}" };
    outbox.send(text(&format!("43/bench,{ack}[{answer}]"))).ok()
}

fn text(packet: &str) -> Vec<u8> {
    frame(Opcode::Text, packet.as_bytes())
}
