//! The shape of the command line.

mod plugin;

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

pub(crate) use self::plugin::{Lang, PluginCommand, Running};
use crate::token;

static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (revision {}, rustc {}, ABI {}.{})",
        crate::VERSION,
        crate::REVISION,
        crate::RUSTC,
        exedra_abi::ABI_MAJOR,
        exedra_abi::ABI_MINOR
    )
});

const EXAMPLES: &str = "\
Examples:
  exedra serve                                    run with config/exedra.toml
  exedra serve -c hub.toml --set log.level=debug  run with another file and one setting changed
  exedra config check -c hub.toml                 every problem at once, with its place
  exedra config show --origin                     what is in force, and where each value came from
  exedra token mint --sub ann --ttl 1h            a token for development
  exedra plugin new my-plugin                     a project for a plugin in Rust; --lang c for one in C
  exedra plugin inspect target/release/libecho.so what a plugin accepts and emits

Exit codes: 0 fine, 1 run-time failure, 2 usage or configuration.";

/// A plugin-based event-streaming hub: Socket.IO, WebSocket and REST in front, plugins in the middle, NATS behind.
#[derive(Debug, Parser)]
#[command(name = "exedra", version = VERSION.as_str(), after_help = EXAMPLES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the hub
    #[command(after_help = "SIGTERM drains and ends with 0, a second one ends at once; SIGHUP reads the \
                            configuration again.\n\nExamples:\n  exedra serve -c config/exedra.toml\n  \
                            exedra serve --set server.listen=127.0.0.1:0 --ports-file ports.json")]
    Serve {
        #[command(flatten)]
        config: ConfigArgs,
        /// Write the addresses in use to this file, as JSON: {"public":…,"admin":…,"pid":…}
        #[arg(long, value_name = "PATH")]
        ports_file: Option<PathBuf>,
    },
    /// Check, show and describe the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Make, check and list plugins; reload those of a running hub, and turn them on and off
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Make and check development tokens
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Load a hub and measure it: idle connections, fan-out, reconnect storms, churn, or all mixed
    #[command(
        after_help = "The hub needs a plugin with the events join, publish and ask; core/load/bench-plugin \
                            is one. Loopback only unless --allow-remote. Exit 1 when an --assert does not \
                            hold.\n\nExamples:\n  exedra load idle -n 10000 --assert \
                            rss_per_connection<=4KiB\n  exedra load fan-out -n 1000 --rate 25 --assert p99=3ms\n  \
                            exedra load storm --json"
    )]
    Load(Box<exedra_load::LoadArgs>),
    /// Print shell completions
    #[command(after_help = "Example:\n  exedra completions bash > /etc/bash_completion.d/exedra")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file; may be given several times, later ones win [default: config/exedra.toml]
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// One setting, over files and environment; the value is TOML, a bare word is a string
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Report every problem, with file, line and column
    Check {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print the settings in force, without secrets
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON Schema
    Schema,
    /// Print a full file with all defaults and what they mean
    Defaults,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token with the configured shared secret
    Mint {
        #[command(flatten)]
        config: ConfigArgs,
        /// The user's id
        #[arg(long, value_name = "ID")]
        sub: String,
        /// The full name
        #[arg(long)]
        name: Option<String>,
        /// The e-mail address
        #[arg(long)]
        email: Option<String>,
        /// One more claim; what is no JSON is a string
        #[arg(long = "claim", value_name = "K=JSON", value_parser = token::parse_claim)]
        claims: Vec<(String, Value)>,
        /// How long it is valid
        #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
        ttl: Duration,
    },
    /// Check a token and print whom it proves
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// The token, or - to read it from stdin
        token: String,
    },
}
