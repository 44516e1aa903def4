//! Stories about links that break, and clients that come back: nothing missed, nothing twice, nobody else's.
#![allow(clippy::unwrap_used, reason = "a story that cannot be set up fails")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use exedra_hub::{
    Class, CloseReason, Code, Connection, Format, Limits, Message, Reach, Refusal,
    manifest::{AuthMode, Manifest, State},
    port::{Call, Clock, PluginId, Reply},
    recovery::{Beginning, Recovery},
};
use parking_lot::Mutex;

use crate::stage::{Client, Recoverable, Stage, event, plugin};

const PLUGIN: PluginId = PluginId(0);
const MINUTE: Duration = Duration::from_secs(60);

/// A stage with a room state, whose calls are written down.
fn stage_with(change: impl FnOnce(&mut Limits)) -> (Stage, Arc<Mutex<Vec<String>>>) {
    let recovery = Recovery { window: MINUTE, slack: MINUTE, max_events: 100, max_bytes: 1 << 20 };
    let mut limits = Limits { recovery: Some(recovery), outbound_buffer: 10_000, ..Limits::default() };
    change(&mut limits);
    let states = vec![State { name: "list".into(), window_ms: 10 }];
    let manifest = Manifest { states, ..plugin("p", AuthMode::Optional, &["x"]) };
    let notes = Arc::new(Mutex::new(Vec::new()));
    let written = notes.clone();
    let stage = Stage::new(vec![manifest.into()], limits, move |_, _, call| {
        let (note, refuse) = match &call {
            Call::Leave { room, user, .. } => (format!("{user} left {room}"), false),
            Call::Connect { conn } if conn.beginning == Beginning::Recovered => {
                ("recovered".into(), conn.auth.starts_with(b"no"))
            }
            Call::Refresh { room, .. } => (format!("refresh {room}"), false),
            other => (other.kind().to_owned(), false),
        };
        written.lock().push(note);
        Box::pin(
            async move { if refuse { Err(Refusal::new(Code::Forbidden, "no")) } else { Ok(Reply::Empty) } },
        )
    });
    (stage, notes)
}

fn stage() -> Stage {
    stage_with(|_| ()).0
}

fn format() -> Arc<dyn Format> {
    Arc::new(Recoverable)
}

async fn ann(stage: &Stage) -> (Client, String) {
    let client = stage.client(Some("ann"), &format()).await;
    let pid = client.connection.pid().unwrap();
    (client, pid)
}

fn join(stage: &Stage, client: &Client, room: &str) {
    stage.hub.join(PLUGIN, client.connection.id(), room, Bytes::from_static(b"{\"a\":1}"), None).unwrap();
}

fn tell(stage: &Stage, room: &str, what: impl std::fmt::Display) {
    let message = Message::new("e", format!("[{what}]"));
    stage.hub.broadcast(PLUGIN, room, message, (Class::Reliable, Reach::Everywhere), None).unwrap();
}

fn emit(stage: &Stage, to: &Connection, what: impl std::fmt::Display) {
    stage.hub.emit(PLUGIN, to.id(), Message::new("d", format!("[{what}]")), Class::Reliable).unwrap();
}

/// Events without their offsets, and the last offset.
fn read(client: &Client) -> (Vec<String>, Option<String>) {
    let seen = client.seen();
    let offset =
        seen.iter().rev().find_map(|text| text.split_once(" @")).map(|(_, offset)| offset.to_owned());
    let plain = |text: &String| text.split(" @").next().unwrap_or_default().to_owned();
    (seen.iter().map(plain).collect(), offset)
}

fn events(name: &str, range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("{name} [{n}]")).collect()
}

