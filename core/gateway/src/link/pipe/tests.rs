//! Who may write when: every test here fails when the flusher or the task writes out of turn.

use std::{
    sync::atomic::AtomicUsize,
    task::{Wake, Waker},
};

use exedra_hub::{Class, frame::Part};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    heart::Pace,
    link::{Flushers, Protocol},
};

/// More than the sockets of a connection hold between them, whatever they grow to.
const A_LOT: usize = 32 << 20;

struct Pair {
    pipe: Arc<Pipe>,
    outbox: Arc<Outbox>,
    client: TcpStream,
    flushers: Flushers,
}

async fn pair() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let outbox = Arc::new(Outbox::new(4 * A_LOT));
    let none = std::time::Duration::from_secs(3600);
    let rules = Arc::new(Rules {
        protocol: Protocol::Plain,
        pace: Pace { interval: none, timeout: none },
        settle: none,
        max_payload: 1000,
        compress_from: None,
        received: Box::new(|_| ()),
        sent: Box::new(|_| ()),
    });
    let flushers = Flushers::start();
    let pipe = Pipe::new(stream, outbox.clone(), rules, None, flushers.next());
    Pair { pipe, outbox, client, flushers }
}

fn frame(wire: impl Into<Bytes>) -> Frame {
    Frame::one(Part { wire: wire.into(), header: 0, binary: false })
}

impl Pair {
    /// One look of the link's task at what there is to write.
    fn write(&self, cx: &mut Context<'_>, talking: bool) -> Wrote {
        self.pipe.poll_write(cx, talking, &mut None).unwrap().1
    }

    fn push(&self, wire: impl Into<Bytes>) {
        self.outbox.push(&frame(wire), Class::Reliable);
    }

    async fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.client.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// What comes until the server's socket is closed.
    async fn read_all(self) -> Vec<u8> {
        let Self { pipe, outbox, mut client, flushers } = self;
        drop((pipe, outbox, flushers));
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).await.unwrap();
        bytes
    }
}

/// Counts how often the task was woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    fn new() -> (Arc<Self>, Waker) {
        let task = Arc::new(Self::default());
        (task.clone(), task.into())
    }

    fn woken(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

#[tokio::test]
async fn flusher_writes_without_the_task() {
    let mut pair = pair().await;
    let (task, waker) = Task::new();
    assert_eq!(pair.write(&mut Context::from_waker(&waker), true), Wrote::All);
    for text in ["one", "two", "six"] {
        pair.push(text);
        assert_eq!(pair.read(3).await, text.as_bytes());
    }
    assert_eq!(task.woken(), 0);
}

#[tokio::test]
async fn listed_twice_stands_once() {
    let pair = pair().await;
    let before = Arc::strong_count(&pair.pipe);
    for _ in 0..5 {
        Waker::from(pair.pipe.clone()).wake();
    }
    assert_eq!(Arc::strong_count(&pair.pipe), before + 1);
}

#[tokio::test]
async fn polled_outbox_is_not_flushed() {
    let pair = pair().await;
    let waker = Task::new().1;
    assert_eq!(pair.write(&mut Context::from_waker(&waker), false), Wrote::All);
    pair.push("for the poll");
    pair.pipe.flush();
    assert_eq!(pair.outbox.bytes(), 12);
    assert!(pair.read_all().await.is_empty());
}

#[tokio::test]
async fn nothing_follows_the_last_frame() {
    let pair = pair().await;
    let waker = Task::new().1;
    let mut cx = Context::from_waker(&waker);
    assert_eq!(pair.write(&mut cx, true), Wrote::All);
    pair.push("too late");
    pair.outbox.close(CloseReason::ClientLeft);
    pair.pipe.finish(vec![frame("close")]);
    pair.pipe.flush();
    assert_eq!(pair.write(&mut cx, false), Wrote::All);
    pair.pipe.flush();
    assert_eq!(pair.read_all().await, b"close");
}

#[tokio::test]
async fn closed_outbox_wakes_the_task() {
    let pair = pair().await;
    let (task, waker) = Task::new();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(pair.write(&mut cx, true), Wrote::All);
    pair.push("last");
    pair.outbox.close(CloseReason::Kicked);
    pair.pipe.flush();
    assert!(task.woken() > 0);
    assert_eq!(pair.write(&mut cx, true), Wrote::Closed(CloseReason::Kicked));
    assert_eq!(pair.read_all().await, b"last");
}

#[tokio::test]
async fn full_socket_is_left_to_the_task() {
    let mut pair = pair().await;
    let (task, waker) = Task::new();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(pair.write(&mut cx, true), Wrote::All);
    pair.push(vec![b'a'; A_LOT]);
    pair.pipe.flush();
    assert_eq!(task.woken(), 1);
    pair.push("behind");
    pair.pipe.flush();
    assert_eq!(pair.outbox.bytes(), 6, "what the socket did not take goes first");
    assert_eq!(pair.write(&mut cx, true), Wrote::Blocked);
    let mut read = Vec::new();
    while pair.write(&mut cx, true) != Wrote::All {
        read.extend(pair.read(4096).await);
        tokio::task::yield_now().await; // for the runtime to see that there is room
    }
    assert!(task.woken() > 0, "nobody said that there was room");
    read.extend(pair.read(A_LOT + 6 - read.len()).await);
    assert!(read.ends_with(b"aaabehind"));
}

#[tokio::test]
async fn broken_socket_wakes_the_task() {
    let pair = pair().await;
    let (task, waker) = Task::new();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(pair.write(&mut cx, true), Wrote::All);
    rustix::net::shutdown(pair.pipe.stream(), rustix::net::Shutdown::Both).unwrap();
    pair.push("never heard");
    pair.pipe.flush();
    assert_eq!(task.woken(), 1);
    assert!(pair.pipe.poll_write(&mut cx, true, &mut None).is_err());
}

#[tokio::test]
async fn without_a_flusher_the_task_does_all() {
    let pair = pair().await;
    let (task, waker) = Task::new();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(pair.write(&mut cx, true), Wrote::All);
    let Pair { pipe, outbox, mut client, flushers } = pair;
    outbox.push(&frame("listed, "), Class::Reliable);
    drop(flushers);
    tokio::task::yield_now().await; // the flusher's task is dropped by the runtime
    assert!(task.woken() > 0);
    assert_eq!(pipe.poll_write(&mut cx, true, &mut None).unwrap().1, Wrote::All);
    outbox.push(&frame("and not"), Class::Reliable);
    assert!(task.woken() > 0);
    assert_eq!(pipe.poll_write(&mut cx, true, &mut None).unwrap().1, Wrote::All);
    let mut text = [0; 15];
    client.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"listed, and not");
}

