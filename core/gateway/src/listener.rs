//! Takes TCP connections in and lets hyper speak HTTP on them. Slow or silent openings are cut off here.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::links::Links;

/// Connections that the kernel may hold for us.
const BACKLOG: i32 = 4096;
/// Unacknowledged data for this long means that the other side is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that a socket takes beyond what the other side has room for. What a reader leaves lying waits in the
/// outbox then, where it is counted, and not in megabytes of the kernel; what is in flight is not limited by it.
const UNSENT: u32 = 64 * 1024;
/// A connection that says nothing at all is closed.
const FIRST_BYTE: Duration = Duration::from_secs(5);
/// A request's head must be complete by then; a kept-alive connection may be silent for as long.
const HEADERS: Duration = Duration::from_secs(10);
/// Largest request head.
const MAX_HEAD: usize = 32 * 1024;

/// Answers requests.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Answers one request; hyper drops the future when the client goes away.
    fn serve(self: Arc<Self>, request: Request<Incoming>, visit: Visit) -> ServeFuture;
}

/// The answer on its way.
pub(crate) type ServeFuture = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Where a request came in. A link that outlives its request keeps `place`.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// The TCP peer.
    pub(crate) peer: IpAddr,
    /// The connection's place under the limit of open sockets.
    pub(crate) place: Arc<Place>,
}

/// A counted TCP connection.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A bound socket, accepting.
#[derive(Debug)]
pub(crate) struct Listener {
    local: SocketAddr,
}

impl Listener {
    /// Binds and begins to accept; it stops when `links` are silent. `sockets` is the most that may be open,
    /// 0 for no limit; one more is closed at once.
    pub(crate) fn start(
        addr: SocketAddr,
        sockets: usize,
        links: Arc<Links>,
        serve: Arc<dyn Serve>,
    ) -> io::Result<Self> {
        let listener = bind(addr)?;
        let local = listener.local_addr()?;
        let running = links.clone();
        links.spawn(async move {
            let silent = running.silent().clone();
            tokio::select! {
                () = silent.cancelled() => {}
                () = accept(listener, sockets, running, serve) => {}
            }
        });
        Ok(Self { local })
    }

    /// Where it listens; with port 0 in the request, the port that was found.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(listener: TcpListener, sockets: usize, links: Arc<Links>, serve: Arc<dyn Serve>) {
    let open = Arc::new(AtomicUsize::new(0));
    let mut pause = Pause::default();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause.after(&error).await;
                continue;
            }
        };
        pause = Pause::default();
        let place = Place(open.clone());
        if open.fetch_add(1, Ordering::Relaxed) >= sockets && sockets != 0 {
            continue; // `place` and the stream are dropped: there is no room even for a refusal
        }
        let visit = Visit { peer: peer.ip(), place: Arc::new(place) };
        links.spawn(speak(stream, visit, links.stopping().clone(), serve.clone()));
    }
}

/// How long to leave the kernel alone after a failed accept.
#[derive(Default)]
struct Pause(u32);

impl Pause {
    async fn after(&mut self, error: &io::Error) {
        // A connection that was reset before we took it is not our trouble.
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        if self.0 == 0 {
            tracing::warn!(%error, "cannot accept connections; trying again until it works");
        }
        tokio::time::sleep(Duration::from_millis(20 << self.0.min(6))).await;
        self.0 += 1;
    }
}

async fn speak(
    stream: TcpStream,
    visit: Visit,
    stopping: tokio_util::sync::CancellationToken,
    serve: Arc<dyn Serve>,
) {
    let socket = SockRef::from(&stream);
    // A socket that cannot be set up still works; it is only less quick or less watchful.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
    // Peeking, because `readable` may say yes without a byte being there.
    if !matches!(tokio::time::timeout(FIRST_BYTE, stream.peek(&mut [0])).await, Ok(Ok(1))) {
        return;
    }
    // Who comes while the hub stops is answered once, and sent away.
    let late = stopping.is_cancelled();
    let service = service_fn(move |request| {
        let answer = serve.clone().serve(request, visit.clone());
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(MAX_HEAD)
        .keep_alive(!late)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = Box::pin(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stopping.cancelled(), if !late => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}
