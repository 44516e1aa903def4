//! Writes on their way to the writer thread. Bounded in entries and in bytes; a full queue refuses with
//! [`StoreError::Busy`], because a caller that waits here would only hide that the disk does not keep up.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
};

use bytes::Bytes;
use exedra_hub::port::{Revision, StoreError};
use futures_channel::oneshot;

/// The most writes that wait.
const MAX_WAITING: usize = 4096;
/// The most bytes that wait.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// What to do with a key.
#[derive(Debug)]
pub(crate) enum WriteKind {
    Put(Bytes),
    Create(Bytes),
    Update(Bytes, Revision),
    Delete(Option<Revision>),
}

impl WriteKind {
    /// The new value; `None` for a deletion.
    pub(crate) fn value(&self) -> Option<&Bytes> {
        match self {
            Self::Put(value) | Self::Create(value) | Self::Update(value, _) => Some(value),
            Self::Delete(_) => None,
        }
    }

    /// The revision that stands in the way, given the key's own; 0 says that the key is not there.
    pub(crate) fn conflict(&self, current: Option<Revision>) -> Option<Revision> {
        let revision = current.unwrap_or(0);
        let fits = match self {
            Self::Put(_) | Self::Delete(None) => true,
            Self::Create(_) => current.is_none(),
            Self::Update(_, expected) => current == Some(*expected),
            Self::Delete(Some(expected)) => current.is_none_or(|current| current == *expected),
        };
        (!fits).then_some(revision)
    }
}

/// A write and the one who waits for its answer.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) kind: WriteKind,
    reply: oneshot::Sender<Result<Revision, StoreError>>,
}

impl Write {
    /// Answers. Nobody may wait any more; the write has been done all the same.
    pub(crate) fn answer(self, outcome: Result<Revision, StoreError>) {
        let _ = self.reply.send(outcome);
    }

    fn bytes(&self) -> usize {
        self.bucket.len() + self.key.len() + self.kind.value().map_or(0, Bytes::len)
    }
}

/// The end that writes are pushed into.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: SyncSender<Write>,
    /// Bytes in the queue; the receiver takes them off.
    bytes: Arc<AtomicUsize>,
}

/// The end that the writer takes from.
#[derive(Debug)]
pub(crate) struct Waiting {
    receiver: Receiver<Write>,
    bytes: Arc<AtomicUsize>,
}

pub(crate) fn queue() -> (Queue, Waiting) {
    let (sender, receiver) = sync_channel(MAX_WAITING);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Queue { sender, bytes: bytes.clone() }, Waiting { receiver, bytes })
}

impl Queue {
    /// Queues a write; the receiver gets its answer.
    pub(crate) fn push(
        &self,
        bucket: &str,
        key: &str,
        kind: WriteKind,
    ) -> Result<oneshot::Receiver<Result<Revision, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let write = Write { bucket: bucket.to_owned(), key: key.to_owned(), kind, reply };
        let bytes = write.bytes();
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_WAITING_BYTES {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(StoreError::Busy);
        }
        self.sender.try_send(write).map_err(|refused| {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            match refused {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => StoreError::Unavailable("the writer has ended".to_owned()),
            }
        })?;
        Ok(answer)
    }
}

impl Waiting {
    /// Waits for a write and takes with it what else is there, within the bounds; `None` once the queue is closed
    /// and empty.
    pub(crate) fn next(&self, most: usize, most_bytes: usize) -> Option<Vec<Write>> {
        let first = self.receiver.recv().ok()?;
        let mut bytes = first.bytes();
        let mut batch = vec![first];
        while batch.len() < most && bytes < most_bytes {
            let Ok(write) = self.receiver.try_recv() else { break };
            bytes += write.bytes();
            batch.push(write);
        }
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(queue: &Queue, bytes: usize) -> Result<(), StoreError> {
        queue.push("b", "k", WriteKind::Put(vec![0; bytes].into())).map(drop)
    }

    #[test]
    fn full_queue_says_busy() {
        let (queue, waiting) = queue();
        for _ in 0..MAX_WAITING {
            put(&queue, 0).unwrap();
        }
        assert_eq!(put(&queue, 0), Err(StoreError::Busy));
        assert_eq!(waiting.next(256, usize::MAX).unwrap().len(), 256);
        assert_eq!(put(&queue, 0), Ok(()));
    }

    #[test]
    fn heavy_queue_says_busy() {
        let (queue, waiting) = queue();
        let heavy = 1024 * 1024;
        let fitting = (0..100).take_while(|_| put(&queue, heavy).is_ok()).count();
        assert_eq!(fitting, 63);
        let batch = waiting.next(256, 4 * heavy).unwrap();
        assert_eq!(batch.len(), 4);
        assert_eq!(put(&queue, heavy), Ok(()));
    }

    #[test]
    fn closed_queue_empties_first() {
        let (queue, waiting) = queue();
        put(&queue, 0).unwrap();
        drop(queue);
        assert_eq!(waiting.next(1, 1).unwrap().len(), 1);
        assert!(waiting.next(1, 1).is_none());
    }

    #[test]
    fn ended_writer_is_unavailable() {
        let (queue, waiting) = queue();
        drop(waiting);
        assert!(matches!(put(&queue, 0), Err(StoreError::Unavailable(_))));
    }
}
