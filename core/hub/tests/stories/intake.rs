//! Stories about injected events that are kept: done once by one node of several, in order, whatever nodes, brokers and
//! plugins do; asked about, refused, and tried again.
#![allow(clippy::unwrap_used, reason = "a stage that cannot be set up fails the story")]

use std::{collections::HashMap, sync::Arc, time::Duration};

use exedra_bus::{Commons, Depot, MemoryCluster};
use exedra_hub::{
    Code, Hub, Limits, Refusal,
    hub::Rules,
    manifest::{AuthMode, Inject},
    port::{BusMessage, Call, Cluster, PluginId, Reply, Topic},
};
use parking_lot::Mutex;
use serde_json::Value;

use crate::stage::{Stage, plugin};

const LEASE: Duration = Duration::from_secs(6);

/// What a handler does with an event: its node, and which try of this event it is.
type Deed = Arc<dyn Fn(usize, &str, usize) -> Result<Doing, Refusal> + Send + Sync>;

/// Header names and values.
type Headers = Vec<(String, String)>;

enum Doing {
    Done,
    /// Waits until it is let go.
    Hangs,
}

struct Node {
    stage: Stage,
    link: Arc<MemoryCluster>,
}

struct House {
    commons: Arc<Commons>,
    depot: Depot,
    nodes: Vec<Node>,
    /// `node: room payload`, as handlers were begun.
    begun: Arc<Mutex<Vec<String>>>,
    /// Headers that handlers saw, by payload.
    headers: Arc<Mutex<HashMap<String, Headers>>>,
    gate: Arc<tokio::sync::Semaphore>,
}

impl House {
    async fn of(count: usize, deed: Deed) -> Self {
        let mut house = Self {
            commons: Commons::new(),
            depot: Depot::default(),
            nodes: Vec::new(),
            begun: Arc::default(),
            headers: Arc::default(),
            gate: Arc::new(tokio::sync::Semaphore::new(0)),
        };
        for at in 0..count {
            let node = house.node(at, deed.clone());
            house.nodes.push(node);
        }
        house.beats(4).await;
        house
    }

    fn node(&self, at: usize, deed: Deed) -> Node {
        let link = self.commons.node();
        let mut manifest = plugin("p", AuthMode::Optional, &[]);
        manifest.injects = vec![Inject { event: "n".into(), ..Inject::default() }];
        let rules = Rules { name: format!("n{at}"), lease: LEASE };
        let cluster: Arc<dyn Cluster> = link.clone();
        let (begun, seen, gate) = (self.begun.clone(), self.headers.clone(), self.gate.clone());
        let handler = move |_: Arc<Hub>, _: PluginId, call: Call| {
            let Call::Inject { room, payload, headers, .. } = call else {
                return Box::pin(async { Ok(Reply::Empty) }) as exedra_hub::Task<_>;
            };
            let payload = String::from_utf8_lossy(&payload).into_owned();
            let note = format!("{room} {payload}");
            seen.lock().insert(payload.clone(), headers);
            let tries = {
                let mut begun = begun.lock();
                begun.push(format!("{at}: {note}"));
                begun.iter().filter(|begun| begun.ends_with(&note)).count()
            };
            let (done, gate) = (deed(at, &payload, tries), gate.clone());
            Box::pin(async move {
                if let Doing::Hangs = done? {
                    gate.acquire().await.unwrap().forget();
                }
                Ok(Reply::Empty)
            })
        };
        let intake = Some(Arc::new(self.depot.clone()) as Arc<_>);
        let stage =
            Stage::keeping(vec![manifest.into()], Limits::default(), Some((cluster, rules)), intake, handler);
        Node { stage, link }
    }

    async fn settle(&self) {
        for _ in 0..3 {
            for node in &self.nodes {
                node.stage.settle().await;
            }
        }
    }

    /// Lets time pass everywhere.
    async fn passes(&self, time: Duration) {
        const STEP: Duration = Duration::from_millis(250);
        let mut passed = Duration::ZERO;
        while passed < time {
            self.nodes.iter().for_each(|node| node.stage.clock.advance(STEP));
            self.settle().await;
            passed += STEP;
        }
    }

    async fn beats(&mut self, beats: u32) {
        self.passes(LEASE / 6 * beats).await;
    }