#[tokio::test]
async fn closed_outbox_lets_the_socket_go() {
    let pair = pair().await;
    let waker = Task::new().1;
    assert_eq!(pair.write(&mut Context::from_waker(&waker), true), Wrote::All);
    let held = Arc::downgrade(&pair.pipe);
    pair.outbox.close(CloseReason::TransportLost);
    pair.pipe.flush();
    let Pair { pipe, outbox, mut client, flushers } = pair;
    drop(pipe);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "nobody holds the socket");
    assert!(held.upgrade().is_none());
    drop((outbox, flushers));
}

/// Task and flusher both write, on threads of their own, to a client that reads in fits and starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_writers_keep_one_order() {
    const FRAMES: u32 = 20_000;
    let Pair { pipe, outbox, mut client, flushers } = pair().await;
    let task = tokio::spawn({
        let pipe = pipe.clone();
        async move {
            let mut turns = 0_u32;
            std::future::poll_fn(|cx| match pipe.poll_write(cx, true, &mut None).unwrap().1 {
                Wrote::Closed(reason) => Poll::Ready(reason),
                wrote => {
                    turns += 1;
                    if wrote == Wrote::All && !turns.is_multiple_of(3) {
                        cx.waker().wake_by_ref(); // a link is busy with other things, too
                    }
                    Poll::Pending
                }
            })
            .await
        }
    });
    let pushing = tokio::task::spawn_blocking({
        let outbox = outbox.clone();
        move || {
            for number in 0..FRAMES {
                // Sizes on both sides of what a socket takes, so that writes end within frames.
                let mut wire = vec![0; 8 + (number as usize * 7919) % 5000];
                let length = wire.len() as u32;
                wire[..4].copy_from_slice(&number.to_be_bytes());
                wire[4..8].copy_from_slice(&length.to_be_bytes());
                outbox.push(&frame(wire), Class::Reliable);
                if number % 64 == 0 {
                    std::thread::yield_now();
                }
            }
            outbox.close(CloseReason::Kicked);
        }
    });
    for number in 0..FRAMES {
        assert_eq!(client.read_u32().await.unwrap(), number);
        let mut rest = vec![0; client.read_u32().await.unwrap() as usize - 8];
        client.read_exact(&mut rest).await.unwrap();
        if number % 1000 == 0 {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        }
    }
    pushing.await.unwrap();
    assert_eq!(task.await.unwrap(), CloseReason::Kicked);
    client.shutdown().await.unwrap();
    drop((pipe, flushers));
}
