//! The arguments of `exedra load`, one command per scenario.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

/// `exedra load`.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// What to do.
    #[command(subcommand)]
    pub scenario: Scenario,
}

impl LoadArgs {
    /// What all scenarios share.
    pub fn common(&self) -> &Common {
        match &self.scenario {
            Scenario::Idle { common, .. }
            | Scenario::FanOut { common, .. }
            | Scenario::Storm { common, .. }
            | Scenario::Churn { common, .. }
            | Scenario::Mixed { common, .. }
            | Scenario::Stall { common, .. }
            | Scenario::Cluster { common, .. } => common,
        }
    }
}

/// A scenario with its own settings.
#[derive(Debug, Clone, Subcommand)]
pub enum Scenario {
    /// Connections that do nothing: memory and CPU time of each
    #[command(
        after_help = "Example:\n  exedra load idle -n 10000 --hold 30s --assert 'rss_per_connection<=4KiB'"
    )]
    Idle {
        /// How many
        #[arg(short = 'n', long, default_value_t = 10_000)]
        connections: usize,
        /// How many rooms they are spread over
        #[arg(long, default_value_t = 1)]
        rooms: usize,
        /// How long they are watched
        #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
        hold: Duration,
        /// What all scenarios share.
        #[command(flatten)]
        common: Common,
    },
    /// Events to a room of many: time to each member, CPU time of the server per delivery
    #[command(after_help = "Example:\n  exedra load fan-out -n 1000 --rate 25 --assert p99=3ms")]
    FanOut {
        /// How many are in the room
        #[arg(short = 'n', long, default_value_t = 1000)]
        members: usize,
        /// Events to measure
        #[arg(long, default_value_t = 1000)]
        events: u64,
        /// Events before that, not measured
        #[arg(long, default_value_t = 100)]
        warm_up: u64,
        /// Events that may be on their way; 1: the next one goes when the last member has the one before
        #[arg(long, default_value_t = 1, conflicts_with = "rate")]
        in_flight: usize,
        /// Events per second, sent at their time whatever became of those before
        #[arg(long)]
        rate: Option<f64>,
        /// Bytes of an event's payload
        #[arg(long, default_value_t = 100)]
        payload: usize,
        /// An event that has not reached everybody by then is lost
        #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
        patience: Duration,
        /// What all scenarios share.
        #[command(flatten)]
        common: Common,
    },
    /// All clients dropped at once; they come back as stock clients do
    #[command(after_help = "Example:\n  exedra load storm -n 2000 --json")]
    Storm {
        /// How many
        #[arg(short = 'n', long, default_value_t = 10_000)]
        connections: usize,
        /// How long to wait for the last one
        #[arg(long, default_value = "2m", value_parser = humantime::parse_duration)]
        patience: Duration,
        /// They get their sessions back, with so many events that they missed, each once and in order
        #[arg(long, value_name = "EVENTS")]
        recover: Option<u64>,
        /// What all scenarios share.
        #[command(flatten)]
        common: Common,
    },
    /// Waves of clients that connect, join and leave: does memory come back?
    #[command(after_help = "Example:\n  exedra load churn --json")]
    Churn {
        /// Clients per wave
        #[arg(short = 'n', long, default_value_t = 9000)]
        connections: usize,
        /// How many waves
        #[arg(long, default_value_t = 10)]
        waves: usize,
        /// What all scenarios share.
        #[command(flatten)]
        common: Common,
    },
    /// Everything at once: broadcasts, questions with answers, coming and going
    #[command(after_help = "Example:\n  exedra load mixed --json")]
    Mixed {
        /// Members of rooms
        #[arg(short = 'n', long, default_value_t = 1000)]
        members: usize,
        /// How many rooms they are spread over
        #[arg(long, default_value_t = 20)]
        rooms: usize,
        /// Broadcasts per second, each to one room
        #[arg(long, default_value_t = 100.0)]
        rate: f64,
        /// Questions per second
        #[arg(long, default_value_t = 100.0)]
        asks: f64,
        /// Clients per second that come, join, and go after a second
        #[arg(long, default_value_t = 10.0)]
        visitors: f64,
        /// For how long
        #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
        duration: Duration,
        /// What all scenarios share.
        #[command(flatten)]
        common: Common,
    },
    /// Some of a room stop reading: when is each cut, and what do the others feel of it?
    #[command(after_help = "Example:\n  exedra load stall --json")]
    Stall {
        /// How many are in the room
        #[arg(short = 'n', long, default_value_t = 1000)]
        members: usize,
        /// How many of them stop reading
        #[arg(long, default_value_t = 100)]
        stalled: usize,
        /// Events per second
        #[arg(long, default_value_t = 25.0)]
        rate: f64,
        /// Bytes of an event's payload
        #[arg(long, default_value_t = 4000)]
        payload: usize,
        /// How often it is done with and without
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// How long each half of a round takes
        #[arg(long, default_value = "12s", value_parser = humantime::parse_duration)]
        phase: Duration,
        /// Who has stopped reading and is not cut by then, behind the phase, is missing
        #[arg(long, default_value = "15s", value_parser = humantime::parse_duration)]
        patience: Duration,
        /// What all scenarios share.
        #[command(flatten)]
        common: Common,
    },
    /// Rooms that are spread over the nodes of a cluster: CPU time of the nodes per delivery
    #[command(
        after_help = "Example:\n  exedra load cluster --url http://127.0.0.1:3001 --node http://127.0.0.1:3002 --rate 2000"
    )]
    Cluster {
        /// Another node beside --url; may be given several times
        #[arg(long = "node", value_name = "URL")]
        nodes: Vec<String>,
        /// Members of rooms
        #[arg(short = 'n', long, default_value_t = 3000)]
        members: usize,
        /// How many rooms they are spread over
        #[arg(long, default_value_t = 300)]
        rooms: usize,
        /// Each room at one node, for nodes that do not know each other
        #[arg(long)]
        apart: bool,
        /// Events to measure
        #[arg(long, default_value_t = 20_000)]
        events: u64,
        /// Events before that, not measured
        #[arg(long, default_value_t = 1000)]
        warm_up: u64,
        /// Events per second, over all rooms
        #[arg(long, default_value_t = 2000.0)]
        rate: f64,
        /// Bytes of an event's payload
        #[arg(long, default_value_t = 100)]
        payload: usize,
        /// An event that has not reached everybody by then is lost
        #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
        patience: Duration,
        /// What all scenarios share.
        #[command(flatten)]
        common: Common,
    },
}

