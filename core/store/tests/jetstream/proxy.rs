//! A way to the server that can withhold its answers and break.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::Notify,
};

/// A proxy in front of a server.
pub(crate) struct Proxy {
    port: u16,
    way: Arc<Way>,
}

#[derive(Default)]
struct Way {
    /// Whether what the server says is thrown away.
    deaf: AtomicBool,
    /// Whether what is said to the server is thrown away.
    mute: AtomicBool,
    cut: Notify,
}

impl Proxy {
    pub(crate) async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Arc::new(Way::default());
        tokio::spawn({
            let way = way.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let Ok(server) = TcpStream::connect(&address).await else { continue };
                    let (way, (from_client, to_client)) = (way.clone(), client.into_split());
                    let (from_server, to_server) = server.into_split();
                    tokio::spawn(async move {
                        tokio::select! {
                            () = pass(from_client, to_server, &way.mute) => {}
                            () = pass(from_server, to_client, &way.deaf) => {}
                            () = way.cut.notified() => {}
                        }
                    });
                }
            }
        });
        Self { port, way }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// From now on the server hears everything and is not heard.
    pub(crate) fn deafen(&self) {
        self.way.deaf.store(true, Ordering::SeqCst);
    }

    /// From now on the server hears nothing.
    pub(crate) fn silence(&self) {
        self.way.mute.store(true, Ordering::SeqCst);
    }

    /// Breaks every connection; new ones are whole again.
    pub(crate) fn cut(&self) {
        self.way.deaf.store(false, Ordering::SeqCst);
        self.way.mute.store(false, Ordering::SeqCst);
        self.way.cut.notify_waiters();
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, dropped: &AtomicBool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if !dropped.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