    /// The node that takes the events; none while it is not known who is there.
    fn anybody(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.stage.hub.takes_injected("p") == Some(true))
    }

    fn taker(&self) -> usize {
        self.anybody().unwrap()
    }

    /// A service publishes: it is kept, and whoever listens hears it.
    fn publish(&self, message: &BusMessage) {
        self.nodes.iter().for_each(|node| node.stage.bus.hand(message));
        self.depot.put(message.clone());
    }

    fn say(&self, room: &str, payload: &str) {
        self.publish(&message(room, payload, None, None));
    }

    fn begun(&self) -> Vec<String> {
        self.begun.lock().iter().map(|note| note.split_once(": ").unwrap().1.to_owned()).collect()
    }

    /// The answers that were given at an address.
    fn answers(&self, address: &str) -> Vec<Value> {
        let all = self.nodes.iter().flat_map(|node| node.stage.bus.published.lock().clone());
        let at = Topic::Reply(address.to_owned());
        all.filter(|(topic, ..)| *topic == at)
            .map(|(.., body)| serde_json::from_slice(&body).unwrap())
            .collect()
    }

    fn metric(&self, line: &str) -> bool {
        let taker = &self.nodes[self.taker()].stage.hub;
        taker.metrics().render().lines().any(|is| is == line)
    }
}

fn message(room: &str, payload: &str, name: Option<&str>, reply: Option<&str>) -> BusMessage {
    BusMessage {
        topic: Topic::In { plugin: "p".into(), room: room.into(), event: "n".into() },
        reply: reply.map(|reply| Topic::Reply(reply.to_owned())),
        headers: name.map(|name| ("Nats-Msg-Id".to_owned(), name.to_owned())).into_iter().collect(),
        payload: payload.to_owned().into(),
    }
}

fn always() -> Deed {
    Arc::new(|_, _, _| Ok(Doing::Done))
}

fn busy() -> Refusal {
    Refusal::new(Code::Busy, "not now")
}

#[tokio::test]
async fn event_is_handled_by_one_node() {
    let house = House::of(3, always()).await;
    for n in 0..50 {
        house.say("r", &n.to_string());
    }
    house.settle().await;
    assert_eq!(house.begun(), (0..50).map(|n| format!("r {n}")).collect::<Vec<_>>());
    let taker = format!("{}: ", house.taker());
    assert!(house.begun.lock().iter().all(|note| note.starts_with(&taker)));
    assert_eq!((house.depot.kept("p"), house.depot.takings("p")), (0, 1));
    let headers = house.headers.lock()["7"].clone();
    assert!(headers.contains(&("Exedra-Delivery".into(), "memory-8".into())), "{headers:?}");
}

#[tokio::test]
async fn event_waits_for_a_hub() {
    let mut house = House::of(0, always()).await;
    house.say("r", "early");
    let node = house.node(0, always());
    house.nodes.push(node);
    house.passes(Duration::from_millis(250)).await;
    assert!(house.begun().is_empty(), "it is not known yet who else is there");
    house.beats(3).await;
    assert_eq!(house.begun(), ["r early"]);
}

#[tokio::test]
async fn dead_takers_events_are_done_by_the_next() {
    let hangs: Deed = Arc::new(|_, payload, tries| {
        Ok(if payload == "b" && tries == 1 { Doing::Hangs } else { Doing::Done })
    });
    let mut house = House::of(3, hangs).await;
    let dead = house.taker();
    for payload in ["a", "b", "c"] {
        house.say("r", payload);
    }
    house.settle().await;
    assert_eq!(house.begun(), ["r a", "r b"]);
    house.commons.cut(house.nodes[dead].link.node());
    house.nodes.remove(dead);
    house.beats(8).await;
    assert_eq!(house.begun(), ["r a", "r b", "r b", "r c"], "from the first that was not settled, in order");
    assert_eq!(house.depot.kept("p"), 0);
    house.gate.add_permits(1);
    house.settle().await;
    assert_eq!(house.begun().len(), 4, "the dead one goes on with nothing");
}

#[tokio::test]
async fn broken_taking_does_nothing_twice() {
    let hangs: Deed = Arc::new(|_, payload, _| Ok(if payload == "a" { Doing::Hangs } else { Doing::Done }));
    let house = House::of(1, hangs).await;
    for payload in ["a", "b", "c"] {
        house.say("r", payload);
    }
    house.settle().await;
    house.depot.interrupt("p");
    house.passes(Duration::from_secs(1)).await;
    assert_eq!((house.begun(), house.depot.takings("p")), (vec!["r a".to_owned()], 2));
    house.gate.add_permits(1);
    house.settle().await;
    assert_eq!(house.begun(), ["r a", "r b", "r c"]);
    assert_eq!(house.depot.kept("p"), 0, "what was begun in the first taking is settled in the second");
}

