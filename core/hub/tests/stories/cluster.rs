//! Stories about several nodes: who hears a room, who is in it, who tells of an end, and what happens to all that when a
//! node is cut off, dies, or comes back.
#![allow(clippy::unwrap_used, reason = "a house that cannot be built fails the story")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use exedra_bus::{Commons, MemoryCluster};
use exedra_hub::{
    Class, ConnId, Limits, Message, Reach, Refusal,
    hub::{Claimant, Rules},
    manifest::{AuthMode, State},
    port::{Call, Cluster, PluginId, Reply},
    recovery::{Beginning, Lost, Recovery},
};
use parking_lot::Mutex;

use crate::stage::{Client, Recoverable, Stage, format, plugin};

const PLUGIN: PluginId = PluginId(0);
const LEASE: Duration = Duration::from_secs(6);

struct Node {
    stage: Stage,
    link: Arc<MemoryCluster>,
    /// What the plugin was told here.
    notes: Arc<Mutex<Vec<String>>>,
}

struct House {
    commons: Arc<Commons>,
    nodes: Vec<Node>,
}

impl House {
    async fn of(count: usize) -> Self {
        Self::with(count, None).await
    }

    /// The same with clients that may come back.
    async fn recovering(count: usize) -> Self {
        let recovery = Recovery { window: LEASE * 20, slack: LEASE, max_events: 100, max_bytes: 10_000_000 };
        Self::with(count, Some(recovery)).await
    }

    async fn with(count: usize, recovery: Option<Recovery>) -> Self {
        let commons = Commons::new();
        let limits = Limits { recovery, ..Limits::default() };
        let nodes = (0..count).map(|at| Node::new(&commons, at, limits.clone())).collect();
        let mut house = Self { nodes, commons };
        house.beats(3).await;
        house
    }

    async fn settle(&self) {
        for _ in 0..3 {
            for node in &self.nodes {
                node.stage.settle().await;
            }
        }
    }

    /// Lets so many heartbeats pass on every node.
    async fn beats(&mut self, beats: u32) {
        for _ in 0..beats {
            for node in &self.nodes {
                node.stage.clock.advance(LEASE / 6);
            }
            self.settle().await;
        }
    }

    fn cut(&self, node: usize) {
        self.commons.cut(self.nodes[node].link.node());
    }

    fn heal(&self, node: usize, lost: bool) {
        self.commons.heal(self.nodes[node].link.node(), lost);
    }

    /// The members of a room as each node sees them.
    fn members(&self, room: &str) -> Vec<Vec<String>> {
        let names = |node: &Node| {
            let members = node.stage.hub.members(PLUGIN, room);
            members.iter().map(|member| format!("{}*{}", member.user, member.connections)).collect()
        };
        self.nodes.iter().map(names).collect()
    }

    /// What the plugin was told on all nodes together, of one kind.
    fn told(&self, what: &str) -> Vec<String> {
        let all = self.nodes.iter().flat_map(|node| node.notes.lock().clone());
        all.filter(|note| note.contains(what)).collect()
    }
}

impl Node {
    fn new(commons: &Arc<Commons>, at: usize, limits: Limits) -> Self {
        let link = commons.node();
        let notes: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut manifest = plugin("p", AuthMode::Optional, &["x"]);
        manifest.states = vec![State { name: "s".into(), window_ms: 100 }];
        let written = notes.clone();
        let rules = Rules { name: format!("n{at}"), lease: LEASE };
        let cluster: Arc<dyn Cluster> = link.clone();
        let stage = Stage::with(vec![manifest.into()], limits, Some((cluster, rules)), move |_, _, call| {
            written.lock().push(match &call {
                Call::Leave { room, user, .. } => format!("{user} left {room}"),
                Call::Refresh { room, .. } => format!("refresh {room}"),
                other => other.kind().to_owned(),
            });
            Box::pin(async { Ok::<_, Refusal>(Reply::Empty) })
        });
        Self { stage, link, notes }
    }

    async fn client(&self, user: &str) -> Client {
        let client = self.stage.client(Some(user), &format()).await;
        client.seen();
        client
    }

    fn join(&self, client: &Client, room: &str) -> bool {
        let joined = self.stage.hub.join(PLUGIN, client.connection.id(), room, Bytes::new(), None);
        joined.unwrap().first
    }

