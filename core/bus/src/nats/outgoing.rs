//! Messages on their way out: a bounded queue and the one task that hands them to the client. The task rests while
//! the link is down, so that the client's own small queue stays free for subscriptions.
//!
//! What was written to a connection that then broke may or may not have reached the server. Where receivers know a
//! message that comes twice, it is kept until the server is known to have it, and sent again over the next connection,
//! in order and before anything newer.

use std::{
    collections::VecDeque,
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
    time::{sleep, timeout},
};

use super::{Client, HeaderMap, RequestErrorKind, State, link::Link};
use crate::counts::Counts;

/// The most messages that wait to be sent, and that wait to be known to have arrived.
const MAX_WAITING: usize = 8192;
/// The most bytes that wait to be sent.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// How long the server may take to say that it has everything.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a connection is looked at while something is not known to have arrived.
const LOOK: Duration = Duration::from_millis(200);

/// The end that messages are pushed into.
pub(super) struct Outgoing {
    sender: mpsc::Sender<Out>,
    /// Bytes in the queue; the sending task takes them off.
    bytes: Arc<AtomicUsize>,
}

/// A message.
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) headers: Option<HeaderMap>,
    pub(super) payload: Bytes,
    /// Its size, as the server counts it.
    pub(super) size: usize,
    /// Whether it is sent again when it may not have arrived.
    pub(super) again: bool,
}

/// What the sending task takes.
enum Out {
    Letter(Letter),
    /// Tells that everything before it has been handed to the client.
    Mark(oneshot::Sender<()>),
}

/// When messages may go, and over which connection.
pub(super) struct Gate {
    /// The number of the present connection; `None` while nothing may be sent.
    pub(super) turn: Box<dyn Fn() -> Option<u64> + Send + Sync>,
    /// A subject that nobody listens to: the server's word for that says that it has everything before.
    pub(super) nobody: String,
}

impl Outgoing {
    /// Starts the sending task; it ends when this is dropped.
    pub(super) fn start(client: Client, link: Arc<Link>, counts: Arc<Counts>, gate: Gate) -> Self {
        let (sender, waiting) = mpsc::channel(MAX_WAITING);
        let bytes = Arc::new(AtomicUsize::new(0));
        let sending = Sending {
            client,
            link,
            counts,
            gate,
            waiting,
            bytes: bytes.clone(),
            turn: None,
            line: 0,
            doubtful: VecDeque::new(),
            confirming: None,
        };
        tokio::spawn(sending.run());
        Self { sender, bytes }
    }

    /// Queues a message; says at once when the queue is full.
    pub(super) fn push(&self, letter: Letter) -> Result<(), BusError> {
        let bytes = letter.size + letter.subject.len();
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_WAITING_BYTES {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(BusError::Unavailable("too many bytes wait to be sent".to_owned()));
        }
        self.sender.try_send(Out::Letter(letter)).map_err(|_| {
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
    gate: Gate,
    waiting: mpsc::Receiver<Out>,
    bytes: Arc<AtomicUsize>,
    /// The connection that was written to last.
    turn: Option<u64>,
    /// The same, as the client counts them: its events come later than what it does.
    line: u64,
    /// What may not have arrived, in order.
    doubtful: VecDeque<(String, Bytes)>,
    /// Asked for how many of them the server has.
    confirming: Option<(usize, oneshot::Receiver<bool>)>,
}

impl Sending {
    async fn run(mut self) {
        loop {
            let doubts = !self.doubtful.is_empty();
            tokio::select! {
                biased;
                arrived = confirmed(&mut self.confirming) => self.settle(arrived),
                out = self.waiting.recv(), if self.doubtful.len() < MAX_WAITING => match out {
                    None => return,
                    Some(Out::Mark(reached)) => {
                        let _ = reached.send(());
                    }
                    Some(Out::Letter(letter)) => self.send(letter).await,
                },
                () = sleep(LOOK), if doubts => {
                    if (self.gate.turn)().is_some() {
                        self.turn_over().await;
                    }
                }
            }
            self.ask();
        }
    }

    async fn send(&mut self, letter: Letter) {
        let Letter { subject, headers, payload, size, again } = letter;
        self.wait_for_link().await;
        self.turn_over().await;
        self.bytes.fetch_sub(size + subject.len(), Ordering::Relaxed);
        if again {
            self.doubtful.push_back((subject.clone(), payload.clone()));
        }
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

    /// Ends when the link is up, or when the bus is gone and nothing needs to be sent any more.
    async fn wait_for_link(&self) {
        let is_ready = || self.client.connection_state() == State::Connected && (self.gate.turn)().is_some();
        while !is_ready() && !self.waiting.is_closed() {
            // The event may have come just before; the client's state is what counts.
            let _ = timeout(Duration::from_millis(100), self.link.changed()).await;
        }
    }

    /// Over a new connection, sends first again what may not have arrived.
    async fn turn_over(&mut self) {
        let turn = (self.gate.turn)();
        if turn == self.turn {
            return;
        }
        self.turn = turn;
        self.line = self.connects();
        self.confirming = None;
        for (subject, payload) in self.doubtful.clone() {
            if self.client.publish(subject, payload).await.is_ok() {
                self.counts.sent();
            }
        }
    }

    /// Connections that the client has had so far.
    fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Whether the client still has the connection that all in doubt was written to. A question that another one carries
    /// says nothing about that.
    fn is_same_line(&self) -> bool {
        self.client.connection_state() == State::Connected && self.connects() == self.line
    }

    /// Asks the server whether it has everything, one question at a time.
    fn ask(&mut self) {
        if self.confirming.is_some() || self.doubtful.is_empty() || !self.is_same_line() {
            return;
        }
        let (told, answer) = oneshot::channel();
        let (client, nobody) = (self.client.clone(), self.gate.nobody.clone());
        tokio::spawn(async move {
            let asked = timeout(CONFIRM_TIMEOUT, client.request(nobody, Bytes::new())).await;
            let arrived = matches!(asked, Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders);
            let _ = told.send(arrived);
        });
        self.confirming = Some((self.doubtful.len(), answer));
    }

    fn settle(&mut self, arrived: bool) {
        if let Some((count, _)) = self.confirming.take().filter(|_| arrived && self.is_same_line()) {
            self.doubtful.drain(..count.min(self.doubtful.len()));
        }
    }
}

/// The answer to the question that was asked; never ends when none was.
async fn confirmed(confirming: &mut Option<(usize, oneshot::Receiver<bool>)>) -> bool {
    match confirming {
        Some((_, answer)) => answer.await.unwrap_or(false),
        None => std::future::pending().await,
    }
}
