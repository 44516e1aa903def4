//! The shapes of the wire contract on the side of detection engines: what they send, and people get. Field names and
//! their case are promises; what an engine sends beside the known fields travels on untouched.

use exedra_sdk::{
    prelude::*,
    value::{Id, Text, When},
};
use serde_json::Map;

use crate::value::{Percent, Score};

/// Further fields, as they came.
pub type More = Map<String, Value>;

/// `detection-results` of an engine's socket, and `detection-update`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DetectionUpdate {
    /// The meeting; over the bus the subject says it.
    #[serde(default)]
    pub meeting_id: Option<Id>,
    /// Whom it is about.
    pub participant_id: Id,
    /// What was found.
    pub results: Results,
    /// When; now, when left out.
    #[serde(default)]
    pub timestamp: Option<When>,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}

/// What was found, by modality.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// In the voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_analysis: Option<AudioAnalysis>,
    /// In the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_analysis: Option<VideoAnalysis>,
    /// In the behaviour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavioral_analysis: Option<BehavioralAnalysis>,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}

/// What was found in the voice.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudioAnalysis {
    /// How much it sounds like a clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_clone_score: Option<Score>,
    /// How sure the engine is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Score>,
    /// What it went by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub features: Option<Vec<Text<64>>>,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}

/// What was found in the picture.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VideoAnalysis {
    /// How well the face stays the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facial_consistency: Option<Score>,
    /// How much lips and sound differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lip_sync_error: Option<Score>,
    /// How sure the engine is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Score>,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}

/// What was found in the behaviour.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BehavioralAnalysis {
    /// How well emotions fit together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emotion_consistency: Option<Score>,
    /// How sure the engine is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Score>,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}

/// `trust-score-update`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustScoreUpdate {
    /// The meeting; over the bus the subject says it.
    #[serde(default)]
    pub meeting_id: Option<Id>,
    /// Whom it is about.
    pub participant_id: Id,
    /// How far the participant is to be trusted.
    pub trust_score: Score,
    /// The colour of the score; always the plugin's own.
    #[serde(default, skip_deserializing)]
    pub trust_level: Option<TrustLevel>,
    /// When; now, when left out.
    #[serde(default)]
    pub timestamp: Option<When>,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}

/// The colour of a trust score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrustLevel {
    /// 0.8 and above.
    Green,
    /// From 0.5.
    Yellow,
    /// Below 0.5.
    Red,
}

impl From<Score> for TrustLevel {
    fn from(score: Score) -> Self {
        match score.0 {
            high if high >= 0.8 => Self::Green,
            middle if middle >= 0.5 => Self::Yellow,
            _ => Self::Red,
        }
    }
}

/// `analytics-update`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsUpdate {
    /// The meeting; over the bus the subject says it.
    #[serde(default)]
    pub meeting_id: Option<Id>,
    /// The numbers.
    pub analytics: Analytics,
    /// When; now, when left out.
    #[serde(default)]
    pub timestamp: Option<When>,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}

/// How a meeting stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analytics {
    /// How many are in it.
    #[serde(default)]
    pub total_participants: u64,
    /// How often something began to look wrong.
    #[serde(default)]
    pub anomalies_detected: u64,
    /// The mean of the newest trust scores; null before the first.
    #[serde(default)]
    pub average_trust_score: Option<Score>,
    /// What was found where.
    #[serde(default)]
    pub detection_modality: Modalities,
    /// Of the host, in percent.
    #[serde(default)]
    pub cpu_usage: Option<Percent>,
    /// Of the host, in percent.
    #[serde(default)]
    pub memory_usage: Option<Percent>,
    /// Video frames that came through.
    #[serde(default)]
    pub processed_frames: u64,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}

/// Numbers by modality.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Modalities {
    /// The voice.
    #[serde(default)]
    pub audio: Found,
    /// The picture.
    #[serde(default)]
    pub video: Found,
    /// The behaviour.
    #[serde(default)]
    pub behavioral: Found,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}

/// What was found in one modality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// How often something began to look wrong.
    pub detected: u64,
    /// How sure the engine was of its newest results, in the mean.
    pub confidence: Score,
}

impl Default for Found {
    fn default() -> Self {
        Self { detected: 0, confidence: Score(0.0) }
    }
}

/// What is said of a video frame, beside its bytes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrameMeta {
    /// Always true.
    #[serde(default)]
    pub binary: bool,
    /// The meeting; over the bus the subject says it.
    #[serde(default)]
    pub meeting_id: Option<Id>,
    /// Whom it shows.
    pub participant_id: Id,
    /// When; now, when left out.
    #[serde(default)]
    pub timestamp: Option<When>,
    /// Further fields.
    #[serde(flatten)]
    pub more: More,
}
