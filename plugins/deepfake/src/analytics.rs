//! What the plugin counts for a meeting by itself, from what comes through: pure numbers, kept small enough to be
//! stored as one value.
//!
//! Something begins to look wrong when a modality of a participant crosses the threshold, or an alert names it; it
//! counts once until a later result looks right again. Five results a second about one fake are one anomaly.

use std::collections::BTreeMap;

use exedra_sdk::prelude::*;

use crate::{
    alert::AlertIn,
    update::{Analytics, Found, Modalities, More, Results},
    value::Score,
};

/// Participants that are looked at one by one; more are not in the means.
const MOST_PARTICIPANTS: usize = 1000;

/// Where something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modality {
    Audio,
    Video,
    Behavioral,
}

/// The numbers of a meeting.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tally {
    people: BTreeMap<String, Person>,
    detected: [u64; 3],
    /// Alerts that name no modality.
    other: u64,
    frames: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Person {
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<f64>,
    confidence: [Option<f64>; 3],
    wrong: [bool; 3],
}

impl Modality {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Behavioral => "behavioral",
        }
    }

    /// The modality that an alert's type speaks of, as in `voice_clone_detected`.
    fn of_type(kind: &str) -> Option<Self> {
        let kind = kind.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
        match () {
            () if has(&["voice", "audio", "speech"]) => Some(Self::Audio),
            () if has(&["face", "facial", "lip", "video"]) => Some(Self::Video),
            () if has(&["behavior", "behaviour", "emotion"]) => Some(Self::Behavioral),
            () => None,
        }
    }
}

impl Tally {
    /// Takes results in; gives the modalities in which something began to look wrong.
    pub(crate) fn detection(
        &mut self,
        participant: &str,
        results: &Results,
        threshold: f64,
    ) -> Vec<Modality> {
        let Some(person) = self.person(participant) else { return Vec::new() };
        let mut began = Vec::new();
        for (modality, confidence, wrong) in readings(results, threshold) {
            let at = modality as usize;
            person.confidence[at] = confidence.map(|score| score.0).or(person.confidence[at]);
            if let Some(wrong) = wrong {
                if wrong && !person.wrong[at] {
                    began.push(modality);
                }
                person.wrong[at] = wrong;
            }
        }
        for modality in &began {
            self.detected[*modality as usize] += 1;
        }
        began
    }

    /// Takes an alert in; gives the modality if something began to look wrong there.
    pub(crate) fn alert(&mut self, alert: &AlertIn) -> Option<Modality> {
        let kind = alert.kind.as_ref().map_or("", |kind| &kind.0);
        let Some(modality) = Modality::of_type(kind) else {
            self.other += 1;
            return None;
        };
        let at = modality as usize;
        if let Some(person) = self.person(&alert.participant_id.0) {
            person.confidence[at] = alert.confidence.map(|score| score.0).or(person.confidence[at]);
            if std::mem::replace(&mut person.wrong[at], true) {
                return None;
            }
        }
        self.detected[at] += 1;
        Some(modality)
    }

    /// Takes a trust score in.
    pub(crate) fn trust(&mut self, participant: &str, score: Score) {
        if let Some(person) = self.person(participant) {
            person.trust = Some(score.0);
        }
    }

