//! A connection besides the bus's own, for those who need JetStream: its answers must not wait behind events, nor
//! events behind large values. Settings, secrets and reconnecting are the same as the bus's.

use std::time::Duration;

use exedra_hub::port::BusError;
use tokio::sync::watch;

use super::{Client, Event, options, unavailable};
use crate::NatsConfig;

/// How often the connection is tried. A server that stands still is left after three of these, so that another
/// one of a cluster can take over.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// A connection and whether it is up.
#[derive(Clone)]
pub struct Line {
    /// The client, which connects and reconnects by itself.
    pub client: Client,
    /// Marked as changed at every loss and every return, even when both came in between two looks.
    pub up: watch::Receiver<bool>,
}

/// Makes a connection; it comes about in the background. `purpose` is part of the name that the server shows.
///
/// # Errors
/// As [`super::connect`].
pub async fn dial(config: &NatsConfig, node_name: &str, purpose: &str) -> Result<Line, BusError> {
    let servers = super::servers(config)?;
    let (changed, up) = watch::channel(false);
    let options = options::options(config, &format!("{node_name}/{purpose}")).await?;
    let options = options.ping_interval(PING_INTERVAL).event_callback({
        let purpose = purpose.to_owned();
        move |event| {
            match event {
                Event::Connected => drop(changed.send_replace(true)),
                Event::Disconnected | Event::Closed => drop(changed.send_replace(false)),
                event => tracing::warn!(%event, purpose, "a connection to NATS is in trouble"),
            }
            std::future::ready(())
        }
    });
    let client = options.connect(servers).await.map_err(unavailable)?;
    Ok(Line { client, up })
}
