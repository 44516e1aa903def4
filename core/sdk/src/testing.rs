//! `TestHub`: a plugin on the real hub and the real host, with a bus and a store in memory and a clock that the test
//! turns by hand. What passes here has been through the same tables as in production.
//!
//! ```text
//! #[tokio::test]
//! async fn says_hello() {
//!     let hub = TestHub::with(greeter::entry(), json!({"greeting": "Hello"}));
//!     let ann = hub.connect("ann").await;
//!     assert_eq!(ann.call::<String>("greet", "Bob").await.unwrap(), "Hello Bob");
//! }
//! ```

mod bench;
mod builder;
mod bus;
mod client;
mod clock;
mod format;
mod http;
mod store;

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use exedra_hub::{
    Frame,
    manifest::Manifest,
    port::{Bus, BusMessage, Call, Clock, Interest, Messages, PluginId, Plugins, Topic},
};
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use self::{bench::Bench, bus::TestBus, client::json_of};
use crate::{User, border::export::Entry};

pub use self::{
    builder::Builder,
    client::{Knocking, Refused, Request, TestClient},
    http::{TestRequest, TestResponse},
};

/// The hub under test with its plugins.
pub struct TestHub {
    bench: Arc<Bench>,
    bus: Arc<TestBus>,
    manifest: Manifest,
    /// Gateway and path where clients connect unless told otherwise.
    space: (&'static str, String),
    out: Mutex<Messages>,
    dead: Mutex<Messages>,
}

/// A message that a plugin has published with `hub.out`.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The room.
    pub room: String,
    /// The event.
    pub event: String,
    /// The payload.
    pub payload: Value,
}

impl TestHub {
    /// A hub with one plugin.
    ///
    /// # Panics
    /// When the plugin does not start.
    pub fn with(entry: &'static Entry, settings: Value) -> Self {
        Self::builder(entry, settings)
            .start()
            .unwrap_or_else(|error| panic!("the plugin did not start: {error}"))
    }

    /// A hub with one plugin and more to say about it.
    pub fn builder(entry: &'static Entry, settings: Value) -> Builder {
        Builder::new(entry, settings)
    }

    /// The first plugin's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    // ---- clients and services ----

    /// Connects a user.
    ///
    /// # Panics
    /// When the plugin refuses.
    pub async fn connect(&self, user: impl Into<User>) -> TestClient {
        let client = self.client().user(user).connect().await;
        client.unwrap_or_else(|refused| panic!("the connection was refused: {refused:?}"))
    }

    /// Connects somebody without a token.
    ///
    /// # Panics
    /// When the plugin refuses.
    pub async fn anonymous(&self) -> TestClient {
        let client = self.client().connect().await;
        client.unwrap_or_else(|refused| panic!("the connection was refused: {refused:?}"))
    }

