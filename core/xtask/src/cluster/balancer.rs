//! A TCP balancer, as small as can be. It reads the head of the first request and no more: a WebSocket that begins goes
//! to the next node in turn, everything else (pages, REST, long polling, a polling session that becomes a WebSocket) to
//! the node of the client's address, because a polling session lives at one node. Who is not ready comes last, and who
//! does not take the connection is passed over.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// The largest head of a request, as the hub takes it.
const MAX_HEAD: usize = 16 * 1024;
/// How long a client may take to send it; browsers open connections in advance.
const HEAD: Duration = Duration::from_secs(10);
/// How long a node may take to accept a connection, or to say whether it is ready.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often readiness is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Which node gets a connection.
#[derive(Debug, PartialEq, Eq)]
enum By {
    Turn,
    Address,
}

struct Target {
    public: SocketAddr,
    admin: SocketAddr,
    ready: AtomicBool,
}

/// The balancer.
pub(super) struct Balancer {
    targets: Vec<Target>,
    turn: AtomicUsize,
}

impl Balancer {
    /// For nodes by their public and admin addresses.
    pub(super) fn new(nodes: impl Iterator<Item = (SocketAddr, SocketAddr)>) -> Self {
        let target = |(public, admin)| Target { public, admin, ready: AtomicBool::new(true) };
        Self { targets: nodes.map(target).collect(), turn: AtomicUsize::new(0) }
    }

    /// Passes connections on; never ends.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        tokio::spawn(self.clone().look());
        loop {
            match listener.accept().await {
                Ok((client, peer)) => {
                    let balancer = self.clone();
                    // Whichever side breaks, the other is closed: there is nobody to tell.
                    tokio::spawn(async move { balancer.pass(client, peer.ip()).await });
                }
                Err(_) => sleep(LOOK).await, // out of files: some will end
            }
        }
    }

    async fn look(self: Arc<Self>) {
        loop {
            for target in &self.targets {
                target.ready.store(is_ready(target.admin).await, Ordering::Relaxed);
            }
            sleep(LOOK).await;
        }
    }

    async fn pass(&self, mut client: TcpStream, peer: IpAddr) -> io::Result<()> {
        let head = timeout(HEAD, read_head(&mut client)).await??;
        for target in self.order(&by(&head), peer) {
            if let Ok(Ok(mut node)) = timeout(PATIENCE, TcpStream::connect(target.public)).await {
                client.set_nodelay(true)?;
                node.set_nodelay(true)?;
                node.write_all(&head).await?;
                return exchange(client, node).await;
            }
        }
        Ok(())
    }

    /// All nodes, the first choice first.
    fn order(&self, by: &By, peer: IpAddr) -> Vec<&Target> {
        let count = self.targets.len();
        let first = match by {
            By::Turn => self.turn.fetch_add(1, Ordering::Relaxed),
            By::Address => hash_of(peer),
        };
        let around = (0..count).map(|step| &self.targets[(first % count + step) % count]);
        let (ready, others): (Vec<_>, Vec<_>) =
            around.partition(|target| target.ready.load(Ordering::Relaxed));
        ready.into_iter().chain(others).collect()
    }
}

/// Whether a node's admin listener says that it is ready.
pub(super) async fn is_ready(admin: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(MAX_HEAD as u64).read_to_end(&mut answer).await?;
        io::Result::Ok(answer.starts_with(b"HTTP/1.1 200 "))
    };
    matches!(timeout(PATIENCE, asked).await, Ok(Ok(true)))
}

async fn read_head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < MAX_HEAD {
        if client.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// Reads a request's head for the one thing that matters here.
fn by(head: &[u8]) -> By {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let (request, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
    let upgrade = headers.lines().any(|line| line.starts_with("upgrade:") && line.contains("websocket"));
    let is_session = request.contains("?sid=") || request.contains("&sid=");
    if upgrade && !is_session { By::Turn } else { By::Address }
}

fn hash_of(peer: IpAddr) -> usize {
    let mut hasher = DefaultHasher::new();
    peer.hash(&mut hasher);
    usize::try_from(hasher.finish() >> 32).unwrap_or_default()
}

/// Passes bytes on until the node has nothing more to say. A client that only stops sending may still listen.
async fn exchange(mut client: TcpStream, mut node: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_node, mut to_node) = node.split();
    let up = async {
        let _ = copy(&mut from_client, &mut to_node).await;
        let _ = to_node.shutdown().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = up => {}
        copied = copy(&mut from_node, &mut to_client) => {
            copied?;
        }
    }
    to_client.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str, header: &str) -> Vec<u8> {
        format!("GET {line} HTTP/1.1\r\nHost: h\r\n{header}\r\n\r\n").into_bytes()
    }

    fn balancer(nodes: u16) -> Balancer {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Balancer::new((1..=nodes).map(|port| (at(port), at(1000 + port))))
    }

    fn ports(order: Vec<&Target>) -> Vec<u16> {
        order.iter().map(|target| target.public.port()).collect()
    }

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn only_beginning_websockets_go_round() {
        let upgrade = "Connection: Upgrade\r\nUpgrade: WebSocket";
        assert_eq!(by(&request("/socket.io/?EIO=4&transport=websocket", upgrade)), By::Turn);
        assert_eq!(by(&request("/ws/hangouts?side=1", upgrade)), By::Turn);
        assert_eq!(by(&request("/socket.io/?EIO=4&transport=websocket&sid=x", upgrade)), By::Address);
        assert_eq!(by(&request("/socket.io/?EIO=4&transport=polling", "Accept: */*")), By::Address);
        assert_eq!(by(&request("/?upgrade:websocket", "X: websocket")), By::Address);
        assert_eq!(by(b"nonsense"), By::Address);
    }

    #[test]
    fn turn_passes_all_nodes() {
        let balancer = balancer(3);
        let firsts: Vec<u16> = (0..4).map(|_| ports(balancer.order(&By::Turn, PEER))[0]).collect();
        assert_eq!(firsts, [1, 2, 3, 1]);
    }

    #[test]
    fn address_keeps_its_node_and_falls_back() {
        let balancer = balancer(3);
        let order = ports(balancer.order(&By::Address, PEER));
        assert_eq!(order, ports(balancer.order(&By::Address, PEER)));
        let first = balancer.targets.iter().find(|target| target.public.port() == order[0]).unwrap();
        first.ready.store(false, Ordering::Relaxed);
        assert_eq!(ports(balancer.order(&By::Address, PEER)), [order[1], order[2], order[0]]);
    }

    #[tokio::test]
    async fn bytes_go_both_ways_past_a_dead_node() {
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let targets = [(dead, dead), (node.local_addr().unwrap(), dead)];
        tokio::spawn(Arc::new(Balancer::new(targets.into_iter())).serve(listener));
        let request = request("/x", "A: b");
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&request).await.unwrap();
        let (mut taken, _) = node.accept().await.unwrap();
        let mut heard = vec![0; request.len()];
        taken.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, request);
        taken.write_all(b"answer").await.unwrap();
        drop(taken);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }
}