#[tokio::test]
async fn missed_events_come_once_in_order() {
    let (stage, notes) = stage_with(|_| ());
    let (client, pid) = ann(&stage).await;
    join(&stage, &client, "r");
    join(&stage, &client, "s");
    tell(&stage, "r", 0);
    tell(&stage, "s", 1);
    emit(&stage, &client.connection, 2);
    let (seen, offset) = read(&client);
    assert_eq!(seen, ["CONNECT", "e [0]", "e [1]", "d [2]"]);
    emit(&stage, &client.connection, 3); // on its way when the link breaks
    tell(&stage, "s", 4);
    stage.hub.link_lost(&client.connection, CloseReason::TransportLost);
    for n in 5..50 {
        tell(&stage, if n % 2 == 0 { "r" } else { "s" }, n);
    }
    let back = stage.back(Some("ann"), &format(), &pid, offset).await;
    tell(&stage, "r", 50);
    let (seen, _) = read(&back);
    assert_eq!(seen[..2], ["CONNECT", "d [3]"]);
    assert_eq!(seen[2..], events("e", 4..51));
    assert_eq!(back.connection.pid(), Some(pid));
    assert_eq!(back.connection.facts().public_id, client.connection.facts().public_id);
    assert!(back.connection.facts().beginning == Beginning::Recovered);
    stage.settle().await;
    let notes = notes.lock();
    assert_eq!(notes.iter().filter(|note| *note == "ann left r").count(), 1);
    assert_eq!(notes.iter().filter(|note| *note == "refresh r").count(), 1);
    assert!(notes.contains(&"recovered".to_owned()));
}

#[tokio::test]
async fn rooms_and_notes_come_back() {
    let stage = stage();
    let (client, pid) = ann(&stage).await;
    join(&stage, &client, "r");
    stage.hub.set_data(PLUGIN, client.connection.id(), "note".into()).unwrap();
    stage.hub.link_lost(&client.connection, CloseReason::PingTimeout);
    assert_eq!(stage.hub.count(PLUGIN, "r"), 0, "presence does not wait");
    let back = stage.back(Some("ann"), &format(), &pid, None).await;
    let members = stage.hub.members(PLUGIN, "r");
    assert_eq!((members.len(), members[0].connections, &members[0].meta[..]), (1, 1, &b"{\"a\":1}"[..]));
    assert_eq!(stage.hub.get_data(PLUGIN, back.connection.id()).unwrap(), "note");
    stage.hub.disconnect(&back.connection, CloseReason::ClientLeft);
    assert_eq!(stage.hub.count(PLUGIN, "r"), 0);
}

#[tokio::test]
async fn second_loss_loses_nothing() {
    let stage = stage();
    let (client, pid) = ann(&stage).await;
    join(&stage, &client, "r");
    tell(&stage, "r", 0);
    let (_, offset) = read(&client);
    stage.hub.link_lost(&client.connection, CloseReason::TransportLost);
    tell(&stage, "r", 1);
    let back = stage.back(Some("ann"), &format(), &pid, offset.clone()).await;
    stage.hub.link_lost(&back.connection, CloseReason::TransportLost); // before the client read a thing
    tell(&stage, "r", 2);
    let back = stage.back(Some("ann"), &format(), &pid, offset).await;
    let (seen, offset) = read(&back);
    assert_eq!(seen, ["CONNECT", "e [1]", "e [2]"]);
    stage.hub.link_lost(&back.connection, CloseReason::TransportLost);
    let back = stage.back(Some("ann"), &format(), &pid, offset).await;
    assert_eq!(read(&back).0, ["CONNECT"]);
}

#[tokio::test]
async fn unnoticed_loss_ends_the_old_connection() {
    let stage = stage();
    let (client, pid) = ann(&stage).await;
    join(&stage, &client, "r");
    tell(&stage, "r", 0);
    for _ in 0..2 {
        let back = stage.back(Some("ann"), &format(), &pid, None).await;
        assert_eq!(read(&back).0, ["CONNECT", "e [0]"]);
        assert_eq!(stage.hub.connection_count(), 1);
        assert_eq!(stage.hub.members(PLUGIN, "r")[0].connections, 1);
    }
    assert!(client.connection.is_closed());
    assert_eq!(client.outbox.closed(), Some(CloseReason::TransportLost));
}

#[tokio::test]
async fn own_broadcasts_stay_excepted() {
    let stage = stage();
    let (client, pid) = ann(&stage).await;
    join(&stage, &client, "r");
    let (mut now, mut offset) = (client, None);
    for n in 0..2 {
        let message = Message::new("e", format!("[{n}]"));
        stage
            .hub
            .broadcast(PLUGIN, "r", message, (Class::Reliable, Reach::Everywhere), Some(now.connection.id()))
            .unwrap();
        tell(&stage, "r", 7);
        stage.hub.link_lost(&now.connection, CloseReason::TransportLost);
        now = stage.back(Some("ann"), &format(), &pid, offset.clone()).await;
        let (seen, last) = read(&now);
        assert_eq!(seen, ["CONNECT", "e [7]"]);
        offset = last;
    }
}