    fn leave(&self, client: &Client, room: &str) {
        self.stage.hub.leave(PLUGIN, client.connection.id(), room).unwrap();
    }

    fn say(&self, room: &str, text: &str, except: Option<ConnId>) {
        let message = Message::new("said", format!("[{text:?}]"));
        let how = (Class::Reliable, Reach::Everywhere);
        self.stage.hub.broadcast(PLUGIN, room, message, how, except).unwrap();
    }

    async fn claim(&self, client: &Client, room: &str, max: u64) -> Result<(), Refusal> {
        let who = Claimant::Connection(client.connection.id(), None);
        self.stage.hub.claim(PLUGIN, room, who, Bytes::new(), Some(max)).await.map(drop)
    }
}

#[tokio::test]
async fn room_is_heard_on_every_node() {
    let house = House::of(3).await;
    let [a, b, c] = &house.nodes[..] else { panic!() };
    let (ann, bob, cyd) = (a.client("ann").await, b.client("bob").await, c.client("cyd").await);
    a.join(&ann, "r");
    b.join(&bob, "r");
    c.join(&cyd, "other");
    house.settle().await;
    for text in ["one", "two"] {
        a.say("r", text, Some(ann.connection.id()));
        b.say("r", text, None);
    }
    house.settle().await;
    assert_eq!(ann.seen(), ["said [\"one\"]", "said [\"two\"]"], "not its own, once from the other node");
    assert_eq!(bob.seen().len(), 4);
    assert!(cyd.seen().is_empty());
}

#[tokio::test]
async fn members_are_the_same_everywhere() {
    let mut house = House::of(3).await;
    let (ann, tab) = (house.nodes[0].client("ann").await, house.nodes[1].client("ann").await);
    let bob = house.nodes[2].client("bob").await;
    assert!(house.nodes[0].join(&ann, "r"));
    house.beats(1).await;
    assert!(!house.nodes[1].join(&tab, "r"), "the second tab is no new member");
    assert!(house.nodes[2].join(&bob, "r"));
    house.settle().await;
    let all = house.members("r");
    assert_eq!(all, vec![vec!["ann*2", "bob*1"]; 3]);
    assert_eq!(house.nodes[2].stage.hub.count(PLUGIN, "r"), 2);
}

#[tokio::test]
async fn leave_is_told_once_by_the_last_node() {
    let house = House::of(2).await;
    let [a, b] = &house.nodes[..] else { panic!() };
    let (ann, tab) = (a.client("ann").await, b.client("ann").await);
    a.join(&ann, "r");
    b.join(&tab, "r");
    house.settle().await;
    // At the same moment, neither knowing of the other.
    a.leave(&ann, "r");
    b.leave(&tab, "r");
    house.settle().await;
    assert_eq!(house.told("left"), ["ann left r"]);
    assert_eq!(house.members("r"), vec![Vec::<String>::new(); 2]);
}

#[tokio::test]
async fn dead_nodes_members_leave_once() {
    let mut house = House::of(3).await;
    let (ann, bob) = (house.nodes[0].client("ann").await, house.nodes[2].client("bob").await);
    house.nodes[0].join(&ann, "r");
    house.nodes[2].join(&bob, "r");
    house.settle().await;
    house.cut(2);
    house.beats(5).await; // within the lease of six
    let seen = house.members("r");
    assert_eq!(seen[..2], vec![vec!["ann*1"]; 2]);
    assert_eq!(house.told("bob left").len(), 1);
    assert_eq!(house.nodes[0].stage.hub.view_nodes().len(), 1);
}

#[tokio::test]
async fn frozen_node_takes_its_own_back() {
    for lost in [false, true] {
        let mut house = House::of(3).await;
        let (ann, bob) = (house.nodes[0].client("ann").await, house.nodes[2].client("bob").await);
        house.nodes[0].join(&ann, "r");
        house.nodes[2].join(&bob, "r");
        house.settle().await;
        house.cut(2);
        house.beats(6).await;
        house.heal(2, lost);
        house.beats(2).await;
        assert_eq!(house.members("r"), vec![vec!["ann*1", "bob*1"]; 3], "lost: {lost}");
        assert_eq!(house.told("left"), ["bob left r"], "lost: {lost}");
        house.nodes[2].leave(&bob, "r");
        house.settle().await;
        assert_eq!(house.told("bob left").len(), 2, "lost: {lost}: this time it really left");
    }
}

