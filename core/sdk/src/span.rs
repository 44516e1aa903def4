//! Durations as people write them in settings: `"100ms"`, `"30s"`, `"5m"`, `"1h"`, `"1m 30s"`.

use std::{fmt, ops::Deref, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A duration in settings. Derefs to [`Duration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

impl Span {
    /// So many milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    /// So many seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// So many minutes.
    pub const fn mins(n: u64) -> Self {
        Self::secs(n * 60)
    }

    /// So many hours.
    pub const fn hours(n: u64) -> Self {
        Self::mins(n * 60)
    }

    /// Whole milliseconds, at most `u64::MAX`.
    pub fn as_ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether so much time has passed; both in milliseconds since 1970.
    pub fn is_over(self, since_ms: u64, now_ms: u64) -> bool {
        since_ms.saturating_add(self.as_ms()) <= now_ms
    }

    /// Reads what people write; `None` when it is no duration.
    pub fn parse(text: &str) -> Option<Self> {
        let mut total = Duration::ZERO;
        let mut rest = text.trim();
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: u64 = rest[..digits].parse().ok()?;
            let tail = rest[digits..].trim_start();
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let one = match &tail[..letters] {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return None,
            };
            total = total.checked_add(Duration::from_millis(number.checked_mul(one)?))?;
            rest = tail[letters..].trim_start();
        }
        Some(Self(total))
    }
}

impl Deref for Span {
    type Target = Duration;
    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.as_ms();
        let (number, unit) = match ms {
            0 => (0, "s"),
            _ if ms.is_multiple_of(3_600_000) => (ms / 3_600_000, "h"),
            _ if ms.is_multiple_of(60_000) => (ms / 60_000, "m"),
            _ if ms.is_multiple_of(1_000) => (ms / 1_000, "s"),
            _ => (ms, "ms"),
        };
        write!(f, "{number}{unit}")
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format_args!("`{text}` is no duration, write for example \"30s\""))
        })
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a duration, for example 100ms, 30s, 5m or 1h",
            "pattern": "^\\s*([0-9]+\\s*(ms|s|m|min|h|d)\\s*)+$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(Span::parse("100ms"), Some(Span::millis(100)));
        assert_eq!(Span::parse("1m 30s"), Some(Span::secs(90)));
        assert_eq!(Span::parse("1h"), Some(Span::hours(1)));
        for bad in ["", "5", "s", "5 parsecs", "-1s", "99999999999999999999s"] {
            assert_eq!(Span::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn time_is_over_at_its_end() {
        assert!(Span::secs(1).is_over(5_000, 6_000) && !Span::secs(1).is_over(5_000, 5_999));
        assert!(!Span::hours(1).is_over(u64::MAX, 0), "a clock that went back");
    }

    #[test]
    fn writes_what_it_reads() {
        for span in [Span::millis(1), Span::secs(90), Span::mins(5), Span::hours(2), Span::secs(0)] {
            assert_eq!(Span::parse(&span.to_string()), Some(span));
        }
    }
}