#[tokio::test]
async fn earlier_events_of_a_room_are_not_missed() {
    let stage = stage();
    let other = stage.client(Some("bob"), &format()).await;
    join(&stage, &other, "r");
    tell(&stage, "r", 0);
    let (client, pid) = ann(&stage).await;
    join(&stage, &client, "r");
    tell(&stage, "r", 1);
    stage.hub.link_lost(&client.connection, CloseReason::TransportLost);
    let back = stage.back(Some("ann"), &format(), &pid, None).await;
    assert_eq!(read(&back).0, ["CONNECT", "e [1]"]);
}

/// Asserts that the client is a new one, with a new session.
fn is_new(back: &Client, old: &str) {
    assert_ne!(back.connection.facts().beginning, Beginning::Recovered);
    assert!(back.connection.pid().is_some_and(|pid| pid != old));
    assert_eq!(back.seen(), ["CONNECT"]);
}

#[tokio::test]
async fn goodbye_or_kick_ends_the_session() {
    let stage = stage();
    let (client, pid) = ann(&stage).await;
    stage.hub.disconnect(&client.connection, CloseReason::ClientLeft);
    is_new(&stage.back(Some("ann"), &format(), &pid, None).await, &pid);
    let (client, pid) = ann(&stage).await;
    stage.hub.kick(PLUGIN, client.connection.id()).unwrap();
    is_new(&stage.back(Some("ann"), &format(), &pid, None).await, &pid);
}