#[tokio::test]
async fn cut_off_node_goes_on_alone() {
    let mut house = House::of(2).await;
    let (ann, bob) = (house.nodes[0].client("ann").await, house.nodes[0].client("bob").await);
    house.nodes[0].join(&ann, "r");
    house.nodes[0].join(&bob, "r");
    house.settle().await;
    house.cut(0);
    assert!(house.nodes[0].stage.hub.cluster_trouble().is_some());
    house.nodes[0].say("r", "here", None);
    assert_eq!(ann.seen().len(), 1);
    house.nodes[0].leave(&bob, "r");
    house.settle().await;
    assert_eq!(house.told("left"), ["bob left r"], "told without the ledger");
    house.heal(0, false);
    house.beats(2).await;
    assert_eq!(house.told("left").len(), 1, "and not again with it");
    assert_eq!(house.members("r"), vec![vec!["ann*1"]; 2]);
}

#[tokio::test]
async fn everybody_cut_off_nobody_is_dead() {
    let mut house = House::of(3).await;
    let bob = house.nodes[2].client("bob").await;
    house.nodes[2].join(&bob, "r");
    house.settle().await;
    (0..3).for_each(|node| house.cut(node));
    house.beats(20).await;
    (0..3).for_each(|node| house.heal(node, false));
    house.beats(3).await;
    assert!(house.told("left").is_empty(), "the ledger stood still, not the nodes");
    assert_eq!(house.members("r"), vec![vec!["bob*1"]; 3]);
}

#[tokio::test]
async fn bound_holds_over_all_nodes() {
    let house = House::of(3).await;
    let mut clients = Vec::new();
    for at in 0..30 {
        clients.push((at % 3, house.nodes[at % 3].client(&format!("u{at}")).await));
    }
    let claims = clients.iter().map(|(node, client)| house.nodes[*node].claim(client, "r", 7));
    let given = futures_util::future::join_all(claims).await;
    assert_eq!(given.iter().filter(|claim| claim.is_ok()).count(), 7);
    house.settle().await;
    assert!(house.members("r").iter().all(|members| members.len() == 7));
    let (at, (node, inside)) = clients.iter().enumerate().find(|(at, _)| given[*at].is_ok()).unwrap();
    house.nodes[*node].leave(inside, "r");
    house.settle().await;
    assert_eq!(house.told("left"), [format!("u{at} left r")]);
    let (_, (node, outside)) = clients.iter().enumerate().find(|(at, _)| given[*at].is_err()).unwrap();
    assert!(
        house.nodes[*node].claim(outside, "r", 7).await.is_ok(),
        "a place that is free again is given again"
    );
}

#[tokio::test]
async fn taken_out_on_every_node() {
    let house = House::of(2).await;
    let [a, b] = &house.nodes[..] else { panic!() };
    let (ann, tab) = (a.client("ann").await, b.client("ann").await);
    a.join(&ann, "r");
    b.join(&tab, "r");
    house.settle().await;
    a.stage.hub.leave_user(PLUGIN, "r", "ann").unwrap();
    house.settle().await;
    assert_eq!(house.members("r"), vec![Vec::<String>::new(); 2]);
    assert_eq!(house.told("left"), ["ann left r"]);
    b.say("r", "nobody is here", None);
    house.settle().await;
    assert!(tab.seen().is_empty());
    assert!(b.join(&tab, "r"), "and may come again");
}

#[tokio::test]
async fn state_is_sent_by_every_node_that_has_the_room() {
    let mut house = House::of(3).await;
    let (ann, bob) = (house.nodes[0].client("ann").await, house.nodes[1].client("bob").await);
    house.nodes[0].join(&ann, "r");
    house.nodes[1].join(&bob, "r");
    house.settle().await;
    house.nodes[0].stage.hub.refresh(PLUGIN, 0, "r").unwrap();
    house.settle().await;
    let refreshed: Vec<usize> = house
        .nodes
        .iter()
        .map(|node| node.notes.lock().iter().filter(|n| *n == "refresh r").count())
        .collect();
    assert_eq!(refreshed, [1, 1, 0]);
    house.beats(1).await;
    assert_eq!(house.told("refresh").len(), 2, "nobody answers a refresh with a refresh");
}

