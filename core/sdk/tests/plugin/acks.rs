//! Events and their acknowledgements.

use exedra_sdk::{Args, Bytes, prelude::User};
use serde_json::{Value, json};

use crate::{hub, sample::Say};

fn args(json: &'static str) -> Args {
    Args { json: Bytes::from_static(json.as_bytes()), attachments: Vec::new() }
}

#[tokio::test]
async fn return_value_is_the_ack() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    let said: Say = ann.call("say", json!({"text": "hi"})).await.unwrap();
    assert_eq!(said, Say { text: "hi".into(), times: 0 });
    assert_eq!(hub.metric("words_total{kind=\"quiet\"}"), Some(1.0));
    assert_eq!(hub.metric("words_total{kind=\"loud\"}"), Some(0.0));
}

#[tokio::test]
async fn unit_and_none_differ() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    assert_eq!(&ann.call_args("nothing", Args::none()).await.json[..], b"[]");
    assert_eq!(&ann.call_args("maybe", args("[false]")).await.json[..], b"[null]");
    assert_eq!(&ann.call_args("maybe", args("[true]")).await.json[..], b"[7]");
}

#[tokio::test]
async fn raw_arguments_come_back_untouched() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    let odd = Args {
        json: Bytes::from_static(br#"[1.10, {"_placeholder":true,"num":0} ,"x"]"#),
        attachments: vec![Bytes::from_static(b"\x00\x01")],
    };
    assert_eq!(ann.call_args("whatever", odd.clone()).await, odd);
    assert_eq!(ann.call_args("whatever", Args::none()).await, Args::none());
}

#[tokio::test]
async fn refusals_have_the_usual_shape() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    let error = ann.call::<Value>("unknown", json!(null)).await.unwrap_err();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["message"]),
        (&json!("NOT_FOUND"), &json!("no such event"))
    );
    let error = ann.call::<Value>("maybe", json!("x")).await.unwrap_err();
    assert_eq!(error["error"]["code"], "INVALID");
    let error = ann.call::<Value>("fail", json!("body")).await.unwrap();
    assert_eq!(error, json!({"mine": true}));
}

#[tokio::test]
async fn reject_shapes_bad_payloads_too() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    for (bad, word) in [
        (json!({}), "text"),
        (json!({"text": "a", "more": 1}), "more"),
        (json!(null), "object"),
        (json!(["a"]), "object"),
    ] {
        let error = ann.call::<Value>("say", bad).await.unwrap_err();
        assert_eq!(error["success"], false);
        assert!(error["error"].as_str().unwrap().contains(word), "{error}");
    }
}

#[tokio::test]
async fn private_faults_stay_private() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    let error = ann.call::<Value>("fail", json!("private")).await.unwrap_err();
    assert_eq!(error["error"]["code"], "INTERNAL");
    assert!(!error.to_string().contains("digit"), "{error}");
}

#[tokio::test]
async fn user_needs_a_token() {
    let hub = hub();
    let (ann, nobody) = (hub.connect(User::named("ann").with_role("r")).await, hub.anonymous().await);
    assert_eq!(ann.call::<String>("me", json!(null)).await.unwrap(), "ann");
    let error = nobody.call::<Value>("me", json!(null)).await.unwrap_err();
    assert_eq!(error["error"]["code"], "UNAUTHORIZED");
}

#[tokio::test]
async fn connect_sees_the_handshake() {
    let hub = hub();
    let client = hub.client().user("ann").namespace("/room/7").auth(json!({"a": 1})).connect().await.unwrap();
    let hello: Value = client.next("hello").await;
    assert_eq!(hello, json!({"user": "ann", "room": "7", "auth": {"a": 1}}));
    let refused = hub.client().query("mode", "refuse").connect().await.err().unwrap();
    assert_eq!((&*refused.code, &*refused.message), ("TOO_MANY", "two at most"));
}

#[tokio::test]
async fn plugin_asks_a_client() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    let (asked, answered) = tokio::join!(ann.call::<String>("ask-me", json!(null)), async {
        let request = ann.next_request("your-name").await;
        assert_eq!(request.args, Args::none());
        ann.reply(&request, args("[\"Ann\"]"));
    });
    let () = answered;
    assert_eq!(asked.unwrap(), "Ann");
}

#[tokio::test]
async fn notes_last_as_long_as_connections() {
    let hub = hub();
    let (ann, bob) = (hub.connect("ann").await, hub.connect("bob").await);
    assert_eq!(ann.call::<Option<String>>("note", json!("first")).await.unwrap(), None);
    assert_eq!(ann.call::<Option<String>>("note", json!(null)).await.unwrap(), Some("first".into()));
    assert_eq!(bob.call::<Option<String>>("note", json!(null)).await.unwrap(), None);
}

#[tokio::test]
async fn late_use_of_connections_is_gone() {
    let hub = hub();
    let ann = hub.connect("ann").await;
    ann.emit("kick", json!(null));
    assert_eq!(ann.next::<u8>("bye").await, 1);
    hub.settle().await;
    assert!(ann.is_closed());
    let bye = hub.out().await;
    assert_eq!((&*bye[0].event, &bye[0].payload["reason"]), ("bye", &json!("kicked")));
    assert_eq!(bye[0].payload["id"], ann.id());
    assert_eq!(hub.panics(), 0);
}
