//! From settings to a hub that listens, one part after the other.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use axum::Router;
use exedra_auth::AuthError;
use exedra_bus::{MemoryBus, NatsBus};
use exedra_gateway::{Gateway, GatewayConfig, LinkLimits};
use exedra_host::{Host, HostConfig};
use exedra_hub::{
    Hub, HubParts,
    hub::Rules,
    limits::Limits,
    metrics::Metrics,
    port::{Authenticator, Bus, Store},
};
use exedra_store::{JetStreamConfig, JetStreamStore, RedbStore};
use tokio::{net::TcpListener, runtime::Handle};

use super::{App, Sources};
use crate::{
    admin::{self, Admin},
    cli::Failure,
    clock::TokioClock,
    config::{Config, Loaded, Problem, StoreDurability, StoreKind},
    demo, descriptions,
    lineup::Lineup,
    plugins,
};

/// How long the start waits for the store in JetStream, so that plugins find it open; then it goes on without.
const STORE_WAIT: Duration = Duration::from_secs(3);

/// Builds every part, in the order in which they need each other.
pub(super) async fn app(loaded: Loaded, sources: Sources, runtime: Handle) -> Result<App, Failure> {
    let config = &loaded.config;
    let metrics = Metrics::new();
    metrics.build_info(crate::VERSION, crate::REVISION, crate::RUSTC);
    metrics.config_last_reload_successful.set(1);
    let node = config.cluster.node.clone().unwrap_or_else(|| format!("exedra-{:08x}", rand::random::<u32>()));
    let store = store(config, &node, &metrics).await?;
    let (bus, nats) = bus(config, &node, &metrics).await?;
    let hub = Hub::new(HubParts {
        clock: Arc::new(TokioClock::new(runtime)),
        authenticator: authenticator(config)?,
        store,
        bus,
        limits: limits(config),
        metrics,
    });
    let host = plugins(&loaded, &hub)?;
    cluster(config, &node, &hub, nats.as_ref()).await?;
    let mut tasks = vec![tokio::spawn(hub.run())];
    let pages = demo::pages(config).merge(descriptions::pages(config, &hub));
    let gateway = gateway(config, &hub, pages).await?;
    let lineup = Arc::new(Lineup::new(&loaded, &hub, &host, Handle::current()));
    let admin = admin(&loaded, (&hub, &host, &lineup), gateway.local_addr(), &mut tasks).await?;
    Ok(App { sources, hub, host, lineup, admin, gateway, nats, tasks, loaded })
}

async fn store(config: &Config, node: &str, metrics: &Arc<Metrics>) -> Result<Arc<dyn Store>, Failure> {
    let opened: Result<Arc<dyn Store>, _> = match config.store.kind {
        StoreKind::Redb => RedbStore::open(&config.store.path, metrics.clone()).map(|store| store as _),
        StoreKind::Jetstream => {
            let line = exedra_bus::dial(&config.nats, node, "store")
                .await
                .map_err(|error| anyhow!("NATS cannot be used: {error}"))?;
            match JetStreamStore::start(line.client, line.up, jetstream(config), metrics.clone()).await {
                Ok(store) => {
                    store.opened(STORE_WAIT).await;
                    Ok(store as _)
                }
                Err(error) => Err(error),
            }
        }
    };
    Ok(opened.map_err(|error| anyhow!("the store cannot be opened: {error}"))?)
}

fn jetstream(config: &Config) -> JetStreamConfig {
    JetStreamConfig {
        prefix: config.nats.prefix.clone(),
        replicas: config.store.replicas.into(),
        durable: config.store.durability == StoreDurability::Always,
        monitors: config.nats.monitors(),
    }
}

async fn bus(
    config: &Config,
    node: &str,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<dyn Bus>, Option<Arc<NatsBus>>), Failure> {
    if config.nats.url.is_none() {
        return Ok((MemoryBus::new(metrics.clone()), None));
    }
    let nats = exedra_bus::connect(&config.nats, node, metrics.clone())
        .await
        .map_err(|error| anyhow!("NATS cannot be used: {error}"))?;
    Ok((nats.clone(), Some(nats)))
}