#[tokio::test]
async fn window_passes() {
    let stage = stage();
    let (client, pid) = ann(&stage).await;
    join(&stage, &client, "r");
    tell(&stage, "r", 0);
    stage.hub.link_lost(&client.connection, CloseReason::TransportLost);
    stage.advance(MINUTE).await;
    is_new(&stage.back(Some("ann"), &format(), &pid, None).await, &pid);
    let metrics = stage.hub.metrics().render();
    assert!(metrics.contains("exedra_recoverable_sessions 0"));
    assert!(metrics.contains(r#"exedra_recoveries_total{outcome="unknown"} 1"#));
}

#[tokio::test]
async fn session_belongs_to_its_user() {
    let stage = stage();
    let (client, pid) = ann(&stage).await;
    stage.hub.link_lost(&client.connection, CloseReason::TransportLost);
    is_new(&stage.back(Some("bob"), &format(), &pid, None).await, &pid);
    is_new(&stage.back(None, &format(), &pid, None).await, &pid);
    assert!(
        stage.back(Some("ann"), &format(), &pid, None).await.connection.facts().beginning
            == Beginning::Recovered
    );
}

#[tokio::test]
async fn gaps_are_never_hidden() {
    for (length, count, max_events) in [(1, 6, 5), (3000, 3, 100)] {
        let (stage, _) = stage_with(|limits| limits.recovery.as_mut().unwrap().max_events = max_events);
        let (client, pid) = ann(&stage).await;
        join(&stage, &client, "r");
        stage.hub.link_lost(&client.connection, CloseReason::TransportLost);
        for _ in 0..count {
            tell(&stage, "r", "1".repeat(length));
        }
        is_new(&stage.back(Some("ann"), &format(), &pid, None).await, &pid);
        assert!(stage.hub.metrics().render().contains(r#"exedra_recoveries_total{outcome="gap"} 1"#));
    }
    let stage = stage();
    let (client, pid) = ann(&stage).await;
    stage.hub.link_lost(&client.connection, CloseReason::TransportLost);
    is_new(&stage.back(Some("ann"), &format(), &pid, Some("hello".into())).await, &pid);
}

#[tokio::test]
async fn unreliable_events_are_not_kept() {
    let stage = stage();
    let (client, pid) = ann(&stage).await;
    join(&stage, &client, "r");
    stage.hub.link_lost(&client.connection, CloseReason::TransportLost);
    for class in [Class::Volatile, Class::latest("r", "e", "k")] {
        stage.hub.broadcast(PLUGIN, "r", Message::new("e", "[]"), (class, Reach::Everywhere), None).unwrap();
    }
    let back = stage.back(Some("ann"), &format(), &pid, None).await;
    assert_eq!(read(&back).0, ["CONNECT"]);
    stage.hub.receive(&back.connection, event("x", "[]", Some(1)));
    stage.settle().await;
    assert_eq!(back.seen(), ["ack1 []"], "answers carry no offset");
}

#[tokio::test]
async fn without_recovery_nothing_is_kept() {
    let stage = Stage::new(vec![plugin("p", AuthMode::None, &[]).into()], Limits::default(), |_, _, _| {
        Box::pin(async { Ok(Reply::Empty) })
    });
    let client = stage.client(None, &format()).await;
    assert_eq!(client.connection.pid(), None);
    join(&stage, &client, "r");
    tell(&stage, "r", 0);
    assert_eq!(client.seen(), ["CONNECT", "e [0]"]);
    stage.hub.link_lost(&client.connection, CloseReason::TransportLost);
    let back = stage.back(None, &format(), "1~x", None).await;
    assert_ne!(back.connection.facts().beginning, Beginning::Recovered);
    assert!(stage.clock.elapsed() < MINUTE);
}

#[tokio::test]
async fn refused_return_leaves_no_member() {
    let (stage, notes) = stage_with(|_| ());
    let (client, pid) = ann(&stage).await;
    join(&stage, &client, "r");
    stage.hub.link_lost(&client.connection, CloseReason::TransportLost);
    let outbox = Arc::new(exedra_hub::outbox::Outbox::new(1000));
    let mut knock = stage.knock(Some("ann"), &format(), &outbox);
    knock.auth = "no".into();
    knock.ticket = Some(exedra_hub::recovery::Ticket { pid: pid.clone(), offset: None });
    assert!(stage.hub.connect(knock).await.is_err());
    assert_eq!(stage.hub.count(PLUGIN, "r"), 0);
    is_new(&stage.back(Some("ann"), &format(), &pid, None).await, &pid);
    stage.settle().await;
    assert_eq!(notes.lock().iter().filter(|note| *note == "refresh r").count(), 0);
}

/// A client of four rooms comes and goes without a pause while four threads send.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_senders_lose_nothing() {
    const EACH: u32 = 1500;
    let (stage, _) = stage_with(|limits| {
        limits.outbound_buffer = 1 << 20;
        let recovery = limits.recovery.as_mut().unwrap();
        (recovery.max_events, recovery.max_bytes) = (10_000, 1 << 24);
    });
    let (client, pid) = ann(&stage).await;
    for room in ["0", "1", "2", "3"] {
        join(&stage, &client, room);
    }
    let senders: Vec<_> = (0..4)
        .map(|room| {
            let hub = stage.hub.clone();
            std::thread::spawn(move || {
                for n in 0..EACH {
                    let message = Message::new("e", format!("[{room},{n}]"));
                    hub.broadcast(
                        PLUGIN,
                        &room.to_string(),
                        message,
                        (Class::Reliable, Reach::Everywhere),
                        None,
                    )
                    .unwrap();
                    if n % 16 == 0 {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let (mut now, mut all, mut offset, mut returns) = (client, Vec::new(), None, 0);
    while all.iter().filter(|text: &&String| text.ends_with(&format!(",{}]", EACH - 1))).count() < 4 {
        let (seen, last) = read(&now);
        all.extend(seen.into_iter().filter(|text| text.starts_with('e')));
        offset = last.or(offset);
        stage.hub.link_lost(&now.connection, CloseReason::TransportLost);
        now = stage.back(Some("ann"), &format(), &pid, offset.clone()).await;
        assert_eq!(now.connection.facts().beginning, Beginning::Recovered);
        returns += 1;
    }
    for sender in senders {
        sender.join().unwrap();
    }
    for room in 0..4 {
        let of_room: Vec<_> = all.iter().filter(|text| text.starts_with(&format!("e [{room},"))).collect();
        let expected: Vec<String> = (0..EACH).map(|n| format!("e [{room},{n}]")).collect();
        assert_eq!(of_room, expected.iter().collect::<Vec<_>>());
    }
    assert!(returns > 3, "the client came back {returns} times only: nothing was tried");
}