#[tokio::test]
async fn place_without_a_connection_outlives_its_node() {
    let mut house = House::of(2).await;
    house.nodes[1].stage.hub.join_user(PLUGIN, "r", "ann", Bytes::new(), LEASE * 3, None).unwrap();
    house.settle().await;
    house.cut(1);
    house.beats(6).await;
    assert_eq!(house.members("r")[0], ["ann*0"]);
    assert!(house.told("left").is_empty());
    house.beats(13).await; // its time runs on from when it was given
    assert!(house.members("r")[0].is_empty());
    assert_eq!(house.nodes[0].notes.lock().iter().filter(|note| note.contains("left")).count(), 1);
}

#[tokio::test]
async fn connection_ends_a_place_held_elsewhere() {
    let house = House::of(2).await;
    let [a, b] = &house.nodes[..] else { panic!() };
    b.stage.hub.join_user(PLUGIN, "r", "ann", Bytes::new(), LEASE * 100, None).unwrap();
    house.settle().await;
    let tab = a.client("tab").await;
    a.stage.hub.join_as(PLUGIN, tab.connection.id(), "r", "ann", Bytes::new(), None).unwrap();
    house.settle().await;
    assert_eq!(house.members("r"), vec![vec!["ann*1"]; 2]);
    a.leave(&tab, "r");
    house.settle().await;
    assert_eq!(house.told("left"), ["ann left r"]);
    assert_eq!(house.members("r"), vec![Vec::<String>::new(); 2]);
}

#[tokio::test]
async fn leave_and_return_at_once_is_nothing() {
    let house = House::of(2).await;
    let ann = house.nodes[0].client("ann").await;
    house.nodes[0].join(&ann, "r");
    house.settle().await;
    house.nodes[0].leave(&ann, "r");
    assert!(!house.nodes[0].join(&ann, "r"), "the leave has not been told");
    house.settle().await;
    assert!(house.told("left").is_empty());
    assert_eq!(house.members("r"), vec![vec!["ann*1"]; 2]);
}

#[tokio::test]
async fn goodbye_ends_everything() {
    let house = House::of(2).await;
    let ann = house.nodes[0].client("ann").await;
    house.nodes[0].join(&ann, "r");
    house.settle().await;
    house.nodes[0].stage.hub.disconnect_all(exedra_hub::CloseReason::ShuttingDown);
    house.nodes[0].stage.hub.part().await;
    house.settle().await;
    assert_eq!(house.told("left"), ["ann left r"]);
    assert!(house.nodes[1].stage.hub.view_nodes().is_empty());
}

/// A client that may come back, and what it was given to come back with.
struct Returning {
    client: Client,
    pid: String,
    /// Everything it has received, and the last offset.
    received: Vec<String>,
    offset: Option<String>,
}

impl Returning {
    async fn connect(node: &Node, user: &str) -> Self {
        let client = node.stage.client(Some(user), &(Arc::new(Recoverable) as _)).await;
        let pid = client.connection.pid().unwrap();
        let mut returning = Self { client, pid, received: Vec::new(), offset: None };
        returning.read();
        returning.received.clear();
        returning
    }

    fn read(&mut self) {
        for text in self.client.seen() {
            if let Some((event, offset)) = text.split_once(" @") {
                self.received.push(event.to_owned());
                self.offset = Some(offset.to_owned());
            }
        }
    }

    /// Comes to another node; says how that began.
    async fn come_to(&mut self, node: &Node, user: &str) -> Beginning {
        let format = Arc::new(Recoverable) as _;
        self.client = node.stage.back(Some(user), &format, &self.pid, self.offset.clone()).await;
        self.read();
        self.client.connection.facts().beginning
    }
}

fn said(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("said [\"{n}\"]")).collect()
}

/// Long enough for records to be written.
async fn write_records(house: &House) {
    for node in &house.nodes {
        node.stage.clock.advance(Duration::from_millis(20));
    }
    house.settle().await;
}

