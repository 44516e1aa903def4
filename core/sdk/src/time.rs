//! Dates as clients expect them.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// Milliseconds since 1970 that serialise as clients write dates, `2026-01-20T10:30:00.000Z`, and are dates in schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&iso8601(self.0))
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// Milliseconds since 1970 as ISO 8601 in UTC: `2026-01-20T10:30:00.000Z`.
pub fn iso8601(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second, milli) =
        (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Reads an ISO 8601 date and time with its offset, as clients write it: `2026-01-20T10:30:00Z`,
/// `2026-01-20T11:30:00.123456+01:00`. `None` for anything else, and for what was before 1970.
pub fn parse_iso8601(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let [year, month, day] = fields(date, b'-', [4, 2, 2])?;
    let [hour, minute, second] = fields(time, b':', [2, 2, 2])?;
    let (milli, zone) = fraction(rest)?;
    let days_of_month =
        if month == 2 && is_leap(year) { 29 } else { *DAYS.get(usize::try_from(month).ok()?)? };
    if day == 0 || day > days_of_month || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local =
        ((days_since_1970(year, month, day)? * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + milli;
    u64::try_from(i64::try_from(local).ok()? - offset(zone)? * 60_000).ok()
}

/// Days of each month, counted from 1; February without its leap day.
const DAYS: [u64; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let before = year.checked_sub(1970)?;
    let (last, leaps) = (year - 1, |year: u64| year / 4 - year / 100 + year / 400);
    let of_year: u64 = DAYS.iter().take(usize::try_from(month).ok()?).sum();
    let leap_day = u64::from(month > 2 && is_leap(year));
    Some(before * 365 + leaps(last) - leaps(1969) + of_year + leap_day + day - 1)
}

/// Numbers of fixed widths with a byte between them.
fn fields(text: &str, between: u8, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(char::from(between));
    let mut read = [0; 3];
    for (slot, width) in read.iter_mut().zip(widths) {
        *slot = digits(parts.next().filter(|part| part.len() == width)?)?;
    }
    parts.next().is_none().then_some(read)
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Milliseconds of a fraction of any length, and what comes after it.
fn fraction(text: &str) -> Option<(u64, &str)> {
    let Some(rest) = text.strip_prefix(['.', ',']) else { return Some((0, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if end == 0 || end > 9 {
        return None;
    }
    let milli = digits(&format!("{:0<3}", &rest[..end])[..3])?;
    Some((milli, &rest[end..]))
}

/// Minutes east of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.strip_prefix(['+', '-'])?.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let (hours, minutes) = (digits(hours)?, if minutes.is_empty() { 0 } else { digits(minutes)? });
    (hours < 24 && minutes < 60).then(|| sign * i64::try_from(hours * 60 + minutes).unwrap_or_default())
}

/// Milliseconds since 1970 as a point in time.
pub fn system_time(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar. A year starts in March here, so that the
/// leap day is its last.
fn civil(days: u64) -> (u64, u64, u64) {
    let day = days + 719_468; // since 0000-03-01
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_look_like_javascript() {
        let text = serde_json::to_string(&Timestamp(1_709_164_800_010)).unwrap();
        assert_eq!(text, r#""2024-02-29T00:00:00.010Z""#);
    }

    #[test]
    fn dates_of_clients_are_read() {
        assert_eq!(parse_iso8601("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_iso8601("2026-01-20T10:30:05.123Z"), Some(1_768_905_005_123));
        assert_eq!(parse_iso8601("2026-01-20T12:30:05.123456+02:00"), Some(1_768_905_005_123));
        assert_eq!(parse_iso8601("2026-01-20 05:00:05,1-0530"), Some(1_768_905_005_100));
        for ms in [951_782_399_999, 951_782_400_000, 951_868_800_000, 4_107_542_399_999, 13_569_465_600_000] {
            assert_eq!(parse_iso8601(&iso8601(ms)), Some(ms));
        }
        for bad in [
            "",
            "2026-01-20",
            "2026-01-20T10:30:05",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-01-20T24:00:00Z",
            "2026-01-20T10:30:05.Z",
            "2026-01-20T10:30:05+25:00",
            "+026-01-20T10:30:05Z",
            "2026-01-20T10:30:05Zx",
            "2026-1-20T10:30:05Z",
            "2026-00-10T00:00:00Z",
            "ää26-01-20T10:30:05Z",
        ] {
            assert_eq!(parse_iso8601(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_are_iso_8601() {
        assert_eq!(iso8601(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso8601(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso8601(1_768_905_005_123), "2026-01-20T10:30:05.123Z");
        assert_eq!(iso8601(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
    }
}