/// Makes the hub one of several nodes, if it is to be.
async fn cluster(
    config: &Config,
    node: &str,
    hub: &Arc<Hub>,
    nats: Option<&Arc<NatsBus>>,
) -> Result<(), Failure> {
    if !config.cluster.enabled {
        return Ok(());
    }
    let replicas = usize::from(config.store.replicas);
    let recovery = hub.limits().recovery.as_ref();
    let link = exedra_bus::connect_cluster(&config.nats, node, replicas, recovery, hub.metrics())
        .await
        .map_err(|error| anyhow!("NATS cannot be used: {error}"))?;
    let rules = Rules { name: node.to_owned(), lease: config.cluster.lease };
    hub.unite(link, rules).map_err(|why| anyhow!(why))?;
    if let Some(nats) = nats {
        hub.keep_injected(nats.intake(replicas)).map_err(|why| anyhow!(why))?;
    }
    Ok(())
}

fn authenticator(config: &Config) -> Result<Option<Arc<dyn Authenticator>>, Failure> {
    match exedra_auth::build(&config.auth) {
        Ok(verifier) => Ok(Some(Arc::new(verifier))),
        Err(AuthError::NoKey) => Ok(None),
        Err(error) => Err(Problem::new("auth", error.to_string()).into()),
    }
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        inbound_queue: limits.inbound_queue,
        outbound_buffer: usize::try_from(limits.outbound_buffer.as_u64()).unwrap_or(usize::MAX),
        rooms_per_connection: limits.rooms_per_connection,
        recovery: config.socketio.recovery(),
        ..Limits::default()
    }
}

/// Loads every enabled plugin, tells the hub what they declare, and starts them.
fn plugins(loaded: &Loaded, hub: &Arc<Hub>) -> Result<Arc<Host>, Failure> {
    let state =
        loaded.config.store.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let host = Host::new(HostConfig::new(state), hub.clone());
    let mut problems = Vec::new();
    let mut installs = Vec::new();
    for (name, table) in loaded.config.plugins.enabled() {
        match host.load(plugins::spec(&loaded.config.plugins, name, table)) {
            Ok(manifest) => {
                problems.extend(plugins::needs_key(loaded, name, table, &manifest));
                installs.push(plugins::install(manifest, table));
            }
            Err(error) => problems.extend(plugins::refused(loaded, name, table, &error)),
        }
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    hub.install(host.clone(), installs).map_err(|why| Problem::new("plugins", why))?;
    host.start().map_err(|error| anyhow!(error).context("the plugins cannot be started"))?;
    Ok(host)
}

async fn gateway(config: &Config, hub: &Arc<Hub>, pages: Router) -> Result<Gateway, Failure> {
    let limits = &config.limits;
    let gateway = GatewayConfig {
        socketio: config.socketio.clone(),
        limits: LinkLimits {
            connections: limits.connections,
            connections_per_ip: limits.connections_per_ip,
            connects_per_second: limits.connects_per_second,
            events_per_second: limits.events_per_second,
        },
        origins: config.server.cors.origins.clone(),
        trusted_proxies: config.server.trusted_proxies.clone(),
    };
    let listen = config.server.listen;
    let bound = Gateway::bind(listen, hub.clone(), gateway, pages).await;
    Ok(bound.with_context(|| in_use("server.listen", listen))?)
}

async fn admin(
    loaded: &Loaded,
    (hub, host, lineup): (&Arc<Hub>, &Arc<Host>, &Arc<Lineup>),
    public: SocketAddr,
    tasks: &mut Vec<tokio::task::JoinHandle<()>>,
) -> Result<Arc<Admin>, Failure> {
    let config = &loaded.config;
    let listen = config.admin.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| in_use("admin.listen", listen))?;
    let token = config.admin_token().map_err(|why| Problem::new("admin.token_file", why))?;
    let listen = listener.local_addr().context("the admin listener has no address")?;
    let admin = Arc::new(Admin::new(loaded, (hub, host, lineup), token, (listen, public)));
    let router = admin::router(admin.clone()).into_make_service_with_connect_info::<SocketAddr>();
    tasks.push(tokio::spawn(admin.clone().remember()));
    tasks.push(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the admin listener has ended");
        }
    }));
    Ok(admin)
}

fn in_use(key: &str, address: SocketAddr) -> String {
    format!("cannot listen on {address} ({key})")
}
