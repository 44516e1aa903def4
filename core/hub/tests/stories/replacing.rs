//! Stories about versions of a plugin that follow each other, and about plugins that come while the hub runs, on one
//! node of several too.
#![allow(clippy::unwrap_used, reason = "a stage that cannot be set up fails the story")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use exedra_bus::{Commons, Depot};
use exedra_hub::{
    Class, CloseReason, Limits, Message, Reach, Refusal,
    hub::{Install, Rules},
    manifest::{AuthMode, Inject, Manifest, Namespace, Timer},
    port::{BusMessage, Call, Cluster, Intake, PluginId, Reply, Topic},
    recovery::Recovery,
};
use parking_lot::Mutex;

use super::noting;
use crate::stage::{Client, Stage, format, plugin};

const ADDED: PluginId = PluginId(1);
const LEASE: Duration = Duration::from_secs(6);
const SECOND: Duration = Duration::from_secs(1);

/// Puts a version in the place of the one before, or adds one plugin more; says how many connections were closed.
fn replace(stage: &Stage, manifest: Manifest) -> usize {
    let replaced = stage.hub.replace(&manifest.into()).unwrap();
    replaced.tasks.into_iter().for_each(|task| drop(tokio::spawn(task)));
    replaced.closed
}

fn version(number: &str, works: bool) -> Manifest {
    let mut manifest = plugin("p", AuthMode::None, &["x"]);
    manifest.version = number.to_owned();
    if works {
        manifest.timers.push(Timer { every_ms: 1000 });
        manifest.injects.push(Inject { event: "n".into(), ..Inject::default() });
    }
    manifest
}

/// One event and one tick reach the plugin once each.
async fn does_its_work_once(stage: &Stage, notes: &Mutex<Vec<String>>) {
    stage.bus.inject("r", "n", "{}");
    stage.advance(SECOND).await;
    let mut told = notes.lock().clone();
    told.sort();
    assert_eq!(told, ["r {}", "timer"]);
}

#[tokio::test]
async fn work_of_versions_is_done_once() {
    let (stage, notes) = noting(vec![version("1", true).into()]);
    for (number, works) in [("2", false), ("3", true), ("4", false), ("5", true)] {
        stage.settle().await;
        assert_eq!(replace(&stage, version(number, works)), 0);
    }
    stage.settle().await;
    notes.lock().clear();
    does_its_work_once(&stage, &notes).await;
}

#[tokio::test]
async fn work_begins_with_the_version_that_has_it() {
    let (stage, notes) = noting(vec![version("1", false).into()]);
    replace(&stage, version("2", true));
    stage.settle().await;
    does_its_work_once(&stage, &notes).await;
}

#[tokio::test]
async fn namespaces_that_are_tied_together_begin_anew() {
    let at = |name: &str, paths: &[&str]| -> Install {
        let space = |path: &&str| Namespace { path: (*path).to_owned(), auth: AuthMode::None };
        let namespaces = paths.iter().map(space).collect();
        Manifest { namespaces, ..plugin(name, AuthMode::None, &[name]) }.into()
    };
    let recovery = Recovery { window: LEASE, slack: LEASE, max_events: 100, max_bytes: 1 << 20 };
    let limits = Limits { recovery: Some(recovery), ..Limits::default() };
    let installs = vec![at("a", &["/"]), at("b", &["/b"]), at("c", &["/c"])];
    let stage = Stage::new(installs, limits, |_, _, _| Box::pin(async { Ok(Reply::Empty) }));
    let mut clients = Vec::new();
    for namespace in ["/", "/b", "/c"] {
        let outbox = Arc::new(exedra_hub::outbox::Outbox::new(1 << 20));
        let knock = stage.knock(None, &format(), &outbox);
        let knock = exedra_hub::hub::Knock { namespace: namespace.into(), ..knock };
        clients.push(Client { connection: stage.hub.connect(knock).await.unwrap(), outbox });
    }
    let tie = stage.hub.replace(&at("tie", &["/", "/b"])).unwrap();
    let closed = clients.iter().map(|client| client.outbox.closed());
    assert_eq!(closed.collect::<Vec<_>>(), [None, Some(CloseReason::ShuttingDown), None]);
    assert_eq!(tie.closed, 1, "its events are in another line from now on");
}

