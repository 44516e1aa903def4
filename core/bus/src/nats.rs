//! The bus over NATS, and the only file of this crate that names async-nats; its parts below take the names from
//! here. JetStream is not its business: who needs that gets a [connection](dial()) of its own.
//!
//! Connecting never fails because the server is away: the client goes on trying, subscriptions start when it
//! comes, and what is published meanwhile waits in a bounded queue. Messages out go through that queue to one task,
//! which rests while disconnected, so that `publish` never waits and subscriptions are never stuck behind it.
//! Messages in go through one task per subscription, which decodes them and never stops reading, so that a slow
//! subscriber loses its own messages and nobody else's.

mod announced;
mod cluster;
mod dial;
mod intake;
mod link;
mod listening;
mod options;
mod outgoing;
mod survey;
mod visitor;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Auth, AuthError, Client, ConnectOptions, Event, HeaderMap, HeaderName, HeaderValue, Message, Request,
    RequestErrorKind, Subscriber, connection::State, jetstream,
};
use bytes::Bytes;
use exedra_hub::{
    Task,
    metrics::Metrics,
    port::{Bus, BusError, BusMessage, BusState, Interest, Messages, Topic},
};
use tokio::{sync::Semaphore, time::timeout};

pub use self::dial::{Line, dial};
use self::{
    announced::Announced,
    link::Link,
    listening::{Listening, header_list, header_map},
    outgoing::{Gate, Letter, Outgoing},
};
pub use self::{
    survey::{Survey, survey},
    visitor::{Ears, Heard, Visitor},
};
use crate::{
    NatsConfig,
    counts::Counts,
    home::Home,
    inbox::inbox,
    limits::{MAX_REQUESTS, bounded},
    memory::plugin_of,
    message,
    micro::Services,
    subject::{Subjects, encode},
};

pub use self::{
    cluster::{NatsCluster, connect as connect_cluster},
    intake::NatsIntake,
};

/// How long a subscription waits to be confirmed by the server.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);
/// How long each step of a drain may take.
const DRAIN_STEP: Duration = Duration::from_secs(2);

/// The bus over NATS.
pub struct NatsBus {
    client: Client,
    subjects: Subjects,
    outgoing: Outgoing,
    /// Set by `drain`: from then on nothing is published.
    closing: AtomicBool,
    link: Arc<Link>,
    metrics: Arc<Metrics>,
    counts: Arc<Counts>,
    home: Home,
    services: Arc<Services>,
    announced: Announced,
    /// One permit per request that waits for its answer.
    requests: Arc<Semaphore>,
}

/// Makes the bus; the connection comes about in the background.
///
/// # Errors
/// [`BusError::Unavailable`] with a sentence when the settings or the files they name are no good, never because
/// the server is away.
pub async fn connect(
    config: &NatsConfig,
    node_name: &str,
    metrics: Arc<Metrics>,
) -> Result<Arc<NatsBus>, BusError> {
    let servers = servers(config)?;
    let subjects = Subjects::new(&config.prefix).map_err(unavailable)?;
    let link = Arc::new(Link::default());
    metrics.bus_up.set(0);
    let options = options::options(config, node_name).await?.event_callback({
        let (link, metrics) = (link.clone(), metrics.clone());
        move |event| {
            link.tell(&event, &metrics);
            std::future::ready(())
        }
    });
    let client = options.connect(servers).await.map_err(unavailable)?;

    let counts = Arc::new(Counts::new(&metrics));
    let gate = Gate { turn: Box::new(|| Some(0)), nobody: subjects.nobody() };
    let outgoing = Outgoing::start(client.clone(), link.clone(), counts.clone(), gate);
    Ok(Arc::new(NatsBus {
        client,
        subjects,
        outgoing,
        closing: AtomicBool::new(false),
        link,
        metrics,
        counts,
        home: Home::here(),
        services: Arc::default(),
        announced: Announced::default(),
        requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
    }))
}

/// The addresses of settings that have no problem.
fn servers(config: &NatsConfig) -> Result<Vec<String>, BusError> {
    if let Some(problem) = config.problems().into_iter().next() {
        return Err(BusError::Unavailable(problem));
    }
    let servers = config.servers();
    if servers.is_empty() {
        return Err(BusError::Unavailable("nats.url is not set".to_owned()));
    }
    Ok(servers)
}

impl NatsBus {
    /// Lets NATS know a service and its methods: it answers `nats micro ls`, `info` and `stats` until the bus is
    /// dropped or the service is announced anew. Requests themselves come by [`Bus::subscribe`].
    pub async fn announce(&self, name: &str, version: &str, description: &str, methods: &[String]) {
        let endpoint = |method: &String| {
            let topic = Topic::Rpc { service: name.to_owned(), method: method.clone() };
            Some((method.clone(), self.subjects.subject(&topic).ok()?))
        };
        let endpoints = methods.iter().filter_map(endpoint).collect();
        let service = self.services.announce(name, version, description, endpoints);
        self.announced.answer(&self.client, &self.subjects, name, service).await;
    }

