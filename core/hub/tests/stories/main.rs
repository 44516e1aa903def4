//! Stories about the hub's rules: order, what is held and what is dropped, who is told of an end.

mod cluster;
mod intake;
mod recovery;
mod replacing;
mod stage;
mod switching;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use exedra_hub::{
    Class, CloseReason, Code, Format, Limits, Message, Reach, Refusal,
    hub::Received,
    manifest::{AuthMode, Inject, State},
    outbox::Outbox,
    port::{Call, Clock, PluginId, Reply, Topic},
};
use parking_lot::Mutex;
use stage::{Client, PlainFormat, Stage, event, format, plugin, text};

const PLUGIN: PluginId = PluginId(0);
const NONE: AuthMode = AuthMode::None;

/// A stage whose plugin answers everything with nothing.
fn quiet() -> Stage {
    Stage::new(vec![plugin("p", AuthMode::Optional, &["x"]).into()], Limits::default(), |_, _, _| {
        Box::pin(async { Ok(Reply::Empty) })
    })
}

/// A stage whose calls are written down.
fn noting(installs: Vec<exedra_hub::hub::Install>) -> (Stage, Arc<Mutex<Vec<String>>>) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let written = notes.clone();
    let stage = Stage::new(installs, Limits::default(), move |_, _, call| {
        let note = match &call {
            Call::Event { message, .. } => message.event.to_string(),
            Call::Leave { room, user, .. } => format!("{user} left {room}"),
            Call::Disconnect { reason, .. } => format!("disconnect {}", reason.label()),
            Call::Inject { room, payload, .. } => format!("{room} {}", String::from_utf8_lossy(payload)),
            other => other.kind().to_owned(),
        };
        written.lock().push(note);
        Box::pin(async { Ok(Reply::Empty) })
    });
    (stage, notes)
}

