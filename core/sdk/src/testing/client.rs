//! A client of the hub under test.

use std::{collections::VecDeque, future::poll_fn, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use exedra_hub::{
    CloseReason, Connection, Inbound,
    hub::{Knock, Received},
    outbox::Outbox,
};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    TestHub,
    bench::Bench,
    first_frame,
    format::{Heard, TestFormat, read},
    token_of,
};
use crate::{Args, User};

/// How long, in real time, a client waits for what should come. Long, because machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that is about to connect.
pub struct Knocking<'a> {
    hub: &'a TestHub,
    user: Option<User>,
    namespace: String,
    auth: Value,
    query: Vec<(String, String)>,
    peer: IpAddr,
}

/// Why something was refused, as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The code.
    pub code: String,
    /// The sentence.
    pub message: String,
    /// The plugin's own body, if it gave one.
    pub body: Option<Value>,
}

/// A connected client. It reads nothing by itself: what comes waits until it is asked for.
pub struct TestClient {
    bench: Arc<Bench>,
    conn: Arc<Connection>,
    plain: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    heard: VecDeque<Heard>,
    last_ack: u64,
}

/// A server's event that wants an acknowledgement.
#[derive(Debug, Clone)]
pub struct Request {
    /// What came.
    pub args: Args,
    ack: u64,
}

impl<'a> Knocking<'a> {
    pub(super) fn new(hub: &'a TestHub) -> Self {
        Self {
            hub,
            user: None,
            namespace: hub.space.1.clone(),
            auth: json!({}),
            query: Vec::new(),
            peer: IpAddr::from([192, 0, 2, 1]),
        }
    }

    /// With a token of this user.
    #[must_use]
    pub fn user(mut self, user: impl Into<User>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// To another namespace than the plugin's first, or to what its pattern means: `/public-room/7`.
    #[must_use]
    pub fn namespace(mut self, path: impl Into<String>) -> Self {
        self.namespace = path.into();
        self
    }

    /// With this Socket.IO `auth`.
    #[must_use]
    pub fn auth(mut self, auth: Value) -> Self {
        self.auth = auth;
        self
    }

    /// With one more value in the query string.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// From this address.
    #[must_use]
    pub fn peer(mut self, peer: impl Into<IpAddr>) -> Self {
        self.peer = peer.into();
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// What the client is told.
    pub async fn connect(self) -> Result<TestClient, Refused> {
        let gateway = self.hub.space.0;
        let format: Arc<TestFormat> = self.hub.bench.format.clone();
        let outbox = Arc::new(Outbox::new(self.hub.bench.hub.limits().outbound_buffer));
        let knock = Knock {
            gateway,
            namespace: self.namespace,
            token: self.user.as_ref().map(token_of),
            auth: self.auth.to_string().into(),
            query: self.query,
            peer: self.peer,
            outbox,
            format,
            ticket: None,
        };
        let conn = self.hub.bench.hub.connect(knock).await.map_err(|refusal| Refused {
            code: refusal.code_str().to_owned(),
            message: refusal.message.clone(),
            body: refusal.body.as_ref().and_then(|body| serde_json::from_slice(body).ok()),
        })?;
        conn.open(&first_frame());
        Ok(TestClient {
            bench: self.hub.bench.clone(),
            conn,
            plain: gateway == "websocket",
            state: Mutex::default(),
        })
    }
}

impl TestClient {
    /// The public id: what `socket.id` is at a real client.
    pub fn id(&self) -> &str {
        &self.conn.facts().public_id
    }

    /// Sends an event with one argument.
    ///
    /// # Panics
    /// When the connection has ended.
    pub fn emit(&self, event: &str, payload: impl Serialize) {
        self.emit_args(event, self.outgoing(event, payload));
    }

    /// Sends an event with any arguments.
    ///
    /// # Panics
    /// When the connection has ended.
    pub fn emit_args(&self, event: &str, args: Args) {
        self.receive(event, args, None);
    }

    /// Sends an event and waits for its acknowledgement; on a plain WebSocket, for the next answer.
    ///
    /// # Errors
    /// The acknowledgement itself, when it has an `error` that is not null, or is no `T`.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn call<T: DeserializeOwned>(&self, event: &str, payload: impl Serialize) -> Result<T, Value> {
        let args = self.call_args(event, self.outgoing(event, payload)).await;
        let first: Value = args.first().unwrap_or_default();
        let failed = first.get("error").is_some_and(|error| !error.is_null())
            || (self.plain && first.get("type").is_some_and(|kind| kind == "ERROR"));
        if failed {
            return Err(first);
        }
        serde_json::from_value(first.clone()).map_err(|_| first)
    }

    /// Sends an event with any arguments and waits for all arguments of the acknowledgement.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn call_args(&self, event: &str, args: Args) -> Args {
        let number = {
            let mut state = self.state.lock();
            state.last_ack += 1;
            state.last_ack
        };
        self.receive(event, args, (!self.plain).then_some(number));
        let plain = self.plain;
        let wanted =
            |heard: &Heard| matches!(heard, Heard::Answer { ack, .. } if plain || *ack == Some(number));
        match self.wait(wanted).await {
            Ok(Heard::Answer { args, .. } | Heard::Event { args, .. }) => args,
            Err(rest) => panic!("no answer to `{event}` came; what else came: {rest:?}"),
        }
    }

