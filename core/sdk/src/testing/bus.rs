//! The memory bus, whose requests end by the test's clock.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use exedra_bus::MemoryBus;
use exedra_hub::{
    Task,
    metrics::Metrics,
    port::{Bus, BusError, BusMessage, BusState, Clock, Interest, Messages, Topic},
};
use futures_util::future::{Either, select};

use super::clock::TestClock;

/// Far beyond any test; requests end by the test's clock.
const NEVER: Duration = Duration::from_secs(3600);

pub(super) struct TestBus {
    bus: Arc<MemoryBus>,
    clock: Arc<TestClock>,
}

impl TestBus {
    pub(super) fn new(metrics: Arc<Metrics>, clock: Arc<TestClock>) -> Arc<Self> {
        Arc::new(Self { bus: MemoryBus::new(metrics), clock })
    }
}

impl Bus for TestBus {
    fn publish(&self, topic: &Topic, headers: &[(String, String)], payload: Bytes) -> Result<(), BusError> {
        self.bus.publish(topic, headers, payload)
    }

    fn subscribe(&self, interest: &Interest, queue: Option<&str>) -> Task<Result<Messages, BusError>> {
        self.bus.subscribe(interest, queue)
    }

    fn request(
        &self,
        topic: &Topic,
        payload: Bytes,
        timeout: Duration,
    ) -> Task<Result<BusMessage, BusError>> {
        let (asking, over) = (self.bus.request(topic, payload, NEVER), self.clock.sleep(timeout));
        Box::pin(async move {
            match select(asking, over).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => Err(BusError::Timeout),
            }
        })
    }

    fn state(&self) -> BusState {
        self.bus.state()
    }
}
