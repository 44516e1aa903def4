//! How a hub under test is put together.

use std::{
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, UNIX_EPOCH},
};

use exedra_host::{Host, HostConfig, PluginSpec, Source};
use exedra_hub::{
    Hub, HubParts, Identity,
    hub::Install,
    limits::Limits,
    manifest::{AuthMode, Manifest},
    metrics::Metrics,
    port::{AuthFailure, Authenticator, Bus, Interest, Messages, Plugins},
};
use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::Value;

use super::{
    TestHub,
    bench::{self, Bench},
    bus::TestBus,
    clock::TestClock,
    format::TestFormat,
    store::TestStore,
};
use crate::{
    User,
    border::export::{Entry, name_of},
};

/// How a [`TestHub`] is made.
#[must_use]
pub struct Builder {
    plugins: Vec<(&'static Entry, Value)>,
    namespace: Option<String>,
    auth: Option<AuthMode>,
    deadline: Duration,
    panics: u32,
    store: Arc<TestStore>,
}

impl Builder {
    pub(super) fn new(entry: &'static Entry, settings: Value) -> Self {
        Self {
            plugins: vec![(entry, settings)],
            namespace: None,
            auth: None,
            deadline: Duration::from_secs(10),
            panics: 5,
            store: Arc::default(),
        }
    }

    /// One more plugin; tests speak to the first one.
    pub fn plugin(mut self, entry: &'static Entry, settings: Value) -> Self {
        self.plugins.push((entry, settings));
        self
    }

    /// As `namespace` of the configuration.
    pub fn namespace(mut self, path: impl Into<String>) -> Self {
        self.namespace = Some(path.into());
        self
    }

    /// As `auth` of the configuration: `"required"`, `"optional"` or `"none"`.
    ///
    /// # Panics
    /// On any other word.
    pub fn auth(mut self, mode: &str) -> Self {
        self.auth = Some(match mode {
            "required" => AuthMode::Required,
            "optional" => AuthMode::Optional,
            "none" => AuthMode::None,
            other => panic!("auth has no mode `{other}`"),
        });
        self
    }

    /// As `deadline` of the configuration.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Panics that the first plugin may cause before it is taken out of service.
    pub fn panic_budget(mut self, panics: u32) -> Self {
        self.panics = panics;
        self
    }

    /// On the same stored values as another hub, as nodes of a cluster are. Rooms and the bus are not shared.
    pub fn beside(mut self, other: &TestHub) -> Self {
        self.store = other.bench.store.clone();
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// What a person who starts the hub would read.
    ///
    /// # Panics
    /// Outside of a tokio test.
    pub fn start(self) -> Result<TestHub, String> {
        let (metrics, clock, store) = (Metrics::new(), Arc::new(TestClock::default()), self.store);
        let bus = TestBus::new(metrics.clone(), clock.clone());
        let hub = Hub::new(HubParts {
            clock: clock.clone(),
            authenticator: Some(Arc::new(Trusting)),
            store: store.clone(),
            bus: bus.clone(),
            limits: Limits::default(),
            metrics,
        });
        let config = HostConfig {
            threads: bench::THREADS,
            panic_budget: self.panics,
            ..HostConfig::new(std::env::temp_dir())
        };
        let host = Host::new(config, hub.clone());
        let mut manifests = Vec::new();
        for (entry, settings) in self.plugins {
            let spec = PluginSpec::new(name_of(entry), Source::Static(entry));
            let spec = PluginSpec { settings, deadline: self.deadline, ..spec };
            manifests.push(host.load(spec).map_err(|error| error.to_string())?);
        }
        let manifest = manifests.first().cloned().ok_or("a test needs a plugin")?;
        let install = |manifest: Manifest| Install {
            manifest: manifest.into(),
            namespace: self.namespace.clone(),
            auth: self.auth,
        };
        hub.install(host.clone(), manifests.into_iter().map(install).collect())?;
        host.start().map_err(|error| error.to_string())?;
        let mut running = hub.run();
        // The hub listens to the bus from here on, not from when a thread gets to it.
        let _forever = running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        host.spawn(running);
        let hear = |interest: Interest| -> Result<Mutex<Messages>, String> {
            let messages = bus.subscribe(&interest, None).now_or_never().ok_or("the bus is slow")?;
            messages.map(Mutex::new).map_err(|error| error.to_string())
        };
        let plugin = || manifest.name.clone();
        let (out, dead) =
            (hear(Interest::Out { plugin: plugin() })?, hear(Interest::DeadLetter { plugin: plugin() })?);
        let space = space_of(&manifest, self.namespace);
        let format = Arc::new(TestFormat { gateway: space.0 });
        let bench = Arc::new(Bench { hub, host, clock, store, format, threads: Mutex::default() });
        Ok(TestHub { bench, bus, manifest, space, out, dead })
    }
}

/// Where clients of a plugin connect: its first namespace, else its first endpoint.
fn space_of(manifest: &Manifest, namespace: Option<String>) -> (&'static str, String) {
    let declared = || manifest.namespaces.first().map(|namespace| namespace.path.clone());
    match namespace.or_else(declared) {
        Some(path) => ("socketio", path),
        None => ("websocket", manifest.endpoints.first().map(|e| e.path.clone()).unwrap_or_default()),
    }
}

/// Believes every token that a test makes.
struct Trusting;

impl Authenticator for Trusting {
    fn verify(&self, token: &str) -> Result<Identity, AuthFailure> {
        let user: User = serde_json::from_str(token).map_err(|_| AuthFailure::Malformed)?;
        Ok(Identity {
            user_id: user.user_id.into(),
            name: user.name,
            email: user.email,
            roles: user.roles,
            claims: (&user.claims).into(),
            expires_at: user.expires_at.map(|at| UNIX_EPOCH + Duration::from_secs(at)),
        })
    }
}