/// What all scenarios share.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:3000", value_name = "URL")]
    pub url: String,
    /// Its Socket.IO path
    #[arg(long, default_value = "/socket.io/")]
    pub path: String,
    /// The namespace
    #[arg(long, default_value = "/bench")]
    pub namespace: String,
    /// The event that joins a room: gets {"room": NAME}, must be acknowledged; `-` for none
    #[arg(long, default_value = "join", value_name = "EVENT")]
    pub join: String,
    /// The event that publishes: gets {"room": NAME, "payload": …}
    #[arg(long, default_value = "publish", value_name = "EVENT")]
    pub publish: String,
    /// The event that members get, with the payload as its argument
    #[arg(long, default_value = "tick", value_name = "EVENT")]
    pub event: String,
    /// The event that is acknowledged with what it was given
    #[arg(long, default_value = "ask", value_name = "EVENT")]
    pub ask: String,
    /// Configuration of the hub, for the secret that tokens are made with; may be given several times
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// One setting of it, as for `exedra serve`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The token of every client [default: one each, minted with the configured secret]
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// No tokens at all
    #[arg(long, conflicts_with = "token")]
    pub anonymous: bool,
    /// Clients that start per second; 0 for as fast as they get in
    #[arg(long, default_value_t = 1000.0, value_name = "N")]
    pub connect_rate: f64,
    /// Clients that may be on their way in at the same time
    #[arg(long, default_value_t = 512, value_name = "N")]
    pub concurrency: usize,
    /// Local addresses (127.0.0.2 …) that clients come from; each has some 28,000 ports
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub sources: u8,
    /// Load another machine than this one
    #[arg(long)]
    pub allow_remote: bool,
    /// Refuse to measure unless this process holds the port, before and after
    #[arg(long, value_name = "PID")]
    pub expect_pid: Option<u32>,
    /// Fail unless this holds, for example p99=3ms (at most), back.max<10s, rss_per_connection<=4KiB
    #[arg(long = "assert", value_name = "NAME=VALUE")]
    pub asserts: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// No progress on stderr
    #[arg(long, short)]
    pub quiet: bool,
}
