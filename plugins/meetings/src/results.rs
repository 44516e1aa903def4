//! Arithmetic over votes: progress while people vote, results afterwards. Pure folds that see one vote at a time, so a
//! meeting's votes need never be in memory together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::vote::{Ballot, Kind, Vote};

/// How many have voted of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Progress {
    /// Who has voted.
    pub submitted: usize,
    /// Who is present.
    pub total: usize,
    /// From 0 to 100; 100 also when some who voted have left since, 0 while nobody is present.
    pub percentage: u32,
}

impl Progress {
    /// Works out the percentage.
    pub fn of(submitted: usize, total: usize) -> Self {
        let percentage = match total {
            0 => 0,
            total => (submitted as f64 / total as f64 * 100.0).round().min(100.0) as u32,
        };
        Self { submitted, total, percentage }
    }
}

/// The results of a meeting.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// The meeting.
    pub meeting_id: String,
    /// The phase that the meeting is at now.
    pub phase: String,
    /// Its status.
    pub status: String,
    /// One entry for each phase in which somebody has voted, by name.
    pub phases: Vec<PhaseResults>,
}

/// The results of one phase.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhaseResults {
    /// The phase.
    pub phase: String,
    /// How many emotional evaluations were submitted.
    pub emotional_submissions: usize,
    /// How many understanding contributions were submitted.
    pub understanding_submissions: usize,
    /// The mean of all understanding scores; null when there are none.
    pub understanding_mean: Option<f64>,
    /// What was said of each participant, by id.
    pub participants: Vec<ParticipantResults>,
}

/// What was said of one participant in one phase. Means are over the submissions that name them.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantResults {
    /// Who.
    pub participant_id: String,
    /// How many evaluated them.
    pub emotional_count: usize,
    /// The mean of their emotional scales; null when nobody evaluated them.
    pub emotional_mean: Option<f64>,
    /// The share of evaluations that call them toxic, from 0 to 1.
    pub toxic_share: Option<f64>,
    /// How many named a contribution of theirs.
    pub contribution_count: usize,
    /// The mean of their contribution percentages.
    pub contribution_mean: Option<f64>,
}

/// Sums up votes, one after another.
#[derive(Debug, Default)]
pub struct Tally {
    phases: BTreeMap<String, PhaseTally>,
}

#[derive(Debug, Default)]
struct PhaseTally {
    emotional_submissions: usize,
    understanding: Mean,
    participants: BTreeMap<String, ParticipantTally>,
}

#[derive(Debug, Default)]
struct ParticipantTally {
    emotional: Mean,
    toxic: usize,
    contribution: Mean,
}

#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| rounded(self.sum / self.count as f64))
    }
}

impl Tally {
    /// Counts a vote.
    pub fn add(&mut self, vote: &Vote) {
        let phase = self.phases.entry(vote.phase.clone()).or_default();
        match &vote.ballot {
            Ballot::Emotional(body) => {
                phase.emotional_submissions += 1;
                for entry in &body.evaluations {
                    let of = phase.participants.entry(entry.target_participant_id.clone()).or_default();
                    of.emotional.add(entry.emotional_scale);
                    of.toxic += usize::from(entry.is_toxic);
                }
            }
            Ballot::Understanding(body) => {
                phase.understanding.add(body.understanding_score);
                for entry in &body.contributions {
                    let of = phase.participants.entry(entry.participant_id.clone()).or_default();
                    of.contribution.add(entry.contribution_percentage);
                }
            }
        }
    }

    /// The results of what was counted.
    pub fn into_phases(self) -> Vec<PhaseResults> {
        self.phases.into_iter().map(|(phase, tally)| tally.into_results(phase)).collect()
    }
}

impl PhaseTally {
    fn into_results(self, phase: String) -> PhaseResults {
        PhaseResults {
            phase,
            emotional_submissions: self.emotional_submissions,
            understanding_submissions: self.understanding.count,
            understanding_mean: self.understanding.value(),
            participants: self.participants.into_iter().map(|(id, tally)| tally.into_results(id)).collect(),
        }
    }
}

impl ParticipantTally {
    fn into_results(self, participant_id: String) -> ParticipantResults {
        let count = self.emotional.count;
        ParticipantResults {
            participant_id,
            emotional_count: count,
            emotional_mean: self.emotional.value(),
            toxic_share: (count > 0).then(|| rounded(self.toxic as f64 / count as f64)),
            contribution_count: self.contribution.count,
            contribution_mean: self.contribution.value(),
        }
    }
}

