//! The life of a hub: build, run, drain. Each is a list of named steps; what a step does is in the crate that it
//! belongs to.

mod build;
mod drain;
mod notify;
mod reload;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use exedra_bus::NatsBus;
use exedra_gateway::Gateway;
use exedra_host::Host;
use exedra_hub::Hub;
use serde_json::json;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use crate::{
    admin::Admin,
    cli::{self, Failure},
    config::{self, Loaded},
    demo,
    lineup::Lineup,
    telemetry,
};
use notify::Notifier;

/// How often the configuration files are looked at for changes.
const WATCH: Duration = Duration::from_secs(2);
/// How often readiness is looked at while a service manager waits to hear of it.
const READINESS: Duration = Duration::from_millis(100);
/// How long tasks that are left over may take when the process ends.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// Where the configuration is read from, at the start and at every reload.
#[derive(Debug, Clone)]
struct Sources {
    files: Vec<PathBuf>,
    sets: Vec<String>,
}

/// A hub that runs.
struct App {
    loaded: Loaded,
    sources: Sources,
    hub: Arc<Hub>,
    host: Arc<Host>,
    lineup: Arc<Lineup>,
    admin: Arc<Admin>,
    gateway: Gateway,
    /// Set when the bus is NATS: it is drained at the end.
    nats: Option<Arc<NatsBus>>,
    /// The hub's background work and the admin listener; they run until the end.
    tasks: Vec<JoinHandle<()>>,
}

/// Runs a hub until it is told to stop.
///
/// # Errors
/// What is wrong with the configuration, or what could not be started.
pub fn serve(files: &[PathBuf], sets: &[String], ports_file: Option<&Path>) -> Result<(), Failure> {
    let sources = Sources { files: files.to_vec(), sets: sets.to_vec() };
    // Before the files are read: what changes from now on is noticed.
    let stamps = reload::stamps(&sources);
    let loaded = config::load(files, sets)?;
    telemetry::start(&loaded.config.log);
    log_panics();
    for warning in loaded.warnings() {
        tracing::warn!("{warning}");
    }
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("exedra")
        .build()
        .context("the runtime cannot be started")?;
    let ended = runtime.block_on(async {
        // Before anything else: from here on SIGTERM means drain.
        let mut signals = Signals::listen()?;
        let app = build::app(loaded, sources, runtime.handle().clone()).await?;
        app.announce(ports_file)?;
        app.run(&mut signals, stamps).await
    });
    runtime.shutdown_timeout(LAST_TASKS);
    ended
}

/// The signals of a service.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal says.
enum Told {
    Stop(&'static str),
    Reload,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Told::Stop("SIGINT"),
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// The name of the next signal that means stop.
    async fn stop(&mut self) -> &'static str {
        loop {
            if let Told::Stop(signal) = self.next().await {
                return signal;
            }
        }
    }
}

impl App {
    /// Says where the hub is: in the log, in the file that was asked for, and to newcomers on stdout.
    fn announce(&self, ports_file: Option<&Path>) -> Result<(), Failure> {
        let (public, admin) = (self.admin.public, self.admin.listen);
        if let Some(path) = ports_file {
            write_ports(path, public, admin)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        tracing::info!("listening public=http://{public} admin=http://{admin} pid={}", std::process::id());
        if demo::gives_tokens(&self.loaded.config) {
            cli::print(&self.welcome(public, admin))?;
        }
        Ok(())
    }

    fn welcome(&self, public: SocketAddr, admin: SocketAddr) -> String {
        let mut text = format!(
            "Exedra {} is ready.\n\n  demo pages  http://{public}/\n  console     http://{admin}/\n  \
             metrics     http://{admin}/metrics\n\n  Tokens of the demo users, valid for a day:\n",
            crate::VERSION
        );
        for (user, token) in demo::mint_all(&self.loaded.config.auth).unwrap_or_default() {
            text.push_str(&format!("  {user:<6} {token}\n"));
        }
        text.push_str("\n  Ctrl-C stops the hub.\n");
        text
    }

    async fn run(mut self, signals: &mut Signals, mut seen: reload::Stamps) -> Result<(), Failure> {
        let mut watch = tokio::time::interval(WATCH);
        watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut readiness = tokio::time::interval(READINESS);
        readiness.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut notifier = Notifier::from_environment();
        loop {
            tokio::select! {
                told = signals.next() => match told {
                    Told::Stop(signal) => {
                        tracing::info!(signal, "stopping; one more signal stops at once");
                        break;
                    }
                    Told::Reload => self.reload("SIGHUP").await,
                },
                _ = watch.tick() => {
                    let now = reload::stamps(&self.sources);
                    if now != seen {
                        seen = now;
                        self.reload("a file has changed").await;
                    }
                }
                _ = readiness.tick(), if notifier.waits() => notifier.readiness(&self.admin.reasons()),
            }
        }
        self.admin.draining.store(true, Ordering::Release);
        notifier.stopping();
        tokio::select! {
            () = self.drain() => Ok(()),
            signal = signals.stop() => {
                tracing::warn!(signal, "stopping at once");
                // Nothing is waited for: threads that hang are the reason for a second signal.
                std::process::exit(1)
            }
        }
    }
}

/// Written whole or not at all: a reader never sees half of it.
fn write_ports(path: &Path, public: SocketAddr, admin: SocketAddr) -> std::io::Result<()> {
    let ports =
        json!({ "public": public.to_string(), "admin": admin.to_string(), "pid": std::process::id() });
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}", std::process::id()));
    fs::write(&partial, format!("{ports}\n"))?;
    fs::rename(&partial, path)
}

/// A connection is a file; the soft limit is often 1024, for programs that use `select`.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(files = limit.maximum, "limit of open files raised"),
        Err(error) => tracing::warn!(%error, files = limit.current, "the limit of open files stays as it is"),
    }
}

/// Panics are lines of the log like all others.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, "panicked: {message}");
    }));
}