    /// A client that is about to connect.
    pub fn client(&self) -> Knocking<'_> {
        Knocking::new(self)
    }

    /// A REST request; the path may have a query string.
    pub fn http(&self, method: &str, path: &str) -> TestRequest<'_> {
        TestRequest::new(self, method, path)
    }

    /// Injects an event as an outside service does, and waits until it has been handled.
    ///
    /// # Errors
    /// `CODE: reason`, as in the dead letter.
    pub async fn inject(&self, room: &str, event: &str, payload: impl Serialize) -> Result<(), String> {
        self.inject_bytes(room, event, json_of(payload)).await
    }

    /// The same with any body.
    ///
    /// # Errors
    /// As [`TestHub::inject`].
    pub async fn inject_bytes(&self, room: &str, event: &str, body: impl Into<Bytes>) -> Result<(), String> {
        let (plugin, room, event) = (self.manifest.name.clone(), room.to_owned(), event.to_owned());
        let answer = self.ask(&Topic::In { plugin, room, event }, body.into()).await;
        answer.map(drop).map_err(|error| {
            let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
            format!("{}: {}", part("code"), part("message"))
        })
    }

    /// Injects an event with headers, without waiting for an answer.
    ///
    /// # Panics
    /// When the bus does not take it.
    pub async fn inject_with(
        &self,
        room: &str,
        event: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) {
        let (plugin, room, event) = (self.manifest.name.clone(), room.to_owned(), event.to_owned());
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let headers: Vec<(String, String)> = headers.iter().map(owned).collect();
        let published = self.bus.publish(&Topic::In { plugin, room, event }, &headers, body.into());
        assert_eq!(published, Ok(()));
        self.settle().await;
    }

    /// Injects an event as a cluster does, which gives it again when it is not known to have been handled: the same
    /// `number` is the same event, later ones have higher numbers.
    ///
    /// # Errors
    /// `CODE: reason`; the event would be given again, or become a dead letter.
    pub async fn deliver(
        &self,
        number: u64,
        (room, event): (&str, &str),
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<(), String> {
        let injects = &self.manifest.injects;
        let exact = injects.iter().position(|inject| inject.event == event);
        let handler = exact.or_else(|| injects.iter().position(|inject| inject.event == "*"));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut headers: Vec<(String, String)> = headers.iter().map(owned).collect();
        headers.push(("Exedra-Delivery".to_owned(), format!("test-{number}")));
        headers.push(("Exedra-Taken-In".to_owned(), (1_768_905_000_000_000 + number).to_string()));
        let call = Call::Inject {
            handler: handler.ok_or("NOT_FOUND: nobody takes it")? as u32,
            room: room.to_owned(),
            event: event.to_owned(),
            headers,
            payload: body.into(),
        };
        let handled = self.bench.host.call(PluginId(0), call).await;
        self.settle().await;
        handled.map(drop).map_err(|refusal| format!("{}: {refusal}", refusal.code_str()))
    }

    /// Asks the plugin as an outside service does.
    ///
    /// # Errors
    /// The `error` object of the answer.
    pub async fn rpc(&self, method: &str, payload: impl Serialize) -> Result<Value, Value> {
        let (service, method) = (self.manifest.name.clone(), method.to_owned());
        self.ask(&Topic::Rpc { service, method }, json_of(payload)).await
    }

    /// Serves an outside service that the plugin asks with `hub.ask`: method and payload in, answer out.
    ///
    /// # Panics
    /// When the bus does not take the subscription.
    pub fn service(&self, name: &str, mut answer: impl FnMut(&str, Value) -> Value + Send + 'static) {
        self.serve(name, move |method, payload| Some(answer(method, payload)));
    }

    /// An outside service that takes questions and never answers. The future ends with the first question.
    ///
    /// # Panics
    /// When the bus does not take the subscription.
    pub fn silent_service(&self, name: &str) -> impl Future<Output = ()> + use<> {
        let asked = Arc::new(tokio::sync::Notify::new());
        let tell = asked.clone();
        self.serve(name, move |_, _| {
            tell.notify_one();
            None
        });
        async move { asked.notified().await }
    }

    fn serve(&self, name: &str, mut answer: impl FnMut(&str, Value) -> Option<Value> + Send + 'static) {
        let subscribed = self.bus.subscribe(&Interest::Rpc { service: name.to_owned() }, None).now_or_never();
        let Some(Ok(mut messages)) = subscribed else { panic!("the bus took no subscription") };
        let bus = self.bus.clone();
        self.bench.host.spawn(Box::pin(async move {
            while let Some(message) = messages.next().await {
                let (Topic::Rpc { method, .. }, Some(reply)) = (&message.topic, &message.reply) else {
                    continue;
                };
                let payload = serde_json::from_slice(&message.payload).unwrap_or_default();
                if let Some(answer) = answer(method, payload) {
                    let _gone = bus.publish(reply, &[], json_of(answer));
                }
            }
        }));
    }

    async fn ask(&self, topic: &Topic, payload: Bytes) -> Result<Value, Value> {
        // A handler may wait for the clock, so the answer must not: the real time ends it.
        let asking = self.bus.request(topic, payload, Duration::MAX);
        let answered = tokio::time::timeout(Duration::from_secs(10), asking).await;
        let answer: Value = match answered {
            Ok(Ok(message)) => serde_json::from_slice(&message.payload).unwrap_or_default(),
            Ok(Err(error)) => serde_json::json!({"error": {"code": "BUS", "message": error.to_string()}}),
            Err(_) => panic!("{topic:?} was not answered"),
        };
        match answer.get("error") {
            Some(error) if !error.is_null() => Err(error.clone()),
            _ => Ok(answer),
        }
    }

    // ---- what came out ----

    /// What the plugin has published since the last time, once nothing moves any more.
    pub async fn out(&self) -> Vec<Published> {
        self.settle().await;
        let read = |message: BusMessage| match message.topic {
            Topic::Out { room, event, .. } => {
                let payload = serde_json::from_slice(&message.payload).unwrap_or_default();
                Some(Published { room, event, payload })
            }
            _ => None,
        };
        waiting(&self.out).into_iter().filter_map(read).collect()
    }

    /// The reasons of dead letters since the last time, once nothing moves any more.
    pub async fn dead_letters(&self) -> Vec<String> {
        self.settle().await;
        let reason = |message: BusMessage| {
            let found = message.headers.iter().find(|(name, _)| name == "Exedra-Reason");
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        waiting(&self.dead).into_iter().map(reason).collect()
    }

    /// A stored value of the first plugin, as JSON.
    pub fn stored(&self, key: &str) -> Option<Value> {
        let bytes = self.bench.store.peek(&self.manifest.name, key)?;
        serde_json::from_slice(&bytes).ok()
    }

    /// A metric of the first plugin, as the exposition names it after `exedra_<plugin>_`, labels included:
    /// `votes_total{kind="a"}`. `None` when there is no such line.
    pub fn metric(&self, line: &str) -> Option<f64> {
        let wanted = format!("exedra_{}_{line} ", self.manifest.name.replace('-', "_"));
        let text = self.bench.hub.metrics().render();
        text.lines().find_map(|line| line.strip_prefix(&*wanted)?.trim().parse().ok())
    }

    /// How many rooms of the first plugin have members.
    pub fn rooms(&self) -> usize {
        let wanted = format!("exedra_rooms{{plugin=\"{}\"}} ", self.manifest.name);
        let text = self.bench.hub.metrics().render();
        text.lines().find_map(|line| line.strip_prefix(&*wanted)?.trim().parse().ok()).unwrap_or_default()
    }

    // ---- time and trouble ----

    /// Turns the clock, alarm by alarm, and lets everything happen that is due.
    pub async fn advance(&self, by: Duration) {
        self.settle().await;
        let end = self.bench.clock.elapsed() + by;
        while let Some(alarm) = self.bench.clock.first_alarm().filter(|alarm| *alarm <= end) {
            self.bench.clock.set(alarm);
            self.settle().await;
        }
        self.bench.clock.set(end);
        self.settle().await;
    }

    /// The hub's wall clock in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.bench.clock.now().duration_since(UNIX_EPOCH).map_or(0, |since| crate::Span(since).as_ms())
    }

    /// The next operation on stored values fails as unavailable.
    pub fn fail_next_kv(&self) {
        self.fail_kv(1);
    }

    /// So many operations on stored values fail.
    pub fn fail_kv(&self, operations: usize) {
        self.bench.store.fail_next(operations);
    }

    /// Panics of the first plugin so far.
    pub fn panics(&self) -> u64 {
        self.bench.host.states().first().map_or(0, |state| state.panics)
    }

    /// Takes the plugins down, as at the end of the process.
    pub fn stop(&self) {
        self.bench.host.stop(Duration::from_millis(300));
    }

    /// Waits until nothing moves: everything that is left waits for a client, for the clock, or for nothing.
    pub async fn settle(&self) {
        self.bench.settle().await;
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.stop();
    }
}

fn waiting(messages: &Mutex<Messages>) -> Vec<BusMessage> {
    let mut messages = messages.lock();
    std::iter::from_fn(|| messages.next().now_or_never().flatten()).collect()
}

/// What opens a connection; says nothing to test clients.
fn first_frame() -> Frame {
    Frame::many(Vec::new())
}

/// A test's token is the user itself.
fn token_of(user: &User) -> String {
    serde_json::to_string(user).unwrap_or_default()
}
