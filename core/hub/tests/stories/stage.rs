//! A hub on a stage: plugins that are closures, time that is turned by hand, links that are plain queues.
#![allow(clippy::unwrap_used, reason = "a stage that cannot be set up fails the story")]

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use exedra_hub::{
    Claims, Connection, Format, Frame, Hub, HubParts, Identity, Inbound, Limits, Message, Refusal, Task,
    frame::Part,
    hub::{Install, Knock, Rules},
    manifest::{AuthMode, Event, Manifest, Namespace},
    metrics::Metrics,
    outbox::Outbox,
    port::{
        AuthFailure, Authenticator, Bus, BusError, BusMessage, BusState, Call, Clock, Cluster, Entry, Intake,
        Interest, Messages, PluginId, Plugins, Reply, Revision, Store, StoreError, Topic,
    },
    recovery::Ticket,
};
use futures_channel::{mpsc, oneshot};
use parking_lot::Mutex;

pub(crate) type Handler = Arc<dyn Fn(Arc<Hub>, PluginId, Call) -> Task<Result<Reply, Refusal>> + Send + Sync>;

/// A hub with everything around it.
pub(crate) struct Stage {
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) bus: Arc<PlainBus>,
}

/// A client without a network.
pub(crate) struct Client {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) connection: Arc<Connection>,
}

impl Stage {
    pub(crate) fn new(
        installs: Vec<Install>,
        limits: Limits,
        handler: impl Fn(Arc<Hub>, PluginId, Call) -> Task<Result<Reply, Refusal>> + Send + Sync + 'static,
    ) -> Self {
        Self::with(installs, limits, None, handler)
    }

    /// The same, perhaps as a node of a cluster.
    pub(crate) fn with(
        installs: Vec<Install>,
        limits: Limits,
        cluster: Option<(Arc<dyn Cluster>, Rules)>,
        handler: impl Fn(Arc<Hub>, PluginId, Call) -> Task<Result<Reply, Refusal>> + Send + Sync + 'static,
    ) -> Self {
        Self::keeping(installs, limits, cluster, None, handler)
    }

    /// The same, perhaps with something that keeps injected events.
    pub(crate) fn keeping(
        installs: Vec<Install>,
        limits: Limits,
        cluster: Option<(Arc<dyn Cluster>, Rules)>,
        intake: Option<Arc<dyn Intake>>,
        handler: impl Fn(Arc<Hub>, PluginId, Call) -> Task<Result<Reply, Refusal>> + Send + Sync + 'static,
    ) -> Self {
        let (clock, bus) = (Arc::new(HandClock::default()), Arc::new(PlainBus::default()));
        let hub = Hub::new(HubParts {
            clock: clock.clone(),
            authenticator: Some(Arc::new(Names)),
            store: Arc::new(NoStore),
            bus: bus.clone(),
            limits,
            metrics: Metrics::new(),
        });
        let plugins = Arc::new(Closures { hub: hub.clone(), handler: Arc::new(handler) });
        hub.install(plugins, installs).unwrap();
        if let Some((cluster, rules)) = cluster {
            hub.unite(cluster, rules).unwrap();
        }
        if let Some(intake) = intake {
            hub.keep_injected(intake).unwrap();
        }
        tokio::spawn(hub.run());
        Self { hub, clock, bus }
    }

    pub(crate) fn knock(&self, token: Option<&str>, format: &Arc<dyn Format>, outbox: &Arc<Outbox>) -> Knock {
        Knock {
            gateway: "socketio",
            namespace: "/".into(),
            token: token.map(str::to_owned),
            auth: Bytes::from_static(b"{}"),
            query: Vec::new(),
            peer: [127, 0, 0, 1].into(),
            outbox: outbox.clone(),
            format: format.clone(),
            ticket: None,
        }
    }

    /// A connection that is open, as the user that the token names.
    pub(crate) async fn client(&self, token: Option<&str>, format: &Arc<dyn Format>) -> Client {
        let outbox = Arc::new(Outbox::new(self.hub.limits().outbound_buffer));
        let connection = self.hub.connect(self.knock(token, format, &outbox)).await.unwrap();
        connection.open(&text("CONNECT"));
        Client { outbox, connection }
    }