#[tokio::test]
async fn client_of_a_dead_node_goes_on_elsewhere() {
    let mut house = House::recovering(3).await;
    let mut ann = Returning::connect(&house.nodes[0], "ann").await;
    house.nodes[0].join(&ann.client, "r");
    house.nodes[0]
        .stage
        .hub
        .set_data(PLUGIN, ann.client.connection.id(), Bytes::from_static(b"note"))
        .unwrap();
    write_records(&house).await;
    let public_id = ann.client.connection.facts().public_id.clone();
    for n in 0..6 {
        house.nodes[n % 3].say("r", &n.to_string(), None);
        house.settle().await;
    }
    ann.read();
    assert_eq!(ann.received, said(0..6));
    house.cut(0);
    for n in 6..12 {
        house.nodes[1 + n % 2].say("r", &n.to_string(), None);
        house.settle().await;
    }
    assert_eq!(ann.come_to(&house.nodes[1], "ann").await, Beginning::Recovered);
    assert_eq!(ann.received, said(0..12));
    let connection = ann.client.connection.clone();
    assert_eq!(connection.facts().public_id, public_id);
    assert_eq!(connection.pid().as_ref(), Some(&ann.pid));
    assert_eq!(house.nodes[1].stage.hub.get_data(PLUGIN, connection.id()).unwrap(), "note");
    house.nodes[2].say("r", "12", None);
    house.settle().await;
    ann.read();
    assert_eq!(ann.received, said(0..13), "and hears the room there");
    house.beats(6).await;
    assert_eq!(house.members("r")[1..], vec![vec!["ann*1"]; 2]);
}

#[tokio::test]
async fn client_wanders_from_node_to_node() {
    let house = House::recovering(3).await;
    let mut ann = Returning::connect(&house.nodes[0], "ann").await;
    house.nodes[0].join(&ann.client, "r");
    house.nodes[0].join(&ann.client, "s");
    let mut n = 0;
    let mut talk = |house: &House| {
        for _ in 0..5 {
            let room = if n % 2 == 0 { "r" } else { "s" };
            house.nodes[n % 3].say(room, &n.to_string(), None);
            n += 1;
        }
    };
    for turn in 0..12 {
        talk(&house);
        write_records(&house).await;
        if turn % 2 == 0 {
            ann.read(); // else all of it is on its way when the link breaks
        }
        if turn % 3 == 0 {
            house.nodes[turn % 3]
                .stage
                .hub
                .link_lost(&ann.client.connection, exedra_hub::CloseReason::TransportLost);
            write_records(&house).await;
            talk(&house);
            house.settle().await;
        }
        let to = &house.nodes[(turn + 1) % 3];
        assert_eq!(ann.come_to(to, "ann").await, Beginning::Recovered, "turn {turn}");
        house.settle().await;
    }
    ann.read();
    let mut sorted = ann.received.clone();
    sorted.sort_by_key(|text| text.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().unwrap());
    assert_eq!(sorted, said(0..n as u32), "each once");
    for node in 0..3 {
        let from = |text: &&String| {
            text.trim_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().unwrap() % 3 == node
        };
        let own: Vec<&String> = ann.received.iter().filter(from).collect();
        let in_order: Vec<&String> = sorted.iter().filter(from).collect();
        assert_eq!(own, in_order, "in the order of each sender");
    }
    assert!(house.told("left").is_empty() || house.members("r").iter().all(|members| members.len() == 1));
}

#[tokio::test]
async fn what_was_said_during_a_cut_comes_late() {
    let house = House::recovering(3).await;
    let [a, b, c] = &house.nodes[..] else { panic!() };
    let mut ann = Returning::connect(a, "ann").await;
    a.join(&ann.client, "r");
    a.join(&ann.client, "s");
    house.settle().await;
    b.say("r", "0", None);
    house.settle().await;
    house.cut(0);
    for n in 1..20 {
        [b, c][n % 2].say(if n % 3 == 0 { "r" } else { "s" }, &n.to_string(), None);
    }
    house.settle().await;
    ann.read();
    assert_eq!(ann.received, said(0..1));
    house.heal(0, false);
    b.say("r", "20", None);
    house.settle().await;
    ann.read();
    assert_eq!(ann.received, said(0..21));
}

