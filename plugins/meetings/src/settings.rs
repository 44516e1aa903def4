//! The plugin's settings: `[plugins.meetings.settings]` in the hub's configuration.

use exedra_sdk::prelude::*;

/// What can be set. Everything has a default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who knows the meetings: `store` keeps them here, `nats` asks the service `directory` of the application.
    pub directory: Source,
    /// How long an answer of the service `directory` is trusted.
    pub directory_cache: Span,
    /// How long the service `directory` may take.
    pub directory_timeout: Span,
    /// How long `POST /meetings/{id}/join` holds without being repeated.
    pub rest_presence: Span,
    /// The least time between two lists of participants, or two reports of progress, to the same room.
    pub window: Span,
    /// How long the answer to an `Idempotency-Key` is remembered.
    pub idempotency: Span,
}

/// Who knows the meetings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// This plugin's own store.
    #[default]
    Store,
    /// The application, over `exedra.rpc.directory.meeting`.
    Nats,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: Source::Store,
            directory_cache: Span::secs(5),
            directory_timeout: Span::secs(2),
            rest_presence: Span::secs(60),
            window: Span::millis(100),
            idempotency: Span::hours(24),
        }
    }
}