    /// A client on a link of its own that shows a ticket.
    pub(crate) async fn back(
        &self,
        token: Option<&str>,
        format: &Arc<dyn Format>,
        pid: &str,
        offset: Option<String>,
    ) -> Client {
        let outbox = Arc::new(Outbox::new(self.hub.limits().outbound_buffer));
        let ticket = Some(Ticket { pid: pid.to_owned(), offset });
        let knock = Knock { ticket, ..self.knock(token, format, &outbox) };
        let connection = self.hub.connect(knock).await.unwrap();
        connection.open(&text("CONNECT"));
        Client { outbox, connection }
    }

    /// Lets every task run that can.
    pub(crate) async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    /// Turns the clock.
    pub(crate) async fn advance(&self, by: Duration) {
        self.settle().await;
        self.clock.advance(by);
        self.settle().await;
    }
}

impl Client {
    /// What has arrived since the last look, as text.
    pub(crate) fn seen(&self) -> Vec<String> {
        let mut frames = Vec::new();
        self.outbox.take_now(&mut frames);
        frames.iter().map(|f| String::from_utf8_lossy(&f.parts()[0].wire).into_owned()).collect()
    }
}

pub(crate) fn event(name: &str, args: &str, ack: Option<u64>) -> Inbound {
    Inbound { message: Message::new(name, args.to_owned()), ack }
}

pub(crate) fn text(text: &str) -> Frame {
    Frame::one(Part { wire: text.to_owned().into(), header: 0, binary: false })
}

/// A manifest that takes the events named, on `/`.
pub(crate) fn plugin(name: &str, auth: AuthMode, events: &[&str]) -> Manifest {
    let event = |name: &&str| Event { name: (*name).into(), ..Event::default() };
    Manifest {
        name: name.into(),
        namespaces: vec![Namespace { path: "/".into(), auth }],
        events: events.iter().map(event).collect(),
        on_connect: true,
        on_disconnect: true,
        on_leave: true,
        ..Manifest::default()
    }
}

/// `name args`, and how often something was encoded.
#[derive(Default)]
pub(crate) struct PlainFormat(pub(crate) AtomicUsize);

impl Format for PlainFormat {
    fn event(&self, message: &Message, ack: Option<u64>) -> Frame {
        self.0.fetch_add(1, Ordering::Relaxed);
        let ack = ack.map(|n| format!("#{n} ")).unwrap_or_default();
        text(&format!("{ack}{} {}", message.event, String::from_utf8_lossy(&message.args)))
    }

    fn ack(&self, ack: Option<u64>, args: &Bytes, _: &[Bytes]) -> Option<Frame> {
        Some(text(&format!("ack{} {}", ack?, String::from_utf8_lossy(args))))
    }

    fn goodbye(&self) -> Option<Frame> {
        Some(text("GOODBYE"))
    }

    fn gateway(&self) -> &'static str {
        "socketio"
    }
}

/// The same with offsets: `name args @offset`.
pub(crate) struct Recoverable;

impl Format for Recoverable {
    fn event(&self, message: &Message, ack: Option<u64>) -> Frame {
        PlainFormat::default().event(message, ack)
    }

    fn recoverable(&self, message: &Message, offset: &str) -> Frame {
        text(&format!("{} {} @{offset}", message.event, String::from_utf8_lossy(&message.args)))
    }

    fn recovers(&self) -> bool {
        true
    }

    fn ack(&self, ack: Option<u64>, args: &Bytes, attachments: &[Bytes]) -> Option<Frame> {
        PlainFormat::default().ack(ack, args, attachments)
    }

    fn goodbye(&self) -> Option<Frame> {
        Some(text("GOODBYE"))
    }

    fn gateway(&self) -> &'static str {
        "socketio"
    }
}

pub(crate) fn format() -> Arc<dyn Format> {
    Arc::new(PlainFormat::default())
}

struct Closures {
    hub: Arc<Hub>,
    handler: Handler,
}

impl Plugins for Closures {
    fn call(&self, plugin: PluginId, call: Call) -> Task<Result<Reply, Refusal>> {
        (self.handler)(self.hub.clone(), plugin, call)
    }

    fn spawn(&self, task: Task) {
        tokio::spawn(task);
    }
}

/// The token is the user's id; `ann@5` ends five seconds after the epoch.
struct Names;