/// A node of a cluster, and what its plugins were told.
struct Node {
    stage: Stage,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Node {
    fn new(commons: &Arc<Commons>, depot: &Depot, names: &[&str]) -> Self {
        let notes: Arc<Mutex<Vec<String>>> = Arc::default();
        let written = notes.clone();
        let rules = Rules { name: "n".to_owned(), lease: LEASE };
        let cluster = Some((commons.node() as Arc<dyn Cluster>, rules));
        let intake = Some(Arc::new(depot.clone()) as Arc<dyn Intake>);
        let installs = names.iter().map(|name| member(name).into()).collect();
        let stage = Stage::keeping(installs, Limits::default(), cluster, intake, move |_, plugin, call| {
            if let Call::Inject { room, .. } = &call {
                written.lock().push(format!("{} {room}", plugin.0));
            }
            Box::pin(async { Ok::<_, Refusal>(Reply::Empty) })
        });
        Self { stage, notes }
    }

    /// A client in room `r` of a plugin.
    async fn guest(&self, user: &str, plugin: PluginId) -> Client {
        let client = self.stage.client(Some(user), &format()).await;
        self.stage.hub.join(plugin, client.connection.id(), "r", Bytes::new(), None).unwrap();
        client.seen();
        client
    }

    fn members(&self, plugin: PluginId) -> Vec<String> {
        self.stage.hub.members(plugin, "r").iter().map(|member| member.user.to_string()).collect()
    }
}

/// A plugin on `/`, as all of them are here.
fn member(name: &str) -> Manifest {
    let injects = vec![Inject { event: "n".into(), ..Inject::default() }];
    Manifest { injects, ..plugin(name, AuthMode::Optional, &[name]) }
}

async fn beats(nodes: &[Node], beats: u32) {
    for _ in 0..beats * 4 {
        nodes.iter().for_each(|node| node.stage.clock.advance(LEASE / 24));
        for node in nodes.iter().chain(nodes) {
            node.stage.settle().await;
        }
    }
}

async fn pair(depot: &Depot) -> [Node; 2] {
    let commons = Commons::new();
    let nodes = [Node::new(&commons, depot, &["p", "q"]), Node::new(&commons, depot, &["p"])];
    beats(&nodes, 4).await;
    nodes
}

#[tokio::test]
async fn plugin_that_comes_to_a_node_knows_who_is_elsewhere() {
    let nodes = pair(&Depot::default()).await;
    let ann = nodes[0].guest("ann", ADDED).await;
    beats(&nodes, 1).await;
    assert_eq!(replace(&nodes[1].stage, member("q")), 0);
    beats(&nodes, 1).await;
    assert_eq!(nodes[1].members(ADDED), ["ann"]);

    let bob = nodes[1].guest("bob", ADDED).await;
    beats(&nodes, 1).await;
    assert_eq!(nodes[0].members(ADDED), ["ann", "bob"]);
    let say = Message::new("said", "[1]");
    nodes[0].stage.hub.broadcast(ADDED, "r", say, (Class::Reliable, Reach::Everywhere), None).unwrap();
    beats(&nodes, 1).await;
    assert_eq!((ann.seen(), bob.seen()), (vec!["said [1]".to_owned()], vec!["said [1]".to_owned()]));
}

#[tokio::test]
async fn plugin_that_did_not_start_leaves_nothing_to_the_next() {
    let nodes = pair(&Depot::default()).await;
    let _ann = nodes[0].guest("ann", ADDED).await;
    let _tasks = nodes[1].stage.hub.replace(&member("q").into()).unwrap();
    beats(&nodes, 1).await;
    assert_eq!(nodes[1].members(ADDED), ["ann"]);
    nodes[1].stage.hub.join_user(ADDED, "r", "cat", Bytes::new(), LEASE * 9, None).unwrap();
    beats(&nodes, 1).await;
    nodes[1].stage.hub.forget_added();
    replace(&nodes[1].stage, member("s"));
    beats(&nodes, 2).await;
    assert!(nodes[1].members(ADDED).is_empty(), "the room is another plugin's");
    assert_eq!(nodes[0].members(ADDED), ["ann"], "and the others know of it");
}

#[tokio::test]
async fn injected_events_wait_for_the_plugin() {
    let depot = Depot::default();
    let nodes = [Node::new(&Commons::new(), &depot, &["p"])];
    beats(&nodes, 4).await;
    depot.put(BusMessage {
        topic: Topic::In { plugin: "q".into(), room: "r".into(), event: "n".into() },
        reply: None,
        headers: Vec::new(),
        payload: Bytes::from_static(b"{}"),
    });
    beats(&nodes, 1).await;
    assert!(nodes[0].notes.lock().is_empty());
    replace(&nodes[0].stage, member("q"));
    beats(&nodes, 2).await;
    assert_eq!(*nodes[0].notes.lock(), ["1 r"]);

    // Off: nothing is taken, and nothing is lost.
    nodes[0].stage.hub.disable(ADDED);
    beats(&nodes, 2).await;
    depot.put(BusMessage {
        topic: Topic::In { plugin: "q".into(), room: "later".into(), event: "n".into() },
        reply: None,
        headers: Vec::new(),
        payload: Bytes::from_static(b"{}"),
    });
    beats(&nodes, 2).await;
    assert_eq!(*nodes[0].notes.lock(), ["1 r"]);
    nodes[0].stage.hub.enable(ADDED);
    beats(&nodes, 2).await;
    assert_eq!(*nodes[0].notes.lock(), ["1 r", "1 later"]);
}
