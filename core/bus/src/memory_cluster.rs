//! Several hubs inside one process as the nodes of one cluster: the twin of the cluster over NATS, with the same
//! guarantees, for tests that want to cut and freeze nodes by hand.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use exedra_hub::{
    Task,
    cluster::NodeId,
    port::{Address, BusError, Cluster, Ears, Place, Point},
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::limits::MAX_PAYLOAD;

/// What waits for a node; what is more is lost, as it would be on a wire.
const MAX_WAITING: usize = 65_536;

/// What is kept of one address; the oldest goes first.
const MAX_KEPT: usize = 1000;

/// What the nodes share.
#[derive(Default)]
pub struct Commons(Mutex<Shared>);

#[derive(Default)]
struct Shared {
    ledger: Vec<Bytes>,
    /// Authors' own numbers of entries, so that none is in twice.
    written: HashSet<(NodeId, u64)>,
    nodes: HashMap<NodeId, Seat>,
    /// Parcels that were kept so far, and those that still are.
    kept_so_far: u64,
    kept: HashMap<Address, VecDeque<(u64, Bytes)>>,
    records: HashMap<String, Bytes>,
}

struct Seat {
    ears: mpsc::Sender<Heard>,
    places: HashSet<Place>,
    /// Entries of the ledger that it has been given.
    read: usize,
    /// Whether it hears and is heard.
    cut: bool,
    /// Whether nothing can be asked about what is kept.
    forgetful: bool,
    /// Parcels that are on their way for longer than all else.
    late: Option<Vec<(Arc<Place>, Bytes)>>,
}

enum Heard {
    Entry(u64, Bytes),
    Parcels(Vec<(Arc<Place>, Bytes)>),
    Told(Bytes),
    /// Everything before has been heard.
    Passed(oneshot::Sender<()>),
    Away,
    Back,
    Lost,
}

/// One node's way to the others.
pub struct MemoryCluster {
    commons: Arc<Commons>,
    me: NodeId,
    listening: OnceLock<()>,
}

impl Commons {
    /// Nobody yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A new node.
    pub fn node(self: &Arc<Self>) -> Arc<MemoryCluster> {
        Arc::new(MemoryCluster { commons: self.clone(), me: NodeId::random(), listening: OnceLock::new() })
    }

    /// Cuts a node off: it hears nothing, and nothing of it is heard.
    pub fn cut(&self, node: NodeId) {
        self.with(node, |seat, _| {
            seat.cut = true;
            seat.tell(Heard::Away);
        });
    }

    /// Ends the cut: the node is given the entries that it has missed, or told that they are lost.
    pub fn heal(&self, node: NodeId, lost: bool) {
        self.with(node, |seat, ledger| {
            seat.cut = false;
            if lost {
                seat.read = ledger.len();
                seat.tell(Heard::Lost);
            }
            seat.catch_up(ledger);
            seat.tell(Heard::Back);
        });
    }

    /// Whether a node gets no answer about what is kept, while all else goes on.
    pub fn forget(&self, node: NodeId, forgetful: bool) {
        self.with(node, |seat, _| seat.forgetful = forgetful);
    }

    /// From now on parcels for a node are on their way until [`Commons::hurry`] or [`Commons::lose`].
    pub fn dawdle(&self, node: NodeId) {
        self.with(node, |seat, _| seat.late = Some(Vec::new()));
    }

    /// What was on its way arrives at once: of a broker that has a queue for each place, one queue after the other.
    pub fn hurry(&self, node: NodeId) {
        self.with(node, |seat, _| {
            let mut late = seat.late.take().unwrap_or_default();
            late.sort_by(|(one, _), (other, _)| other.room.cmp(&one.room));
            seat.tell(Heard::Parcels(late));
        });
    }

    /// What was on its way never arrives; what comes later does.
    pub fn lose(&self, node: NodeId) {
        self.with(node, |seat, _| seat.late = None);
    }

    fn with(&self, node: NodeId, change: impl FnOnce(&mut Seat, &[Bytes])) {
        let mut shared = self.0.lock();
        let Shared { nodes, ledger, .. } = &mut *shared;
        if let Some(seat) = nodes.get_mut(&node) {
            change(seat, ledger);
        }
    }
}

impl Shared {
    fn keep(&mut self, address: &Address, parcel: &Bytes) {
        self.kept_so_far += 1;
        let kept = self.kept.entry(address.clone()).or_default();
        if kept.len() >= MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back((self.kept_so_far, parcel.clone()));
    }
}

impl Seat {
    fn bring(&mut self, place: &Place, parcel: &Bytes) {
        let parcel = (Arc::new(place.clone()), parcel.clone());
        match &mut self.late {
            Some(late) if late.len() < MAX_WAITING => late.push(parcel),
            Some(_) => tracing::debug!("a node does not keep up"),
            None => self.tell(Heard::Parcels(vec![parcel])),
        }
    }

    fn tell(&self, heard: Heard) {
        if self.ears.try_send(heard).is_err() {
            tracing::debug!("a node does not keep up");
        }
    }

    fn catch_up(&mut self, ledger: &[Bytes]) {
        while !self.cut && self.read < ledger.len() {
            self.tell(Heard::Entry(self.read as u64 + 1, ledger[self.read].clone()));
            self.read += 1;
        }
    }
}

