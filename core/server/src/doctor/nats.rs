//! The broker: reachable, new enough, and honest about its disk.

use exedra_bus::Survey;
use exedra_hub::port::BusError;
use exedra_store::Durability;

use super::Finding;
use crate::config::{Config, StoreKind};

/// The first version that can put writes on the disk before it acknowledges them.
const HONEST: (u32, u32) = (2, 10);

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let Some(url) = &config.nats.url else {
        return vec![Finding::ok("nats", "the bus is inside the hub (nats.url is not set)")];
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![Finding::fail("nats", error.to_string())],
    };
    let asked = runtime.block_on(async {
        let survey = exedra_bus::survey(&config.nats).await?;
        let monitors = config.nats.monitors();
        let sync = match monitors.is_empty() {
            true => None,
            false => Some(exedra_store::durability(&monitors, Some(&survey.server_id)).await),
        };
        Ok::<_, BusError>((survey, sync))
    });
    match asked {
        Ok((survey, sync)) => judge(&survey, sync.as_ref(), config.store.kind == StoreKind::Jetstream),
        Err(error) => {
            let says = format!("{url} cannot be reached: {error}");
            vec![Finding::fail("nats", says).hint("is nats-server running there, and may this user connect?")]
        }
    }
}

/// `keeps`: the store is in JetStream.
fn judge(survey: &Survey, disk: Option<&Durability>, keeps: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Survey { name, version, round_trip, max_payload, .. } = survey;
    let ms = round_trip.as_secs_f64() * 1000.0;
    let says = format!("{name} answers in {ms:.1} ms, version {version}, messages up to {max_payload} bytes");
    findings.push(if is_honest(version) {
        Finding::ok("nats", says)
    } else {
        let hint = "take nats-server 2.10 or later: older ones cannot put acknowledged writes on the disk";
        Finding::warn("nats", format!("{says}: an old one")).hint(hint)
    });
    findings.push(match (survey.jetstream, keeps) {
        (true, _) => Finding::ok("nats jetstream", "on"),
        (false, false) => Finding::ok("nats jetstream", "off; the store is not there"),
        (false, true) => Finding::fail("nats jetstream", "off, but store.kind is \"jetstream\"")
            .hint("nats-server -js, or jetstream {} in its file"),
    });
    if survey.jetstream {
        findings.push(sync(disk, keeps));
    }
    findings
}

fn sync(disk: Option<&Durability>, keeps: bool) -> Finding {
    const CHECK: &str = "nats sync_interval";
    const HINT: &str = "jetstream { sync_interval: always } in the server's file, as in config/nats.conf";
    match disk {
        Some(Durability::Always) => Finding::ok(CHECK, "always: acknowledged writes are on the disk"),
        Some(Durability::Lax(says)) => {
            (if keeps { Finding::fail(CHECK, says) } else { Finding::warn(CHECK, says) }).hint(HINT)
        }
        Some(Durability::Unknown(why)) => {
            Finding::warn(CHECK, format!("nats.monitor cannot be asked: {why}"))
                .hint("`http: 127.0.0.1:8222` in the server's file")
        }
        None if keeps => Finding::warn(CHECK, "not known: nats.monitor is not set")
            .hint("set nats.monitor to the server's monitoring address"),
        None => {
            Finding::ok(CHECK, "not looked at: nats.monitor is not set, and the store is not in JetStream")
        }
    }
}

fn is_honest(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split(['.', '-']).map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= HONEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Level, worst};
    use super::*;

    fn survey(jetstream: bool) -> Survey {
        let (name, server_id, version) = ("n".to_owned(), "N".to_owned(), "2.15.1".to_owned());
        Survey { name, server_id, version, max_payload: 1, jetstream, round_trip: Duration::ZERO }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for good in ["2.10.0", "2.15.1", "v2.10.27", "3.0.0", "2.12.0-beta.1"] {
            assert!(is_honest(good), "{good}");
        }
        for bad in ["2.9.10", "1.99.0", "", "x.y"] {
            assert!(!is_honest(bad), "{bad}");
        }
    }

    #[test]
    fn store_needs_writes_on_the_disk() {
        let lazy = Durability::Lax("lazy".to_owned());
        let level = |jetstream, disk, keeps| worst(&judge(&survey(jetstream), disk, keeps));
        assert_eq!(level(true, Some(&Durability::Always), true), Level::Ok);
        assert_eq!(level(true, Some(&lazy), true), Level::Fail);
        assert_eq!(level(true, Some(&lazy), false), Level::Warn);
        assert_eq!(level(false, None, true), Level::Fail);
        assert_eq!(level(false, None, false), Level::Ok);
        assert_eq!(level(true, None, true), Level::Warn);
    }
}
