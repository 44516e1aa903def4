//! Metrics that the plugin has declared. Recording never fails visibly: a metric must not break a handler.

use std::{sync::Arc, time::Duration};

use crate::{Hub, border::ops};

/// One metric and, optionally, one value of its label.
#[derive(Debug, Clone)]
struct Handle {
    hub: Hub,
    index: u32,
    label: Option<Arc<str>>,
}

impl Handle {
    fn record(&self, value: f64, relative: bool) {
        let label = self.label.as_deref().unwrap_or("");
        if let Err(error) = ops::record(&self.hub.door, self.index, label, value, relative) {
            crate::log::write(4, "metric", format_args!("not recorded: {error}"));
        }
    }

    fn with(&self, label: &str) -> Self {
        Self { label: Some(label.into()), ..self.clone() }
    }
}

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(Handle);

        impl $name {
            pub(crate) fn new(hub: Hub, index: u32) -> Self {
                Self(Handle { hub, index, label: None })
            }

            /// The same metric for one of its label's declared values.
            #[must_use]
            pub fn with(&self, label: &str) -> Self {
                Self(self.0.with(label))
            }
        }
    )*};
}

handles!(
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// Durations.
    Histogram
);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// So many more.
    pub fn inc_by(&self, n: u64) {
        self.0.record(n as f64, true);
    }
}

impl Gauge {
    /// The value from now on.
    pub fn set(&self, value: f64) {
        self.0.record(value, false);
    }

    /// More, or less.
    pub fn add(&self, value: f64) {
        self.0.record(value, true);
    }
}

impl Histogram {
    /// One observation.
    pub fn observe(&self, took: Duration) {
        self.0.record(took.as_secs_f64(), false);
    }
}
