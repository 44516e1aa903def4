//! What every way between nodes must do, run on each of them. The nodes are new and nobody else is in their cluster.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use exedra_hub::port::{Address, Cluster, Ears, Place};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::{HOSTILE_NAMES, QUIET, SOON};

/// Writes down what a node hears.
#[derive(Default)]
struct Notes {
    entries: Mutex<Vec<(u64, Bytes)>>,
    parcels: Mutex<Vec<(Place, Bytes)>>,
    /// How many parcels came with each call.
    calls: Mutex<Vec<usize>>,
    told: Mutex<Vec<Bytes>>,
}

impl Ears for Notes {
    fn entry(&self, number: u64, entry: Bytes) {
        self.entries.lock().push((number, entry));
    }
    fn lost(&self) {}
    fn away(&self) {}
    fn back(&self) {}
    fn parcels(&self, parcels: Vec<(Arc<Place>, Bytes)>) {
        self.calls.lock().push(parcels.len());
        self.parcels.lock().extend(parcels.into_iter().map(|(place, parcel)| ((*place).clone(), parcel)));
    }
    fn told(&self, parcel: Bytes) {
        self.told.lock().push(parcel);
    }
}

struct Node {
    link: Arc<dyn Cluster>,
    notes: Arc<Notes>,
}

/// Runs every check; panics at the first that fails.
pub async fn run_all(links: [Arc<dyn Cluster>; 3]) {
    let nodes = links.map(|link| {
        let notes = Arc::new(Notes::default());
        link.listen(notes.clone());
        Node { link, notes }
    });
    for node in &nodes {
        until("a ledger that is open", || node.link.trouble().is_none()).await;
    }
    ledger_has_one_order(&nodes).await;
    repeated_entry_is_one_entry(&nodes).await;
    parcels_go_to_those_who_attend(&nodes).await;
    order_of_a_sender_is_kept(&nodes).await;
    order_is_kept_over_places(&nodes).await;
    hostile_names_are_places(&nodes).await;
    kept_is_kept_in_order(&nodes).await;
    what_was_kept_has_been_heard(&nodes).await;
    records_are_replaced(&nodes).await;
    one_node_is_told(&nodes).await;
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    let waiting = async {
        while !reached() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("there never is {what}"));
}

fn place(room: &str) -> Place {
    Place { plugin: "p".into(), room: room.into() }
}

fn bytes(text: impl std::fmt::Display) -> Bytes {
    text.to_string().into()
}

