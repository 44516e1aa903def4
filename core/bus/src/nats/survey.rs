//! What a NATS server says of itself, for `exedra doctor`: all of it comes with every connection.

use std::time::{Duration, Instant};

use exedra_hub::port::BusError;

use super::unavailable;
use crate::{NatsConfig, Visitor};

/// A server's facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Its name.
    pub name: String,
    /// Its number among all servers.
    pub server_id: String,
    /// Its version, as `2.15.1`.
    pub version: String,
    /// The largest message that it takes, in bytes.
    pub max_payload: usize,
    /// Whether it has JetStream.
    pub jetstream: bool,
    /// How long a message takes to it and back.
    pub round_trip: Duration,
}

/// Asks the server.
///
/// # Errors
/// [`BusError::Unavailable`] with a sentence, as [`Visitor::connect`].
pub async fn survey(config: &NatsConfig) -> Result<Survey, BusError> {
    let visitor = Visitor::connect(config, "exedra/doctor").await?;
    let began = Instant::now();
    visitor.client.flush().await.map_err(unavailable)?;
    let round_trip = began.elapsed();
    let server = visitor.client.server_info();
    Ok(Survey {
        name: server.server_name,
        server_id: server.server_id,
        version: server.version,
        max_payload: server.max_payload,
        jetstream: server.jetstream,
        round_trip,
    })
}
