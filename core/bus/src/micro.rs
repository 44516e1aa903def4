//! What a NATS micro service says of itself: the answers to `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`. Plain data;
//! the bus asks and sends.
//!
//! Requests themselves come in as every [`Topic::Rpc`](exedra_hub::port::Topic) does. Endpoints of the
//! client library would hear each of them a second time.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use rand::Rng;
use serde_json::{Value, json};

/// The queue group of a service that nobody has subscribed to yet.
const DEFAULT_QUEUE: &str = "exedra";

/// What can be asked of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Ping,
    Info,
    Stats,
}

impl Verb {
    pub(crate) const ALL: [Self; 3] = [Self::Ping, Self::Info, Self::Stats];

    /// The verb of a `$SRV` subject.
    pub(crate) fn of(subject: &str) -> Option<Self> {
        let token = subject.split('.').nth(1)?;
        Self::ALL.into_iter().find(|verb| verb.token() == token)
    }

    fn token(self) -> &'static str {
        match self {
            Self::Ping => "PING",
            Self::Info => "INFO",
            Self::Stats => "STATS",
        }
    }
}

/// One announced service.
#[derive(Debug)]
pub(crate) struct Service {
    /// As `nats micro ls` shows it.
    name: String,
    /// Unlike that of any other node.
    id: String,
    version: String,
    description: String,
    started: SystemTime,
    queue: String,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug)]
struct Endpoint {
    method: String,
    subject: String,
    requests: AtomicU64,
}

impl Service {
    /// The subjects that others ask at: all services, this name, this instance.
    pub(crate) fn subjects(&self) -> Vec<String> {
        let (name, id) = (&self.name, &self.id);
        let forms = |verb: Verb| {
            let verb = verb.token();
            [format!("$SRV.{verb}"), format!("$SRV.{verb}.{name}"), format!("$SRV.{verb}.{name}.{id}")]
        };
        Verb::ALL.into_iter().flat_map(forms).collect()
    }

    pub(crate) fn answer(&self, verb: Verb) -> Value {
        let mut answer = json!({
            "type": format!("io.nats.micro.v1.{}_response", verb.token().to_ascii_lowercase()),
            "name": self.name,
            "id": self.id,
            "version": self.version,
            "metadata": {},
        });
        match verb {
            Verb::Ping => {}
            Verb::Info => {
                answer["description"] = json!(self.description);
                answer["endpoints"] = self.endpoints.iter().map(|endpoint| self.info(endpoint)).collect();
            }
            Verb::Stats => {
                answer["started"] = json!(humantime::format_rfc3339_millis(self.started).to_string());
                answer["endpoints"] = self.endpoints.iter().map(|endpoint| self.stats(endpoint)).collect();
            }
        }
        answer
    }

    fn info(&self, endpoint: &Endpoint) -> Value {
        json!({
            "name": endpoint.method,
            "subject": endpoint.subject,
            "queue_group": self.queue,
            "metadata": {},
        })
    }

    /// Times and errors stay 0: `exedra_plugin_call_seconds` and `exedra_plugin_calls_total` have them.
    fn stats(&self, endpoint: &Endpoint) -> Value {
        json!({
            "name": endpoint.method,
            "subject": endpoint.subject,
            "queue_group": self.queue,
            "num_requests": endpoint.requests.load(Ordering::Relaxed),
            "num_errors": 0,
            "last_error": "",
            "processing_time": 0,
            "average_processing_time": 0,
        })
    }
}

/// The announced services of this node, by the name their topics have.
#[derive(Debug, Default)]
pub(crate) struct Services {
    announced: Mutex<HashMap<String, Arc<Service>>>,
    /// The queue group each service listens in.
    queues: Mutex<HashMap<String, String>>,
}

impl Services {
    /// Describes a service; a description of the same one is replaced. Endpoints are methods with their subjects.
    pub(crate) fn announce(
        &self,
        service: &str,
        version: &str,
        description: &str,
        endpoints: Vec<(String, String)>,
    ) -> Arc<Service> {
        let queue = self.queues.lock().get(service).cloned();
        let endpoint = |(method, subject)| Endpoint { method, subject, requests: AtomicU64::new(0) };
        let described = Arc::new(Service {
            name: format!("exedra-{}", service_name(service)),
            id: instance_id(),
            version: version.to_owned(),
            description: description.to_owned(),
            started: SystemTime::now(),
            queue: queue.unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
            endpoints: endpoints.into_iter().map(endpoint).collect(),
        });
        self.announced.lock().insert(service.to_owned(), described.clone());
        described
    }

    /// Remembers in which queue group a service listens.
    pub(crate) fn listens(&self, service: &str, queue: &str) {
        self.queues.lock().insert(service.to_owned(), queue.to_owned());
    }

    /// Counts a request to a method, if it was announced.
    pub(crate) fn count(&self, service: &str, method: &str) {
        let announced = self.announced.lock();
        let endpoints = announced.get(service).map_or([].as_slice(), |service| &service.endpoints);
        if let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.method == method) {
            endpoint.requests.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A name that the protocol takes: letters, digits, `-` and `_`.
fn service_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

fn instance_id() -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(22).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meetings(services: &Services) -> Arc<Service> {
        let endpoints = vec![("get".to_owned(), "exedra.rpc.meetings.get".to_owned())];
        services.announce("meetings", "1.2.3", "Meetings.", endpoints)
    }

    #[test]
    fn answers_name_the_service() {
        let service = meetings(&Services::default());
        for (verb, kind) in [(Verb::Ping, "ping"), (Verb::Info, "info"), (Verb::Stats, "stats")] {
            let answer = service.answer(verb);
            assert_eq!(answer["type"], format!("io.nats.micro.v1.{kind}_response"));
            assert_eq!((&answer["name"], &answer["version"]), (&json!("exedra-meetings"), &json!("1.2.3")));
            assert_eq!(answer["id"].as_str().unwrap().len(), 22);
        }
        assert_eq!(service.answer(Verb::Info)["endpoints"][0]["subject"], "exedra.rpc.meetings.get");
    }

    #[test]
    fn listens_at_nine_subjects() {
        let subjects = meetings(&Services::default()).subjects();
        assert_eq!(subjects.len(), 9);
        assert!(subjects.iter().all(|subject| Verb::of(subject).is_some()));
        assert!(subjects.contains(&"$SRV.PING".to_owned()));
        assert!(subjects.contains(&"$SRV.STATS.exedra-meetings".to_owned()));
    }

    #[test]
    fn stats_count_requests() {
        let services = Services::default();
        services.listens("meetings", "workers");
        let service = meetings(&services);
        services.count("meetings", "get");
        services.count("meetings", "unknown");
        services.count("unknown", "get");
        let stats = service.answer(Verb::Stats);
        assert_eq!(stats["endpoints"][0]["num_requests"], 1);
        assert_eq!(stats["endpoints"][0]["queue_group"], "workers");
    }

    #[test]
    fn odd_names_become_plain() {
        assert_eq!(service_name("live preview.*"), "live_preview__");
    }
}