#[tokio::test]
async fn what_was_said_before_somebody_came_does_not_come_late() {
    let house = House::recovering(3).await;
    let [a, b, _] = &house.nodes[..] else { panic!() };
    let (cyd, mut ann) = (Returning::connect(b, "cyd").await, Returning::connect(a, "ann").await);
    b.join(&cyd.client, "r");
    b.say("r", "before", None);
    house.settle().await;
    a.join(&ann.client, "r");
    house.settle().await;
    house.cut(0);
    b.say("r", "0", None);
    house.settle().await;
    house.heal(0, false);
    house.settle().await;
    ann.read();
    assert_eq!(ann.received, said(0..1));
}

#[tokio::test]
async fn room_that_begins_during_a_cut_is_owed_what_is_said_meanwhile() {
    let house = House::recovering(2).await;
    let [a, b] = &house.nodes[..] else { panic!() };
    let (bob, mut ann) = (Returning::connect(b, "bob").await, Returning::connect(a, "ann").await);
    b.join(&bob.client, "r");
    b.say("r", "before", None);
    house.settle().await;
    a.join(&ann.client, "other");
    house.settle().await;
    house.cut(0);
    a.join(&ann.client, "r");
    house.settle().await;
    b.say("r", "0", None);
    house.heal(0, false);
    house.settle().await;
    ann.read();
    assert_eq!(ann.received, said(0..1));
}

#[tokio::test]
async fn beginning_of_a_room_is_asked_for_again() {
    let house = House::recovering(2).await;
    let [a, b] = &house.nodes[..] else { panic!() };
    let (mut ann, bob) = (Returning::connect(a, "ann").await, Returning::connect(b, "bob").await);
    b.join(&bob.client, "other");
    a.join(&ann.client, "r");
    house.settle().await;
    a.say("r", "0", None);
    write_records(&house).await;
    house.commons.forget(b.link.node(), true);
    b.join(&bob.client, "r");
    house.settle().await;
    house.commons.forget(b.link.node(), false);
    b.stage.clock.advance(Duration::from_secs(1));
    house.settle().await;
    let wait = async {
        house.settle().await;
        b.stage.clock.advance(Duration::from_secs(4));
    };
    let (beginning, ()) = tokio::join!(ann.come_to(b, "ann"), wait);
    assert_eq!(beginning, Beginning::Recovered);
    assert_eq!(ann.received, said(0..1));
}

#[tokio::test]
async fn word_that_is_on_its_way_is_not_heard_twice() {
    let house = House::recovering(3).await;
    let [a, b, c] = &house.nodes[..] else { panic!() };
    let (mut ann, mut bob) = (Returning::connect(a, "ann").await, Returning::connect(b, "bob").await);
    a.join(&ann.client, "r");
    b.join(&bob.client, "r");
    write_records(&house).await;
    house.commons.dawdle(b.link.node());
    (0..3).for_each(|n| c.say("r", &n.to_string(), None));
    write_records(&house).await;
    let begun = ann.received.len();
    let hurry = async {
        house.settle().await;
        house.commons.hurry(b.link.node());
    };
    let (beginning, ()) = tokio::join!(ann.come_to(b, "ann"), hurry);
    assert_eq!((begun, beginning), (0, Beginning::Recovered));
    c.say("r", "3", None);
    house.settle().await;
    ann.read();
    bob.read();
    assert_eq!(ann.received, said(0..4));
    assert_eq!(bob.received, said(0..4));
}

#[tokio::test]
async fn lost_word_comes_late_and_nothing_before_it() {
    let house = House::recovering(2).await;
    let [a, b] = &house.nodes[..] else { panic!() };
    let mut bob = Returning::connect(b, "bob").await;
    b.join(&bob.client, "r");
    b.join(&bob.client, "s");
    house.settle().await;
    a.say("r", "0", None);
    house.settle().await;
    house.commons.dawdle(b.link.node());
    a.say("r", "1", None);
    house.commons.lose(b.link.node());
    a.say("r", "2", None);
    a.say("s", "3", None);
    house.settle().await;
    bob.read();
    assert_eq!(bob.received, said(0..4));
    a.say("s", "4", None);
    a.say("r", "5", None);
    house.settle().await;
    bob.read();
    assert_eq!(bob.received, said(0..6), "and nothing waits any more");
}

