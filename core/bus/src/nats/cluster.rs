//! The cluster over NATS and JetStream: room messages on a subject per room, the [`ledger`] as a small stream in memory
//! that is read aloud as it is written, and the [`past`] that clients come back to in two more.
//!
//! It has a connection of its own, so that room messages and events of services do not wait for each other, and so that
//! the server can leave out what the node has sent itself.

mod hearing;
mod ledger;
mod past;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use exedra_hub::{
    Task,
    cluster::NodeId,
    metrics::Metrics,
    port::{Address, BusError, Cluster, Ears, Place, Point},
    recovery::Recovery,
};
use futures_util::StreamExt;
use tokio::{runtime::Handle, time::timeout};

use self::{hearing::Hearing, ledger::Ledger, past::Past};
use super::{
    Client, State, confirm, jetstream,
    link::Link,
    options,
    outgoing::{Gate, Letter, Outgoing},
    unavailable,
};
use crate::{NatsConfig, counts::Counts, subject::Subjects};

/// How often the connection is tried; a server that stands still is left for another one after three of these.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// How long what waits to be sent may take before it is asked how far the past has come.
const SENDING: Duration = Duration::from_secs(2);

/// This node's way to the others.
pub struct NatsCluster {
    me: NodeId,
    client: Client,
    subjects: Subjects,
    outgoing: Arc<Outgoing>,
    counts: Arc<Counts>,
    /// Rooms are attended and left on any thread.
    home: Handle,
    ears: Arc<OnceLock<Arc<dyn Ears>>>,
    ledger: Arc<Ledger>,
    /// `None` where clients do not come back.
    past: Option<Arc<Past>>,
    hearing: Arc<Hearing>,
}

