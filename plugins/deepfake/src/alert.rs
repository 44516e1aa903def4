//! Alerts: what an engine raises, what people in the meeting see, and what the audit trail keeps of it.

use exedra_sdk::{
    keys::{key, prefix},
    prelude::*,
    random::Sequence,
    time::{Timestamp, parse_iso8601},
    value::{Id, Text, When},
};

use crate::{update::More, value::Score};

/// Acknowledgements that an alert keeps; more are refused.
pub(crate) const MOST_ACKS: usize = 200;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something must be done.
    High,
    /// Somebody should look.
    Medium,
    /// For the record.
    Low,
}

impl Severity {
    /// As clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// `deepfake-alert` as an engine raises it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertIn {
    /// The meeting; over the bus the subject says it.
    #[serde(default)]
    pub meeting_id: Option<Id>,
    /// Whom it is about.
    pub participant_id: Id,
    /// How bad it is.
    pub severity: Severity,
    /// What has happened, for people.
    pub message: Text<1000>,
    /// What has happened, for programs.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text<64>>,
    /// How sure the engine is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Score>,
    /// When; now, when left out.
    #[serde(default)]
    pub timestamp: Option<When>,
    /// Whether somebody has to do something; so it is for high severity, when left out.
    #[serde(default)]
    pub action_required: Option<bool>,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}

/// `deepfake-alert` as clients see it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// By what it is acknowledged.
    pub alert_id: String,
    /// What was raised, with everything filled in.
    #[serde(flatten)]
    pub alert: AlertIn,
}

/// An alert in the audit trail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) alert: Alert,
    /// In milliseconds since 1970.
    pub(crate) received_at: u64,
    pub(crate) acks: Vec<Ack>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ack {
    pub(crate) user_id: String,
    pub(crate) user_name: String,
    /// In milliseconds since 1970.
    pub(crate) at: u64,
}

/// An alert of the audit trail, as REST shows it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertView {
    /// The alert's id once more.
    pub id: String,
    /// As clients have seen it.
    #[serde(flatten)]
    pub alert: Alert,
    /// When it came in.
    pub received_at: Timestamp,
    /// Who has seen it.
    pub acknowledgements: Vec<AckView>,
}

/// Somebody who has seen an alert.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AckView {
    /// Who.
    pub user_id: String,
    /// The name to show.
    pub user_name: String,
    /// When.
    pub acknowledged_at: Timestamp,
}

/// The query of `GET /api/meetings/{id}/alerts`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertQuery {
    /// Only alerts that came in at or after this date or number of milliseconds since 1970; or after this alert.
    pub since: Option<String>,
    /// Only alerts of this severity.
    pub severity: Option<Severity>,
    /// How many at most: 50 when left out, 500 at most.
    pub limit: Option<u32>,
}

/// `exedra.rpc.deepfake.alerts`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlertsOf {
    /// The meeting.
    pub meeting_id: Id,
    /// As in the query.
    #[serde(default)]
    pub since: Option<String>,
    /// As in the query.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// As in the query.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// The answer of `GET /api/meetings/{id}/alerts`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertList {
    /// The meeting.
    pub meeting_id: String,
    /// The alerts in order of their coming.
    pub alerts: Vec<AlertView>,
    /// The `since` of the next page; null when this was the last.
    pub next: Option<String>,
}

/// `ack-alert`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AckAlert {
    /// The meeting.
    pub meeting_id: Id,
    /// The alert.
    pub alert_id: Text<64>,
}

/// `alert-acknowledged`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertAcknowledged {
    /// The meeting.
    pub meeting_id: String,
    /// The alert.
    pub alert_id: String,
    /// Who has seen it.
    pub user_id: String,
    /// The name to show.
    pub user_name: String,
    /// When.
    pub timestamp: Timestamp,
}

impl From<Record> for AlertView {
    fn from(record: Record) -> Self {
        let view = |ack: Ack| AckView {
            user_id: ack.user_id,
            user_name: ack.user_name,
            acknowledged_at: Timestamp(ack.at),
        };
        Self {
            id: record.alert.alert_id.clone(),
            alert: record.alert,
            received_at: Timestamp(record.received_at),
            acknowledgements: record.acks.into_iter().map(view).collect(),
        }
    }
}

/// Where an alert is kept.
pub(crate) fn key_of(meeting: &str, alert: &str) -> String {
    key(&["alerts", meeting, alert])
}

/// Where the alerts of a meeting are kept, in order of their coming.
pub(crate) fn prefix_of(meeting: &str) -> String {
    prefix(&["alerts", meeting])
}

/// Where the alerts of all meetings are kept.
pub(crate) const ALL: &str = "alerts/";

/// The key after which a list begins.
pub(crate) fn beginning(meeting: &str, since: &str) -> Result<String> {
    let number = since.parse().ok().filter(|_| since.len() <= 15);
    if let Some(ms) = number.or_else(|| parse_iso8601(since)) {
        return Ok(key_of(meeting, &Sequence::since(ms)));
    }
    if Sequence::made(since) {
        return Ok(key_of(meeting, since));
    }
    Err(Error::invalid("since is a date, a number of milliseconds since 1970, or the id of an alert"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_begin_where_asked() {
        let ids = Sequence::default();
        let (early, late) = (ids.next(1_768_905_000_000).unwrap(), ids.next(1_768_905_000_001).unwrap());
        for since in ["2026-01-20T10:30:00.001Z", "1768905000001"] {
            let after = beginning("m", since).unwrap();
            assert!(key_of("m", &early) < after && after < key_of("m", &late), "{since}");
        }
        assert_eq!(beginning("m", &early).unwrap(), key_of("m", &early));
        for bad in ["", "-1", "soon", "../../x", "99999999999999999999"] {
            assert!(beginning("m", bad).is_err(), "{bad}");
        }
    }
}
