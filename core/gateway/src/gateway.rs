//! Puts the parts together around a hub, and takes them down again.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use exedra_hub::{Hub, metrics::Metrics};

use crate::{
    admission::Admission,
    config::GatewayConfig,
    engine::EngineIo,
    front::Front,
    heart::Pace,
    link::{Meter, Protocol, Rules},
    links::Links,
    listener::Listener,
    origin::Origins,
    plain::PlainFormat,
    socketio::{Formats, SocketIo, SocketIoOpener},
};

/// Sockets beyond the limit of links: requests that are refused, or that open no link.
const SPARE_SOCKETS: usize = 512;

/// The running gateway.
pub struct Gateway {
    local: SocketAddr,
    links: Arc<Links>,
}

impl Gateway {
    /// Listens at `addr` and serves the hub's clients from now on. `pages` answers what no plugin and no protocol
    /// of the hub does.
    ///
    /// # Errors
    /// The address cannot be listened at, or [`crate::SocketIoConfig::problems`] has something to say.
    pub async fn bind(
        addr: SocketAddr,
        hub: Arc<Hub>,
        config: GatewayConfig,
        pages: Router,
    ) -> io::Result<Self> {
        if let Some(problem) = config.socketio.problems().first() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, *problem));
        }
        let links = Links::start();
        let connections = config.limits.connections;
        let sockets = if connections == 0 { 0 } else { connections.saturating_add(SPARE_SOCKETS) };
        let front = front(hub, config, pages, links.clone());
        let listener = Listener::start(addr, sockets, links.clone(), Arc::new(front))?;
        Ok(Self { local: listener.local_addr(), links })
    }

    /// Where it listens; with port 0 in the request, the port that was found.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Stops listening and closes all links as [`exedra_hub::CloseReason::ShuttingDown`], spread over `over`, so
    /// that not all clients come back at once. Ends when the links have.
    pub async fn drain(self, over: Duration) {
        self.links.drain(over).await;
    }
}

fn front(hub: Arc<Hub>, config: GatewayConfig, pages: Router, links: Arc<Links>) -> Front {
    let GatewayConfig { socketio, limits, origins, trusted_proxies } = config;
    let events_per_second = limits.events_per_second;
    let door = Admission::new(limits, Some(hub.metrics().clone()));
    let rules = |protocol, gateway: &str| {
        Arc::new(Rules {
            protocol,
            pace: Pace { interval: socketio.ping_interval, timeout: socketio.ping_timeout },
            settle: socketio.connect_timeout,
            max_payload: socketio.max_payload(),
            compress_from: socketio.compression.threshold(),
            received: meter(hub.metrics(), gateway, "in"),
            sent: meter(hub.metrics(), gateway, "out"),
        })
    };
    let shared = Arc::new(SocketIo {
        hub: hub.clone(),
        formats: Formats::default(),
        connect_timeout: socketio.connect_timeout,
        max_payload: socketio.max_payload(),
        events_per_second,
        links: links.clone(),
    });
    Front {
        engine: EngineIo {
            rules: rules(Protocol::EngineIo, "socketio"),
            transports: socketio.transports.clone(),
            outbound_buffer: hub.limits().outbound_buffer,
            opener: Arc::new(SocketIoOpener(shared)),
            door: door.clone(),
            links: links.clone(),
            sessions: Arc::default(),
        },
        plain_format: Arc::new(PlainFormat),
        plain_rules: rules(Protocol::Plain, "websocket"),
        connect_timeout: socketio.connect_timeout,
        socketio_path: socketio.path.trim_end_matches('/').to_owned(),
        origins: Origins::new(&origins),
        hub,
        links,
        door,
        trusted_proxies,
        events_per_second,
        pages,
    }
}

fn meter(metrics: &Arc<Metrics>, gateway: &str, direction: &str) -> Meter {
    let counter = metrics.bytes(gateway, direction);
    Box::new(move |bytes| counter.inc_by(bytes as u64))
}
