//! The bus's counters, looked up once.

use exedra_hub::metrics::Metrics;

/// Adds to `exedra_bus_messages_total`.
pub(crate) struct Counts {
    received: Box<dyn Fn(u64) + Send + Sync>,
    sent: Box<dyn Fn(u64) + Send + Sync>,
}

impl Counts {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let (received, sent) = (metrics.bus_messages("in"), metrics.bus_messages("out"));
        Self {
            received: Box::new(move |messages| received.inc_by(messages)),
            sent: Box::new(move |messages| sent.inc_by(messages)),
        }
    }

    pub(crate) fn received(&self, messages: u64) {
        (self.received)(messages);
    }

    pub(crate) fn sent(&self) {
        (self.sent)(1);
    }
}
