//! What waits for one subscriber. Bounded in messages and in bytes; when it is full the newest message is lost and
//! counted as `bus_slow`, because the bus may not wait for the slowest of its listeners.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use exedra_hub::{
    metrics::PluginMetrics,
    port::{BusMessage, Messages},
};
use futures_util::stream;
use tokio::sync::mpsc::{self, error::TrySendError};

/// The most messages that wait.
pub(crate) const MAX_WAITING: usize = 4096;
/// The most bytes of bodies that wait.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// The end that the bus fills.
#[derive(Debug)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<BusMessage>,
    /// Bytes of bodies in the queue; the stream takes them off.
    bytes: Arc<AtomicUsize>,
    metrics: PluginMetrics,
}

/// What became of an offered message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    Taken,
    /// Lost: the subscriber is too slow.
    Lost,
    /// The subscriber has gone.
    Gone,
}

/// An inbox and the stream that empties it; `metrics` are those of the plugin that the subscription is for.
pub(crate) fn inbox(metrics: PluginMetrics) -> (Inbox, Messages) {
    let (sender, mut receiver) = mpsc::channel::<BusMessage>(MAX_WAITING);
    let bytes = Arc::new(AtomicUsize::new(0));
    let taken = bytes.clone();
    let messages = stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|message| {
            message.inspect(|message| {
                taken.fetch_sub(message.payload.len(), Ordering::Relaxed);
            })
        })
    });
    (Inbox { sender, bytes, metrics }, Box::pin(messages))
}

impl Inbox {
    pub(crate) fn offer(&self, message: BusMessage) -> Offer {
        let bytes = Bytes::len(&message.payload);
        let full = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_WAITING_BYTES;
        let sent = if full { Err(TrySendError::Full(message)) } else { self.sender.try_send(message) };
        if sent.is_err() {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        match sent {
            Ok(()) => Offer::Taken,
            Err(TrySendError::Closed(_)) => Offer::Gone,
            Err(TrySendError::Full(_)) if self.sender.is_closed() => Offer::Gone,
            Err(TrySendError::Full(_)) => {
                self.metrics.dropped("bus_slow");
                Offer::Lost
            }
        }
    }

    /// Counts a message that cannot be offered because it cannot be read.
    #[cfg(feature = "nats")]
    pub(crate) fn refuse(&self) {
        self.metrics.dropped("refused");
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }

    /// Ends when the subscriber has gone.
    #[cfg(feature = "nats")]
    pub(crate) async fn gone(&self) {
        self.sender.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use exedra_hub::{metrics::Metrics, port::Topic};
    use futures_util::StreamExt;

    use super::*;

    fn message(bytes: usize) -> BusMessage {
        let topic = Topic::DeadLetter { plugin: "p".to_owned() };
        BusMessage { topic, reply: None, headers: Vec::new(), payload: vec![0; bytes].into() }
    }

    #[tokio::test]
    async fn full_inbox_loses_the_newest() {
        let metrics = Metrics::new();
        let (inbox, mut messages) = inbox(metrics.plugin("p"));
        for _ in 0..MAX_WAITING {
            assert_eq!(inbox.offer(message(1)), Offer::Taken);
        }
        assert_eq!(inbox.offer(message(2)), Offer::Lost);
        assert!(metrics.render().contains(r#"exedra_events_dropped_total{plugin="p",reason="bus_slow"} 1"#));
        assert_eq!(messages.next().await.unwrap().payload.len(), 1);
        assert_eq!(inbox.offer(message(3)), Offer::Taken);
    }

    #[tokio::test]
    async fn heavy_inbox_loses_the_newest() {
        let (inbox, mut messages) = inbox(Metrics::new().plugin("p"));
        let heavy = MAX_WAITING_BYTES / 2;
        assert_eq!(inbox.offer(message(heavy)), Offer::Taken);
        assert_eq!(inbox.offer(message(heavy)), Offer::Taken);
        assert_eq!(inbox.offer(message(1)), Offer::Lost);
        messages.next().await.unwrap();
        assert_eq!(inbox.offer(message(1)), Offer::Taken);
    }

    #[test]
    fn dropped_stream_is_gone() {
        let (inbox, messages) = inbox(Metrics::new().plugin("p"));
        drop(messages);
        assert!(inbox.is_gone());
        assert_eq!(inbox.offer(message(1)), Offer::Gone);
    }
}
