//! What every bus must do, run on each of them. Each check uses a plugin name of its own, so one bus serves all.

#![expect(clippy::unwrap_used, reason = "a check that fails panics")]

pub mod cluster;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use exedra_hub::port::{Bus, BusError, BusMessage, BusState, Interest, Messages, Topic};
use futures_util::{StreamExt, stream::select_all};
use tokio::time::{sleep, timeout};

/// How long a message may take. Generous: machines that run tests are busy.
const SOON: Duration = Duration::from_secs(10);
/// How long nothing must come before it counts as nothing.
const QUIET: Duration = Duration::from_millis(200);

/// Names that would do harm if they got into a subject as they are.
pub const HOSTILE_NAMES: [&str; 18] = [
    "",
    ".",
    "..",
    "*",
    ">",
    "a.b",
    "a.>",
    "$JS.API.STREAM.DELETE.X",
    "_INBOX.>",
    " ",
    "\t",
    "x\r\nPUB y 0\r\n\r\n",
    "=",
    "=2E",
    "\u{0}",
    "caf\u{e9}",
    "\u{1f600}",
    "a/b?c=d&e%20",
];

/// Runs every check; panics at the first that fails.
pub async fn run_all(bus: Arc<dyn Bus>) {
    assert_eq!(bus.state(), BusState::Up);
    every_subscriber_hears(&*bus).await;
    kinds_and_plugins_do_not_mix(&*bus).await;
    hostile_names_come_through(&*bus).await;
    order_is_kept(&*bus).await;
    queue_groups_share(&*bus).await;
    headers_cannot_break_lines(&*bus).await;
    too_large_is_refused(&*bus).await;
    requests_are_answered(bus.clone()).await;
    requests_without_answer_time_out(&*bus).await;
    requests_to_nobody_fail_at_once(&*bus).await;
    dropped_subscriptions_end(&*bus).await;
    slow_subscribers_lose_the_newest(&*bus).await;
}

fn of_in(plugin: &str) -> Interest {
    Interest::In { plugin: plugin.to_owned() }
}

fn to_in(plugin: &str, room: &str, event: &str) -> Topic {
    Topic::In { plugin: plugin.to_owned(), room: room.to_owned(), event: event.to_owned() }
}

