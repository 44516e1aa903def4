//! A bucket with three copies on three servers.

use std::time::Duration;

use exedra_bus::testing::NatsServer;
use exedra_hub::{metrics::Metrics, port::Store};
use exedra_store::JetStreamConfig;
use futures_util::future::join_all;
use tokio::time::sleep;

use crate::nats::{free_port, reach, start_store, well};

/// Three servers that know each other.
async fn cluster() -> (Vec<NatsServer>, Vec<String>, String) {
    let (ports, monitors): (Vec<_>, Vec<_>) = (0..3).map(|_| (free_port(), free_port())).unzip();
    let routes: Vec<_> = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let servers = join_all((0..3).map(|number| {
        let text = format!(
            "server_name: n{number}\nhttp: \"127.0.0.1:{}\"\nmax_payload: 2MB\n\
             jetstream {{ sync_interval: always }}\n\
             cluster {{ name: c, listen: \"127.0.0.1:{}\", no_advertise: true, routes: [{}] }}\n",
            monitors[number],
            ports[number],
            routes.join(", ")
        );
        async move { NatsServer::start_configured(&text).await }
    }))
    .await;
    let urls = servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",");
    let monitors = monitors.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
    (servers, monitors, urls)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_copies_survive_the_loss_of_one() {
    let (mut servers, monitors, urls) = cluster().await;
    let config = JetStreamConfig { prefix: "exedra".to_owned(), replicas: 3, durable: true, monitors };
    let store = start_store(&urls, config.clone(), Metrics::new()).await;
    well(&*store).await;
    let other = start_store(&urls, config, Metrics::new()).await;
    well(&*other).await;

    let mut answered = Vec::new();
    for (lost, server) in servers.iter_mut().enumerate() {
        server.kill().await;
        for number in 0..60 {
            let key = format!("k/{lost}/{number}");
            // Between leaders there is nobody to answer; whoever was told so may try again.
            let mut tries = 0;
            while store.put("b", &key, "x".into()).await.is_err() {
                tries += 1;
                assert!(tries < 400, "{:?}", store.trouble());
                sleep(Duration::from_millis(50)).await;
            }
            answered.push(key);
        }
        server.restart().await;
        well(&*store).await;
        reach(&*other, str::is_empty).await;
        // The servers have come together again when nobody is missed.
        let whole = async {
            while !store.notes().is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(crate::nats::SOON, whole)
            .await
            .unwrap_or_else(|_| panic!("{:?}", store.notes()));
    }
    for key in &answered {
        assert!(other.get("b", key).await.unwrap().is_some(), "{key} is lost");
    }
    assert_eq!(other.list("b", "k/", None, 1000).await.unwrap().len(), answered.len());
}