#[tokio::test]
async fn events_are_handled_one_after_another() {
    let running = Arc::new(AtomicUsize::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (inner, log) = (running.clone(), seen.clone());
    let stage = Stage::new(vec![plugin("p", NONE, &["x"]).into()], Limits::default(), move |_, _, call| {
        let (running, log) = (inner.clone(), log.clone());
        Box::pin(async move {
            let Call::Event { message, .. } = call else { return Ok(Reply::Empty) };
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two handlers at once");
            tokio::task::yield_now().await;
            log.lock().push(String::from_utf8_lossy(&message.args).into_owned());
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(Reply::Args { args: message.args, attachments: Vec::new() })
        })
    });
    let client = stage.client(None, &format()).await;
    for n in 0..200 {
        assert_eq!(
            stage.hub.receive(&client.connection, event("x", &format!("[{n}]"), Some(n))),
            Received::Queued
        );
    }
    while seen.lock().len() < 200 {
        stage.settle().await;
    }
    stage.settle().await;
    assert_eq!(*seen.lock(), (0..200).map(|n| format!("[{n}]")).collect::<Vec<_>>());
    assert_eq!(client.seen()[1..], (0..200).map(|n| format!("ack{n} [{n}]")).collect::<Vec<_>>());
}

#[tokio::test]
async fn frames_wait_for_connect() {
    let stage = Stage::new(vec![plugin("p", NONE, &[]).into()], Limits::default(), |hub, plugin, call| {
        Box::pin(async move {
            if let Call::Connect { conn } = call {
                hub.emit(plugin, conn.id, Message::new("hello", "[]"), Class::Reliable)?;
            }
            Ok(Reply::Empty)
        })
    });
    let client = stage.client(None, &format()).await;
    assert_eq!(client.seen(), ["CONNECT", "hello []"]);
}

#[tokio::test]
async fn refusing_plugin_keeps_the_client_out() {
    let stage = Stage::new(vec![plugin("p", NONE, &[]).into()], Limits::default(), |_, _, call| {
        Box::pin(async move {
            match call {
                Call::Connect { .. } => Err(Refusal::new(Code::Forbidden, "not you")),
                _ => Ok(Reply::Empty),
            }
        })
    });
    let outbox = Arc::new(Outbox::new(1000));
    let refusal = stage.hub.connect(stage.knock(None, &format(), &outbox)).await.unwrap_err();
    assert_eq!((refusal.code, &*refusal.message), (Code::Forbidden, "not you"));
    assert_eq!(stage.hub.connection_count(), 0);
}

#[tokio::test]
async fn bad_token_never_reaches_a_plugin() {
    let (stage, notes) = noting(vec![plugin("p", AuthMode::Required, &[]).into()]);
    let outbox = Arc::new(Outbox::new(1000));
    for token in [None, Some("bad")] {
        let refusal = stage.hub.connect(stage.knock(token, &format(), &outbox)).await.unwrap_err();
        assert_eq!(refusal.code, Code::Unauthorized);
    }
    assert!(notes.lock().is_empty());
    assert!(stage.hub.metrics().render().contains(r#"exedra_auth_failures_total{reason="signature"} 1"#));
}

#[tokio::test]
async fn full_mailbox_pauses_the_reader() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = gate.clone();
    let limits = Limits { inbound_queue: 4, ..Limits::default() };
    let stage = Stage::new(vec![plugin("p", NONE, &["x"]).into()], limits, move |_, _, call| {
        let gate = opened.clone();
        Box::pin(async move {
            if matches!(call, Call::Event { .. }) {
                gate.acquire().await.unwrap().forget();
            }
            Ok(Reply::Empty)
        })
    });
    let client = stage.client(None, &format()).await;
    let mut queued = 0;
    while stage.hub.receive(&client.connection, event("x", "[]", None)) == Received::Queued {
        queued += 1;
        stage.settle().await;
    }
    assert_eq!(queued, 5, "one in its handler, four waiting");
    let room = std::future::poll_fn(|cx| stage.hub.poll_room(&client.connection, cx));
    gate.add_permits(5);
    room.await;
    assert_eq!(stage.hub.receive(&client.connection, event("x", "[]", None)), Received::Queued);
}

#[tokio::test]
async fn end_comes_after_the_last_event() {
    let (stage, notes) = noting(vec![plugin("p", NONE, &["x"]).into()]);
    let client = stage.client(Some("ann"), &format()).await;
    stage.hub.receive(&client.connection, event("x", "[]", None));
    stage.hub.disconnect(&client.connection, CloseReason::TransportLost);
    stage.hub.disconnect(&client.connection, CloseReason::ClientLeft);
    assert_eq!(stage.hub.receive(&client.connection, event("x", "[]", None)), Received::Gone);
    stage.settle().await;
    assert_eq!(*notes.lock(), ["connect", "x", "disconnect transport_lost"]);
}

#[tokio::test]
async fn last_tab_ends_the_membership_once() {
    let (stage, notes) = noting(vec![plugin("p", AuthMode::Required, &[]).into()]);
    let tabs = [stage.client(Some("ann"), &format()).await, stage.client(Some("ann"), &format()).await];
    for tab in &tabs {
        stage.hub.join(PLUGIN, tab.connection.id(), "r", Bytes::new(), None).unwrap();
    }
    assert_eq!(stage.hub.count(PLUGIN, "r"), 1);
    stage.hub.disconnect(&tabs[0].connection, CloseReason::TransportLost);
    stage.settle().await;
    assert!(!notes.lock().iter().any(|note| note.contains("left")));
    stage.hub.disconnect(&tabs[1].connection, CloseReason::TransportLost);
    assert_eq!(stage.hub.count(PLUGIN, "r"), 0, "out at once");
    stage.settle().await;
    assert_eq!(notes.lock().iter().filter(|note| *note == "ann left r").count(), 1);
}

#[tokio::test]
async fn nothing_works_on_an_ended_connection() {
    let stage = quiet();
    let client = stage.client(None, &format()).await;
    let id = client.connection.id();
    stage.hub.disconnect(&client.connection, CloseReason::ClientLeft);
    assert_eq!(stage.hub.join(PLUGIN, id, "r", Bytes::new(), None).unwrap_err().code, Code::Gone);
    assert_eq!(
        stage.hub.emit(PLUGIN, id, Message::new("x", "[]"), Class::Reliable).unwrap_err().code,
        Code::Gone
    );
    assert_eq!(stage.hub.count(PLUGIN, "r"), 0);
}

#[tokio::test]
async fn broadcast_is_encoded_once_per_format() {
    let stage = quiet();
    let (one, two) = (Arc::new(PlainFormat::default()), Arc::new(PlainFormat::default()));
    let formats: [Arc<dyn Format>; 2] = [one.clone(), two.clone()];
    let mut clients = Vec::new();
    for n in 0..20 {
        let client = stage.client(None, &formats[n % 2]).await;
        stage.hub.join(PLUGIN, client.connection.id(), "r", Bytes::new(), None).unwrap();
        clients.push(client);
    }
    let first = clients[0].connection.id();
    let sent = stage
        .hub
        .broadcast(PLUGIN, "r", Message::new("x", "[1]"), (Class::Reliable, Reach::Everywhere), Some(first))
        .unwrap();
    assert_eq!(sent, 19);
    assert_eq!((one.0.load(Ordering::Relaxed), two.0.load(Ordering::Relaxed)), (1, 1));
    assert_eq!(clients[0].seen(), ["CONNECT"]);
    assert_eq!(clients[1].seen(), ["CONNECT", "x [1]"]);
}

#[tokio::test]
async fn slow_link_is_closed_and_others_go_on() {
    let stage = Stage::new(
        vec![plugin("p", NONE, &[]).into()],
        Limits { outbound_buffer: 200, ..Limits::default() },
        |_, _, _| Box::pin(async { Ok(Reply::Empty) }),
    );
    let (slow, quick) = (stage.client(None, &format()).await, stage.client(None, &format()).await);
    for client in [&slow, &quick] {
        stage.hub.join(PLUGIN, client.connection.id(), "r", Bytes::new(), None).unwrap();
    }
    for _ in 0..10 {
        let message = Message::new("x", format!("[\"{}\"]", "y".repeat(50)));
        stage.hub.broadcast(PLUGIN, "r", message, (Class::Reliable, Reach::Everywhere), None).unwrap();
        quick.seen();
    }
    assert_eq!(slow.outbox.closed(), Some(CloseReason::SlowConsumer));
    assert_eq!(quick.outbox.closed(), None);
}

#[tokio::test]
async fn expired_identity_ends_the_connection() {
    let (stage, notes) = noting(vec![plugin("p", AuthMode::Required, &[]).into()]);
    let client = stage.client(Some("ann@5"), &format()).await;
    stage.advance(Duration::from_millis(4900)).await;
    assert!(!client.connection.is_closed());
    for _ in 0..4 {
        stage.advance(Duration::from_millis(250)).await;
    }
    assert!(client.connection.is_closed());
    assert_eq!(client.seen().last().unwrap(), "GOODBYE");
    assert_eq!(notes.lock().last().unwrap(), "disconnect auth_expired");
}

#[tokio::test]
async fn client_answers_a_request() {
    let stage = quiet();
    let client = stage.client(None, &format()).await;
    let ask = || stage.hub.request(PLUGIN, client.connection.id(), Message::new("q", "[]"), None);
    let answer = tokio::spawn(ask());
    stage.settle().await;
    assert_eq!(client.seen().last().unwrap(), "#0 q []");
    stage.hub.acked(&client.connection, 0, Bytes::from_static(b"[42]"), Vec::new());
    assert_eq!(answer.await.unwrap().unwrap().0, "[42]");

    let late = tokio::spawn(ask());
    stage.advance(Duration::from_secs(11)).await;
    assert_eq!(late.await.unwrap().unwrap_err().code, Code::Timeout);

    let lost = tokio::spawn(ask());
    stage.settle().await;
    stage.hub.disconnect(&client.connection, CloseReason::TransportLost);
    assert_eq!(lost.await.unwrap().unwrap_err().code, Code::Gone);
}

#[tokio::test]
async fn plugins_keep_to_their_namespaces() {
    let mut other = plugin("q", NONE, &[]);
    other.namespaces[0].path = "/other".into();
    let (stage, _) = noting(vec![plugin("p", NONE, &[]).into(), other.into()]);
    let client = stage.client(None, &format()).await;
    let refusal = stage.hub.kick(PluginId(1), client.connection.id()).unwrap_err();
    assert_eq!(refusal.code, Code::Forbidden);
    stage.hub.kick(PLUGIN, client.connection.id()).unwrap();
    assert_eq!(client.seen(), ["CONNECT", "GOODBYE"]);
}

#[tokio::test]
async fn state_is_sent_at_once_then_per_window() {
    let mut manifest = plugin("p", NONE, &[]);
    manifest.states = vec![State { name: "list".into(), window_ms: 100 }];
    let (stage, notes) = noting(vec![manifest.into()]);
    for _ in 0..50 {
        stage.hub.refresh(PLUGIN, 0, "r").unwrap();
    }
    stage.settle().await;
    assert_eq!(notes.lock().len(), 1, "the leading edge");
    stage.advance(Duration::from_millis(100)).await;
    assert_eq!(notes.lock().len(), 2, "one for all the others");
    stage.advance(Duration::from_millis(100)).await;
    stage.advance(Duration::from_millis(100)).await;
    assert_eq!(notes.lock().len(), 2);
    assert_eq!(stage.hub.refresh(PLUGIN, 1, "r").unwrap_err().code, Code::Invalid);
}

#[tokio::test]
async fn injected_events_keep_their_order() {
    let mut manifest = plugin("p", NONE, &[]);
    manifest.injects = vec![Inject { event: "n".into(), ..Inject::default() }];
    let (stage, notes) = noting(vec![manifest.into()]);
    stage.settle().await;
    for n in 0..100 {
        stage.bus.inject("r", "n", &n.to_string());
    }
    stage.settle().await;
    assert_eq!(*notes.lock(), (0..100).map(|n| format!("r {n}")).collect::<Vec<_>>());
    assert_eq!(stage.bus.published.lock().len(), 100, "one answer each");
}

#[tokio::test]
async fn refused_injection_becomes_a_dead_letter() {
    let mut manifest = plugin("p", NONE, &[]);
    manifest.injects = vec![Inject { event: "n".into(), ..Inject::default() }];
    let stage = Stage::new(vec![manifest.into()], Limits::default(), |_, _, _| {
        Box::pin(async { Err(Refusal::new(Code::Invalid, "no\r\nway")) })
    });
    stage.settle().await;
    stage.bus.inject("r", "n", "{}");
    stage.bus.inject("r", "unknown", "{}");
    stage.settle().await;
    let published = stage.bus.published.lock();
    let letters: Vec<_> =
        published.iter().filter(|(topic, ..)| *topic == Topic::DeadLetter { plugin: "p".into() }).collect();
    assert_eq!(letters.len(), 2);
    let reasons: Vec<&str> = letters.iter().map(|(_, headers, _)| &*headers[0].1).collect();
    assert!(
        reasons.contains(&"no??way") && reasons.contains(&"the plugin takes no event `unknown`"),
        "{reasons:?}"
    );
    assert!(published.iter().any(|(_, _, body)| body.starts_with(br#"{"error":{"code":"INVALID""#)));
}

#[tokio::test]
async fn unknown_event_gets_a_clear_answer() {
    let stage = quiet();
    let client = stage.client(None, &format()).await;
    stage.hub.receive(&client.connection, event("nobody", "[]", Some(7)));
    stage.settle().await;
    assert!(client.seen()[1].starts_with(r#"ack7 [{"error":{"code":"NOT_FOUND""#));
}

#[tokio::test]
async fn abandoned_knock_leaves_nothing() {
    let stage = Stage::new(vec![plugin("p", NONE, &[]).into()], Limits::default(), |_, _, call| {
        Box::pin(async move {
            if matches!(call, Call::Connect { .. }) {
                std::future::pending::<()>().await;
            }
            Ok(Reply::Empty)
        })
    });
    let outbox = Arc::new(Outbox::new(1000));
    let knock = stage.knock(None, &format(), &outbox);
    let connect = stage.hub.connect(knock);
    assert!(tokio::time::timeout(Duration::from_millis(20), connect).await.is_err());
    assert_eq!(stage.hub.connection_count(), 0);
}

#[tokio::test]
async fn lease_ends_with_time() {
    let (stage, notes) = noting(vec![plugin("p", NONE, &[]).into()]);
    let minute = Duration::from_secs(60);
    stage.hub.join_user(PLUGIN, "r", "ann", Bytes::new(), minute, None).unwrap();
    stage.advance(minute / 2).await;
    stage.hub.join_user(PLUGIN, "r", "ann", Bytes::new(), minute, None).unwrap();
    stage.advance(minute / 2).await;
    assert_eq!(stage.hub.count(PLUGIN, "r"), 1, "renewed");
    stage.advance(minute / 2).await;
    stage.advance(Duration::from_millis(250)).await;
    assert_eq!(*notes.lock(), ["ann left r"]);
    assert_eq!(stage.clock.elapsed(), minute * 3 / 2 + Duration::from_millis(250));
}

#[tokio::test]
async fn draining_hub_refuses_newcomers() {
    let stage = quiet();
    stage.hub.stop();
    let outbox = Arc::new(Outbox::new(1000));
    let refusal = stage.hub.connect(stage.knock(None, &format(), &outbox)).await.unwrap_err();
    assert_eq!(refusal.code, Code::ShuttingDown);
    assert!(outbox.push(&text("x"), Class::Reliable) == exedra_hub::outbox::Pushed::Queued);
}

#[tokio::test]
async fn goodbye_waits_for_connect() {
    let stage = Stage::new(vec![plugin("p", NONE, &[]).into()], Limits::default(), |hub, plugin, call| {
        Box::pin(async move {
            if let Call::Connect { conn } = call {
                hub.emit(plugin, conn.id, Message::new("no", "[]"), Class::Reliable)?;
                hub.kick(plugin, conn.id)?;
            }
            Ok(Reply::Empty)
        })
    });
    let client = stage.client(None, &format()).await;
    assert_eq!(client.seen()[..2], ["CONNECT", "no []"]);
    assert!(client.connection.is_closed());
    assert_eq!(stage.hub.connection_count(), 0);
}

#[tokio::test]
async fn plugin_names_its_members() {
    let (stage, notes) = noting(vec![plugin("p", NONE, &[]).into()]);
    let (one, two) = (stage.client(None, &format()).await, stage.client(None, &format()).await);
    let join = |client: &Client, user: &str| {
        stage.hub.join_as(PLUGIN, client.connection.id(), "r", user, Bytes::new(), Some(1))
    };
    stage.hub.join_user(PLUGIN, "r", "ann", Bytes::new(), Duration::from_secs(60), Some(1)).unwrap();
    assert!(!join(&one, "ann").unwrap().first, "the lease held the place");
    assert!(join(&two, "ann").is_ok(), "one member, two connections");
    assert_eq!(join(&one, "bob").unwrap_err().code, Code::Conflict);
    stage.hub.disconnect(&one.connection, CloseReason::TransportLost);
    assert_eq!(stage.hub.count(PLUGIN, "r"), 1);
    stage.hub.disconnect(&two.connection, CloseReason::TransportLost);
    stage.settle().await;
    assert_eq!(stage.hub.count(PLUGIN, "r"), 0, "the lease had ended");
    assert_eq!(notes.lock().iter().filter(|note| *note == "ann left r").count(), 1);
}