    /// What has been counted since it was like `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let changed = |(who, person): &(&String, &Person)| before.people.get(*who) != Some(*person);
        let people = self.people.iter().filter(changed).map(|(who, person)| (who.clone(), person.clone()));
        Self {
            people: people.collect(),
            detected: std::array::from_fn(|at| self.detected[at].saturating_sub(before.detected[at])),
            other: self.other.saturating_sub(before.other),
            frames: self.frames.saturating_sub(before.frames),
        }
    }

    /// The same with what was counted elsewhere.
    pub(crate) fn plus(mut self, more: &Self) -> Self {
        for (who, person) in &more.people {
            if let Some(known) = self.person(who) {
                known.clone_from(person);
            }
        }
        for (sum, more) in self.detected.iter_mut().zip(more.detected) {
            *sum = sum.saturating_add(more);
        }
        self.other = self.other.saturating_add(more.other);
        self.frames = self.frames.saturating_add(more.frames);
        self
    }

    /// A video frame came through.
    pub(crate) fn frame(&mut self) {
        self.frames += 1;
    }

    /// As clients see it.
    pub(crate) fn analytics(&self, participants: u64) -> Analytics {
        let found = |modality: Modality| {
            let at = modality as usize;
            let confidence = mean(self.people.values().filter_map(|person| person.confidence[at]));
            Found { detected: self.detected[at], confidence: Score(confidence.unwrap_or(0.0)) }
        };
        Analytics {
            total_participants: participants,
            anomalies_detected: self.detected.iter().sum::<u64>() + self.other,
            average_trust_score: mean(self.people.values().filter_map(|person| person.trust)).map(Score),
            detection_modality: Modalities {
                audio: found(Modality::Audio),
                video: found(Modality::Video),
                behavioral: found(Modality::Behavioral),
                more: More::new(),
            },
            cpu_usage: None,
            memory_usage: None,
            processed_frames: self.frames,
            more: More::new(),
        }
    }

    fn person(&mut self, participant: &str) -> Option<&mut Person> {
        if !self.people.contains_key(participant) {
            if self.people.len() >= MOST_PARTICIPANTS {
                return None;
            }
            self.people.insert(participant.to_owned(), Person::default());
        }
        self.people.get_mut(participant)
    }
}

type Reading = (Modality, Option<Score>, Option<bool>);

/// What results say of each modality: how sure the engine is, and whether it looks wrong.
fn readings(results: &Results, threshold: f64) -> Vec<Reading> {
    let mut readings = Vec::new();
    // A consistency is wrong where it is low.
    let high = |score: Option<Score>| score.map(|score| score.0 >= threshold);
    let low = |score: Option<Score>| score.map(|score| 1.0 - score.0 >= threshold);
    if let Some(of) = &results.audio_analysis {
        readings.push((Modality::Audio, of.confidence, high(of.voice_clone_score)));
    }
    if let Some(of) = &results.video_analysis {
        let wrong = match (low(of.facial_consistency), high(of.lip_sync_error)) {
            (None, None) => None,
            (face, lips) => Some(face == Some(true) || lips == Some(true)),
        };
        readings.push((Modality::Video, of.confidence, wrong));
    }
    if let Some(of) = &results.behavioral_analysis {
        readings.push((Modality::Behavioral, of.confidence, low(of.emotion_consistency)));
    }
    readings
}

