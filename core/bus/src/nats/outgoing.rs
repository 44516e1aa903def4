//! Messages on their way out: a bounded queue and the one task that hands them to the client. The task rests while
//! the link is down, so that the client's own small queue stays free for subscriptions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use exedra_hub::port::BusError;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Client, HeaderMap, State, link::Link};
use crate::counts::Counts;

/// The most messages that wait to be sent.
const MAX_WAITING: usize = 8192;
/// The most bytes that wait to be sent.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// The end that messages are pushed into.
pub(super) struct Outgoing {
    sender: mpsc::Sender<Out>,
    /// Bytes in the queue; the sending task takes them off.
    bytes: Arc<AtomicUsize>,
}

/// What the sending task takes.
enum Out {
    Message {
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
        bytes: usize,
    },
    /// Tells that everything before it has been handed to the client.
    Mark(oneshot::Sender<()>),
}

impl Outgoing {
    /// Starts the sending task; it ends when this is dropped. Beside the connection it waits for `is_ready`.
    pub(super) fn start(
        client: Client,
        link: Arc<Link>,
        counts: Arc<Counts>,
        is_ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let (sender, waiting) = mpsc::channel(MAX_WAITING);
        let bytes = Arc::new(AtomicUsize::new(0));
        let is_ready = Box::new(is_ready);
        tokio::spawn(Sending { client, link, counts, waiting, bytes: bytes.clone(), is_ready }.run());
        Self { sender, bytes }
    }

    /// Queues a message of `size` bytes; says at once when the queue is full.
    pub(super) fn push(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
        size: usize,
    ) -> Result<(), BusError> {
        let bytes = size + subject.len();
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_WAITING_BYTES {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(BusError::Unavailable("too many bytes wait to be sent".to_owned()));
        }
        self.sender.try_send(Out::Message { subject, headers, payload, bytes }).map_err(|_| {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            BusError::Unavailable("too many messages wait to be sent".to_owned())
        })
    }

    /// Waits until everything that was pushed before has been handed to the client.
    pub(super) async fn emptied(&self) {
        let (mark, reached) = oneshot::channel();
        if self.sender.send(Out::Mark(mark)).await.is_ok() {
            let _ = reached.await;
        }
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        MAX_WAITING - self.sender.capacity()
    }
}

/// The task that hands messages to the client.
struct Sending {
    client: Client,
    link: Arc<Link>,
    counts: Arc<Counts>,
    waiting: mpsc::Receiver<Out>,
    bytes: Arc<AtomicUsize>,
    is_ready: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Sending {
    async fn run(mut self) {
        while let Some(out) = self.waiting.recv().await {
            match out {
                Out::Mark(reached) => {
                    let _ = reached.send(());
                }
                Out::Message { subject, headers, payload, bytes } => {
                    self.wait_for_link().await;
                    self.send(subject, headers, payload).await;
                    self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                }
            }
        }
    }

    /// Ends when the link is up, or when the bus is gone and nothing needs to be sent any more.
    async fn wait_for_link(&self) {
        let is_ready = || self.client.connection_state() == State::Connected && (self.is_ready)();
        while !is_ready() && !self.waiting.is_closed() {
            // The event may have come just before; the client's state is what counts.
            let _ = timeout(Duration::from_millis(100), self.link.changed()).await;
        }
    }

    async fn send(&self, subject: String, headers: Option<HeaderMap>, payload: Bytes) {
        let sent = match headers {
            Some(headers) => self.client.publish_with_headers(subject, headers, payload).await,
            None => self.client.publish(subject, payload).await,
        };
        match sent {
            Ok(()) => self.counts.sent(),
            // Another server may take less than the one that was asked when the message was queued.
            Err(error) => tracing::warn!(%error, "a message was not sent"),
        }
    }
}
