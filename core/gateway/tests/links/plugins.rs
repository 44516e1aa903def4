//! A hub with one plugin, written in this process, that sends back what it gets.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use exedra_hub::{
    Claims, Class, Code, ConnId, Hub, HubParts, Identity, Limits, Message, Refusal, Task,
    hub::Install,
    manifest::{AuthMode, Endpoint, Event, Manifest, Namespace, Route},
    metrics::Metrics,
    port::{
        AuthFailure, Authenticator, Bus, BusError, BusMessage, BusState, Call, Clock, Entry, HttpResponse,
        Interest, Messages, PluginId, Plugins, Reply, Revision, Store, StoreError, Topic,
    },
};

/// A hub whose only plugin echoes: `auth` on connect, `message` → `message-back`, `message-with-ack` → its
/// acknowledgement, `slow` → waits a little first, `flood` → 1 MB in each of 100 events, `count` → that many numbers
/// on the way, `whoami` → the user.
pub(crate) fn echo_hub(limits: Limits) -> Arc<Hub> {
    let metrics = Metrics::new();
    let hub = Hub::new(HubParts {
        clock: Arc::new(SystemClock(Instant::now())),
        authenticator: Some(Arc::new(NamesAreTokens)),
        store: Arc::new(NoStore),
        bus: Arc::new(NoBus),
        limits,
        metrics,
    });
    let plugins = Arc::new(Echo { hub: OnceLock::new() });
    plugins.hub.set(hub.clone()).ok();
    hub.install(plugins, vec![Install::from(manifest())]).expect("one plugin has no conflicts");
    hub
}

fn manifest() -> Manifest {
    let namespace = |path: &str, auth| Namespace { path: path.into(), auth };
    let route = |method: &str, path: &str, auth| Route {
        method: method.into(),
        path: path.into(),
        auth,
        body_limit: 100,
        ..Route::default()
    };
    Manifest {
        name: "echo".into(),
        version: "1.0.0".into(),
        namespaces: vec![
            namespace("/", AuthMode::None),
            namespace("/custom", AuthMode::None),
            namespace("/private", AuthMode::Required),
            namespace("/closed", AuthMode::None),
            namespace("/room/{id}", AuthMode::None),
        ],
        events: vec![Event { name: "*".into(), ..Event::default() }],
        routes: vec![
            route("POST", "/echo/{id}", AuthMode::None),
            route("GET", "/secret", AuthMode::Required),
        ],
        endpoints: vec![
            Endpoint { path: "/ws/echo".into(), auth: AuthMode::None },
            Endpoint { path: "/ws/private".into(), auth: AuthMode::Required },
        ],
        on_connect: true,
        ..Manifest::default()
    }
}

struct Echo {
    hub: OnceLock<Arc<Hub>>,
}

const ME: PluginId = PluginId(0);

impl Plugins for Echo {
    fn call(&self, _: PluginId, call: Call) -> Task<Result<Reply, Refusal>> {
        let hub = self.hub.get().cloned();
        Box::pin(async move {
            let hub = hub.ok_or_else(|| Refusal::new(Code::Unavailable, "no hub"))?;
            match call {
                Call::Connect { conn } if &*conn.namespace == "/closed" => {
                    Err(Refusal::new(Code::Busy, "not today"))
                }
                Call::Connect { conn } => {
                    let args = [b"[", &conn.auth[..], b"]"].concat();
                    hub.emit(ME, conn.id, Message::new("auth", args), Class::Reliable)?;
                    Ok(Reply::Empty)
                }
                Call::Event { conn, message, wants_ack, .. } => {
                    let Message { event, args, attachments } = message;
                    if &*event == "slow" {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    if &*event == "kick" {
                        hub.kick(ME, conn.id)?;
                    }
                    if &*event == "flood" {
                        let blob = format!("[\"{}\"]", "x".repeat(1_000_000));
                        for _ in 0..100 {
                            hub.emit(ME, conn.id, Message::new("blob", blob.clone()), Class::Reliable)?;
                        }
                    }
                    if &*event == "count" {
                        tokio::spawn(count(hub, conn.id, args));
                        return Ok(Reply::Empty);
                    }
                    if wants_ack || &*event == "PING" {
                        return Ok(Reply::Args { args, attachments });
                    }
                    let back = Message { event: format!("{event}-back").into(), args, attachments };
                    hub.emit(ME, conn.id, back, Class::Reliable)?;
                    Ok(Reply::Empty)
                }
                Call::Http { request, .. } => {
                    let headers = vec![("content-type".into(), "text/plain".into())];
                    let id = request.params.first().map_or("", |(_, value)| value);
                    let body = [id.as_bytes(), b":", &request.body[..]].concat().into();
                    Ok(Reply::Http(HttpResponse { status: 200, headers, body }))
                }
                _ => Ok(Reply::Empty),
            }
        })
    }

    fn spawn(&self, task: Task) {
        tokio::spawn(task);
    }
}

/// Emits the numbers below `args[0]`, a few at a time.
async fn count(hub: Arc<Hub>, conn: ConnId, args: Bytes) {
    let Ok([numbers]) = serde_json::from_slice::<[u32; 1]>(&args) else { return };
    for number in 0..numbers {
        let message = Message::new("number", format!("[{number}]"));
        if hub.emit(ME, conn, message, Class::Reliable).is_err() {
            return; // the client has gone
        }
        if number % 8 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

struct NamesAreTokens;

impl Authenticator for NamesAreTokens {
    fn verify(&self, token: &str) -> Result<Identity, AuthFailure> {
        let user_id = token.strip_prefix("token-of-").ok_or(AuthFailure::Signature)?.into();
        let (name, email, roles) = (None, None, Vec::new());
        Ok(Identity { user_id, name, email, roles, claims: Claims::default(), expires_at: None })
    }
}

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, after: Duration) -> Task {
        Box::pin(tokio::time::sleep(after))
    }
}

struct NoBus;

impl Bus for NoBus {
    fn publish(&self, _: &Topic, _: &[(String, String)], _: Bytes) -> Result<(), BusError> {
        Ok(())
    }

    fn subscribe(&self, _: &Interest, _: Option<&str>) -> Task<Result<Messages, BusError>> {
        Box::pin(async { Ok(Box::pin(futures_util::stream::pending()) as Messages) })
    }

    fn request(&self, _: &Topic, _: Bytes, _: Duration) -> Task<Result<BusMessage, BusError>> {
        Box::pin(async { Err(BusError::NoResponders) })
    }

    fn state(&self) -> BusState {
        BusState::Up
    }
}

struct NoStore;

fn unavailable<T: Send + 'static>() -> Task<Result<T, StoreError>> {
    Box::pin(async { Err(StoreError::Unavailable("there is none".into())) })
}

impl Store for NoStore {
    fn get(&self, _: &str, _: &str) -> Task<Result<Option<Entry>, StoreError>> {
        unavailable()
    }

    fn put(&self, _: &str, _: &str, _: Bytes) -> Task<Result<Revision, StoreError>> {
        unavailable()
    }

    fn create(&self, _: &str, _: &str, _: Bytes) -> Task<Result<Revision, StoreError>> {
        unavailable()
    }

    fn update(&self, _: &str, _: &str, _: Bytes, _: Revision) -> Task<Result<Revision, StoreError>> {
        unavailable()
    }

    fn delete(&self, _: &str, _: &str, _: Option<Revision>) -> Task<Result<(), StoreError>> {
        unavailable()
    }

    fn list(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: usize,
    ) -> Task<Result<Vec<(String, Entry)>, StoreError>> {
        unavailable()
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
