//! From the settings to the client's options: names, times, and secrets that are read again at every connect.

use std::{future::ready, io, path::Path, time::Duration};

use exedra_hub::port::BusError;
use rand::Rng;

use super::{Auth, AuthError, ConnectOptions};
use crate::NatsConfig;

/// How often a silent connection is tried; one that does not answer twice is given up.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The delay before the first attempt to reconnect, and the longest one.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A hub's options: it goes on trying, and comes back. Fails for files that cannot be read now.
pub(super) async fn options(config: &NatsConfig, node_name: &str) -> Result<ConnectOptions, BusError> {
    Ok(credentials(config)
        .await?
        .name(format!("exedra/{node_name}"))
        .retry_on_initial_connect()
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(reconnect_delay))
}

/// A visitor's options: it tries once.
pub(super) async fn for_visitors(config: &NatsConfig, name: &str) -> Result<ConnectOptions, BusError> {
    Ok(credentials(config).await?.name(name).ignore_discovered_servers())
}

/// Who we are, and how it is hidden on the way.
async fn credentials(config: &NatsConfig) -> Result<ConnectOptions, BusError> {
    let read_now = |path: &Path| match read_secret(path) {
        Ok(_) => Ok(path.to_owned()),
        Err(error) => Err(BusError::Unavailable(format!("{}: {error}", path.display()))),
    };
    let mut options = match (&config.token_file, &config.user, &config.password_file) {
        (Some(token), ..) => {
            let token = read_now(token)?;
            ConnectOptions::with_auth_callback(move |_| ready(token_auth(&token)))
        }
        (None, Some(user), Some(password)) => {
            let (user, password) = (user.clone(), read_now(password)?);
            ConnectOptions::with_auth_callback(move |_| ready(password_auth(&user, &password)))
        }
        _ => ConnectOptions::new(),
    };
    if let Some(path) = &config.credentials_file {
        let unreadable =
            |error| BusError::Unavailable(format!("nats.credentials_file: {}: {error}", path.display()));
        options = options.credentials_file(path).await.map_err(unreadable)?;
    }
    if let Some(path) = &config.tls.ca_file {
        options = options.add_root_certificates(path.clone());
    }
    if let (Some(cert), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(options
        // Answers to the hub are for hubs only: whoever may read `_INBOX.>` reads none of them.
        .custom_inbox_prefix(format!("_INBOX_{}", config.prefix))
        .require_tls(config.tls.required)
        .connection_timeout(CONNECT_TIMEOUT))
}

fn token_auth(path: &Path) -> Result<Auth, AuthError> {
    let mut auth = Auth::new();
    auth.token = Some(read_secret(path).map_err(AuthError::new)?);
    Ok(auth)
}

fn password_auth(user: &str, path: &Path) -> Result<Auth, AuthError> {
    let mut auth = Auth::new();
    auth.username = Some(user.to_owned());
    auth.password = Some(read_secret(path).map_err(AuthError::new)?);
    Ok(auth)
}

fn read_secret(path: &Path) -> io::Result<String> {
    Ok(std::fs::read_to_string(path)?.trim_end().to_owned())
}

/// Doubles from the first delay to the longest, less a random part of up to a half, so that nodes do not come back
/// all at once.
fn reconnect_delay(attempts: usize) -> Duration {
    let (first, longest) = RECONNECT;
    let doublings = attempts.saturating_sub(1).min(16) as u32;
    let whole = longest.min(first * 2_u32.pow(doublings));
    whole.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound() {
        for attempts in [0, 1, 2, 5, 100, usize::MAX] {
            let delay = reconnect_delay(attempts);
            assert!(
                delay >= Duration::from_millis(50) && delay <= Duration::from_secs(2),
                "{attempts}: {delay:?}"
            );
        }
        assert!(reconnect_delay(1) <= Duration::from_millis(100));
        assert!(reconnect_delay(9) >= Duration::from_secs(1));
    }
}
