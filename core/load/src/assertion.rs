//! `--assert NAME=VALUE`: what a run must keep to count as a success.

use std::fmt;

use bytesize::ByteSize;
use serde::Serialize;

use crate::{LoadError, Report, Unit};

/// One assertion: a figure or percentile, and its bound.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assertion {
    text: String,
    name: String,
    order: Order,
    bound: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AtMost,
    Below,
    AtLeast,
    Above,
}

/// An assertion and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// As it was written.
    pub assertion: String,
    /// What was measured, in the figure's unit (percentiles: microseconds).
    pub actual: f64,
    /// Whether it holds.
    pub holds: bool,
}

/// Reads all assertions.
pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<Assertion>, LoadError> {
    texts.iter().map(|text| Assertion::parse(text)).collect()
}

impl Assertion {
    fn parse(text: &str) -> Result<Self, LoadError> {
        // `=` alone means "at most": that is what people mean by p99=3ms.
        let orders = [
            ("<=", Order::AtMost),
            (">=", Order::AtLeast),
            ("<", Order::Below),
            (">", Order::Above),
            ("=", Order::AtMost),
        ];
        for (sign, order) in orders {
            if let Some((name, bound)) = text.split_once(sign) {
                let (name, bound) = (name.trim().to_owned(), bound.trim().to_owned());
                if !name.is_empty() && is_value(&bound) {
                    return Ok(Self { text: text.to_owned(), name, order, bound });
                }
            }
        }
        Err(LoadError::Usage(format!("--assert {text}: write it like p99=3ms or rss_per_connection<=4KiB")))
    }

    /// Holds a report against it.
    pub(crate) fn judge(&self, report: &Report) -> Result<Judged, LoadError> {
        let (actual, unit) = self.find(report)?;
        let bound = in_unit(&self.bound, unit).ok_or_else(|| {
            LoadError::Usage(format!("--assert {}: {} is measured in {unit:?}", self.text, self.name))
        })?;
        let holds = match self.order {
            Order::AtMost => actual <= bound,
            Order::Below => actual < bound,
            Order::AtLeast => actual >= bound,
            Order::Above => actual > bound,
        };
        Ok(Judged { assertion: self.text.clone(), actual, holds })
    }

    /// A figure, a percentile of the scenario's own latency, or `latency.percentile`.
    fn find(&self, report: &Report) -> Result<(f64, Unit), LoadError> {
        if let Some(figure) = report.figures.get(self.name.as_str()) {
            return Ok((figure.value, figure.unit));
        }
        let (latency, percentile) = self.name.split_once('.').unwrap_or((report.main, &self.name));
        let (latency, percentile) = if report.latencies.contains_key(latency) {
            (latency, percentile)
        } else {
            (report.main, &*self.name)
        };
        let found = report.latencies.get(latency).and_then(|latency| latency.named(percentile));
        found.map(|value| (value, Unit::Microseconds)).ok_or_else(|| {
            let figures: Vec<_> = report.figures.keys().chain(report.latencies.keys()).copied().collect();
            LoadError::Usage(format!("--assert {}: this run measures {}", self.text, figures.join(", ")))
        })
    }
}

fn is_value(text: &str) -> bool {
    text.parse::<f64>().is_ok() || humantime::parse_duration(text).is_ok() || text.parse::<ByteSize>().is_ok()
}

/// A bound in the unit of what it bounds; a bare number is in that unit already.
fn in_unit(text: &str, unit: Unit) -> Option<f64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let seconds = || humantime::parse_duration(text).ok().map(|duration| duration.as_secs_f64());
    match unit {
        Unit::Seconds => seconds(),
        Unit::Microseconds => seconds().map(|seconds| seconds * 1e6),
        Unit::Bytes => text.parse::<ByteSize>().ok().map(|size| size.as_u64() as f64),
        Unit::Count | Unit::PerSecond | Unit::Ratio => None,
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds { "holds" } else { "FAILS" };
        write!(f, "{word}: {} (measured {:.3})", self.assertion, self.actual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::histogram;

    fn report() -> Report {
        let mut report = Report::new("fan-out", String::new(), None, "last");
        let mut times = histogram();
        times.saturating_record(2000);
        report.latency("last", &times);
        report.figure("rss_per_connection", 3000.0, Unit::Bytes);
        report.count("lost", 0);
        report
    }

    fn holds(text: &str) -> Result<bool, LoadError> {
        Assertion::parse(text)?.judge(&report()).map(|judged| judged.holds)
    }

    #[test]
    fn bounds_have_units() {
        for text in
            ["p99=3ms", "last.p99<=2001us", "rss_per_connection<4KiB", "lost=0", "p50>=1500", "p99.9<1s"]
        {
            assert_eq!(holds(text), Ok(true), "{text}");
        }
        for text in ["p99=1ms", "rss_per_connection<=2KiB", "lost>0"] {
            assert_eq!(holds(text), Ok(false), "{text}");
        }
    }

    #[test]
    fn nonsense_is_a_usage_error() {
        for text in ["p99", "=3ms", "p99=fast", "p98=3ms", "lost=3ms", "rss_per_connection=3ms"] {
            assert!(holds(text).is_err_and(|error| error.is_usage()), "{text}");
        }
    }
}
