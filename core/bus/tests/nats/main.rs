//! What only NATS has: servers that come and go, other clients on the same subjects, services that are listed.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod intake;
mod raw;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use exedra_bus::{NatsBus, NatsConfig, conformance::HOSTILE_NAMES, connect, testing::NatsServer};
use exedra_hub::{
    metrics::Metrics,
    port::{Bus, BusError, BusMessage, BusState, Interest, Messages, Topic},
};
use futures_util::StreamExt;
use raw::Raw;
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(10);
/// How long nothing must come before it counts as nothing.
const QUIET: Duration = Duration::from_millis(200);

fn config(server: &NatsServer) -> NatsConfig {
    NatsConfig { url: Some(server.url()), ..NatsConfig::default() }
}

async fn reach(bus: &NatsBus, state: BusState) {
    let reached = async {
        while bus.state() != state {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, reached).await.unwrap_or_else(|_| panic!("the bus is never {state:?}"));
}

async fn connected(server: &NatsServer) -> Arc<NatsBus> {
    let bus = connect(&config(server), "node", Metrics::new()).await.unwrap();
    reach(&bus, BusState::Up).await;
    bus
}

fn of_in(plugin: &str) -> Interest {
    Interest::In { plugin: plugin.to_owned() }
}

fn to_in(room: &str, event: &str) -> Topic {
    Topic::In { plugin: "p".to_owned(), room: room.to_owned(), event: event.to_owned() }
}

async fn next(messages: &mut Messages) -> BusMessage {
    timeout(SOON, messages.next()).await.expect("a message in time").expect("a message")
}

fn metric(metrics: &Metrics, line: &str) -> bool {
    metrics.render().lines().any(|is| is == line)
}

async fn shows(metrics: &Metrics, line: &str) {
    let shown = async {
        while !metric(metrics, line) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, shown).await.unwrap_or_else(|_| panic!("no {line}"));
}

#[tokio::test]
async fn nodes_hear_each_other() {
    let server = NatsServer::start().await;
    let (one, other) = (connected(&server).await, connected(&server).await);
    let mut messages = one.subscribe(&of_in("p"), None).await.unwrap();
    other.publish(&to_in("room", "event"), &[], "hello".into()).unwrap();
    assert_eq!(next(&mut messages).await.payload, "hello");
}

#[tokio::test]
async fn only_encoded_subjects_leave() {
    let server = NatsServer::start().await;
    let mut spy = Raw::connect(&server.address()).await;
    spy.subscribe(">").await;
    let bus = connected(&server).await;
    let mut subjects = Vec::new();
    for name in HOSTILE_NAMES {
        bus.publish(&to_in(name, name), &[], Bytes::new()).unwrap();
        let subject = spy.next().await.subject;
        let mut tokens = subject.split('.');
        assert_eq!((tokens.next(), tokens.next(), tokens.next()), (Some("exedra"), Some("in"), Some("p")));
        let names: Vec<&str> = tokens.collect();
        assert_eq!((names.len(), names[0]), (2, names[1]), "{subject}");
        assert!(names[0].bytes().all(|b| b.is_ascii_alphanumeric() || b"=-_".contains(&b)), "{subject}");
        subjects.push(subject);
    }
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), HOSTILE_NAMES.len(), "no two names share a subject");
}