impl Authenticator for Names {
    fn verify(&self, token: &str) -> Result<Identity, AuthFailure> {
        if token == "bad" {
            return Err(AuthFailure::Signature);
        }
        let (user, end) = token.split_once('@').unwrap_or((token, ""));
        Ok(Identity {
            user_id: user.into(),
            name: None,
            email: None,
            roles: Vec::new(),
            claims: Claims::default(),
            expires_at: end.parse().ok().map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s)),
        })
    }
}

/// Time that stands still until it is turned.
#[derive(Default)]
pub(crate) struct HandClock(Mutex<Hands>);

#[derive(Default)]
struct Hands {
    now: Duration,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        let mut hands = self.0.lock();
        hands.now += by;
        let now = hands.now;
        for (_, sleeper) in hands.sleepers.extract_if(.., |(at, _)| *at <= now) {
            let _ = sleeper.send(());
        }
    }
}

impl Clock for HandClock {
    fn elapsed(&self) -> Duration {
        self.0.lock().now
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.elapsed()
    }

    fn sleep(&self, after: Duration) -> Task {
        let (sender, receiver) = oneshot::channel();
        let mut hands = self.0.lock();
        let at = hands.now + after;
        hands.sleepers.push((at, sender));
        Box::pin(async move {
            let _ = receiver.await;
        })
    }
}

struct NoStore;

impl Store for NoStore {
    fn get(&self, _: &str, _: &str) -> Task<Result<Option<Entry>, StoreError>> {
        Box::pin(async { Err(none()) })
    }
    fn put(&self, _: &str, _: &str, _: Bytes) -> Task<Result<Revision, StoreError>> {
        Box::pin(async { Err(none()) })
    }
    fn create(&self, _: &str, _: &str, _: Bytes) -> Task<Result<Revision, StoreError>> {
        Box::pin(async { Err(none()) })
    }
    fn update(&self, _: &str, _: &str, _: Bytes, _: Revision) -> Task<Result<Revision, StoreError>> {
        Box::pin(async { Err(none()) })
    }
    fn delete(&self, _: &str, _: &str, _: Option<Revision>) -> Task<Result<(), StoreError>> {
        Box::pin(async { Err(none()) })
    }
    fn list(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: usize,
    ) -> Task<Result<Vec<(String, Entry)>, StoreError>> {
        Box::pin(async { Err(none()) })
    }
    fn trouble(&self) -> Option<String> {
        None
    }
}

fn none() -> StoreError {
    StoreError::Unavailable("this stage has no store".into())
}

/// Topic, headers and body of a published message.
type Published = (Topic, Vec<(String, String)>, Bytes);

/// Keeps what is published and hands in what a story injects.
#[derive(Default)]
pub(crate) struct PlainBus {
    pub(crate) published: Mutex<VecDeque<Published>>,
    subscribers: Mutex<Vec<(Interest, mpsc::Sender<BusMessage>)>>,
}

impl PlainBus {
    /// Hands a message to whoever listens to it.
    pub(crate) fn inject(&self, room: &str, event: &str, payload: &str) {
        let topic = Topic::In { plugin: "p".into(), room: room.into(), event: event.into() };
        self.hand(&BusMessage {
            topic,
            reply: Some(Topic::Reply("answers".into())),
            headers: Vec::new(),
            payload: payload.to_owned().into(),
        });
    }

    /// The same with everything given.
    pub(crate) fn hand(&self, message: &BusMessage) {
        let mut subscribers = self.subscribers.lock();
        subscribers.retain(|(_, subscriber)| !subscriber.is_closed());
        for (interest, subscriber) in &mut *subscribers {
            if matches!(interest, Interest::In { .. }) {
                subscriber.try_send(message.clone()).unwrap();
            }
        }
    }
}

impl Bus for PlainBus {
    fn publish(&self, topic: &Topic, headers: &[(String, String)], payload: Bytes) -> Result<(), BusError> {
        self.published.lock().push_back((topic.clone(), headers.to_vec(), payload));
        Ok(())
    }

    fn subscribe(&self, interest: &Interest, _: Option<&str>) -> Task<Result<Messages, BusError>> {
        let (sender, receiver) = mpsc::channel(4096);
        self.subscribers.lock().push((interest.clone(), sender));
        Box::pin(async move { Ok(Box::pin(receiver) as Messages) })
    }

    fn request(&self, _: &Topic, _: Bytes, _: Duration) -> Task<Result<BusMessage, BusError>> {
        Box::pin(async { Err(BusError::NoResponders) })
    }

    fn state(&self) -> BusState {
        BusState::Up
    }
}
