//! The hub, as a plugin asks things of it.

#[cfg(feature = "testing")]
use std::collections::HashSet;
use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Code, Conn, Counter, Error, Gauge, Histogram, Kv, Result, Room, Span,
    answer::one_value,
    border::{
        link::Door,
        ops,
        task::{Work, spawn},
    },
    call::Context,
    manifest::{Manifest, MetricKind},
};

/// The hub. Cheap to clone; keep it in the plugin's own struct.
#[derive(Clone)]
pub struct Hub {
    pub(crate) door: Arc<Door>,
    names: Arc<Names>,
}

/// Indexes of what the manifest declares.
struct Names {
    states: HashMap<String, u32>,
    metrics: HashMap<String, (u32, MetricKind)>,
    /// What it sends to clients, and to outside services.
    #[cfg(feature = "testing")]
    sent: [HashSet<String>; 2],
}

impl Hub {
    pub(crate) fn new(door: Arc<Door>, manifest: &Manifest) -> Self {
        let states = manifest.states.iter().zip(0..).map(|(state, at)| (state.name.clone(), at)).collect();
        let metrics =
            manifest.metrics.iter().zip(0..).map(|(metric, at)| (metric.name.clone(), (at, metric.kind)));
        #[cfg(feature = "testing")]
        let sent = [
            manifest.emits.iter().map(|emit| emit.name.clone()).collect(),
            manifest.outs.iter().map(|out| out.event.clone()).collect(),
        ];
        let metrics = metrics.collect();
        let names = Names {
            states,
            metrics,
            #[cfg(feature = "testing")]
            sent,
        };
        Self { door, names: Arc::new(names) }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.door, &other.door)
    }

    /// A room of this plugin.
    pub fn room(&self, name: impl Into<String>) -> Room {
        Room::new(self.clone(), name.into())
    }

    /// A connection by its handle, for operations only: what is known about it stays with the [`Conn`] that
    /// handlers get.
    pub fn conn(&self, id: u64) -> Conn {
        Conn::new(self.clone(), id, Arc::new(Context::default()))
    }

    /// The plugin's durable values.
    pub fn kv(&self) -> Kv {
        Kv::new(self.clone())
    }

    /// Publishes what happened for outside services: `exedra.out.<plugin>.<room>.<event>`.
    ///
    /// # Errors
    /// [`Code::Unavailable`] while the bus is away and its queue is full.
    pub fn out(&self, room: &str, event: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
        self.declares(1, event)?;
        ops::publish(&self.door, room, event, &one_value(payload)?)
    }

    /// The same for what has happened whether services hear of it or not: a bus that is away is only logged.
    pub fn tell(&self, room: &str, event: &str, payload: &(impl Serialize + ?Sized)) {
        if let Err(error) = self.out(room, event, payload) {
            // A fault of the plugin, which a test must not overlook.
            #[cfg(feature = "testing")]
            assert!(error.code != Code::Invalid, "{error}");
            crate::warn!("{event} in room {room:?} not published: {}", error.code_str());
        }
    }

    /// Asks an outside service: `exedra.rpc.<service>.<method>`. An answer `{"error": {"code", "message"}}` is an
    /// error here.
    ///
    /// # Errors
    /// [`Code::Timeout`], [`Code::Unavailable`] when nobody answers, or what the service said.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        service: &str,
        method: &str,
        payload: &(impl Serialize + ?Sized),
        timeout: Duration,
    ) -> Result<T> {
        let payload = one_value(payload)?;
        let op = ops::ask(&self.door, service, method, &payload, Span(timeout).as_ms())?;
        let given = op.await?;
        if let Ok(Refused { error }) = serde_json::from_slice(given.payload()) {
            return Err(error.into_error());
        }
        let body = if given.payload().is_empty() { &b"null"[..] } else { given.payload() };
        serde_json::from_slice(body)
            .map_err(|error| Error::internal(format_args!("the answer of {service}.{method}: {error}")))
    }

    /// The wall clock.
    pub fn now(&self) -> SystemTime {
        crate::time::system_time(self.now_ms())
    }

    /// The wall clock in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        ops::now_ms(&self.door).unwrap_or_default()
    }

    /// The wall clock as clients read it: `2026-01-20T10:30:00.000Z`.
    pub fn now_iso(&self) -> String {
        crate::time::iso8601(self.now_ms())
    }

    /// Waits.
    ///
    /// # Errors
    /// When the hub is stopping.
    pub async fn sleep(&self, duration: Duration) -> Result<()> {
        ops::sleep(&self.door, Span(duration).as_ms())?.await.map(drop)
    }

    /// Waits for something, but not longer than this.
    ///
    /// # Errors
    /// [`Code::Timeout`]; the future is dropped then.
    pub async fn timeout<F: Future>(&self, after: Duration, future: F) -> Result<F::Output> {
        match select(pin!(future), pin!(self.sleep(after))).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right((slept, _)) => {
                slept?;
                Err(Error::timeout("it took too long"))
            }
        }
    }

    /// Runs a future on the hub's executor, beside the handlers. It is dropped when the plugin ends.
    ///
    /// # Errors
    /// When the hub is stopping.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        spawn(&self.door, Work::Free(Box::pin(future)))
    }

    /// A declared counter.
    ///
    /// # Errors
    /// [`Code::Invalid`] when the plugin declares no counter of that name.
    pub fn counter(&self, name: &str) -> Result<Counter> {
        Ok(Counter::new(self.clone(), self.metric(name, MetricKind::Counter)?))
    }

    /// A declared gauge.
    ///
    /// # Errors
    /// As [`Hub::counter`].
    pub fn gauge(&self, name: &str) -> Result<Gauge> {
        Ok(Gauge::new(self.clone(), self.metric(name, MetricKind::Gauge)?))
    }

    /// A declared histogram.
    ///
    /// # Errors
    /// As [`Hub::counter`].
    pub fn histogram(&self, name: &str) -> Result<Histogram> {
        Ok(Histogram::new(self.clone(), self.metric(name, MetricKind::Histogram)?))
    }

    fn metric(&self, name: &str, kind: MetricKind) -> Result<u32> {
        match self.names.metrics.get(name) {
            Some((index, declared)) if *declared == kind => Ok(*index),
            Some((_, declared)) => Err(Error::invalid(format!("the metric `{name}` is a {declared:?}"))),
            None => Err(Error::invalid(format!("the plugin declares no metric `{name}`"))),
        }
    }

    /// An event goes to clients.
    pub(crate) fn sends(&self, event: &str) -> Result<()> {
        self.declares(0, event)
    }

    /// In tests, what is sent must be declared: documents are made of the manifest. In a running hub it is sent all the
    /// same, and told to the log.
    fn declares(&self, list: usize, event: &str) -> Result<()> {
        #[cfg(feature = "testing")]
        if let Some(names) = self.names.sent.get(list)
            && !names.contains(event)
            && !names.contains("*")
        {
            let list = ["emits", "outs"][list];
            return Err(Error::invalid(format!(
                "the plugin sends `{event}` but does not declare it in `{list}`"
            )));
        }
        let _ = (list, event);
        Ok(())
    }

    pub(crate) fn state_index(&self, name: &str) -> Result<u32> {
        let index = self.names.states.get(name).copied();
        index.ok_or_else(|| Error::invalid(format!("the plugin declares no state `{name}`")))
    }
}

/// How services and plugins say no over the bus.
#[derive(Deserialize)]
struct Refused {
    error: Refusal,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

impl Refusal {
    fn into_error(self) -> Error {
        match Code::from_name(&self.code) {
            Some(code) => Error::new(code, self.message),
            None => Error::new(Code::Unavailable, self.message).with_code(self.code),
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}
