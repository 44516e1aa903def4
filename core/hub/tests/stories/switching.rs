//! Stories about plugins that are turned off and on again, and about operators who look at the hub.

use exedra_hub::{
    CloseReason, Code, ConnId,
    hub::{ConnectionOrder, Filter, RoomOrder, Told},
    manifest::AuthMode,
    page::Want,
    port::PluginId,
};
use futures_util::{FutureExt, StreamExt};

use super::{PLUGIN, noting, quiet};
use crate::stage::{event, format, plugin};

const OTHER: PluginId = PluginId(1);

#[tokio::test]
async fn lone_plugin_takes_its_connections_along() {
    let stage = quiet();
    let client = stage.client(None, &format()).await;
    client.seen();
    assert_eq!(stage.hub.disable(PLUGIN), Some(1));
    assert_eq!(client.seen(), ["GOODBYE"]);
    assert_eq!(stage.hub.disable(PLUGIN), None, "it is off already");
    let knock = stage.knock(None, &format(), &client.outbox);
    let refusal = stage.hub.connect(knock).await.err().unwrap();
    assert_eq!((refusal.code, &*refusal.message), (Code::Unavailable, "the plugin is disabled"));
    assert_eq!(stage.hub.connection_count(), 0);
    assert_eq!(stage.hub.enable(PLUGIN), Some(0));
    stage.client(None, &format()).await;
}

#[tokio::test]
async fn shared_namespace_outlives_a_plugin() {
    let installs = ["p", "q"].map(|name| plugin(name, AuthMode::None, &[name]).into());
    let (stage, notes) = noting(installs.into());
    let before = stage.client(None, &format()).await;
    assert_eq!(std::mem::take(&mut *notes.lock()), ["connect", "connect"]);
    assert_eq!(stage.hub.disable(OTHER), Some(0));
    let meanwhile = stage.client(None, &format()).await;
    assert_eq!(std::mem::take(&mut *notes.lock()), ["connect"], "only the first plugin is asked");
    assert_eq!(stage.hub.enable(OTHER), Some(1));
    assert_eq!(meanwhile.outbox.closed(), Some(CloseReason::ShuttingDown), "it comes back and is asked");
    assert_eq!(before.outbox.closed(), None);
    stage.hub.disable(OTHER);
    assert_eq!(stage.hub.disable(PLUGIN), Some(2), "nobody is left to serve them");
}

#[tokio::test]
async fn timers_of_a_disabled_plugin_rest() {
    let mut manifest = plugin("p", AuthMode::None, &["x"]);
    manifest.timers.push(exedra_hub::manifest::Timer { every_ms: 1000 });
    let (stage, notes) = noting(vec![manifest.into()]);
    let second = std::time::Duration::from_secs(1);
    stage.advance(second).await;
    stage.hub.disable(PLUGIN);
    stage.advance(second).await;
    assert_eq!(*notes.lock(), ["timer"]);
    stage.hub.enable(PLUGIN);
    stage.advance(second).await;
    assert_eq!(*notes.lock(), ["timer", "timer"]);
}

#[tokio::test]
async fn operators_see_and_end_connections() {
    let stage = quiet();
    let format = format();
    let ann = stage.client(Some("ann"), &format).await;
    let bob = stage.client(Some("bob"), &format).await;
    stage.hub.join(PLUGIN, ann.connection.id(), "r", bytes::Bytes::new(), None).unwrap();
    stage.hub.receive(&bob.connection, event("x", "[1]", None));
    ann.seen();
    stage
        .hub
        .emit(PLUGIN, bob.connection.id(), exedra_hub::Message::new("e", "[]"), Default::default())
        .unwrap();
    let by = |order, search: &str| {
        let want = Want { search: search.into(), descending: true, limit: 10, after: None };
        stage.hub.view_connections(order, &want)
    };
    let queued = by(ConnectionOrder::Queue, "");
    assert_eq!((queued.total, queued.rows[0].user.as_deref()), (2, Some("bob")));
    assert!(queued.rows[0].queue > 0 && queued.rows[0].events == 1 && queued.rows[0].received == 4);
    let found = by(ConnectionOrder::User, "ANN");
    assert_eq!((found.matched, found.rows[0].rooms, found.rows[0].sent), (1, 1, "CONNECT".len() as u64));
    let rooms = stage.hub.view_rooms(RoomOrder::Members, Some(PLUGIN), &Want { limit: 5, ..Want::default() });
    assert_eq!((&*rooms.rows[0].name, rooms.rows[0].members), ("r", 1));
    let details = stage.hub.view_connection(ann.connection.id()).unwrap();
    assert_eq!(details.in_rooms, [("p".to_owned(), "r".into())]);
    assert!(stage.hub.disconnect_by_operator(ann.connection.id()));
    assert_eq!(ann.seen(), ["GOODBYE"]);
    assert!(!stage.hub.disconnect_by_operator(ConnId(999)));
    assert!(stage.hub.view_connection(ann.connection.id()).is_none());
}

#[tokio::test]
async fn watcher_sees_what_its_filter_takes() {
    let stage = quiet();
    let client = stage.client(Some("ann"), &format()).await;
    let filter = Filter { room: Some("r".into()), ..Filter::default() };
    let mut tail = stage.hub.watch(filter).unwrap();
    let say = |room| {
        stage.hub.broadcast(PLUGIN, room, exedra_hub::Message::new("e", "[1]"), Default::default(), None)
    };
    say("other").unwrap();
    say("r").unwrap();
    stage.hub.receive(&client.connection, event("x", "[]", None));
    stage.settle().await;
    let Some(Some(Told::Event(seen))) = tail.next().now_or_never() else { panic!("nothing is seen") };
    assert_eq!((&*seen.event, &*seen.payload, seen.size), ("e", "[1]", 3));
    assert!(tail.next().now_or_never().is_none(), "nothing else fits");
    assert_eq!(stage.hub.watcher_count(), 1);
    drop(tail);
    assert_eq!(stage.hub.watcher_count(), 0);
    assert!((0..17).map(|_| stage.hub.watch(Filter::default())).collect::<Vec<_>>()[16].is_none());
}