fn to_rpc(service: &str, method: &str) -> Topic {
    Topic::Rpc { service: service.to_owned(), method: method.to_owned() }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

async fn next(messages: &mut Messages) -> BusMessage {
    timeout(SOON, messages.next()).await.expect("a message in time").expect("a message")
}

async fn assert_quiet(messages: &mut Messages) {
    let came = timeout(QUIET, messages.next()).await;
    assert!(came.is_err(), "{came:?}");
}

/// Publishes, however often the queue is full.
async fn publish(bus: &dyn Bus, topic: &Topic, payload: Bytes) {
    while let Err(error) = bus.publish(topic, &[], payload.clone()) {
        assert!(matches!(error, BusError::Unavailable(_)), "{error}");
        sleep(Duration::from_millis(1)).await;
    }
}

async fn every_subscriber_hears(bus: &dyn Bus) {
    let mut one = bus.subscribe(&of_in("every"), None).await.unwrap();
    let mut other = bus.subscribe(&of_in("every"), None).await.unwrap();
    let topic = to_in("every", "room", "event");
    bus.publish(&topic, &[header("Exedra-Event-Id", "7")], "{}".into()).unwrap();
    let expected = BusMessage {
        topic,
        reply: None,
        headers: vec![header("Exedra-Event-Id", "7")],
        payload: "{}".into(),
    };
    assert_eq!(next(&mut one).await, expected);
    assert_eq!(next(&mut other).await, expected);
    assert_quiet(&mut one).await;
}

async fn kinds_and_plugins_do_not_mix(bus: &dyn Bus) {
    let plugin = || "kinds".to_owned();
    let interests = [
        of_in("kinds"),
        Interest::Out { plugin: plugin() },
        Interest::Rpc { service: plugin() },
        Interest::DeadLetter { plugin: plugin() },
        of_in("kinds2"),
    ];
    let topics = [
        to_in("kinds", "r", "e"),
        Topic::Out { plugin: plugin(), room: "r".to_owned(), event: "e".to_owned() },
        to_rpc("kinds", "m"),
        Topic::DeadLetter { plugin: plugin() },
        to_in("kinds2", "r", "e"),
    ];
    let mut subscriptions = Vec::new();
    for interest in &interests {
        subscriptions.push(bus.subscribe(interest, None).await.unwrap());
    }
    for topic in &topics {
        bus.publish(topic, &[], Bytes::new()).unwrap();
    }
    for (messages, topic) in subscriptions.iter_mut().zip(topics) {
        assert_eq!(next(messages).await.topic, topic);
        assert_quiet(messages).await;
    }
}

async fn hostile_names_come_through(bus: &dyn Bus) {
    let mut messages = bus.subscribe(&of_in("hostile"), None).await.unwrap();
    for name in HOSTILE_NAMES {
        for topic in [to_in("hostile", name, "event"), to_in("hostile", "room", name)] {
            bus.publish(&topic, &[], Bytes::new()).unwrap();
            assert_eq!(next(&mut messages).await.topic, topic);
        }
        let mut own = bus.subscribe(&of_in(&format!("hostile{name}")), None).await.unwrap();
        let topic = to_in(&format!("hostile{name}"), "room", "event");
        bus.publish(&topic, &[], Bytes::new()).unwrap();
        assert_eq!(next(&mut own).await.topic, topic);
        if name.is_empty() {
            assert_eq!(next(&mut messages).await.topic, topic);
        }
    }
    assert_quiet(&mut messages).await;
}

async fn order_is_kept(bus: &dyn Bus) {
    let mut messages = bus.subscribe(&of_in("order"), None).await.unwrap();
    for number in 0..1000_u32 {
        publish(bus, &to_in("order", "room", "event"), number.to_string().into()).await;
    }
    for number in 0..1000_u32 {
        assert_eq!(next(&mut messages).await.payload, number.to_string());
    }
}

async fn queue_groups_share(bus: &dyn Bus) {
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(bus.subscribe(&of_in("queue"), Some("worker group.*")).await.unwrap());
    }
    let mut group2 = bus.subscribe(&of_in("queue"), Some("other")).await.unwrap();
    let mut witness = bus.subscribe(&of_in("queue"), None).await.unwrap();
    for number in 0..90_u32 {
        bus.publish(&to_in("queue", "room", "event"), &[], number.to_string().into()).unwrap();
    }
    for number in 0..90_u32 {
        assert_eq!(next(&mut witness).await.payload, number.to_string());
        assert_eq!(next(&mut group2).await.payload, number.to_string());
    }
    let numbered =
        workers.into_iter().enumerate().map(|(worker, work)| work.map(move |message| (worker, message)));
    let mut work = select_all(numbered.map(Box::pin));
    let (mut worked, mut busy) = (Vec::new(), [0; 3]);
    while worked.len() < 90 {
        let (worker, message) = timeout(SOON, work.next()).await.expect("work in time").expect("work");
        worked.push(std::str::from_utf8(&message.payload).unwrap().parse::<u32>().unwrap());
        busy[worker] += 1;
    }
    assert!(timeout(QUIET, work.next()).await.is_err(), "and none of it twice");
    assert!(busy.iter().all(|work| *work > 0), "every worker gets some: {busy:?}");
    worked.sort_unstable();
    assert_eq!(worked, (0..90).collect::<Vec<_>>());
}

async fn headers_cannot_break_lines(bus: &dyn Bus) {
    let mut messages = bus.subscribe(&of_in("headers"), None).await.unwrap();
    let headers =
        [header("Reason", "a\r\nInjected: b"), header("a b", "x"), header("a:b", "x"), header("", "x")];
    bus.publish(&to_in("headers", "room", "event"), &headers, "body".into()).unwrap();
    let message = next(&mut messages).await;
    assert_eq!(message.headers, [header("Reason", "a  Injected: b")]);
    assert_eq!(message.payload, "body");
}

