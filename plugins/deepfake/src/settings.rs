//! The plugin's settings: `[plugins.deepfake.settings]` in the hub's configuration.

use exedra_sdk::prelude::*;

/// What can be set. Everything has a default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The least time between two updates of the same kind about the same participant; 0 sends every one. Alerts are
    /// never held back.
    pub throttle: Span,
    /// The same for video frames.
    pub frame_throttle: Span,
    /// The least time between two `analytics-update` that the plugin makes for a meeting.
    pub analytics_interval: Span,
    /// From which score on something is taken for a fake, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub anomaly_threshold: f64,
    /// Whose sockets may send results.
    pub detectors: Detectors,
    /// The role that makes a token a detection engine's.
    pub detector_role: String,
    /// How long alerts are kept.
    pub keep_alerts: Span,
}

/// Whose sockets may send results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Detectors {
    /// Those whose token has the role `detector_role`.
    #[default]
    Role,
    /// Everybody's: for demonstrations only.
    Anyone,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            throttle: Span::millis(500),
            frame_throttle: Span::millis(0),
            analytics_interval: Span::secs(2),
            anomaly_threshold: 0.7,
            detectors: Detectors::Role,
            detector_role: "detector".to_owned(),
            keep_alerts: Span::hours(24 * 365),
        }
    }
}
