//! Votes: the bodies that people submit and the rules that a submission must keep. Pure: who votes and for which meeting
//! comes in, a verdict goes out.

use std::collections::HashSet;

use exedra_sdk::prelude::*;

use crate::meeting::Meeting;

/// Most evaluations or contributions of one submission.
pub const MAX_ENTRIES: usize = 1000;
/// By how much a sum of percentages may exceed 100: thirds do not add up exactly in floating point.
const SLACK: f64 = 1e-6;

/// What a submission is about. A closed set: it names store keys and metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// How the others came across.
    Emotional,
    /// How well one understood, and thanks to whom.
    Understanding,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Emotional, Self::Understanding];

    /// The kind's name in answers, keys and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emotional => "emotional",
            Self::Understanding => "understanding",
        }
    }
}

/// The body of `POST …/emotional-evaluations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmotionalEvaluations {
    /// One for each person that is judged.
    #[schemars(length(min = 1, max = 1000))]
    pub evaluations: Vec<Evaluation>,
}

/// What one participant says of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evaluation {
    /// Who is judged: another participant.
    #[schemars(length(min = 1, max = 128))]
    pub target_participant_id: String,
    /// From 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub emotional_scale: f64,
    /// Whether the behaviour was toxic.
    #[serde(default)]
    pub is_toxic: bool,
}

/// The body of `POST …/understanding-contributions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnderstandingContributions {
    /// How well the voter understood, from 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub understanding_score: f64,
    /// Who contributed how much to it; together at most 100.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub contributions: Vec<Contribution>,
}

/// How much one participant contributed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contribution {
    /// Who.
    #[schemars(length(min = 1, max = 128))]
    pub participant_id: String,
    /// From 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub contribution_percentage: f64,
}

/// A submission of either kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Ballot {
    /// See [`EmotionalEvaluations`].
    Emotional(EmotionalEvaluations),
    /// See [`UnderstandingContributions`].
    Understanding(UnderstandingContributions),
}

/// A submission as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    /// Who voted.
    pub user: String,
    /// In which phase.
    pub phase: String,
    /// When, milliseconds since 1970.
    pub at: u64,
    /// What was said.
    pub ballot: Ballot,
}

impl Ballot {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Emotional(_) => Kind::Emotional,
            Self::Understanding(_) => Kind::Understanding,
        }
    }

    /// Refuses a submission that breaks a rule, and says which.
    pub fn check(&self, voter: &str, meeting: &Meeting) -> Result<()> {
        let invited: HashSet<&str> = meeting.participant_ids.iter().map(String::as_str).collect();
        match self {
            Self::Emotional(body) => body.check(voter, &invited),
            Self::Understanding(body) => body.check(&invited),
        }
    }
}

impl EmotionalEvaluations {
    fn check(&self, voter: &str, invited: &HashSet<&str>) -> Result<()> {
        check_length("evaluations", self.evaluations.len())?;
        if self.evaluations.is_empty() {
            return Err(Error::invalid("evaluations must not be empty"));
        }
        let mut seen = HashSet::new();
        for (index, entry) in self.evaluations.iter().enumerate() {
            let target = entry.target_participant_id.as_str();
            if target == voter {
                return Err(Error::invalid(format!("evaluations[{index}]: nobody evaluates themselves")));
            }
            check_target("evaluations", index, target, invited, &mut seen)?;
            check_percent(&format!("evaluations[{index}].emotionalScale"), entry.emotional_scale)?;
        }
        Ok(())
    }
}

impl UnderstandingContributions {
    fn check(&self, invited: &HashSet<&str>) -> Result<()> {
        check_percent("understandingScore", self.understanding_score)?;
        check_length("contributions", self.contributions.len())?;
        let mut seen = HashSet::new();
        for (index, entry) in self.contributions.iter().enumerate() {
            check_target("contributions", index, &entry.participant_id, invited, &mut seen)?;
            check_percent(
                &format!("contributions[{index}].contributionPercentage"),
                entry.contribution_percentage,
            )?;
        }
        let sum: f64 = self.contributions.iter().map(|entry| entry.contribution_percentage).sum();
        if sum > 100.0 + SLACK {
            return Err(Error::invalid(format!("contributions add up to {sum}, more than 100")));
        }
        Ok(())
    }
}

fn check_length(field: &str, length: usize) -> Result<()> {
    if length > MAX_ENTRIES {
        return Err(Error::invalid(format!("{field} has more than {MAX_ENTRIES} entries")));
    }
    Ok(())
}

