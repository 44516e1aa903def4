//! Time: timers, sleeps, timeouts, tasks.

use std::time::Duration;

use exedra_sdk::testing::TestHub;
use serde_json::{Value, json};

use crate::{hub, sample};

#[tokio::test]
async fn timers_follow_the_settings() {
    let hub = TestHub::with(sample::entry(), json!({"tick": "2s"}));
    assert_eq!(hub.manifest().timers[0].every_ms, 2_000);
    let ann = hub.connect("ann").await;
    ann.call::<u64>("frames", json!(null)).await.unwrap();
    hub.advance(Duration::from_millis(1_999)).await;
    ann.nothing_for("tick").await;
    hub.advance(Duration::from_millis(4_001)).await;
    for tick in 1..=3 {
        assert_eq!(ann.next::<u64>("tick").await, tick);
    }
    assert_eq!(hub.metric("level"), Some(3.0));
    assert_eq!(hub.metric("took_seconds_count"), Some(3.0));
}

#[tokio::test]
async fn zero_timers_are_refused() {
    let error = TestHub::builder(sample::entry(), json!({"tick": "0s"})).start().err().unwrap();
    assert!(error.contains("above zero"), "{error}");
}

#[tokio::test]
async fn timeout_drops_what_it_waits_for() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    let (answer, ()) =
        tokio::join!(ann.call::<String>("race", json!(null)), hub.advance(Duration::from_secs(5)));
    assert_eq!(answer.unwrap(), "TIMEOUT");
}

#[tokio::test]
async fn tasks_outlive_their_handler() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    ann.call::<Value>("spawn", json!(null)).await.unwrap();
    ann.nothing_for("spawned").await;
    hub.advance(Duration::from_millis(10)).await;
    ann.next_args("spawned").await;
}

#[tokio::test]
async fn events_of_one_connection_wait() {
    let hub = hub();
    let (ann, bob) = (hub.connect("ann").await, hub.connect("bob").await);
    ann.emit("race", json!(null));
    ann.emit("say", json!({"text": "second"}));
    bob.call::<u64>("frames", json!(null)).await.unwrap();
    bob.nothing_for("said").await;
    hub.advance(Duration::from_secs(1)).await;
    assert_eq!(bob.next::<Value>("said").await["text"], "second");
}

#[tokio::test]
async fn manifest_tells_everything() {
    let hub = hub();
    let manifest = hub.manifest();
    assert_eq!(manifest.version, env!("CARGO_PKG_VERSION"));
    let paths: Vec<_> = manifest.namespaces.iter().map(|namespace| &*namespace.path).collect();
    assert_eq!(paths, ["/", "/room/{roomId}"]);
    let say = &manifest.events[0];
    assert_eq!(
        (&*say.name, &*say.description, say.timeout_ms),
        ("say", "Says something to everybody.", Some(5_000))
    );
    assert_eq!(say.schema.as_ref().unwrap()["required"], json!(["text"]));
    assert!(say.ack.is_some());
    assert_eq!(manifest.routes[0].body_limit, 64);
    assert_eq!(manifest.routes[1].body_limit, 256 * 1024);
    assert_eq!(manifest.metrics[0].values, ["loud", "quiet"]);
    assert!(manifest.settings.as_ref().unwrap()["properties"]["tick"].is_object());
    assert!(manifest.on_connect && manifest.on_disconnect && manifest.on_leave);
}

#[tokio::test]
async fn manifest_tells_what_goes_out() {
    let hub = hub();
    let manifest = hub.manifest();
    let emit = |name: &str| manifest.emits.iter().find(|emit| emit.name == name).unwrap();
    assert_eq!(emit("said").description, "Somebody has said something.");
    assert_eq!(emit("said").schema.as_ref().unwrap()["title"], "Say");
    let frame = emit("frame").args.as_ref().unwrap();
    assert_eq!((frame.len(), &frame[1]["format"]), (2, &json!("binary")));
    assert_eq!((emit("spawned").args.as_deref(), &emit("spawned").schema), (Some(&[][..]), &None));
    assert_eq!(emit("your-name").answer.as_ref().unwrap()["type"], "string");
    assert_eq!((&emit("anything").args, &emit("anything").schema), (&None, &None));
    let outs: Vec<_> = manifest.outs.iter().map(|out| &*out.event).collect();
    assert_eq!(outs, ["left", "bye", "*"]);
    let ask = &manifest.asks[0];
    assert_eq!((&*ask.service, &*ask.method, ask.answer.is_some()), ("directory", "word", true));
}

#[tokio::test]
async fn manifest_tells_what_comes_back() {
    let hub = hub();
    let manifest = hub.manifest();
    let event = |name: &str| manifest.events.iter().find(|event| event.name == name).unwrap();
    assert_eq!(event("say").refusal.as_ref().unwrap()["type"], "string");
    assert_eq!(event("kick").args.as_deref(), Some(&[][..]), "it takes none");
    assert_eq!((event("two").args.as_ref().unwrap().len(), &event("two").ack), (2, &Some(json!(true))));
    let route = |method: &str, path: &str| {
        manifest.routes.iter().find(|route| route.method == method && route.path == path).unwrap()
    };
    assert_eq!(route("POST", "/things/{id}").statuses, [201]);
    assert_eq!(route("DELETE", "/things/{id}").statuses, [204]);
    assert!(route("GET", "/things").query.as_ref().unwrap()["properties"]["limit"].is_object());
    let read = route("GET", "/things/{id}");
    assert_eq!((read.errors[1].status, read.errors[1].code.as_deref()), (410, Some("THING_ENDED")));
    assert_eq!((read.headers[0].required, read.headers[1].required), (false, true));
    assert!(read.headers[1].schema.is_some() && read.response.is_some());
    let picture = route("GET", "/picture");
    assert_eq!((picture.statuses.as_slice(), picture.deprecated), (&[203, 200][..], true));
    assert_eq!(picture.response_type.as_deref(), Some("image/png"));
    let raw = &manifest.injects[1];
    assert_eq!((raw.body_type.as_deref(), raw.headers.len()), (Some("text/plain"), 1));
    assert!(manifest.rpcs[0].answer.is_some());
}

#[tokio::test]
async fn undeclared_events_are_refused_in_tests() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    let refused = ann.call::<Value>("undeclared", json!(null)).await.unwrap_err();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("no such event") && message.contains("`emits`"), "{message}");
}
