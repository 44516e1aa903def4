//! Servers and buckets that are not what was asked for: said, and refused where something could be lost.

use exedra_hub::port::{Store, StoreError};
use exedra_store::{Durability, JetStreamConfig, MAX_VALUE, durability};
use serde_json::json;

use crate::nats::{Disk, Server, is_unavailable, reach, well};

/// A request to JetStream by hand.
async fn ask(server: &Server, verb: &str, body: serde_json::Value) -> serde_json::Value {
    let line = server.line().await;
    let subject = format!("$JS.API.STREAM.{verb}.KV_exedra_store");
    let answer = line.client.request(subject, body.to_string().into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_jetstream_is_refused() {
    let server = exedra_bus::testing::NatsServer::start().await;
    let config =
        JetStreamConfig { prefix: "exedra".to_owned(), replicas: 1, durable: false, monitors: Vec::new() };
    let store = crate::nats::start_store(&server.url(), config, exedra_hub::metrics::Metrics::new()).await;
    reach(&*store, |why| why.contains("JetStream")).await;
    assert!(is_unavailable(&store.put("b", "k", "x".into()).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn lax_server_is_not_ready() {
    let server = Server::start(Disk::Late).await;
    let strict = server.start_store(server.config()).await;
    reach(&*strict, |why| why.contains("sync_interval: always") && why.contains("store.durability")).await;
    let content = server.start_store(JetStreamConfig { durable: false, ..server.config() }).await;
    well(&*content).await;
    assert_eq!(content.notes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_durability_is_noted() {
    let server = Server::start(Disk::Always).await;
    let blind = server.start_store(JetStreamConfig { monitors: Vec::new(), ..server.config() }).await;
    well(&*blind).await;
    assert!(blind.notes()[0].contains("nats.monitor"), "{:?}", blind.notes());
    let other = Server::start(Disk::Always).await;
    let misled =
        server.start_store(JetStreamConfig { monitors: vec![other.monitor()], ..server.config() }).await;
    well(&*misled).await;
    assert!(misled.notes()[0].contains("leaves out"), "{:?}", misled.notes());
    let store = server.open().await;
    assert_eq!(store.notes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn monitor_tells_of_the_disk() {
    let always = Server::start(Disk::Always).await;
    let late = Server::start(Disk::Late).await;
    assert_eq!(durability(&[always.monitor()], None).await, Durability::Always);
    let both = durability(&[always.monitor(), late.monitor()], None).await;
    assert!(matches!(&both, Durability::Lax(why) if why.contains(&late.monitor())), "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn durability_is_asked_again_after_a_restart() {
    let mut server = Server::start(Disk::Always).await;
    let store = server.open().await;
    let file = server.nats.folder().join("nats.conf");
    let lax = std::fs::read_to_string(&file).unwrap().replace("sync_interval: always", "");
    std::fs::write(&file, lax).unwrap();
    server.nats.restart().await;
    reach(&*store, |why| why.contains("sync_interval: always")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_payload_is_noted() {
    let server = Server::start_with(Disk::Always, "").await;
    let store = server.open().await;
    assert!(store.notes()[0].contains("max_payload"), "{:?}", store.notes());
    let large = vec![7; MAX_VALUE];
    assert_eq!(store.put("b", "k", large.into()).await, Err(StoreError::TooLarge("the value")));
    let fitting = vec![7; MAX_VALUE - 512];
    store.put("b", &"*".repeat(512), fitting.into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_has_one_copy() {
    let server = Server::start(Disk::Always).await;
    let wanting = JetStreamConfig { replicas: 3, ..server.config() };
    let store = server.start_store(wanting.clone()).await;
    reach(&*store, |why| why.contains("cannot be made") && why.contains("replicas")).await;
    assert!(is_unavailable(&store.get("b", "k").await));
    server.open().await;
    reach(&*store, |why| why.contains("1 of 3 copies")).await;
    store.put("b", "k", "x".into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn vanished_bucket_is_not_replaced_silently() {
    let server = Server::start(Disk::Always).await;
    let store = server.open().await;
    store.put("b", "k", "x".into()).await.unwrap();
    ask(&server, "DELETE", json!({})).await;
    assert!(is_unavailable(&store.put("b", "k", "y".into()).await));
    reach(&*store, |why| why.contains("is gone")).await;
    let restarted = server.open().await;
    reach(&*store, |why| why.contains("has been replaced")).await;
    assert!(is_unavailable(&store.put("b", "k", "y".into()).await));
    restarted.put("b", "k", "z".into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_bucket_is_refused() {
    let server = Server::start(Disk::Always).await;
    let losing = json!({
        "name": "KV_exedra_store", "subjects": ["$KV.exedra_store.>"], "storage": "memory", "num_replicas": 1,
        "retention": "limits", "discard": "new", "max_msgs_per_subject": 1,
    });
    let made = ask(&server, "CREATE", losing).await;
    assert!(made.get("error").is_none(), "{made}");
    let store = server.start_store(server.config()).await;
    reach(&*store, |why| why.contains("kept in memory")).await;
    assert!(is_unavailable(&store.put("b", "k", "x".into()).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_is_said() {
    let limits = "max_payload: 2MB\n";
    let server = Server::start_with(Disk::Always, limits).await;
    let store = server.open().await;
    let config = ask(&server, "INFO", json!({})).await["config"].clone();
    let mut bounded = config;
    bounded["max_bytes"] = json!(64 * 1024);
    let updated = ask(&server, "UPDATE", bounded).await;
    assert!(updated.get("error").is_none(), "{updated}");
    let mut written = 0;
    let refused = loop {
        match store.put("b", &format!("{written}"), vec![7; 8 * 1024].into()).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100);
    };
    assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("maximum bytes")), "{refused}");
    assert_eq!(store.list("b", "", None, 100).await.unwrap().len(), written);
    store.delete("b", "0", None).await.unwrap_or_else(|error| println!("deleting needs room: {error}"));
}
