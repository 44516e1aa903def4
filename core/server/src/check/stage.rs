//! A hub for one plugin that is checked: everything real but the network. Clients are connections whose frames are read
//! here; they answer every question of the plugin and remember what it emits.

use std::{future::poll_fn, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use exedra_bus::MemoryBus;
use exedra_host::{Host, HostConfig, LoadError, PluginSpec};
use exedra_hub::{
    Claims, CloseReason, Connection, Format, Frame, Hub, HubParts, Identity, Message, Refusal, Task,
    frame::Part,
    hub::{Install, Knock},
    limits::Limits,
    manifest::{AuthMode, Manifest},
    metrics::Metrics,
    outbox::Outbox,
    port::{AuthFailure, Authenticator},
};
use exedra_store::RedbStore;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{runtime::Handle, task::JoinHandle};

use crate::clock::TokioClock;

/// A plugin that keeps a thread for this long is blocking it. Long, because machines that check plugins are busy.
const WARN_AFTER: Duration = Duration::from_millis(500);
/// A plugin that keeps a thread for this long is given up.
const STUCK_AFTER: Duration = Duration::from_secs(3);
/// Emitted events that are looked at; a plugin that emits more does the same again.
const HEARD: usize = 10_000;

/// One life of a plugin.
pub(super) struct Stage {
    pub(super) hub: Arc<Hub>,
    pub(super) host: Arc<Host>,
    pub(super) manifest: Manifest,
    /// Name and arguments of what it has emitted.
    pub(super) heard: Arc<Mutex<Vec<(String, Value)>>>,
    runs: JoinHandle<()>,
}

/// Why a life did not begin.
#[derive(Debug)]
pub(super) enum Stillborn {
    /// The hub cannot go by the manifest.
    Manifest(String),
    /// The plugin was not created, or not started.
    Life(LoadError),
}

impl Stage {
    /// Creates and starts the plugin. Blocks.
    pub(super) fn begin(spec: PluginSpec, state: &Path, runtime: &Handle) -> Result<Self, Stillborn> {
        let metrics = Metrics::new();
        let store = RedbStore::in_memory(metrics.clone()).map_err(|e| Stillborn::Manifest(e.to_string()))?;
        let hub = Hub::new(HubParts {
            clock: Arc::new(TokioClock::new(runtime.clone())),
            authenticator: Some(Arc::new(Anybody)),
            store,
            bus: MemoryBus::new(metrics.clone()),
            limits: Limits::default(),
            metrics,
        });
        let config = HostConfig {
            threads: 2,
            panic_budget: u32::MAX,
            warn_after: WARN_AFTER,
            stuck_after: STUCK_AFTER,
            ..HostConfig::new(state)
        };
        let host = Host::new(config, hub.clone());
        let begin = || -> Result<Manifest, Stillborn> {
            let manifest = host.load(spec).map_err(Stillborn::Life)?;
            hub.install(host.clone(), vec![Install::from(manifest.clone())]).map_err(Stillborn::Manifest)?;
            host.start().map_err(Stillborn::Life)?;
            Ok(manifest)
        };
        let manifest = begin().inspect_err(|_| host.stop(Duration::ZERO))?;
        let runs = runtime.spawn(hub.run());
        Ok(Self { hub, host, manifest, heard: Arc::default(), runs })
    }

    /// Connects a client: the first with a token, the second without one where that is allowed.
    pub(super) async fn client(
        &self,
        gateway: &'static str,
        declared: &str,
        auth: AuthMode,
        number: usize,
    ) -> Result<Client, Refusal> {
        let named = auth == AuthMode::Required || number.is_multiple_of(2);
        let outbox = Arc::new(Outbox::new(self.hub.limits().outbound_buffer));
        let knock = Knock {
            gateway,
            namespace: filled(declared),
            token: (named && auth != AuthMode::None).then(|| format!("user-{number}")),
            auth: Bytes::from_static(b"{}"),
            query: vec![("userId".into(), format!("user-{number}"))],
            peer: [127, 0, 0, 1].into(),
            outbox: outbox.clone(),
            format: Arc::new(Paper { gateway }),
            ticket: None,
        };
        let conn = self.hub.connect(knock).await?;
        conn.open(&Frame::many(Vec::new()));
        let (hub, reader, heard) = (self.hub.clone(), conn.clone(), self.heard.clone());
        let reads = tokio::spawn(async move { read(&hub, &reader, &heard).await });
        Ok(Client { conn, reads })
    }

    /// Takes the plugin down: every connection ends, then it is quiesced and destroyed. Blocks.
    pub(super) fn end(self, patience: Duration) {
        self.hub.disconnect_all(CloseReason::TransportLost);
        self.runs.abort();
        self.host.stop(patience);
    }
}

/// A client; dropping it lets go of the connection without ending it.
pub(super) struct Client {
    pub(super) conn: Arc<Connection>,
    reads: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reads.abort();
    }
}

/// The declared path with a value in the place of each `{name}`.
pub(super) fn filled(declared: &str) -> String {
    let segment =
        |segment: &str| if segment.starts_with('{') { "check".to_owned() } else { segment.to_owned() };
    declared.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Answers what the plugin asks, and keeps what it says.
async fn read(hub: &Arc<Hub>, conn: &Arc<Connection>, heard: &Mutex<Vec<(String, Value)>>) {
    loop {
        let mut frames = Vec::new();
        let closed = poll_fn(|cx| conn.outbox().poll_take(cx, &mut frames)).await;
        for frame in &frames {
            let Some(head) = frame.parts().first() else { continue };
            let Ok(mut said) = serde_json::from_slice::<Value>(&head.wire) else { continue };
            if let Some(ack) = said["ack"].as_u64() {
                hub.acked(conn, ack, Bytes::from_static(b"[{}]"), Vec::new());
            }
            let mut heard = heard.lock();
            if let (Some(event), true) = (said["event"].as_str().map(str::to_owned), heard.len() < HEARD) {
                heard.push((event, said["args"].take()));
            }
        }
        if let Some(reason) = closed {
            hub.disconnect(conn, reason);
            return;
        }
    }
}

/// Frames as JSON objects.
struct Paper {
    gateway: &'static str,
}

impl Paper {
    fn frame(said: &Value) -> Frame {
        Frame::one(Part { wire: said.to_string().into(), header: 0, binary: false })
    }
}

impl Format for Paper {
    fn event(&self, message: &Message, ack: Option<u64>) -> Frame {
        let args: Value = serde_json::from_slice(&message.args).unwrap_or(Value::Null);
        Self::frame(&json!({ "event": message.event, "ack": ack, "args": args }))
    }

    fn ack(&self, _: Option<u64>, _: &Bytes, _: &[Bytes]) -> Option<Frame> {
        None
    }

    fn goodbye(&self) -> Option<Frame> {
        None
    }

    fn gateway(&self) -> &'static str {
        self.gateway
    }
}

/// Believes every token: it is the user's id.
struct Anybody;

impl Authenticator for Anybody {
    fn verify(&self, token: &str) -> Result<Identity, AuthFailure> {
        Ok(Identity {
            user_id: token.into(),
            name: Some("Check".into()),
            email: Some("check@example.com".into()),
            roles: Vec::new(),
            claims: Claims::default(),
            expires_at: None,
        })
    }
}

/// Waits a little, so that what the plugin has begun beside its calls gets on.
pub(super) fn a_moment() -> Task {
    Box::pin(tokio::time::sleep(Duration::from_millis(50)))
}
