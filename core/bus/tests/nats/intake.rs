//! Injected events on a real JetStream: what is kept, who is given it, and who may settle it.

use std::sync::Arc;

use exedra_bus::{NatsBus, NatsIntake, testing::NatsServer};
use exedra_hub::port::{BusState, Deliveries, Delivery, Intake, Taking};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::{QUIET, SOON, connected, raw::Raw, reach, to_in};

fn text(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.message.payload).unwrap()
}

async fn next(events: &mut Deliveries) -> Delivery {
    timeout(SOON, events.next()).await.expect("an event in time").expect("an event")
}

async fn nothing(events: &mut Deliveries) {
    let came = timeout(QUIET, events.next()).await;
    assert!(came.is_err(), "{:?}", came.unwrap().map(|delivery| text(&delivery).to_owned()));
}

async fn ends(events: &mut Deliveries) {
    timeout(SOON, async { while events.next().await.is_some() {} }).await.expect("the taking ends");
}

async fn take(intake: &NatsIntake) -> Taking {
    let taken = async {
        loop {
            match intake.take("p").await {
                Ok(taking) => return taking,
                Err(_) => tokio::time::sleep(QUIET / 4).await,
            }
        }
    };
    timeout(SOON, taken).await.expect("events are taken")
}

/// A server, two nodes, and the streams made.
async fn stage() -> (NatsServer, [(Arc<NatsBus>, Arc<NatsIntake>); 2]) {
    let server = NatsServer::start_jetstream().await;
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let bus = connected(&server).await;
        let intake = bus.intake(1);
        nodes.push((bus, intake));
    }
    drop(take(&nodes[0].1).await);
    (server, nodes.try_into().unwrap_or_else(|_| panic!()))
}

fn say(bus: &NatsBus, payload: &str, name: Option<&str>) {
    let headers: Vec<_> = name.map(|name| ("Nats-Msg-Id".to_owned(), name.to_owned())).into_iter().collect();
    exedra_hub::port::Bus::publish(bus, &to_in("r", "e"), &headers, payload.to_owned().into()).unwrap();
}

#[tokio::test]
async fn event_is_kept_until_it_is_settled() {
    let (_server, [(bus, one), (_, other)]) = stage().await;
    for payload in ["a", "b", "c"] {
        say(&bus, payload, None);
    }
    let mut events = take(&one).await.events;
    let given = [next(&mut events).await, next(&mut events).await, next(&mut events).await];
    assert_eq!(given.each_ref().map(text), ["a", "b", "c"]);
    given[0].slip.settle();
    given[2].slip.settle();
    say(&bus, "d", None);
    assert_eq!(text(&next(&mut events).await), "d", "and what was settled has been");
    let mut taking = take(&other).await;
    let again = next(&mut taking.events).await;
    assert_eq!((text(&again), &again.identity), ("b", &given[1].identity));
    assert_eq!(text(&next(&mut taking.events).await), "d", "what is settled out of turn is not given again");
    assert_eq!(taking.newest, again.number + 2);
    assert!(again.taken_in > 1_700_000_000_000_000);
}

#[tokio::test]
async fn taking_over_ends_the_other() {
    let (_server, [(bus, one), (_, other)]) = stage().await;
    say(&bus, "a", None);
    let mut events = take(&one).await.events;
    let late = next(&mut events).await;
    let mut taken = take(&other).await.events;
    let given = next(&mut taken).await;
    ends(&mut events).await;
    late.slip.settle();
    bus.drain().await; // it has been said by now
    drop((taken, given));
    let mut taken = take(&other).await.events;
    assert_eq!(text(&next(&mut taken).await), "a", "whoever was before settles nothing");
}

#[tokio::test]
async fn same_name_is_kept_once() {
    let (_server, [(bus, one), _]) = stage().await;
    for name in ["x", "y", "x", "x"] {
        say(&bus, name, Some(name));
    }
    let mut events = take(&one).await.events;
    assert_eq!(text(&next(&mut events).await), "x");
    assert_eq!(text(&next(&mut events).await), "y");
    nothing(&mut events).await;
}

#[tokio::test]
async fn lost_server_loses_nothing() {
    let (mut server, [(bus, one), _]) = stage().await;
    for payload in ["a", "b"] {
        say(&bus, payload, None);
    }
    let mut events = take(&one).await.events;
    let first = next(&mut events).await;
    server.kill().await;
    ends(&mut events).await;
    first.slip.settle(); // to nobody
    server.restart().await;
    reach(&bus, BusState::Up).await;
    let mut events = take(&one).await.events;
    let again = next(&mut events).await;
    assert_eq!((text(&again), &again.identity), ("a", &first.identity));
    assert_eq!(text(&next(&mut events).await), "b");
}

#[tokio::test]
async fn unreadable_subject_holds_nobody_up() {
    let (server, [(bus, one), _]) = stage().await;
    let mut stranger = Raw::connect(&server.address()).await;
    stranger.subscribe("exedra.in.p.a=2.b").await;
    stranger.publish("exedra.in.p.a=2.b", "what").await;
    stranger.next().await; // the server has it
    say(&bus, "good", None);
    let mut events = take(&one).await.events;
    assert_eq!(text(&next(&mut events).await), "good");
}

#[tokio::test]
async fn request_gets_no_answer_of_the_stream() {
    let (server, [(_bus, one), _]) = stage().await;
    let mut service = Raw::connect(&server.address()).await;
    service.subscribe("answers").await;
    service.ask("exedra.in.p.r.e", "answers", "a").await;
    let mut events = take(&one).await.events;
    assert_eq!(text(&next(&mut events).await), "a");
    service.publish("answers", "the hub's").await;
    assert_eq!(service.next().await.body, "the hub's");
}

#[tokio::test]
async fn dead_letters_are_kept_once() {
    let (server, [(_bus, one), _]) = stage().await;
    let headers = [("Exedra-Reason", "why"), ("Nats-Expected-Last-Sequence", "77"), ("nats-msg-id", "x")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    for identity in ["1", "2", "1"] {
        one.bury("p", identity, &headers, "bad".into()).await.unwrap();
    }
    let mut operator = Raw::connect(&server.address()).await;
    operator.subscribe("answers").await;
    operator.ask("$JS.API.STREAM.INFO.exedra_dlq", "answers", "").await;
    let info: serde_json::Value = serde_json::from_str(&operator.next().await.body).unwrap();
    assert_eq!(info["state"]["messages"], 2);
    let large = one.bury("p", "3", &headers, vec![0; 1 << 20].into()).await;
    assert_eq!(large, Err(exedra_hub::port::BusError::TooLarge));
}