#[tokio::test]
async fn words_lost_in_two_rooms_come_late() {
    let house = House::recovering(2).await;
    let [a, b] = &house.nodes[..] else { panic!() };
    let mut bob = Returning::connect(b, "bob").await;
    for room in ["r", "s"] {
        b.join(&bob.client, room);
    }
    house.settle().await;
    a.say("r", "0", None);
    a.say("s", "1", None);
    house.settle().await;
    house.commons.dawdle(b.link.node());
    a.say("r", "2", None);
    a.say("s", "3", None);
    house.commons.lose(b.link.node());
    a.say("r", "4", None);
    a.say("s", "5", None);
    a.say("s", "6", None);
    house.settle().await;
    bob.read();
    assert_eq!(bob.received, said(0..7), "in the order of their sender, over both rooms");
    a.say("s", "7", None);
    a.say("r", "8", None);
    house.settle().await;
    bob.read();
    assert_eq!(bob.received, said(0..9), "and nothing waits any more");
}

#[tokio::test]
async fn word_that_never_arrives_is_a_gap() {
    let house = House::recovering(2).await;
    let [a, b] = &house.nodes[..] else { panic!() };
    let (mut ann, bob) = (Returning::connect(a, "ann").await, Returning::connect(b, "bob").await);
    a.join(&ann.client, "r");
    b.join(&bob.client, "r");
    write_records(&house).await;
    house.commons.dawdle(b.link.node());
    a.say("r", "0", None);
    write_records(&house).await;
    let wait = async {
        house.settle().await;
        b.stage.clock.advance(Duration::from_secs(4));
    };
    let (beginning, ()) = tokio::join!(ann.come_to(b, "ann"), wait);
    assert_eq!(beginning, Beginning::Lost(Lost::Gap));
}

#[tokio::test]
async fn rooms_do_not_overtake_each_other() {
    let house = House::of(2).await;
    let [a, b] = &house.nodes[..] else { panic!() };
    let (ann, bob) = (a.client("ann").await, b.client("bob").await);
    for room in ["r", "s"] {
        a.join(&ann, room);
        b.join(&bob, room);
    }
    house.settle().await;
    house.commons.dawdle(b.link.node());
    (0..6).for_each(|n| a.say(["r", "s"][n % 2], &n.to_string(), None));
    house.commons.hurry(b.link.node());
    house.settle().await;
    assert_eq!(bob.seen(), said(0..6));
}

#[tokio::test]
async fn stranger_gets_no_session_of_another_node() {
    let house = House::recovering(2).await;
    let mut ann = Returning::connect(&house.nodes[0], "ann").await;
    house.nodes[0].join(&ann.client, "r");
    house.nodes[0].say("r", "0", None);
    write_records(&house).await;
    ann.read();
    let mut thief = Returning::connect(&house.nodes[1], "eve").await;
    (thief.pid, thief.offset) = (ann.pid.clone(), ann.offset.clone());
    assert_eq!(thief.come_to(&house.nodes[1], "eve").await, Beginning::Lost(Lost::Foreign));
    let (origin, secret) = ann.pid.split_once('-').unwrap();
    thief.pid = format!("{origin}-{}", secret.chars().rev().collect::<String>());
    assert_eq!(thief.come_to(&house.nodes[1], "ann").await, Beginning::Lost(Lost::Unknown));
    assert_eq!(ann.come_to(&house.nodes[1], "ann").await, Beginning::Recovered, "it is still there for ann");
}

#[tokio::test]
async fn events_that_are_kept_no_longer_are_a_gap() {
    let house = House::recovering(2).await;
    let mut ann = Returning::connect(&house.nodes[0], "ann").await;
    house.nodes[0].join(&ann.client, "r");
    house.nodes[1].say("r", "0", None);
    write_records(&house).await;
    ann.read();
    house.cut(0);
    for n in 0..1100 {
        house.nodes[1].say("r", &n.to_string(), None);
    }
    house.settle().await;
    assert_eq!(ann.come_to(&house.nodes[1], "ann").await, Beginning::Lost(Lost::Gap));
}
