//! A real hub over fakes that the tests can turn: time by hand, a store that answers at the second look.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use exedra_hub::{
    Format, Frame, Hub, HubParts, Limits, Message, Task,
    frame::Part,
    metrics::Metrics,
    port::{
        Bus, BusError, BusMessage, BusState, Clock, Entry, Interest, Messages, Revision, Store, StoreError,
        Topic,
    },
};
use parking_lot::Mutex;

/// Time that passes only when a test says so.
#[derive(Default)]
pub(crate) struct HandClock {
    now: Mutex<Duration>,
    sleepers: Arc<Mutex<Vec<(Duration, Waker)>>>,
}

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.now.lock() += by;
        let sleepers = std::mem::take(&mut *self.sleepers.lock());
        sleepers.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(crate) fn sleepers(&self) -> usize {
        self.sleepers.lock().len()
    }
}

/// The clock as the hub takes it.
pub(crate) struct SharedClock(pub(crate) Arc<HandClock>);

impl Clock for SharedClock {
    fn elapsed(&self) -> Duration {
        *self.0.now.lock()
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.elapsed()
    }

    fn sleep(&self, after: Duration) -> Task {
        let clock = self.0.clone();
        let until = self.elapsed() + after;
        Box::pin(poll_fn(move |cx| {
            let now = clock.now.lock();
            if *now >= until {
                return Poll::Ready(());
            }
            clock.sleepers.lock().push((until, cx.waker().clone()));
            Poll::Pending
        }))
    }
}

/// A store in memory. Writes answer at the second look; the key `hang` never answers.
#[derive(Default)]
pub(crate) struct SlowStore {
    last: AtomicU64,
    entries: Mutex<BTreeMap<String, Entry>>,
}

fn at_second_look<T: Send + Unpin + 'static>(value: T) -> Task<T> {
    let mut value = Some(value);
    let mut looked = false;
    Box::pin(poll_fn(move |cx| {
        if std::mem::replace(&mut looked, true) {
            return value.take().map_or(Poll::Pending, Poll::Ready);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }))
}

impl Store for SlowStore {
    fn get(&self, bucket: &str, key: &str) -> Task<Result<Option<Entry>, StoreError>> {
        let entry = self.entries.lock().get(&format!("{bucket}/{key}")).cloned();
        Box::pin(std::future::ready(Ok(entry)))
    }

    fn put(&self, bucket: &str, key: &str, value: Bytes) -> Task<Result<Revision, StoreError>> {
        let revision = self.last.fetch_add(1, Ordering::SeqCst) + 1;
        self.entries.lock().insert(format!("{bucket}/{key}"), Entry { value, revision });
        if key == "hang" { Box::pin(std::future::pending()) } else { at_second_look(Ok(revision)) }
    }

    fn create(&self, bucket: &str, key: &str, value: Bytes) -> Task<Result<Revision, StoreError>> {
        self.put(bucket, key, value)
    }

    fn update(&self, b: &str, key: &str, value: Bytes, _: Revision) -> Task<Result<Revision, StoreError>> {
        self.put(b, key, value)
    }

    fn delete(&self, bucket: &str, key: &str, _: Option<Revision>) -> Task<Result<(), StoreError>> {
        self.entries.lock().remove(&format!("{bucket}/{key}"));
        at_second_look(Ok(()))
    }

    fn list(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: usize,
    ) -> Task<Result<Vec<(String, Entry)>, StoreError>> {
        at_second_look(Ok(Vec::new()))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// A bus without anybody on it.
pub(crate) struct LonelyBus;

impl Bus for LonelyBus {
    fn publish(&self, _: &Topic, _: &[(String, String)], _: Bytes) -> Result<(), BusError> {
        Ok(())
    }

    fn subscribe(&self, _: &Interest, _: Option<&str>) -> Task<Result<Messages, BusError>> {
        Box::pin(std::future::ready(Err(BusError::Unavailable("nobody".into()))))
    }

    fn request(&self, _: &Topic, _: Bytes, _: Duration) -> Task<Result<BusMessage, BusError>> {
        Box::pin(std::future::ready(Err(BusError::NoResponders)))
    }

    fn state(&self) -> BusState {
        BusState::Up
    }
}

/// Frames as `name args`.
pub(crate) struct PlainText;

impl Format for PlainText {
    fn event(&self, message: &Message, _: Option<u64>) -> Frame {
        let mut wire = format!("{} ", message.event).into_bytes();
        wire.extend_from_slice(&message.args);
        Frame::one(Part { wire: wire.into(), header: 0, binary: false })
    }

    fn ack(&self, _: Option<u64>, _: &Bytes, _: &[Bytes]) -> Option<Frame> {
        None
    }

    fn goodbye(&self) -> Option<Frame> {
        None
    }

    fn gateway(&self) -> &'static str {
        "socketio"
    }
}

/// A hub over the fakes, and its clock.
pub(crate) fn hub() -> (Arc<Hub>, Arc<HandClock>) {
    let clock = Arc::new(HandClock::default());
    let hub = Hub::new(HubParts {
        clock: Arc::new(SharedClock(clock.clone())),
        authenticator: None,
        store: Arc::new(SlowStore::default()),
        bus: Arc::new(LonelyBus),
        limits: Limits::default(),
        metrics: Metrics::new(),
    });
    (hub, clock)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park_timeout(Duration::from_secs(10));
    }
}

/// Waits for something that other threads bring about.
pub(crate) fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited too long");
        thread::park_timeout(Duration::from_millis(2));
    }
}
