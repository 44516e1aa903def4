//! The plugin's settings: `[plugins.public-rooms.settings]` in the hub's configuration.

use exedra_sdk::prelude::*;

/// What can be set. Everything has a default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Connections that an address may have at the same time; 0 for no limit.
    pub connections_per_ip: u32,
    /// How long a connection counts for its address, from its beginning.
    pub stale_after: Span,
    /// How a connection over the limit is told: see [`RefuseBy`].
    pub refuse_by: RefuseBy,
    /// How long a client may be silent before it is asked with `ping`.
    pub idle_after: Span,
    /// The time from one `ping` to the next while the client stays silent.
    pub ping_interval: Span,
    /// How long a client may take to answer with `pong`.
    pub pong_timeout: Span,
    /// Unanswered pings in a row after which the connection is ended.
    pub max_missed_pings: u32,
    /// `join-room` and `leave-room` a second, per connection; 0 for no limit.
    pub joins_per_second: u32,
    /// `signal` a second, per connection; 0 for no limit.
    pub signals_per_second: u32,
    /// The first wait that a refused client is advised to make; it doubles with each refusal.
    pub backoff_first: Span,
    /// The longest wait that is advised, and how long a refusal is remembered.
    pub backoff_longest: Span,
    /// How long `POST …/join` holds a place for somebody who does not connect.
    pub rest_presence: Span,
    /// `maxOccupancy` of a room that was made without.
    pub default_occupancy: u32,
    /// The largest `maxOccupancy` that a room may have.
    pub max_occupancy: u32,
    /// Users that an address may make in an hour.
    pub users_per_ip: u32,
    /// Rooms that an address may make in an hour.
    pub rooms_per_ip: u32,
    /// How long a user is remembered after its last use.
    pub user_ttl: Span,
    /// How long a room is remembered after its last use.
    pub room_ttl: Span,
    /// Users that are remembered at most.
    pub max_users: u64,
    /// Rooms that are remembered at most.
    pub max_rooms: u64,
    /// The role that may see `GET /api/public/stats`.
    pub admin_role: String,
}

/// How a connection that may not stay is told so. A client chooses for itself with `auth: { refuseBy: "…" }`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefuseBy {
    /// It is let in, hears `error`, and is disconnected: what clients of the event contract listen to.
    #[default]
    ErrorEvent,
    /// It is not let in: `connect_error` with the code in `data`.
    ConnectError,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_per_ip: 2,
            stale_after: Span::hours(1),
            refuse_by: RefuseBy::ErrorEvent,
            idle_after: Span::mins(5),
            ping_interval: Span::mins(5),
            pong_timeout: Span::secs(30),
            max_missed_pings: 3,
            joins_per_second: 10,
            signals_per_second: 50,
            backoff_first: Span::secs(1),
            backoff_longest: Span::mins(1),
            rest_presence: Span::mins(2),
            default_occupancy: 100,
            max_occupancy: 1000,
            users_per_ip: 1000,
            rooms_per_ip: 100,
            user_ttl: Span::hours(24),
            room_ttl: Span::hours(24 * 7),
            max_users: 100_000,
            max_rooms: 10_000,
            admin_role: "admin".to_owned(),
        }
    }
}

impl Settings {
    /// Refuses what could not work.
    pub(crate) fn check(&self) -> Result<()> {
        let times = [
            ("stale_after", self.stale_after),
            ("idle_after", self.idle_after),
            ("ping_interval", self.ping_interval),
            ("pong_timeout", self.pong_timeout),
            ("backoff_first", self.backoff_first),
            ("backoff_longest", self.backoff_longest),
            ("rest_presence", self.rest_presence),
            ("user_ttl", self.user_ttl),
            ("room_ttl", self.room_ttl),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.as_ms() == 0) {
            return Err(Error::invalid(format!("settings: {name} must be above zero")));
        }
        if self.pong_timeout > self.ping_interval {
            return Err(Error::invalid("settings: pong_timeout must not be longer than ping_interval"));
        }
        if self.max_missed_pings == 0 {
            return Err(Error::invalid("settings: max_missed_pings must be above zero"));
        }
        if self.default_occupancy == 0 || self.default_occupancy > self.max_occupancy {
            return Err(Error::invalid("settings: default_occupancy must be from 1 to max_occupancy"));
        }
        Ok(())
    }
}
