//! The server of the benchmarks on socketioxide, written as its users would: tokens checked at the door, rooms of
//! the library, a table of who is present. Same events as the plugin in `core/load/bench-plugin`.
//!
//! `yardstick-socketioxide PORTS_FILE SECRET`

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};

type Presence = Arc<Mutex<HashMap<String, HashMap<String, SystemTime>>>>;

#[derive(Deserialize)]
struct Auth {
    token: String,
}

#[derive(Deserialize)]
struct Join {
    room: String,
}

#[derive(Deserialize)]
struct Publish {
    room: String,
    payload: Value,
}

#[derive(Clone)]
struct User(String);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: yardstick-socketioxide PORTS_FILE SECRET";
    let (ports_file, secret) = (arguments.next().expect(usage), arguments.next().expect(usage));
    raise_file_limit();
    let runtime = tokio::runtime::Runtime::new().expect("no runtime");
    runtime.block_on(serve(&ports_file, secret));
}

async fn serve(ports_file: &str, secret: String) {
    let (layer, io) = SocketIo::builder().build_layer();
    let presence = Presence::default();
    io.ns("/bench", async move |socket: SocketRef, Data(auth): Data<Auth>| {
        let Some(user) = user(&auth.token, secret.as_bytes()) else {
            let _ = socket.disconnect();
            return;
        };
        socket.extensions.insert(User(user));
        listen(&socket, &presence);
    });
    let socket = tokio::net::TcpSocket::new_v4().expect("no socket");
    socket.set_reuseaddr(true).expect("no socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("cannot bind");
    let listener = socket.listen(4096).expect("cannot listen");
    let address = listener.local_addr().expect("no address");
    let ports = json!({ "public": address.to_string(), "pid": std::process::id() });
    std::fs::write(ports_file, ports.to_string()).expect("cannot write the ports file");
    let app = axum::Router::new().layer(layer);
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| { let _ = stream.set_nodelay(true); }), app)
        .await
        .expect("the server ended");
}

fn listen(socket: &SocketRef, presence: &Presence) {
    let present = presence.clone();
    socket.on("join", async move |socket: SocketRef, Data(join): Data<Join>, ack: AckSender| {
        let Some(User(user)) = socket.extensions.get::<User>() else { return };
        socket.join(join.room.clone());
        let members = {
            let mut rooms = present.lock().expect("never poisoned");
            let room = rooms.entry(join.room).or_default();
            room.insert(user, SystemTime::now());
            room.len()
        };
        let _ = ack.send(&json!({ "members": members }));
    });
    socket.on("publish", async move |socket: SocketRef, Data(publish): Data<Publish>, ack: AckSender| {
        let _ = socket.within(publish.room).emit("tick", &publish.payload).await;
        let _ = ack.send(&json!({}));
    });
    socket.on("ask", async move |Data::<Value>(value), ack: AckSender| {
        let _ = ack.send(&value);
    });
    let present = presence.clone();
    socket.on_disconnect(async move |socket: SocketRef| {
        let Some(User(user)) = socket.extensions.get::<User>() else { return };
        for room in present.lock().expect("never poisoned").values_mut() {
            room.remove(&user);
        }
    });
}

/// The `sub` of an HS256 token, when its signature is right.
fn user(token: &str, secret: &[u8]) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    ["userId", "sub"].iter().find_map(|claim| Some(claims.get(claim)?.as_str()?.to_owned()))
}

fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live value of the right type.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