/// Makes the way; the connection comes about in the background. `replicas` is how many servers keep the ledger, and with
/// `recovery` what clients come back to.
///
/// # Errors
/// [`BusError::Unavailable`] with a sentence when the settings or the files they name are no good, never because
/// the server is away.
pub async fn connect(
    config: &NatsConfig,
    node_name: &str,
    replicas: usize,
    recovery: Option<&Recovery>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<NatsCluster>, BusError> {
    let subjects = Subjects::new(&config.prefix).map_err(unavailable)?;
    let link = Arc::new(Link::default());
    let past = recovery.map(|rules| Arc::new(Past::new(&subjects, replicas, rules)));
    let ledger = Arc::new(Ledger::new(&subjects, replicas, past.clone(), link.clone()));
    let ears: Arc<OnceLock<Arc<dyn Ears>>> = Arc::default();
    let options = options::options(config, &format!("{node_name}/cluster")).await?;
    let options = options.no_echo().ping_interval(PING_INTERVAL).event_callback({
        let (ledger, ears) = (ledger.clone(), ears.clone());
        move |event| {
            ledger.note(&event, ears.get());
            std::future::ready(())
        }
    });
    let client = options.connect(super::servers(config)?).await.map_err(unavailable)?;
    let counts = Arc::new(Counts::new(metrics));
    let gate = Gate {
        turn: Box::new({
            let ledger = ledger.clone();
            move || ledger.turn()
        }),
        nobody: subjects.nobody(),
    };
    let outgoing = Arc::new(Outgoing::start(client.clone(), link, counts.clone(), gate));
    Ok(Arc::new(NatsCluster {
        me: NodeId::random(),
        client,
        subjects,
        outgoing,
        counts,
        home: Handle::current(),
        ears,
        ledger,
        past,
        hearing: Arc::default(),
    }))
}

impl Cluster for NatsCluster {
    fn node(&self) -> NodeId {
        self.me
    }

    fn listen(&self, ears: Arc<dyn Ears>) {
        if self.ears.set(ears.clone()).is_ok() {
            let (client, counts) = (self.client.clone(), self.counts.clone());
            self.home.spawn(self.ledger.clone().read(client.clone(), ears.clone(), counts.clone()));
            self.home.spawn(self.hearing.run(ears.clone(), counts.clone()));
            let Ok(own) = self.subjects.address(&Address::Node(self.me)) else { return };
            self.home.spawn(async move {
                let Ok(mut words) = client.subscribe(own).await else { return };
                while let Some(word) = words.next().await {
                    counts.received(1);
                    ears.told(word.payload);
                }
            });
        }
    }

    fn attend(&self, place: &Place) -> Task {
        let Ok(subject) = self.subjects.room(place) else { return Box::pin(std::future::ready(())) };
        let (client, nobody, room) = (self.client.clone(), self.subjects.nobody(), self.hearing.begin(place));
        let attended = self.home.spawn(async move {
            match client.subscribe(subject).await {
                Ok(words) => room.bring(words.map(|message| message.payload).boxed()),
                Err(error) => return tracing::warn!(%error, "a room of the other nodes is not heard"),
            }
            confirm(&client, nobody).await;
        });
        Box::pin(async move {
            let _ = attended.await;
        })
    }

    fn abandon(&self, place: &Place) {
        self.hearing.end(place);
    }

    fn send(&self, to: &Address, parcel: Bytes) -> Result<(), BusError> {
        // Receivers know numbered parcels that come twice.
        let again = matches!(to, Address::Kept(_) | Address::Session(_));
        self.push(self.subjects.address(to)?, parcel, again)
    }

    fn reached(&self) -> Task<Result<Point, BusError>> {
        let Some(past) = self.past.clone() else { return Box::pin(std::future::ready(Ok(Point::default()))) };
        let (client, outgoing, hearing) = (self.client.clone(), self.outgoing.clone(), self.hearing.clone());
        self.here(async move {
            timeout(SENDING, outgoing.emptied()).await.map_err(|_| BusError::Timeout)?;
            let reached = past.reached(&client).await?;
            hearing.passed().await;
            Ok(reached)
        })
    }

    fn history(&self, of: &Address, up_to: Point) -> Task<Result<Vec<(Point, Bytes)>, BusError>> {
        let Some(past) = self.past.clone() else { return Box::pin(std::future::ready(Ok(Vec::new()))) };
        let (subject, client) = (self.subjects.address(of), self.client.clone());
        self.here(async move { past.history(&client, subject?, up_to).await })
    }

    fn put_record(&self, session: &str, record: Bytes) -> Result<(), BusError> {
        match self.past {
            Some(_) => self.push(self.subjects.record(session)?, record, true),
            None => Ok(()),
        }
    }

    fn record(&self, session: &str) -> Task<Result<Option<Bytes>, BusError>> {
        let Some(past) = self.past.clone() else { return Box::pin(std::future::ready(Ok(None))) };
        let (subject, client) = (self.subjects.record(session), self.client.clone());
        self.here(async move { past.record(&client, subject?).await })
    }

    fn append(&self, number: u64, entry: Bytes) -> Task<Result<(), BusError>> {
        let (ledger, id) = (self.ledger.clone(), format!("{}-{number}", self.me));
        self.here(ledger.write(self.client.clone(), id, entry))
    }

    fn trouble(&self) -> Option<String> {
        match self.client.connection_state() {
            State::Connected => self.ledger.trouble(),
            _ => Some("NATS is not connected".to_owned()),
        }
    }
}

impl NatsCluster {
    fn push(&self, subject: String, payload: Bytes, again: bool) -> Result<(), BusError> {
        let size = payload.len();
        if size > self.client.max_payload() {
            return Err(BusError::TooLarge);
        }
        self.outgoing.push(Letter { subject, headers: None, payload, size, again })
    }

    /// Work that needs tokio's timers, to be awaited anywhere.
    fn here<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, BusError>> + Send + 'static,
    ) -> Task<Result<T, BusError>> {
        let work = self.home.spawn(work);
        Box::pin(async move { work.await.unwrap_or_else(|lost| Err(unavailable(lost))) })
    }
}
