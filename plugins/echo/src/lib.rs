//! Sends back what it gets. The smallest plugin that does something, and the server side of the official Socket.IO
//! suite, whose event names it therefore uses.

use exedra_sdk::prelude::*;

/// The plugin. It keeps nothing: what it needs comes with each call.
#[derive(Debug)]
pub struct Echo;

#[plugin(
    name = "echo",
    description = "Sends back what it gets",
    namespaces = ["/", "/custom"],
    auth = "none",
    emits = [
        /// After connecting: the `auth` of the handshake.
        "auth": Value,
        /// The arguments of `message`.
        "message-back": Args,
        /// The arguments of `emit-with-ack`; the client acknowledges with any.
        "emit-with-ack": Args => Args,
        /// What the client has acknowledged with.
        "emit-with-ack-back": Args,
    ]
)]
impl Echo {
    fn new() -> Self {
        Self
    }

    #[connect]
    async fn welcome(&self, conn: Conn) -> Result<()> {
        conn.emit("auth", &conn.auth())
    }

    /// Comes back as `message-back` with the same arguments, binary ones too.
    #[event("message")]
    async fn message(&self, conn: Conn, args: Args) -> Result<()> {
        conn.send(Message::new("message-back").args(args))
    }

    /// Is acknowledged with the same arguments.
    #[event("message-with-ack")]
    async fn acknowledge(&self, args: Args) -> Result<Args> {
        Ok(args)
    }

    /// The other way round: asks the client with `emit-with-ack`, and sends back what it answered.
    #[event("emit-with-ack")]
    async fn ask(&self, conn: Conn, args: Args) -> Result<()> {
        let question = Message::new("emit-with-ack").args(args);
        let answer = conn.request_message(question, Duration::from_secs(5)).await?;
        conn.send(Message::new("emit-with-ack-back").args(answer))
    }
}

exedra_sdk::export!(Echo);

#[cfg(test)]
mod tests {
    use exedra_sdk::testing::{TestClient, TestHub};

    use super::*;

    fn hub() -> TestHub {
        TestHub::with(entry(), json!({}))
    }

    async fn client(hub: &TestHub) -> TestClient {
        let client = hub.anonymous().await;
        assert_eq!(client.next::<Value>("auth").await, json!({}));
        client
    }

    fn some_args() -> Args {
        let json = r#"[1,"2",{"3":[true]},{"_placeholder":true,"num":0}]"#;
        Args { json: Bytes::from_static(json.as_bytes()), attachments: vec![Bytes::from_static(&[1, 2, 3])] }
    }

    #[tokio::test]
    async fn auth_comes_back() {
        let hub = hub();
        for namespace in ["/", "/custom"] {
            let knock = hub.client().namespace(namespace).auth(json!({ "token": "123" }));
            let client = knock.connect().await.unwrap();
            assert_eq!(client.next::<Value>("auth").await, json!({ "token": "123" }));
        }
    }

    #[tokio::test]
    async fn message_comes_back_untouched() {
        let hub = hub();
        let client = client(&hub).await;
        for args in [some_args(), Args::none()] {
            client.emit_args("message", args.clone());
            assert_eq!(client.next_args("message-back").await, args);
        }
    }

    #[tokio::test]
    async fn ack_has_the_same_arguments() {
        let hub = hub();
        let client = client(&hub).await;
        for args in [some_args(), Args::none()] {
            assert_eq!(client.call_args("message-with-ack", args.clone()).await, args);
        }
    }

    #[tokio::test]
    async fn answer_of_the_client_comes_back() {
        let hub = hub();
        let client = client(&hub).await;
        client.emit("emit-with-ack", 1);
        let question = client.next_request("emit-with-ack").await;
        assert_eq!(question.args, Args::one(&1).unwrap());
        client.reply(&question, some_args());
        assert_eq!(client.next_args("emit-with-ack-back").await, some_args());
    }

    #[tokio::test]
    async fn unknown_events_are_refused() {
        let hub = hub();
        let error = client(&hub).await.call::<Value>("shout", 1).await.unwrap_err();
        assert_eq!(error["error"]["code"], "NOT_FOUND");
    }

    #[tokio::test]
    async fn unknown_settings_are_refused() {
        let error = TestHub::builder(entry(), json!({ "volume": 11 })).start().err().unwrap();
        assert!(error.contains("volume"), "{error}");
    }
}