#[tokio::test]
async fn given_twice_is_handled_once() {
    let hangs: Deed = Arc::new(|_, payload, _| Ok(if payload == "a" { Doing::Hangs } else { Doing::Done }));
    let house = House::of(2, hangs).await;
    house.say("r", "a");
    house.settle().await;
    house.depot.repeat("p");
    house.settle().await;
    assert!(house.metric(r#"exedra_inject_redeliveries_total{plugin="p"} 1"#));
    house.gate.add_permits(1);
    house.settle().await;
    assert_eq!(house.begun(), ["r a"]);
}

#[tokio::test]
async fn request_is_answered_once_by_the_taker() {
    let house = House::of(3, always()).await;
    for n in 0..20 {
        house.publish(&message("r", &n.to_string(), None, Some(&format!("a{n}"))));
    }
    house.settle().await;
    for n in 0..20_u64 {
        let answers = house.answers(&format!("a{n}"));
        assert_eq!(answers, [serde_json::json!({"ok": true, "stream": "memory", "seq": n + 1})]);
    }
}

#[tokio::test]
async fn same_name_is_the_same_event() {
    let house = House::of(2, always()).await;
    house.publish(&message("r", "x", Some("id"), Some("a")));
    house.settle().await;
    house.publish(&message("r", "x", Some("id"), Some("b")));
    house.depot.forget_names("p");
    house.publish(&message("r", "x", Some("id"), Some("c")));
    house.settle().await;
    assert_eq!(house.begun(), ["r x"], "not even when it was kept twice");
    assert_eq!(
        house.answers("b"),
        [serde_json::json!({"ok": true, "stream": "memory", "seq": 1, "duplicate": true})]
    );
    assert_eq!((house.answers("c").len(), house.depot.kept("p")), (1, 0));
}

#[tokio::test]
async fn unknown_duplicate_is_no_success() {
    let house = House::of(1, always()).await;
    let sent_before = message("r", "x", Some("id"), Some("a"));
    house.nodes[0].stage.bus.hand(&sent_before); // and not kept: the broker knows its name
    house.passes(Duration::from_secs(2)).await;
    assert!(house.answers("a").is_empty());
    house.passes(Duration::from_secs(2)).await;
    let answers = house.answers("a");
    assert_eq!(answers[0]["error"]["code"], "UNAVAILABLE");
    assert_eq!(answers[0]["error"]["retryable"], true);
}

#[tokio::test]
async fn refused_for_now_is_tried_in_place() {
    let third: Deed =
        Arc::new(|_, payload, tries| if payload == "a" && tries < 3 { Err(busy()) } else { Ok(Doing::Done) });
    let house = House::of(2, third).await;
    house.publish(&message("r", "a", None, Some("answer")));
    house.say("r", "b");
    house.say("other", "c");
    house.settle().await;
    assert_eq!(house.begun(), ["r a", "other c"], "other rooms do not wait");
    assert!(house.answers("answer").is_empty());
    house.passes(Duration::from_secs(1)).await;
    assert_eq!(house.begun(), ["r a", "other c", "r a", "r a", "r b"]);
    assert_eq!(house.answers("answer")[0]["ok"], true);
    assert!(house.metric(r#"exedra_inject_retries_total{plugin="p"} 2"#));
    assert!(house.depot.letters("p").is_empty());
}

#[tokio::test]
async fn refused_for_good_is_a_dead_letter_at_once() {
    let poison: Deed = Arc::new(|_, payload, _| match payload {
        "bad" => Err(Refusal::new(Code::Invalid, "no\r\nway")),
        _ => Ok(Doing::Done),
    });
    let house = House::of(2, poison).await;
    let mut bad = message("r", "bad", Some("id"), Some("answer"));
    bad.headers.push(("Exedra-Delivery".to_owned(), "forged".to_owned()));
    house.publish(&bad);
    house.publish(&BusMessage {
        topic: Topic::In { plugin: "p".into(), room: "r".into(), event: "unknown".into() },
        ..message("r", "x", None, None)
    });
    house.say("r", "good");
    house.settle().await;
    assert_eq!(house.begun(), ["r bad", "r good"]);
    let letters = house.depot.letters("p");
    assert_eq!(letters.len(), 2);
    let header = |at: usize, name: &str| {
        let found = letters[at].headers.iter().find(|(is, _)| is == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(header(0, "Exedra-Reason"), "no??way");
    assert_eq!((header(0, "Exedra-Code"), header(0, "Exedra-Delivery")), ("INVALID".into(), String::new()));
    assert_eq!(header(1, "Exedra-Event"), "unknown");
    assert_eq!(house.answers("answer")[0]["error"]["code"], "INVALID");
    assert!(house.metric(r#"exedra_dead_letters_total{plugin="p"} 2"#));
    assert_eq!(house.depot.kept("p"), 0);
}

#[tokio::test]
async fn tried_in_vain_it_is_a_dead_letter() {
    let never: Deed = Arc::new(|_, payload, _| if payload == "good" { Ok(Doing::Done) } else { Err(busy()) });
    let house = House::of(1, never).await;
    for payload in ["a", "b", "good"] {
        house.say("r", payload);
    }
    house.passes(Duration::from_secs(30)).await;
    let tried = |of: &str| house.begun().iter().filter(|note| note.ends_with(of)).count();
    assert_eq!((tried(" a"), tried(" b"), tried(" good")), (10, 1, 1), "the room is not kept waiting twice");
    assert_eq!(house.depot.letters("p").len(), 2);
}

#[tokio::test]
async fn new_owner_takes_over_in_order() {
    // Nodes are added until one of them takes over from the first.
    let mut house = House::of(1, always()).await;
    let mut sent = 0;
    while house.anybody().is_none_or(|taker| taker == 0) {
        let node = house.node(house.nodes.len(), always());
        house.nodes.push(node);
        for _ in 0..8 {
            house.passes(Duration::from_millis(250)).await;
            house.say("r", &sent.to_string());
            sent += 1;
        }
    }
    house.passes(Duration::from_secs(3)).await;
    assert_eq!(house.begun(), (0..sent).map(|n| format!("r {n}")).collect::<Vec<_>>());
    assert!(house.depot.takings("p") >= 2);
}

#[tokio::test]
async fn node_that_starts_says_what_is_not_kept_yet() {
    let mut house = House::of(0, always()).await;
    house.depot.shut(true);
    let node = house.node(0, always());
    house.nodes.push(node);
    house.beats(4).await;
    let hub = house.nodes[0].stage.hub.clone();
    assert_eq!(hub.cluster_trouble(), None);
    assert_eq!(hub.intake_trouble().as_deref(), Some("what is injected into p is not kept yet"));
    house.depot.shut(false);
    house.beats(1).await;
    assert_eq!((hub.intake_trouble(), house.depot.takings("p")), (None, 1));
    house.depot.shut(true);
    house.depot.interrupt("p");
    house.beats(1).await;
    assert_eq!(hub.intake_trouble(), None, "later it is for the intake to say");
}

#[tokio::test]
async fn events_go_where_the_plugin_is_on() {
    let mut house = House::of(3, always()).await;
    let first = house.taker();
    house.say("r", "a");
    house.settle().await;
    house.nodes[first].stage.hub.disable(PluginId(0)).unwrap();
    house.beats(3).await;
    let second = house.taker();
    assert_ne!(second, first);
    house.say("r", "b");
    house.settle().await;
    assert_eq!(*house.begun.lock(), [format!("{first}: r a"), format!("{second}: r b")]);
    house.nodes[first].stage.hub.enable(PluginId(0)).unwrap();
    house.beats(3).await;
    house.say("r", "c");
    house.settle().await;
    assert_eq!(house.begun.lock().last(), Some(&format!("{first}: r c")), "it has its turn again");
    assert_eq!(house.depot.kept("p"), 0);
}

#[tokio::test]
async fn stopping_node_leaves_the_rest_to_another() {
    let mut house = House::of(2, always()).await;
    let first = house.taker();
    let hub = house.nodes[first].stage.hub.clone();
    let ending = tokio::spawn(async move { hub.end_intake().await });
    house.beats(3).await;
    ending.await.unwrap();
    house.say("r", "a");
    house.settle().await;
    assert_eq!(*house.begun.lock(), [format!("{}: r a", 1 - first)], "it has not said goodbye yet");
}

#[tokio::test]
async fn stopping_node_ends_what_it_has_begun() {
    let hangs: Deed = Arc::new(|_, payload, tries| {
        Ok(if payload == "a" && tries == 1 { Doing::Hangs } else { Doing::Done })
    });
    let house = House::of(1, hangs).await;
    house.say("r", "a");
    house.say("r", "b");
    house.settle().await;
    let hub = house.nodes[0].stage.hub.clone();
    let ending = tokio::spawn(async move { hub.end_intake().await });
    house.passes(Duration::from_millis(500)).await;
    assert!(!ending.is_finished());
    house.gate.add_permits(1);
    house.passes(Duration::from_secs(2)).await;
    ending.await.unwrap();
    house.say("r", "c");
    house.passes(Duration::from_secs(1)).await;
    assert_eq!(house.begun(), ["r a", "r b"]);
    assert_eq!(house.depot.kept("p"), 1, "for the next node");
}