impl MemoryCluster {
    /// An answer, once everything that came before it has been heard.
    fn after_what_came<T: Send + 'static>(&self, answer: T) -> Task<T> {
        let (passed, told) = oneshot::channel();
        self.commons.with(self.me, |seat, _| seat.tell(Heard::Passed(passed)));
        Box::pin(async move {
            let _ = told.await;
            answer
        })
    }

    fn knows_nothing(&self) -> bool {
        self.commons.0.lock().nodes.get(&self.me).is_none_or(|seat| seat.cut || seat.forgetful)
    }

    fn is_cut(&self) -> bool {
        self.commons.0.lock().nodes.get(&self.me).is_none_or(|seat| seat.cut)
    }
}

impl Cluster for MemoryCluster {
    fn node(&self) -> NodeId {
        self.me
    }

    fn listen(&self, ears: Arc<dyn Ears>) {
        if self.listening.set(()).is_err() {
            return;
        }
        let (sender, mut heard) = mpsc::channel(MAX_WAITING);
        let mut shared = self.commons.0.lock();
        let read = shared.ledger.len();
        shared.nodes.insert(
            self.me,
            Seat { ears: sender, places: HashSet::new(), read, cut: false, forgetful: false, late: None },
        );
        tokio::spawn(async move {
            while let Some(heard) = heard.recv().await {
                match heard {
                    Heard::Entry(number, entry) => ears.entry(number, entry),
                    Heard::Parcels(parcels) => ears.parcels(parcels),
                    Heard::Told(parcel) => ears.told(parcel),
                    Heard::Passed(passed) => {
                        let _ = passed.send(());
                    }
                    Heard::Away => ears.away(),
                    Heard::Back => ears.back(),
                    Heard::Lost => ears.lost(),
                }
            }
        });
    }

    fn attend(&self, place: &Place) -> Task {
        self.commons.with(self.me, |seat, _| {
            seat.places.insert(place.clone());
        });
        Box::pin(std::future::ready(()))
    }

    fn abandon(&self, place: &Place) {
        self.commons.with(self.me, |seat, _| {
            seat.places.remove(place);
        });
    }

    fn send(&self, to: &Address, parcel: Bytes) -> Result<(), BusError> {
        if parcel.len() > MAX_PAYLOAD {
            return Err(BusError::TooLarge);
        }
        if self.is_cut() {
            return Ok(()); // on a wire it would wait
        }
        let mut shared = self.commons.0.lock();
        if matches!(to, Address::Kept(_) | Address::Session(_)) {
            shared.keep(to, &parcel);
        }
        let others = shared.nodes.iter_mut().filter(|(node, seat)| **node != self.me && !seat.cut);
        match to {
            Address::Kept(place) | Address::Passing(place) => {
                for (_, seat) in others.filter(|(_, seat)| seat.places.contains(place)) {
                    seat.bring(place, &parcel);
                }
            }
            Address::Node(to) => {
                others
                    .filter(|(node, _)| *node == to)
                    .for_each(|(_, seat)| seat.tell(Heard::Told(parcel.clone())));
            }
            Address::Session(_) => {}
        }
        Ok(())
    }

    fn reached(&self) -> Task<Result<Point, BusError>> {
        let reached = point(self.commons.0.lock().kept_so_far);
        self.after_what_came(if self.knows_nothing() { Err(away()) } else { Ok(reached) })
    }

    fn history(&self, of: &Address, up_to: Point) -> Task<Result<Vec<(Point, Bytes)>, BusError>> {
        let kept = self.commons.0.lock().kept.get(of).cloned().unwrap_or_default();
        let kept = kept.into_iter().map(|(number, parcel)| (point(number), parcel));
        let history = kept.filter(|(at, _)| *at <= up_to).collect();
        Box::pin(std::future::ready(if self.knows_nothing() { Err(away()) } else { Ok(history) }))
    }

    fn put_record(&self, session: &str, record: Bytes) -> Result<(), BusError> {
        if !self.is_cut() {
            self.commons.0.lock().records.insert(session.to_owned(), record);
        }
        Ok(())
    }

    fn record(&self, session: &str) -> Task<Result<Option<Bytes>, BusError>> {
        let record = self.commons.0.lock().records.get(session).cloned();
        let record = if self.is_cut() { Err(away()) } else { Ok(record) };
        Box::pin(std::future::ready(record))
    }

    fn append(&self, number: u64, entry: Bytes) -> Task<Result<(), BusError>> {
        if self.is_cut() {
            return Box::pin(std::future::ready(Err(away())));
        }
        let mut shared = self.commons.0.lock();
        if shared.written.insert((self.me, number)) {
            shared.ledger.push(entry);
        }
        let Shared { nodes, ledger, .. } = &mut *shared;
        nodes.values_mut().for_each(|seat| seat.catch_up(ledger));
        Box::pin(std::future::ready(Ok(())))
    }

    fn trouble(&self) -> Option<String> {
        self.is_cut().then(|| "the node is cut off".to_owned())
    }
}

impl Drop for MemoryCluster {
    fn drop(&mut self) {
        self.commons.0.lock().nodes.remove(&self.me);
    }
}

fn point(number: u64) -> Point {
    Point { era: 0, number }
}

fn away() -> BusError {
    BusError::Unavailable("the node is cut off".to_owned())
}