    /// The next event of this name, its first argument read as `T`. Others wait until they are asked for.
    ///
    /// # Panics
    /// When none comes in time, or it is no `T`.
    pub async fn next<T: DeserializeOwned>(&self, event: &str) -> T {
        let args = self.next_args(event).await;
        args.first().unwrap_or_else(|error| panic!("`{event}` was {:?}: {error:?}", args.json))
    }

    /// The next event of this name with all arguments.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn next_args(&self, event: &str) -> Args {
        match self.wait(|heard| heard.is(event, self.plain)).await {
            Ok(Heard::Answer { args, .. } | Heard::Event { args, .. }) => args,
            Err(rest) => panic!("no `{event}` came; what else came: {rest:?}"),
        }
    }

    /// The next event of this name that wants an acknowledgement.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn next_request(&self, event: &str) -> Request {
        let wanted =
            |heard: &Heard| matches!(heard, Heard::Event { ack: Some(_), .. }) && heard.is(event, false);
        match self.wait(wanted).await {
            Ok(Heard::Event { args, ack: Some(ack), .. }) => Request { args, ack },
            other => panic!("no request `{event}` came: {other:?}"),
        }
    }

    /// Acknowledges an event of the server.
    pub fn reply(&self, request: &Request, args: Args) {
        self.bench.hub.acked(&self.conn, request.ack, args.json, args.attachments);
    }

    /// Makes sure that no event of this name has come, once nothing moves any more.
    ///
    /// # Panics
    /// When one has.
    pub async fn nothing_for(&self, event: &str) {
        self.bench.settle().await;
        let mut state = self.state.lock();
        self.pull(&mut state);
        let came = state.heard.iter().find(|heard| heard.is(event, self.plain));
        assert!(came.is_none(), "`{event}` came: {came:?}");
    }

    /// How many events of this name wait to be read, once nothing moves any more.
    pub async fn waiting(&self, event: &str) -> usize {
        self.bench.settle().await;
        let mut state = self.state.lock();
        self.pull(&mut state);
        state.heard.iter().filter(|heard| heard.is(event, self.plain)).count()
    }

    /// Forgets everything that has come so far.
    pub async fn forget(&self) {
        self.bench.settle().await;
        let mut state = self.state.lock();
        self.pull(&mut state);
        state.heard.clear();
    }

    /// Says goodbye.
    pub fn close(&self) {
        self.end(CloseReason::ClientLeft);
    }

    /// Breaks the connection.
    pub fn lose(&self) {
        self.end(CloseReason::TransportLost);
    }

    /// Whether the connection has ended, from whatever side.
    pub fn is_closed(&self) -> bool {
        self.conn.is_closed()
    }

    fn end(&self, reason: CloseReason) {
        self.bench.hub.disconnect(&self.conn, reason);
    }

    fn outgoing(&self, event: &str, payload: impl Serialize) -> Args {
        let payload = serde_json::to_value(payload).unwrap_or_else(|error| panic!("the payload: {error}"));
        let payload = match payload {
            // On a plain WebSocket the message itself names its action.
            Value::Object(mut object) if self.plain => {
                if !object.contains_key("action") && !object.contains_key("type") {
                    object.insert("action".to_owned(), event.into());
                }
                Value::Object(object)
            }
            Value::Null if self.plain => json!({ "action": event }),
            payload => payload,
        };
        Args { json: Value::Array(vec![payload]).to_string().into(), attachments: Vec::new() }
    }

    fn receive(&self, event: &str, args: Args, ack: Option<u64>) {
        let Args { json, attachments } = args;
        let message = exedra_hub::Message { event: event.into(), args: json, attachments };
        let received = self.bench.hub.receive(&self.conn, Inbound { message, ack });
        assert_eq!(received, Received::Queued, "`{event}` was not taken");
    }

    fn pull(&self, state: &mut State) {
        let mut frames = Vec::new();
        self.conn.outbox().take_now(&mut frames);
        state.heard.extend(frames.iter().filter_map(read));
    }

    /// What was waited for, or what came instead.
    async fn wait(&self, wanted: impl Fn(&Heard) -> bool) -> Result<Heard, Vec<Heard>> {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                {
                    let mut state = self.state.lock();
                    if let Some(at) = state.heard.iter().position(&wanted) {
                        return state.heard.remove(at);
                    }
                }
                let mut frames = Vec::new();
                let closed = poll_fn(|cx| self.conn.outbox().poll_take(cx, &mut frames)).await;
                self.state.lock().heard.extend(frames.iter().filter_map(read));
                if closed.is_some() {
                    return None;
                }
            }
        });
        match found.await {
            Ok(Some(heard)) => Ok(heard),
            _ => Err(self.state.lock().heard.iter().cloned().collect()),
        }
    }
}

impl Heard {
    /// Whether it is an event of this name. On a plain WebSocket the object's own `type` is the name.
    fn is(&self, event: &str, plain: bool) -> bool {
        let (name, args) = match self {
            Self::Event { name, args, .. } => (Some(name.as_str()), args),
            Self::Answer { args, .. } if plain => (None, args),
            Self::Answer { .. } => return false,
        };
        if plain
            && let Ok(Value::Object(object)) = args.first::<Value>()
            && let Some(kind) = object.get("type").and_then(Value::as_str)
        {
            return kind == event;
        }
        name == Some(event)
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        self.end(CloseReason::TransportLost);
    }
}

/// JSON of one value, for requests.
pub(super) fn json_of(value: impl Serialize) -> Bytes {
    serde_json::to_vec(&value).unwrap_or_else(|error| panic!("the payload: {error}")).into()
}