#[tokio::test]
async fn unreadable_subjects_are_passed_over() {
    let server = NatsServer::start().await;
    let metrics = Metrics::new();
    let bus = connect(&config(&server), "node", metrics.clone()).await.unwrap();
    reach(&bus, BusState::Up).await;
    let mut messages = bus.subscribe(&of_in("p"), None).await.unwrap();
    let mut client = Raw::connect(&server.address()).await;
    for subject in ["exedra.in.p.=2e.e", "exedra.in.p.a%20.e", "exedra.in.p.=41.e", "exedra.in.p.caf\u{e9}.e"]
    {
        client.publish(subject, "bad").await;
    }
    client.publish("exedra.in.p.a=20b.e", "good").await;
    let message = next(&mut messages).await;
    assert_eq!((message.topic, message.payload), (to_in("a b", "e"), "good".into()));
    shows(&metrics, r#"exedra_events_dropped_total{plugin="p",reason="refused"} 4"#).await;
}

#[tokio::test]
async fn outside_requests_get_answers() {
    let server = NatsServer::start().await;
    let bus = connected(&server).await;
    let mut messages = bus.subscribe(&of_in("p"), Some("hub")).await.unwrap();
    let mut client = Raw::connect(&server.address()).await;
    client.subscribe("my.answers").await;
    client.ask("exedra.in.p.room.event", "my.answers", "{}").await;
    let asked = next(&mut messages).await;
    bus.publish(&asked.reply.unwrap(), &[], r#"{"ok":true}"#.into()).unwrap();
    assert_eq!(client.next().await.body, r#"{"ok":true}"#);
}

#[tokio::test]
async fn answers_never_act_for_the_asker() {
    let server = NatsServer::start().await;
    let bus = connected(&server).await;
    let mut messages = bus.subscribe(&of_in("p"), None).await.unwrap();
    let mut client = Raw::connect(&server.address()).await;
    for reply in ["exedra.in.p.room.vote", "$JS.API.STREAM.DELETE.X"] {
        client.ask("exedra.in.p.room.event", reply, "{}").await;
        assert_eq!(next(&mut messages).await.reply, None, "{reply}");
    }
}

#[tokio::test]
async fn prefixes_keep_hubs_apart() {
    let server = NatsServer::start().await;
    let with_prefix = |prefix: &str| NatsConfig { prefix: prefix.to_owned(), ..config(&server) };
    let one = connect(&with_prefix("acme.exedra"), "a", Metrics::new()).await.unwrap();
    let other = connect(&with_prefix("exedra"), "b", Metrics::new()).await.unwrap();
    reach(&one, BusState::Up).await;
    reach(&other, BusState::Up).await;
    let mut messages = one.subscribe(&of_in("p"), None).await.unwrap();
    other.publish(&to_in("room", "theirs"), &[], Bytes::new()).unwrap();
    one.publish(&to_in("room", "ours"), &[], Bytes::new()).unwrap();
    assert_eq!(next(&mut messages).await.topic, to_in("room", "ours"));
}

#[tokio::test]
async fn starts_before_its_server() {
    let mut server = NatsServer::start().await;
    server.kill().await;
    let metrics = Metrics::new();
    let bus = connect(&config(&server), "node", metrics.clone()).await.unwrap();
    assert_eq!(bus.state(), BusState::Down);
    let mut messages = timeout(SOON, bus.subscribe(&of_in("p"), None)).await.expect("at once").unwrap();
    bus.announce("p", "1.0.0", "A plugin.", &["get".to_owned()]).await;
    bus.publish(&to_in("room", "early"), &[], Bytes::new()).unwrap();
    let asked = bus.request(&to_in("room", "event"), Bytes::new(), SOON);
    assert!(matches!(timeout(SOON / 2, asked).await.expect("at once"), Err(BusError::Unavailable(_))));
    assert!(metric(&metrics, "exedra_bus_up 0"));

    server.restart().await;
    assert_eq!(next(&mut messages).await.topic, to_in("room", "early"));
    assert_eq!(bus.state(), BusState::Up);
    assert!(metric(&metrics, "exedra_bus_up 1"));
    assert!(metric(&metrics, "exedra_bus_reconnects_total 0"));
}

#[tokio::test]
async fn full_queue_is_said_at_once() {
    let mut server = NatsServer::start().await;
    server.kill().await;
    let bus = connect(&config(&server), "node", Metrics::new()).await.unwrap();
    let mut taken = 0;
    let refused = loop {
        match bus.publish(&to_in("room", "event"), &[], Bytes::new()) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 10_000);
    };
    assert!(matches!(refused, BusError::Unavailable(_)));
    assert!(taken >= 8192);

    let heavy: Bytes = vec![0; 1024 * 1024].into();
    let bus = connect(&config(&server), "node", Metrics::new()).await.unwrap();
    let fitting =
        (0..100).take_while(|_| bus.publish(&to_in("room", "event"), &[], heavy.clone()).is_ok()).count();
    assert_eq!(fitting, 63);
}

#[tokio::test]
async fn flows_again_after_a_restart() {
    let mut server = NatsServer::start().await;
    let metrics = Metrics::new();
    let bus = connect(&config(&server), "node", metrics.clone()).await.unwrap();
    reach(&bus, BusState::Up).await;
    let mut messages = bus.subscribe(&of_in("p"), Some("hub")).await.unwrap();

    for turn in 1..=2 {
        server.kill().await;
        reach(&bus, BusState::Down).await;
        shows(&metrics, "exedra_bus_up 0").await;
        sleep(Duration::from_secs(1)).await;
        server.restart().await;
        let back = Instant::now();

        // Another client's event: what the hub itself had queued would prove less.
        let mut client = Raw::connect(&server.address()).await;
        let heard = async {
            loop {
                client.publish("exedra.in.p.room.event", "{}").await;
                if let Ok(Some(message)) = timeout(Duration::from_millis(50), messages.next()).await {
                    break message;
                }
            }
        };
        let message = timeout(Duration::from_secs(5), heard).await.expect("events flow again within 5 s");
        assert_eq!(message.topic, to_in("room", "event"));
        assert!(back.elapsed() < Duration::from_secs(5));
        assert_eq!(bus.state(), BusState::Up);
        shows(&metrics, &format!("exedra_bus_reconnects_total {turn}")).await;
        while timeout(Duration::from_millis(100), messages.next()).await.is_ok() {}
    }
}

#[tokio::test]
async fn services_are_listed() {
    let server = NatsServer::start().await;
    let bus = connected(&server).await;
    let interest = Interest::Rpc { service: "p".to_owned() };
    let mut asked = bus.subscribe(&interest, Some("hub")).await.unwrap();
    bus.announce("p", "1.2.3", "A plugin.", &["get".to_owned(), "list".to_owned()]).await;
    bus.request(
        &Topic::Rpc { service: "p".to_owned(), method: "get".to_owned() },
        Bytes::new(),
        Duration::from_millis(50),
    )
    .await
    .unwrap_err();
    assert!(next(&mut asked).await.reply.is_some());
    assert!(timeout(Duration::from_millis(100), asked.next()).await.is_err(), "a request comes once");

    let mut client = Raw::connect(&server.address()).await;
    client.subscribe("inbox").await;
    for subject in ["$SRV.PING", "$SRV.INFO.exedra-p", "$SRV.STATS.exedra-p"] {
        client.ask(subject, "inbox", "").await;
        let answer: serde_json::Value = serde_json::from_str(&client.next().await.body).unwrap();
        assert_eq!((&answer["name"], &answer["version"]), (&"exedra-p".into(), &"1.2.3".into()));
        if subject.contains("STATS") {
            assert_eq!(answer["endpoints"][0]["num_requests"], 1);
            assert_eq!(answer["endpoints"][1]["subject"], "exedra.rpc.p.list");
            assert_eq!(answer["endpoints"][1]["queue_group"], "hub");
        }
    }
}

#[tokio::test]
async fn draining_sends_what_waits() {
    let server = NatsServer::start().await;
    let mut client = Raw::connect(&server.address()).await;
    client.subscribe("exedra.out.>").await;
    let bus = connected(&server).await;
    let topic = Topic::Out { plugin: "p".to_owned(), room: "r".to_owned(), event: "e".to_owned() };
    for number in 0..2000 {
        bus.publish(&topic, &[], format!("{number}").into()).unwrap();
    }
    timeout(SOON, bus.drain()).await.expect("an end");
    assert!(matches!(bus.publish(&topic, &[], Bytes::new()), Err(BusError::Unavailable(_))));
    assert_eq!(bus.state(), BusState::Down);
    for number in 0..2000 {
        assert_eq!(client.next().await.body, format!("{number}"));
    }
}

#[tokio::test]
async fn draining_without_a_server_ends() {
    let mut server = NatsServer::start().await;
    server.kill().await;
    let bus = connect(&config(&server), "node", Metrics::new()).await.unwrap();
    bus.publish(&to_in("room", "event"), &[], Bytes::new()).unwrap();
    timeout(SOON, bus.drain()).await.expect("an end");
}

#[tokio::test]
async fn tokens_come_from_files() {
    let server = NatsServer::start_with(&["--auth", "a token of the test"]).await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "wrong").unwrap();
    let with_token = NatsConfig { token_file: Some(token_file.clone()), ..config(&server) };
    let bus = connect(&with_token, "node", Metrics::new()).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(bus.state(), BusState::Down);
    std::fs::write(&token_file, "a token of the test\n").unwrap();
    reach(&bus, BusState::Up).await;
}

#[tokio::test]
async fn bad_settings_are_refused() {
    let refused = async |config: NatsConfig| match connect(&config, "node", Metrics::new()).await {
        Err(BusError::Unavailable(why)) => why,
        other => panic!("{:?}", other.map(drop)),
    };
    let url = |url: &str| NatsConfig { url: Some(url.to_owned()), ..NatsConfig::default() };
    let why = refused(url("nats://user:hunter2@127.0.0.1")).await;
    assert!(why.contains("nats.url") && !why.contains("hunter2"), "{why}");
    assert!(refused(NatsConfig::default()).await.contains("nats.url"));
    assert!(
        refused(NatsConfig { prefix: "a.>".to_owned(), ..url("nats://x") }).await.contains("nats.prefix")
    );
    let absent = NatsConfig { token_file: Some("/no/such/file".into()), ..url("nats://x") };
    assert!(refused(absent).await.contains("/no/such/file"));
    let absent = NatsConfig { credentials_file: Some("/no/such/file".into()), ..url("nats://x") };
    assert!(refused(absent).await.contains("nats.credentials_file"));
    refused(url("no url at all")).await;
}
