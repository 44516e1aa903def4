//! Durable values.

use serde_json::{Value, json};

use crate::hub;

#[tokio::test]
async fn start_may_use_the_store() {
    let hub = hub();
    hub.settle().await;
    assert_eq!(hub.stored("started"), Some(json!(true)));
}

#[tokio::test]
async fn concurrent_changes_are_not_lost() {
    let hub = hub();
    let adding: Vec<_> = (0..20).map(|_| hub.rpc("add", 1)).collect();
    let sums = exedra_sdk::futures::future::join_all(adding).await;
    assert!(sums.iter().all(Result::is_ok), "{sums:?}");
    assert_eq!(hub.stored("sum"), Some(json!(20)));
}

#[tokio::test]
async fn unavailable_store_is_said() {
    let hub = hub();
    hub.settle().await;
    hub.fail_next_kv();
    assert_eq!(hub.rpc("add", 1).await.unwrap_err()["code"], "UNAVAILABLE");
    assert_eq!(hub.rpc("add", 1).await.unwrap(), 1);
}

#[tokio::test]
async fn damaged_values_are_faults() {
    let hub = hub();
    let (status, ..) = hub.http("POST", "/things/1").as_user("a").json(json!({"text": "x"})).send().await;
    assert_eq!(status, 201);
    assert_eq!(hub.stored("thing/1").unwrap()["times"], 0);
    assert_eq!(hub.stored("thing/2"), None::<Value>);
}
