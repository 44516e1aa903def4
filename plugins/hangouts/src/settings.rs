//! The plugin's settings: `[plugins.hangouts.settings]` in the hub's configuration.

use exedra_sdk::{manifest::AuthMode, prelude::*};

/// What can be set. Everything has a default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether people need a token, on the WebSocket and over REST.
    pub auth: Auth,
    /// How long a link may say nothing before it is closed.
    pub idle_after: Span,
    /// Links that a user may have at the same time; 0 for no limit.
    pub links_per_user: u32,
    /// Rooms that a link may follow at the same time.
    pub rooms_per_link: u32,
    /// `maxParticipants` of a room that was made without.
    pub default_participants: u32,
    /// The largest `maxParticipants` that a room may have, up to 1000.
    pub max_participants: u32,
    /// How long somebody stays a participant without joining again.
    pub participant_ttl: Span,
    /// How long a room is remembered after its last use; operators' rooms stay.
    pub room_ttl: Span,
    /// Rooms that are remembered at most.
    pub max_rooms: u64,
}

/// Whether people need a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Tokens are not looked at: people are who they say they are.
    None,
    /// With a token, people are who it says; without, who they say.
    #[default]
    Optional,
    /// No valid token, no entry.
    Required,
}

impl From<Auth> for AuthMode {
    fn from(auth: Auth) -> Self {
        match auth {
            Auth::None => Self::None,
            Auth::Optional => Self::Optional,
            Auth::Required => Self::Required,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auth: Auth::Optional,
            idle_after: Span::hours(1),
            links_per_user: 20,
            rooms_per_link: 24,
            default_participants: 50,
            max_participants: 1000,
            participant_ttl: Span::hours(24),
            room_ttl: Span::hours(24 * 30),
            max_rooms: 10_000,
        }
    }
}

impl Settings {
    /// Refuses what could not work.
    pub(crate) fn check(&self) -> Result<()> {
        let times = [
            ("idle_after", self.idle_after),
            ("participant_ttl", self.participant_ttl),
            ("room_ttl", self.room_ttl),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.as_ms() == 0) {
            return Err(Error::invalid(format!("settings: {name} must be above zero")));
        }
        if self.rooms_per_link == 0 {
            return Err(Error::invalid("settings: rooms_per_link must be above zero"));
        }
        if self.max_participants > 1000 {
            return Err(Error::invalid(
                "settings: max_participants is at most 1000: a room is stored as one value",
            ));
        }
        if self.default_participants == 0 || self.default_participants > self.max_participants {
            return Err(Error::invalid("settings: default_participants must be from 1 to max_participants"));
        }
        Ok(())
    }
}