/// With four digits.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| (sum / count as f64 * 10_000.0).round() / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(value: Value) -> Results {
        serde_json::from_value(value).unwrap()
    }

    fn alert(who: &str, kind: &str) -> AlertIn {
        let alert = json!({"participantId": who, "severity": "high", "message": "m", "type": kind, "confidence": 0.9});
        serde_json::from_value(alert).unwrap()
    }

    fn voice(score: f64) -> Results {
        results(json!({"audioAnalysis": {"voiceCloneScore": score, "confidence": 0.92}}))
    }

    #[test]
    fn one_fake_is_one_anomaly() {
        let mut tally = Tally::default();
        assert_eq!(tally.detection("ann", &voice(0.85), 0.7), [Modality::Audio]);
        assert!(tally.detection("ann", &voice(0.99), 0.7).is_empty());
        assert_eq!(tally.alert(&alert("ann", "voice_clone_detected")), None, "it is the same one");
        assert!(tally.detection("ann", &voice(0.1), 0.7).is_empty());
        assert_eq!(tally.alert(&alert("ann", "voice_clone_detected")), Some(Modality::Audio));
        assert_eq!(tally.detection("bob", &voice(0.7), 0.7), [Modality::Audio]);
        let analytics = tally.analytics(5);
        assert_eq!((analytics.total_participants, analytics.anomalies_detected), (5, 3));
        assert_eq!(analytics.detection_modality.audio, Found { detected: 3, confidence: Score(0.91) });
    }

    #[test]
    fn low_consistency_looks_wrong() {
        let mut tally = Tally::default();
        let fine = json!({
            "audioAnalysis": {"voiceCloneScore": 0.1, "confidence": 0.9},
            "videoAnalysis": {"facialConsistency": 0.78, "lipSyncError": 0.05, "confidence": 0.88},
            "behavioralAnalysis": {"emotionConsistency": 0.82, "confidence": 0.90}
        });
        assert!(tally.detection("ann", &results(fine), 0.7).is_empty());
        let face = json!({"videoAnalysis": {"facialConsistency": 0.2, "lipSyncError": 0.05}});
        assert_eq!(tally.detection("ann", &results(face), 0.7), [Modality::Video]);
        let lips = json!({"videoAnalysis": {"lipSyncError": 0.9}, "behavioralAnalysis": {"emotionConsistency": 0.1}});
        assert_eq!(tally.detection("bob", &results(lips), 0.7), [Modality::Video, Modality::Behavioral]);
        assert!(tally.detection("bob", &results(json!({"videoAnalysis": {}})), 0.7).is_empty());
    }

    #[test]
    fn trust_is_the_mean_of_the_newest() {
        let mut tally = Tally::default();
        assert_eq!(tally.analytics(0).average_trust_score, None);
        for (who, score) in [("ann", 0.1), ("bob", 0.8), ("ann", 0.9), ("eve", 0.5)] {
            tally.trust(who, Score(score));
        }
        assert_eq!(tally.analytics(0).average_trust_score, Some(Score(0.7333)));
    }

    #[test]
    fn alerts_of_no_modality_count() {
        let mut tally = Tally::default();
        assert_eq!(tally.alert(&alert("ann", "strange")), None);
        assert_eq!(tally.alert(&alert("ann", "strange")), None);
        assert_eq!(tally.analytics(1).anomalies_detected, 2);
        for (kind, modality) in [
            ("VOICE_CLONE", Modality::Audio),
            ("face_swap", Modality::Video),
            ("lip-sync", Modality::Video),
            ("emotion mismatch", Modality::Behavioral),
        ] {
            assert_eq!(Modality::of_type(kind), Some(modality), "{kind}");
        }
    }

    #[test]
    fn counts_of_two_nodes_add_up() {
        let mut one = Tally::default();
        one.detection("ann", &voice(0.9), 0.7);
        one.frame();
        let (kept, mut two) = (one.clone(), one.clone());
        one.trust("ann", Score(0.5));
        one.alert(&alert("ann", "strange"));
        two.detection("bob", &voice(0.9), 0.7);
        two.frame();
        let sum = kept.clone().plus(&one.since(&kept)).plus(&two.since(&kept)).analytics(2);
        assert_eq!((sum.anomalies_detected, sum.processed_frames), (3, 2));
        assert_eq!(sum.average_trust_score, Some(Score(0.5)));
        assert_eq!(sum.detection_modality.audio.detected, 2);
        assert_eq!(kept.since(&kept), Tally::default());
    }

    #[test]
    fn too_many_people_are_not_remembered() {
        let mut tally = Tally::default();
        for n in 0..=MOST_PARTICIPANTS {
            tally.trust(&n.to_string(), Score(1.0));
        }
        assert_eq!(tally.people.len(), MOST_PARTICIPANTS);
        tally.detection("one more", &voice(0.9), 0.7);
        let stored = serde_json::to_vec(&tally).unwrap();
        assert!(stored.len() < 256 * 1024);
        assert_eq!(serde_json::from_slice::<Tally>(&stored).unwrap(), tally);
    }
}
