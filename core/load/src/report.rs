//! What a run found, for people, for programs, and for assertions.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    LoadError,
    assertion::{Assertion, Judged},
};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Millionths of a second.
    Microseconds,
    /// Things.
    Count,
    /// Things per second.
    PerSecond,
    /// A part of something, 1 for all of it.
    Ratio,
}

/// One number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The number.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

/// How long things took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// The shortest.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// Half took no longer.
    pub p50: u64,
    /// Nine of ten took no longer.
    pub p90: u64,
    /// 99 of 100 took no longer.
    pub p99: u64,
    /// 999 of 1,000 took no longer.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            min: histogram.min(),
            mean: histogram.mean(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }

    /// A percentile by its name, in microseconds.
    pub(crate) fn named(&self, name: &str) -> Option<f64> {
        Some(match name {
            "min" => self.min as f64,
            "mean" => self.mean,
            "p50" => self.p50 as f64,
            "p90" => self.p90 as f64,
            "p99" => self.p99 as f64,
            "p999" | "p99.9" => self.p999 as f64,
            "max" => self.max as f64,
            _ => return None,
        })
    }
}

/// The result of a scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which.
    pub scenario: &'static str,
    /// The server's address.
    pub target: String,
    /// The server's process, when it is on this machine.
    pub pid: Option<u32>,
    /// When it began, in seconds since 1970.
    pub started_at: u64,
    /// How long it took.
    pub seconds: f64,
    /// Everything that is one number.
    pub figures: BTreeMap<&'static str, Figure>,
    /// Everything that is a distribution; the first named is the scenario's own.
    pub latencies: BTreeMap<&'static str, Latency>,
    /// The assertions and whether they hold.
    pub asserts: Vec<Judged>,
    /// Which of `latencies` an assertion without a name means.
    #[serde(skip)]
    pub(crate) main: &'static str,
    #[serde(skip)]
    start: Instant,
}

impl Report {
    /// An empty report of a run that begins now; `main` is the latency it is about.
    pub(crate) fn new(scenario: &'static str, target: String, pid: Option<u32>, main: &'static str) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            scenario,
            target,
            pid,
            started_at: since_1970.as_secs(),
            seconds: 0.0,
            figures: BTreeMap::new(),
            latencies: BTreeMap::new(),
            asserts: Vec::new(),
            main,
            start: Instant::now(),
        }
    }

    /// Adds a number.
    pub(crate) fn figure(&mut self, name: &'static str, value: f64, unit: Unit) {
        self.figures.insert(name, Figure { value, unit });
    }

    /// Adds a number of things.
    pub(crate) fn count(&mut self, name: &'static str, value: u64) {
        self.figure(name, value as f64, Unit::Count);
    }

    /// Adds a time.
    pub(crate) fn time(&mut self, name: &'static str, value: Duration) {
        self.figure(name, value.as_secs_f64(), Unit::Seconds);
    }

    /// Adds a distribution, unless nothing was measured.
    pub(crate) fn latency(&mut self, name: &'static str, histogram: &Histogram<u64>) {
        if !histogram.is_empty() {
            self.latencies.insert(name, Latency::of(histogram));
        }
    }

    /// Ends the run and looks at the assertions.
    pub(crate) fn judge(&mut self, asserts: &[Assertion]) -> Result<(), LoadError> {
        self.seconds = self.start.elapsed().as_secs_f64();
        self.asserts = asserts.iter().map(|assertion| assertion.judge(self)).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Whether all assertions hold.
    pub fn holds(&self) -> bool {
        self.asserts.iter().all(|judged| judged.holds)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
        writeln!(f, "{} against {}{pid}, {:.1} s\n", self.scenario, self.target, self.seconds)?;
        for (name, figure) in &self.figures {
            writeln!(f, "  {name:<26} {figure}")?;
        }
        if !self.latencies.is_empty() {
            write!(f, "\n  {:<26}", "milliseconds")?;
            for column in ["count", "p50", "p90", "p99", "p99.9", "max"] {
                write!(f, "{column:>11}")?;
            }
            writeln!(f)?;
        }
        for (name, latency) in &self.latencies {
            write!(f, "  {name:<26}{:>11}", latency.count)?;
            for value in [latency.p50, latency.p90, latency.p99, latency.p999, latency.max] {
                write!(f, "{:>11.3}", value as f64 / 1000.0)?;
            }
            writeln!(f)?;
        }
        for judged in &self.asserts {
            writeln!(f, "\n  {judged}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Bytes if self.value.abs() < 64.0 * 1024.0 => write!(f, "{:.0} B", self.value),
            Unit::Bytes => write!(f, "{:.1} MiB", self.value / 1024.0 / 1024.0),
            Unit::Seconds => write!(f, "{:.3} s", self.value),
            Unit::Microseconds => write!(f, "{:.3} µs", self.value),
            Unit::Count => write!(f, "{:.0}", self.value),
            Unit::PerSecond => write!(f, "{:.0}/s", self.value),
            Unit::Ratio => write!(f, "{:.3}", self.value),
        }
    }
}
