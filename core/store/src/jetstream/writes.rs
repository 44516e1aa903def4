//! Writes on their way. One task hands them to the client in the order in which they came; from then on each waits
//! for its own answer, so that a slow one holds up nobody. Bounded in entries and in bytes; one more is refused with
//! [`StoreError::Busy`].
//!
//! Every write has an id that the server takes once, and nearly all have a condition. So an attempt whose answer was
//! lost with the connection can be looked up, or sent again, without ever being done twice; where nobody can know
//! what became of it, the answer is [`StoreError::Unavailable`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use exedra_hub::{
    metrics::Metrics,
    port::{Revision, StoreError},
};
use futures_channel::oneshot;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep, timeout_at},
};

use super::{
    PATIENCE,
    bucket::{Bucket, Said, Sent, unavailable},
    verdict::{self, Verdict},
};
use crate::queue::WriteKind;

/// The most writes on their way.
pub(super) const MAX_WRITES: usize = 1024;
/// The most bytes on their way.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The pause before an attempt that the server could not take at the moment.
const PAUSE: Duration = Duration::from_millis(10);

type Answer = Result<Revision, StoreError>;

/// The end that writes are pushed into.
pub(super) struct Writes {
    sender: mpsc::UnboundedSender<Write>,
    /// One permit per write: it is what bounds the queue.
    places: Arc<Semaphore>,
    bytes: Arc<AtomicUsize>,
    /// What the ids of this store begin with.
    own: u64,
    count: AtomicU64,
}

/// A write and the one who waits for its answer.
struct Write {
    subject: String,
    kind: WriteKind,
    id: String,
    began: Instant,
    reply: oneshot::Sender<Answer>,
    /// Held until nothing of the write is left to do.
    _room: Room,
}

/// A place and some bytes of the queue.
struct Room {
    _place: OwnedSemaphorePermit,
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Room {
    fn take(places: &Arc<Semaphore>, all: &Arc<AtomicUsize>, bytes: usize) -> Result<Self, StoreError> {
        let place = places.clone().try_acquire_owned().map_err(|_| StoreError::Busy)?;
        let room = Self { _place: place, bytes, all: all.clone() };
        if all.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_BYTES {
            Err(StoreError::Busy)
        } else {
            Ok(room)
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Writes {
    /// Starts the task that hands writes over; it ends when this is dropped.
    pub(super) fn start(bucket: Arc<Bucket>, metrics: Arc<Metrics>) -> Self {
        let (sender, waiting) = mpsc::unbounded_channel();
        tokio::spawn(hand_over(waiting, bucket, metrics));
        Self {
            sender,
            places: Arc::new(Semaphore::new(MAX_WRITES)),
            bytes: Arc::default(),
            own: rand::random(),
            count: AtomicU64::new(0),
        }
    }

    /// Queues a write; the receiver gets its answer.
    pub(super) fn push(
        &self,
        subject: String,
        kind: WriteKind,
    ) -> Result<oneshot::Receiver<Answer>, StoreError> {
        let bytes = subject.len() + kind.value().map_or(0, bytes::Bytes::len);
        let room = Room::take(&self.places, &self.bytes, bytes)?;
        let id = format!("{:016x}-{:x}", self.own, self.count.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let write = Write { subject, kind, id, began: Instant::now(), reply, _room: room };
        self.sender.send(write).map_err(|_| unavailable("the store is closed"))?;
        Ok(answer)
    }
}

async fn hand_over(mut waiting: mpsc::UnboundedReceiver<Write>, bucket: Arc<Bucket>, metrics: Arc<Metrics>) {
    while let Some(write) = waiting.recv().await {
        // The first attempt is sent here: only so does the order hold.
        let first = write.first(&bucket).await;
        tokio::spawn(write.finish(first, bucket.clone(), metrics.clone()));
    }
}

impl Write {
    /// The first attempt, unless it would be of no use or comes too late.
    async fn first(&self, bucket: &Bucket) -> Result<Sent, Said> {
        // A key that is not there has no revision, but the server would take 0 for one.
        if matches!(self.kind, WriteKind::Update(_, 0)) {
            return Err(Said::OutOfDate);
        }
        let sending = self.send(bucket, verdict::first(&self.kind));
        timeout_at(self.deadline(), sending).await.unwrap_or(Err(Said::Full))
    }

    /// Answers, and clears away what a deletion leaves.
    async fn finish(self, first: Result<Sent, Said>, bucket: Arc<Bucket>, metrics: Arc<Metrics>) {
        let late = || Err(unavailable("JetStream did not answer in time; the write may have been done"));
        let answer =
            timeout_at(self.deadline(), self.settle(first, &bucket)).await.unwrap_or_else(|_| late());
        let marker = match (&self.kind, &answer) {
            (WriteKind::Delete(_), Ok(marker)) if *marker > 0 => Some(*marker),
            _ => None,
        };
        if answer.is_ok() {
            metrics.store_commit_seconds.observe(self.began.elapsed().as_secs_f64());
        }
        // Nobody may wait any more; the write has been done all the same.
        let _ = self.reply.send(answer);
        if let Some(marker) = marker {
            bucket.forget(marker).await;
        }
        drop(self._room);
    }

    /// Attempts until the outcome is known.
    async fn settle(&self, first: Result<Sent, Said>, bucket: &Bucket) -> Answer {
        let mut condition = verdict::first(&self.kind);
        // Whether an earlier attempt may have been stored.
        let mut doubt = false;
        let mut sent = first;
        loop {
            let said = match sent {
                Ok(sent) => sent.answer().await,
                Err(said) => said,
            };
            match said {
                Said::Stored(revision) => return Ok(revision),
                Said::TooLarge => return Err(StoreError::TooLarge("the value")),
                Said::Full if !doubt => return Err(StoreError::Busy),
                Said::Full => return Err(unknown()),
                Said::Refused(why) => return Err(unavailable(why)),
                Said::NotNow => {
                    sleep(PAUSE).await;
                    bucket.reconnected().await;
                }
                Said::Lost | Said::OutOfDate => {
                    doubt |= matches!(said, Said::Lost);
                    bucket.reconnected().await;
                    let found = bucket.last(&self.subject).await?;
                    match verdict::judge(&self.kind, &self.id, found.as_ref(), doubt) {
                        Verdict::Done(revision) => return Ok(revision),
                        Verdict::Conflict(revision) => return Err(StoreError::Conflict(revision)),
                        Verdict::Unknown => return Err(unknown()),
                        Verdict::Send(again) => {
                            // The same condition has just failed: another write is still on its way.
                            if again == condition && !doubt {
                                sleep(PAUSE).await;
                            }
                            condition = again;
                        }
                    }
                }
            }
            sent = self.send(bucket, condition).await;
        }
    }

    async fn send(&self, bucket: &Bucket, condition: Option<Revision>) -> Result<Sent, Said> {
        bucket.send(&self.subject, self.kind.value().cloned(), &self.id, condition).await
    }

    fn deadline(&self) -> Instant {
        self.began + PATIENCE
    }
}

fn unknown() -> StoreError {
    unavailable("the connection broke; the write may have been done")
}