/// Four digits after the point: enough for people, and free of floating-point dust.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// Who has voted in a phase, by kind and together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SubmissionStatus {
    /// Everyone who has submitted something in this phase, in order of submission.
    pub submitted: Vec<String>,
    /// Who of those present has not.
    pub pending: Vec<String>,
    /// Who has submitted emotional evaluations.
    pub emotional: Vec<String>,
    /// Who has submitted understanding contributions.
    pub understanding: Vec<String>,
}

impl SubmissionStatus {
    /// Puts together who submitted (with the time of it) and who is present.
    pub fn of(mut by_kind: [(Kind, Vec<(String, u64)>); 2], present: &[String]) -> Self {
        let mut status = Self::default();
        let mut first: BTreeMap<String, u64> = BTreeMap::new();
        for (kind, voters) in &mut by_kind {
            voters.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
            for (user, at) in voters.iter() {
                let earliest = first.entry(user.clone()).or_insert(*at);
                *earliest = (*earliest).min(*at);
            }
            let names = voters.iter().map(|(user, _)| user.clone()).collect();
            match kind {
                Kind::Emotional => status.emotional = names,
                Kind::Understanding => status.understanding = names,
            }
        }
        status.pending = present.iter().filter(|user| !first.contains_key(*user)).cloned().collect();
        let mut all: Vec<_> = first.into_iter().collect();
        all.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        status.submitted = all.into_iter().map(|(user, _)| user).collect();
        status
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vote(user: &str, phase: &str, kind: Kind, body: serde_json::Value) -> Vote {
        let ballot = match kind {
            Kind::Emotional => Ballot::Emotional(serde_json::from_value(body).unwrap()),
            Kind::Understanding => Ballot::Understanding(serde_json::from_value(body).unwrap()),
        };
        Vote { user: user.into(), phase: phase.into(), at: 0, ballot }
    }

    #[test]
    fn percentage_is_whole_and_bounded() {
        assert_eq!(Progress::of(1, 3).percentage, 33);
        assert_eq!(Progress::of(2, 3).percentage, 67);
        assert_eq!(Progress::of(3, 3).percentage, 100);
        assert_eq!(Progress::of(4, 3).percentage, 100);
        assert_eq!(Progress::of(2, 0).percentage, 0);
    }

    #[test]
    fn means_are_per_participant() {
        let mut tally = Tally::default();
        for (user, scale, toxic) in [("ann", 80, false), ("carol", 41, true), ("dan", 20, false)] {
            let body =
                json!({"evaluations":[{"targetParticipantId":"bob","emotionalScale":scale,"isToxic":toxic}]});
            tally.add(&vote(user, "one", Kind::Emotional, body));
        }
        let phases = tally.into_phases();
        assert_eq!(phases[0].emotional_submissions, 3);
        let bob = &phases[0].participants[0];
        assert_eq!(bob.participant_id, "bob");
        assert_eq!((bob.emotional_count, bob.emotional_mean, bob.toxic_share), (3, Some(47.0), Some(0.3333)));
        assert_eq!((bob.contribution_count, bob.contribution_mean), (0, None));
    }

    #[test]
    fn understanding_is_averaged() {
        let mut tally = Tally::default();
        for (user, score, share) in [("ann", 90, 60), ("bob", 75, 20)] {
            let body = json!({"understandingScore":score,
                "contributions":[{"participantId":"carol","contributionPercentage":share}]});
            tally.add(&vote(user, "one", Kind::Understanding, body));
        }
        let phases = tally.into_phases();
        assert_eq!(phases[0].understanding_mean, Some(82.5));
        assert_eq!(phases[0].understanding_submissions, 2);
        assert_eq!(phases[0].participants[0].contribution_mean, Some(40.0));
        assert_eq!(phases[0].participants[0].emotional_mean, None);
    }

    #[test]
    fn phases_do_not_mix() {
        let mut tally = Tally::default();
        tally.add(&vote("ann", "two", Kind::Understanding, json!({"understandingScore":10})));
        tally.add(&vote("ann", "one", Kind::Understanding, json!({"understandingScore":30})));
        let means: Vec<_> =
            tally.into_phases().into_iter().map(|phase| (phase.phase, phase.understanding_mean)).collect();
        assert_eq!(means, [("one".to_owned(), Some(30.0)), ("two".to_owned(), Some(10.0))]);
    }

    #[test]
    fn status_counts_everyone_once() {
        let status = SubmissionStatus::of(
            [
                (Kind::Emotional, vec![("bob".into(), 5), ("ann".into(), 2)]),
                (Kind::Understanding, vec![("bob".into(), 1)]),
            ],
            &["ann".into(), "carol".into()],
        );
        assert_eq!(status.submitted, ["bob", "ann"]);
        assert_eq!(status.emotional, ["ann", "bob"]);
        assert_eq!(status.understanding, ["bob"]);
        assert_eq!(status.pending, ["carol"]);
    }
}