    /// Sends what waits, lets subscriptions read what has come, and closes the connection. Takes a few seconds at
    /// most, and no longer than a moment when the server is away.
    pub async fn drain(&self) {
        self.closing.store(true, Ordering::SeqCst);
        if self.state() == BusState::Up {
            let sent = async {
                self.outgoing.emptied().await;
                let _ = self.client.flush().await;
            };
            if timeout(DRAIN_STEP, sent).await.is_err() {
                tracing::warn!(waiting = self.outgoing.waiting(), "the bus is closed with messages unsent");
            }
        }
        if timeout(DRAIN_STEP, self.client.drain()).await.is_ok() && self.state() == BusState::Up {
            let _ = timeout(DRAIN_STEP, self.closed()).await;
        }
    }

    async fn closed(&self) {
        while !self.link.is_closed() {
            let _ = timeout(Duration::from_millis(50), self.link.changed()).await;
        }
    }

    fn open(&self) -> Result<(), BusError> {
        if self.closing.load(Ordering::SeqCst) {
            return Err(BusError::Unavailable("the bus is closed".to_owned()));
        }
        Ok(())
    }
}

impl Bus for NatsBus {
    fn publish(&self, topic: &Topic, headers: &[(String, String)], payload: Bytes) -> Result<(), BusError> {
        self.open()?;
        let subject = self.subjects.subject(topic)?;
        let headers = message::fit(headers);
        let size = message::size(&headers, &payload);
        if size > self.client.max_payload() {
            return Err(BusError::TooLarge);
        }
        self.outgoing.push(Letter { subject, headers: header_map(&headers), payload, size, again: false })
    }

    fn subscribe(&self, interest: &Interest, queue: Option<&str>) -> Task<Result<Messages, BusError>> {
        let pattern = self.open().and_then(|()| self.subjects.pattern(interest));
        let group = queue.map(encode).transpose();
        if let (Interest::Rpc { service }, Ok(Some(group))) = (interest, &group) {
            self.services.listens(service, group);
        }
        let (inbox, messages) = inbox(self.metrics.plugin(plugin_of(interest)));
        let (client, nobody) = (self.client.clone(), self.subjects.nobody());
        let listening = Listening {
            inbox,
            subjects: self.subjects.clone(),
            counts: self.counts.clone(),
            services: self.services.clone(),
        };
        Box::pin(async move {
            let (pattern, group) = (pattern?, group?);
            let subscribed = match group {
                Some(group) => client.queue_subscribe(pattern, group).await,
                None => client.subscribe(pattern).await,
            };
            tokio::spawn(listening.run(subscribed.map_err(unavailable)?));
            confirm(&client, nobody).await;
            Ok(messages)
        })
    }

    fn request(
        &self,
        topic: &Topic,
        payload: Bytes,
        timeout: Duration,
    ) -> Task<Result<BusMessage, BusError>> {
        let subject = self.open().and_then(|()| self.subjects.subject(topic));
        let permit = self.requests.clone().try_acquire_owned();
        let (client, counts) = (self.client.clone(), self.counts.clone());
        self.home.host(Box::pin(async move {
            let subject = subject?;
            let _permit =
                permit.map_err(|_| BusError::Unavailable("too many requests are waiting".to_owned()))?;
            if client.connection_state() != State::Connected {
                return Err(BusError::Unavailable("not connected".to_owned()));
            }
            let wait = bounded(timeout);
            let request = Request::new().payload(payload).timeout(Some(wait));
            counts.sent();
            // The client's own timeout begins only when it has taken the request.
            let answered = tokio::time::timeout(wait, client.send_request(subject, request)).await;
            let answer = answered.map_err(|_| BusError::Timeout)?.map_err(|error| match error.kind() {
                RequestErrorKind::TimedOut => BusError::Timeout,
                RequestErrorKind::NoResponders => BusError::NoResponders,
                RequestErrorKind::MaxPayloadExceeded => BusError::TooLarge,
                RequestErrorKind::InvalidSubject | RequestErrorKind::Other => unavailable(error),
            })?;
            counts.received(1);
            Ok(BusMessage {
                topic: Topic::Reply(answer.subject.to_string()),
                reply: None,
                headers: header_list(answer.headers.as_ref()),
                payload: answer.payload,
            })
        }))
    }

    fn state(&self) -> BusState {
        match self.client.connection_state() {
            State::Connected if !self.link.is_closed() => BusState::Up,
            _ => BusState::Down,
        }
    }
}

fn unavailable(error: impl std::fmt::Display) -> BusError {
    BusError::Unavailable(error.to_string())
}

/// Waits until the server has taken all that was subscribed before: it works off one connection in order, and says at
/// once that nobody answers. No other right is needed for it than to publish.
async fn confirm(client: &Client, nobody: String) {
    if client.connection_state() == State::Connected {
        let _ = timeout(CONFIRM_TIMEOUT, client.request(nobody, Bytes::new())).await;
    }
}
