//! REST handlers.

use serde_json::{Value, json};

use crate::hub;

#[tokio::test]
async fn created_things_can_be_read() {
    let hub = hub();
    let (status, _, body) =
        hub.http("POST", "/things/7").as_user("ann").json(json!({"text": "x"})).send().await;
    assert_eq!((status, body), (201, json!({"id": 7, "by": "ann"})));
    let (status, headers, body) = hub.http("GET", "/things/7").send().await;
    assert_eq!((status, &body["text"]), (200, &json!("x")));
    assert!(headers.iter().any(|(name, _)| name == "etag"), "{headers:?}");
    let (status, _, body) =
        hub.http("POST", "/things/7").as_user("bob").json(json!({"text": "y"})).send().await;
    assert_eq!((status, &body["code"]), (409, &json!("CONFLICT")));
}

#[tokio::test]
async fn bad_requests_are_problems() {
    let hub = hub();
    let post = |path: &str, body: Value| hub.http("POST", path).as_user("ann").json(body);
    let (status, headers, body) = post("/things/many", json!({"text": "x"})).send().await;
    assert_eq!((status, &body["code"]), (400, &json!("INVALID")));
    assert!(body["detail"].as_str().unwrap().contains("`id`"), "{body}");
    assert!(headers.contains(&("content-type".into(), "application/problem+json".into())));
    assert_eq!(post("/things/7", json!({"texts": "x"})).send().await.0, 400);
    assert_eq!(post("/things/7", json!({"text": "x".repeat(80)})).send().await.0, 413);
    assert_eq!(hub.http("POST", "/things/7").json(json!({"text": "x"})).send().await.0, 401);
    assert_eq!(hub.http("GET", "/things/8").send().await.0, 404);
}

#[tokio::test]
async fn query_and_headers_are_read() {
    let hub = hub();
    for id in 1..=3 {
        hub.http("POST", &format!("/things/{id}")).as_user("ann").json(json!({"text": "x"})).send().await;
    }
    let list = |query: &str| hub.http("GET", &format!("/things?{query}")).header("x-test", "1");
    assert_eq!(list("limit=1").send().await.2, json!(["thing/1"]));
    assert_eq!(list("after=thing%2F1").send().await.2, json!(["thing/2", "thing/3"]));
    assert_eq!(list("limit=all").send().await.0, 400);
    assert_eq!(hub.http("DELETE", "/things/2").send().await.0, 204);
    assert_eq!(list("").send().await.2, json!(["thing/1", "thing/3"]));
}

#[tokio::test]
async fn replies_can_be_anything() {
    let hub = hub();
    let (status, headers, _) = hub.http("GET", "/picture").send().await;
    let vary: Vec<_> = headers.iter().filter(|(name, _)| name == "vary").map(|(_, value)| &**value).collect();
    assert_eq!((status, vary), (203, vec!["a", "b"]));
}