async fn ledger_has_one_order(nodes: &[Node; 3]) {
    for number in 1..=20_u64 {
        let appends = nodes
            .iter()
            .map(|node| node.link.append(number, bytes(format!("{number} {}", node.link.node()))));
        for appended in futures_util::future::join_all(appends).await {
            assert_eq!(appended, Ok(()));
        }
    }
    for node in nodes {
        until("all entries", || node.notes.entries.lock().len() >= 60).await;
    }
    let heard = |node: &Node| node.notes.entries.lock().clone();
    assert_eq!(heard(&nodes[0]), heard(&nodes[1]));
    assert_eq!(heard(&nodes[0]), heard(&nodes[2]));
    let numbers: Vec<u64> = heard(&nodes[0]).iter().map(|(number, _)| *number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

async fn repeated_entry_is_one_entry(nodes: &[Node; 3]) {
    let before = nodes[1].notes.entries.lock().len();
    for _ in 0..3 {
        assert_eq!(nodes[0].link.append(1_000, bytes("again")).await, Ok(()));
    }
    assert_eq!(nodes[0].link.append(1_001, bytes("last")).await, Ok(()));
    let last = || nodes[1].notes.entries.lock().last().is_some_and(|(_, entry)| *entry == "last");
    until("the last entry", last).await;
    assert_eq!(nodes[1].notes.entries.lock().len(), before + 2);
}

async fn parcels_go_to_those_who_attend(nodes: &[Node; 3]) {
    nodes[0].link.attend(&place("r")).await;
    nodes[1].link.attend(&place("r")).await;
    nodes[2].link.attend(&place("s")).await;
    for to in [Address::Kept(place("r")), Address::Passing(place("r"))] {
        assert_eq!(nodes[0].link.send(&to, bytes("hello")), Ok(()));
    }
    until("two parcels", || nodes[1].notes.parcels.lock().len() == 2).await;
    sleep(QUIET).await;
    assert_eq!(*nodes[1].notes.parcels.lock(), [(place("r"), bytes("hello")), (place("r"), bytes("hello"))]);
    assert!(nodes[0].notes.parcels.lock().is_empty(), "nobody hears its own");
    assert!(nodes[2].notes.parcels.lock().is_empty(), "nor what it does not attend");
    nodes[1].link.abandon(&place("r"));
    sleep(QUIET).await;
    assert_eq!(nodes[0].link.send(&Address::Passing(place("r")), bytes("gone")), Ok(()));
    sleep(QUIET).await;
    assert_eq!(nodes[1].notes.parcels.lock().len(), 2);
    nodes[1].notes.parcels.lock().clear();
}

async fn order_of_a_sender_is_kept(nodes: &[Node; 3]) {
    nodes[1].link.attend(&place("order")).await;
    for number in 0..2_000 {
        assert_eq!(nodes[0].link.send(&Address::Passing(place("order")), bytes(number)), Ok(()));
        if number % 500 == 0 {
            sleep(Duration::from_millis(20)).await; // the queue is bounded
        }
    }
    until("all parcels", || nodes[1].notes.parcels.lock().len() >= 2_000).await;
    let heard: Vec<Bytes> =
        std::mem::take(&mut *nodes[1].notes.parcels.lock()).into_iter().map(|one| one.1).collect();
    assert_eq!(heard, (0..2_000).map(bytes).collect::<Vec<_>>());
}

async fn order_is_kept_over_places(nodes: &[Node; 3]) {
    let places: Vec<Place> = (0..40).map(|at| place(&format!("over {at}"))).collect();
    for place in &places {
        nodes[1].link.attend(place).await;
    }
    nodes[1].notes.calls.lock().clear();
    for number in 0..4_000_usize {
        let to = Address::Passing(places[number * 7 % places.len()].clone());
        assert_eq!(nodes[0].link.send(&to, bytes(number)), Ok(()));
        if number % 500 == 0 {
            sleep(Duration::from_millis(20)).await; // the queue is bounded
        }
    }
    until("all parcels", || nodes[1].notes.parcels.lock().len() >= 4_000).await;
    let heard = std::mem::take(&mut *nodes[1].notes.parcels.lock());
    let number = |(_, text): &(Place, Bytes)| std::str::from_utf8(text).ok()?.parse::<usize>().ok();
    let mut numbers: Vec<usize> = heard.iter().filter_map(number).collect();
    let mut from = 0;
    for call in &*nodes[1].notes.calls.lock() {
        numbers[from..from + call].sort_unstable(); // within a call only each place is in order
        from += call;
    }
    assert!(numbers.is_sorted(), "nothing is overtaken by a later call");
    assert_eq!(numbers.len(), 4_000);
}

async fn what_was_kept_has_been_heard(nodes: &[Node; 3]) {
    nodes[1].link.attend(&place("heard")).await;
    let before = nodes[1].link.reached().await.expect("a point");
    for number in 0..200_usize {
        assert_eq!(nodes[0].link.send(&Address::Kept(place("heard")), bytes(number)), Ok(()));
        let up_to = nodes[1].link.reached().await.expect("a point");
        let kept = nodes[1].link.history(&Address::Kept(place("heard")), up_to).await.expect("a history");
        let heard = nodes[1].notes.parcels.lock().iter().filter(|(of, _)| *of == place("heard")).count();
        assert!(heard >= kept.len(), "{} are kept, {heard} have been heard", kept.len());
        assert!(kept.iter().all(|(at, _)| *at > before));
    }
    until("all parcels", || nodes[1].notes.parcels.lock().len() >= 200).await;
    assert!(nodes[1].link.reached().await.expect("a point") > before);
    nodes[1].notes.parcels.lock().clear();
}

async fn hostile_names_are_places(nodes: &[Node; 3]) {
    for name in HOSTILE_NAMES {
        nodes[1].link.attend(&place(name)).await;
    }
    for name in HOSTILE_NAMES {
        assert_eq!(nodes[0].link.send(&Address::Kept(place(name)), bytes(name)), Ok(()));
    }
    until("all parcels", || nodes[1].notes.parcels.lock().len() >= HOSTILE_NAMES.len()).await;
    sleep(QUIET).await;
    let mut heard = std::mem::take(&mut *nodes[1].notes.parcels.lock());
    assert_eq!(heard.len(), HOSTILE_NAMES.len(), "each once");
    heard.retain(|(place, parcel)| *place.room.as_bytes() != **parcel);
    assert!(heard.is_empty(), "each in its own place: {heard:?}");
}

async fn kept_is_kept_in_order(nodes: &[Node; 3]) {
    let (one, two) = (Address::Kept(place("kept one")), Address::Session("kept-two".into()));
    for number in 0..50 {
        let to = if number % 2 == 0 { &one } else { &two };
        assert_eq!(nodes[0].link.send(to, bytes(number)), Ok(()));
        assert_eq!(nodes[1].link.send(&Address::Passing(place("kept one")), bytes("not this")), Ok(()));
    }
    let both = async || {
        let up_to = nodes[2].link.reached().await.unwrap_or_default();
        let (first, second) =
            (nodes[2].link.history(&one, up_to).await, nodes[2].link.history(&two, up_to).await);
        let mut all = [first.unwrap_or_default(), second.unwrap_or_default()].concat();
        all.sort_unstable_by_key(|(number, _)| *number);
        all
    };
    let mut all = both().await;
    for _ in 0..500 {
        if all.len() >= 50 {
            break;
        }
        sleep(Duration::from_millis(10)).await;
        all = both().await;
    }
    let texts: Vec<Bytes> = all.into_iter().map(|(_, parcel)| parcel).collect();
    assert_eq!(texts, (0..50).map(bytes).collect::<Vec<_>>(), "one order for all addresses");
    let up_to = nodes[2].link.reached().await.expect("a point");
    assert_eq!(nodes[2].link.history(&Address::Kept(place("never")), up_to).await, Ok(Vec::new()));
    assert_eq!(nodes[0].link.send(&one, bytes("later")), Ok(()));
    assert!(nodes[0].link.reached().await.expect("a point") > up_to);
    let texts = nodes[2].link.history(&one, up_to).await.expect("a history");
    assert_eq!(texts.len(), 25, "what came later is not in it");
}

async fn records_are_replaced(nodes: &[Node; 3]) {
    assert_eq!(nodes[2].link.record("nobody").await, Ok(None));
    for number in 0..20 {
        assert_eq!(nodes[0].link.put_record("somebody", bytes(number)), Ok(()));
    }
    let mut read = nodes[2].link.record("somebody").await;
    for _ in 0..500 {
        if read == Ok(Some(bytes(19))) {
            break;
        }
        sleep(Duration::from_millis(10)).await;
        read = nodes[2].link.record("somebody").await;
    }
    assert_eq!(read, Ok(Some(bytes(19))));
}

async fn one_node_is_told(nodes: &[Node; 3]) {
    assert_eq!(nodes[0].link.send(&Address::Node(nodes[2].link.node()), bytes("you")), Ok(()));
    until("a word", || !nodes[2].notes.told.lock().is_empty()).await;
    sleep(QUIET).await;
    assert_eq!(*nodes[2].notes.told.lock(), [bytes("you")]);
    assert!(nodes[1].notes.told.lock().is_empty());
}
