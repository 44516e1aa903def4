//! The plugin's settings: `[plugins.live-preview.settings]` in the hub's configuration.

use exedra_sdk::prelude::*;

/// What can be set. Everything has a default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A session in which nothing has happened for so long has ended.
    pub idle_after: Span,
    /// How many events of a batch are sent to viewers; all are stored.
    pub live_events: usize,
    /// How many `event-received` a second a viewer gets of a project, at most; 0 means all.
    pub events_per_second: u32,
    /// How many events a session may have.
    pub session_events: u64,
    /// How long a lost viewer finds its projects again when it reconnects; 0 forgets at once.
    pub rejoin_window: Span,
    /// How long sessions and their events are kept after the last one came.
    pub keep_sessions: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle_after: Span::mins(30),
            live_events: 10,
            events_per_second: 200,
            session_events: 100_000,
            rejoin_window: Span::mins(2),
            keep_sessions: Span::hours(24 * 90),
        }
    }
}