/// Somebody invited, and named only once.
fn check_target<'a>(
    field: &str,
    index: usize,
    id: &'a str,
    invited: &HashSet<&str>,
    seen: &mut HashSet<&'a str>,
) -> Result<()> {
    if !invited.contains(id) {
        return Err(Error::invalid(format!("{field}[{index}] names somebody who is not a participant")));
    }
    if !seen.insert(id) {
        return Err(Error::invalid(format!("{field}[{index}] names a participant for the second time")));
    }
    Ok(())
}

fn check_percent(field: &str, value: f64) -> Result<()> {
    // Not a number is in no range, so this refuses it too.
    if (0.0..=100.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::invalid(format!("{field} must be from 0 to 100")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::meeting::NewMeeting;

    fn verdict(kind: Kind, body: Value) -> std::result::Result<(), String> {
        let new = NewMeeting {
            participant_ids: ["ann", "bob", "carol"].map(str::to_owned).into(),
            ..Default::default()
        };
        let meeting = Meeting::make(new, "dan", 0).unwrap();
        let ballot = match kind {
            Kind::Emotional => Ballot::Emotional(serde_json::from_value(body).map_err(|e| e.to_string())?),
            Kind::Understanding => {
                Ballot::Understanding(serde_json::from_value(body).map_err(|e| e.to_string())?)
            }
        };
        ballot.check("ann", &meeting).map_err(|error| error.message)
    }

    fn emotional(entries: Value) -> std::result::Result<(), String> {
        verdict(Kind::Emotional, json!({ "evaluations": entries }))
    }

    fn understanding(score: Value, entries: Value) -> std::result::Result<(), String> {
        verdict(Kind::Understanding, json!({ "understandingScore": score, "contributions": entries }))
    }

    fn eval(target: &str, scale: f64) -> Value {
        json!({ "targetParticipantId": target, "emotionalScale": scale, "isToxic": false })
    }

    fn part(who: &str, percentage: f64) -> Value {
        json!({ "participantId": who, "contributionPercentage": percentage })
    }

    #[test]
    fn bounds_are_included() {
        assert_eq!(emotional(json!([eval("bob", 0.0), eval("carol", 100.0)])), Ok(()));
        assert_eq!(understanding(json!(0), json!([part("bob", 100.0)])), Ok(()));
        assert_eq!(understanding(json!(100), json!([])), Ok(()));
    }

    #[test]
    fn scale_outside_is_refused() {
        for scale in [-0.1, 100.1, 1e300] {
            assert!(emotional(json!([eval("bob", scale)])).unwrap_err().contains("emotionalScale"));
            assert!(understanding(json!(scale), json!([])).unwrap_err().contains("understandingScore"));
            assert!(understanding(json!(1), json!([part("bob", scale)])).is_err());
        }
        assert!(check_percent("x", f64::NAN).is_err());
    }

    #[test]
    fn nobody_evaluates_themselves() {
        assert!(emotional(json!([eval("ann", 5.0)])).unwrap_err().contains("themselves"));
    }

    #[test]
    fn strangers_are_no_targets() {
        assert!(emotional(json!([eval("dan", 5.0)])).is_err());
        assert!(understanding(json!(1), json!([part("dan", 5.0)])).is_err());
    }

    #[test]
    fn nobody_is_named_twice() {
        assert!(emotional(json!([eval("bob", 5.0), eval("bob", 6.0)])).is_err());
        assert!(understanding(json!(1), json!([part("bob", 5.0), part("bob", 5.0)])).is_err());
    }

    #[test]
    fn shares_stay_within_hundred() {
        assert!(understanding(json!(1), json!([part("bob", 60.0), part("carol", 40.1)])).is_err());
        let thirds = json!([part("ann", 33.4), part("bob", 33.3), part("carol", 33.3)]);
        assert_eq!(understanding(json!(1), thirds), Ok(()));
    }

    #[test]
    fn wrong_types_are_refused() {
        assert!(emotional(json!([{ "targetParticipantId": "bob", "emotionalScale": "85" }])).is_err());
        assert!(
            emotional(json!([{ "targetParticipantId": "bob", "emotionalScale": 1, "isToxic": "no" }]))
                .is_err()
        );
        assert!(
            emotional(json!([{ "targetParticipantId": "bob", "emotionalScale": 1, "toxic": true }])).is_err()
        );
        assert!(emotional(json!([])).is_err());
        assert!(understanding(json!(null), json!([])).is_err());
    }

    #[test]
    fn stored_vote_reads_back() {
        let body = serde_json::from_value(json!({ "evaluations": [eval("bob", 7.5)] })).unwrap();
        let vote = Vote { user: "ann".into(), phase: "p".into(), at: 1, ballot: Ballot::Emotional(body) };
        let text = serde_json::to_string(&vote).unwrap();
        assert_eq!(serde_json::from_str::<Vote>(&text).unwrap(), vote);
    }
}