async fn too_large_is_refused(bus: &dyn Bus) {
    let mut messages = bus.subscribe(&of_in("large"), None).await.unwrap();
    let topic = to_in("large", "room", "event");
    let most = 1024 * 1024;
    assert_eq!(bus.publish(&topic, &[], vec![0; most + 1].into()), Err(BusError::TooLarge));
    assert_eq!(bus.publish(&topic, &[header("A", "b")], vec![0; most].into()), Err(BusError::TooLarge));
    assert_eq!(bus.request(&topic, vec![0; most + 1].into(), SOON).await, Err(BusError::TooLarge));
    let long = "x".repeat(1025);
    for topic in
        [to_in("large", &long, "event"), to_in("large", "room", &"\u{e9}".repeat(200)), to_rpc(&long, "m")]
    {
        assert_eq!(bus.publish(&topic, &[], Bytes::new()), Err(BusError::TooLarge));
    }
    assert!(bus.subscribe(&of_in(&long), None).await.is_err());
    bus.publish(&topic, &[], vec![7; most].into()).unwrap();
    assert_eq!(next(&mut messages).await.payload.len(), most, "and nothing that was refused came before");
}

async fn requests_are_answered(bus: Arc<dyn Bus>) {
    let interest = Interest::Rpc { service: "answers".to_owned() };
    let mut asked = bus.subscribe(&interest, Some("workers")).await.unwrap();
    let worker = bus.clone();
    let answering = tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            let answer = [b"re: ".as_slice(), &message.payload].concat();
            worker.publish(&message.reply.unwrap(), &[header("Kind", "answer")], answer.into()).unwrap();
        }
    });
    for number in 0..20 {
        let answer = bus.request(&to_rpc("answers", "get"), format!("{number}").into(), SOON).await.unwrap();
        assert_eq!(answer.payload, format!("re: {number}"));
        assert_eq!(answer.headers, [header("Kind", "answer")]);
        assert!(matches!(answer.topic, Topic::Reply(_)));
    }
    answering.abort();
}

async fn requests_without_answer_time_out(bus: &dyn Bus) {
    let interest = Interest::Rpc { service: "silent".to_owned() };
    let mut asked = bus.subscribe(&interest, None).await.unwrap();
    let outcome = bus.request(&to_rpc("silent", "get"), Bytes::new(), Duration::from_millis(100)).await;
    assert_eq!(outcome, Err(BusError::Timeout));
    let late = next(&mut asked).await;
    bus.publish(&late.reply.unwrap(), &[], "late".into()).unwrap();
    assert_quiet(&mut asked).await;
}

async fn requests_to_nobody_fail_at_once(bus: &dyn Bus) {
    let outcome = timeout(SOON / 2, bus.request(&to_rpc("nobody", "get"), Bytes::new(), SOON)).await;
    assert_eq!(outcome.expect("at once"), Err(BusError::NoResponders));
}

async fn dropped_subscriptions_end(bus: &dyn Bus) {
    let interest = Interest::Rpc { service: "dropped".to_owned() };
    drop(bus.subscribe(&interest, None).await.unwrap());
    let ended = async {
        let ask = || bus.request(&to_rpc("dropped", "get"), Bytes::new(), Duration::from_millis(50));
        while ask().await != Err(BusError::NoResponders) {}
    };
    timeout(SOON, ended).await.expect("the subscription ends");
}

async fn slow_subscribers_lose_the_newest(bus: &dyn Bus) {
    const SENT: usize = 6000;
    let mut slow = bus.subscribe(&of_in("slow"), None).await.unwrap();
    let mut fast = bus.subscribe(&of_in("slow"), None).await.unwrap();
    let topic = to_in("slow", "room", "event");
    for start in (0..SENT).step_by(500) {
        for number in start..start + 500 {
            publish(bus, &topic, number.to_string().into()).await;
        }
        for number in start..start + 500 {
            assert_eq!(next(&mut fast).await.payload, number.to_string(), "nobody else is held up");
        }
    }
    let mut heard = 0;
    while heard < crate::inbox::MAX_WAITING {
        assert_eq!(next(&mut slow).await.payload, heard.to_string(), "the oldest are kept");
        heard += 1;
    }
    while timeout(QUIET, slow.next()).await.is_ok() {
        heard += 1;
    }
    assert!((crate::inbox::MAX_WAITING..SENT).contains(&heard), "{heard}");
}
