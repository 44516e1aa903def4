//! The shape of the command line.

mod plugin;

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
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
  exedra describe --format ts                     types of all events, for a typed client
  exedra publish meetings 8f3a phase '{\"phase\": \"voting\"}'   inject an event over NATS
  exedra tail 'exedra.out.>'                      what happens, one JSON object a line
  exedra doctor                                   is this machine fit for a hub

Exit codes: 0 fine, 1 run-time failure, 2 usage or configuration.";

const PUBLISH: &str = "\
The subject is <prefix>.in.<plugin>.<room>.<event>. The answer is {\"ok\":true}, or {\"error\":{…}} and exit code 1.
Needs nats.url, or NATS_URL in the environment; publishes as any other service would.

Examples:
  exedra publish meetings 8f3a phase '{\"phase\": \"voting\"}'
  exedra publish public-rooms lobby room-update - < words.json
  exedra publish deepfake 123 video-frame - --raw --header 'Frame-Meta={\"participantId\": \"p1\"}' < frame.jpg
  exedra publish hangouts 1 join '{\"userId\": \"7\"}' --no-wait --set nats.url=nats://10.0.0.5:4222";

const TAIL: &str = "\
Each line has `at`, `subject`, `kind` (in, out, rpc, dlq), the names that the subject stands for, and `payload`. Quote
patterns: the shell has a meaning of its own for > and *. Needs nats.url, or NATS_URL in the environment.

Examples:
  exedra tail
  exedra tail 'exedra.out.meetings.>' | jq .payload
  exedra tail --count 1 'exedra.dlq.*'";

const DOCTOR: &str = "\
Changes nothing. A line is ok, warn (works, but should not stay so) or fail; exit code 1 when anything fails.

Examples:
  exedra doctor -c /etc/exedra/exedra.toml
  exedra doctor --json | jq '.checks[] | select(.level != \"ok\")'
  exedra doctor --set nats.monitor=http://127.0.0.1:8222";

const DESCRIBE: &str = "\
A running hub has the first three at /asyncapi.json, /openapi.json and /types.d.ts (server.descriptions).

Examples:
  exedra describe --format ts > hub.d.ts
  exedra describe --format openapi -c hub.toml > openapi.json
  exedra describe --format asyncapi --set plugins.echo.enabled=false";

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
    /// Print what the enabled plugins accept and emit
    #[command(after_help = DESCRIBE)]
    Describe {
        #[command(flatten)]
        config: ConfigArgs,
        /// The kind of document
        #[arg(long, value_enum)]
        format: DescribeFormat,
    },
    /// Inject an event over NATS, and print the hub's answer
    #[command(after_help = PUBLISH)]
    Publish(Box<PublishArgs>),
    /// Print what passes on NATS, one JSON object a line
    #[command(after_help = TAIL)]
    Tail {
        #[command(flatten)]
        config: ConfigArgs,
        /// End after so many
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
        /// Subjects, with * for one token and > for the rest [default: all of in, out, rpc and dlq]
        #[arg(value_name = "PATTERN")]
        patterns: Vec<String>,
    },
    /// Look at everything that a hub needs: files, limits, NATS, ports, dates
    #[command(after_help = DOCTOR)]
    Doctor {
        #[command(flatten)]
        config: ConfigArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the manual page, or write all of them into a folder
    #[command(
        after_help = "Examples:\n  exedra man | man -l -\n  exedra man --dir /usr/local/share/man/man1"
    )]
    Man {
        /// The folder; made when missing
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print shell completions
    #[command(after_help = "Example:\n  exedra completions bash > /etc/bash_completion.d/exedra")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The kinds of documents.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DescribeFormat {
    /// AsyncAPI 3: events over Socket.IO, WebSocket and NATS
    #[value(name = "asyncapi")]
    AsyncApi,
    /// OpenAPI 3.1: REST routes
    #[value(name = "openapi")]
    OpenApi,
    /// TypeScript: ServerToClientEvents, ClientToServerEvents, payloads and routes
    Ts,
    /// JSON Schema of every payload
    #[value(name = "jsonschema")]
    JsonSchema,
}

impl From<DescribeFormat> for exedra_describe::Format {
    fn from(format: DescribeFormat) -> Self {
        match format {
            DescribeFormat::AsyncApi => Self::AsyncApi,
            DescribeFormat::OpenApi => Self::OpenApi,
            DescribeFormat::Ts => Self::TypeScript,
            DescribeFormat::JsonSchema => Self::JsonSchema,
        }
    }
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

/// An event to inject.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The plugin
    pub(crate) plugin: String,
    /// The room, as it is called; it is encoded for the subject
    pub(crate) room: String,
    /// The event
    pub(crate) event: String,
    /// The body, or - to read it from stdin
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) json: String,
    /// A header; may be given several times
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// Send the body as it is, whether it is JSON or not
    #[arg(long)]
    pub(crate) raw: bool,
    /// Do not ask for an answer: the event goes its way, and what is refused goes to the dead letters
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait for the answer
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if name.is_empty() || !name.bytes().all(plain) || value.contains(['\r', '\n']) {
        return Err("a name is printable ASCII without a colon, a value is one line".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Report every problem, with file, line and column
    #[command(after_help = "Example:\n  exedra config check -c base.toml -c site.toml")]
    Check {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print the settings in force, without secrets
    #[command(
        after_help = "Examples:\n  exedra config show --origin\n  exedra config show --set log.level=debug"
    )]
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON Schema
    #[command(after_help = "Example:\n  exedra config schema > exedra.schema.json")]
    Schema,
    /// Print a full file with all defaults and what they mean
    #[command(after_help = "Example:\n  exedra config defaults > exedra.toml")]
    Defaults,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token with the configured shared secret
    #[command(after_help = "Examples:\n  exedra token mint --sub ann --name \"Ann Example\" --ttl 1h\n  \
                            exedra token mint --sub eve --claim 'roles=[\"admin\"]'")]
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
    #[command(after_help = "Example:\n  exedra token mint --sub ann | exedra token check -")]
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// The token, or - to read it from stdin
        token: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn look(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let leaf = command.get_subcommands().next().is_none();
            assert!(!leaf || text.contains("Example"), "{path}");
            command.get_subcommands().for_each(|inner| look(inner, &path));
        }
        look(&Cli::command(), "");
    }

    #[test]
    fn headers_are_names_and_values() {
        assert_eq!(header("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        for bad in ["A", "=b", "A:b=c", "A=b\r\nC: d", "A b=c"] {
            assert!(header(bad).is_err(), "{bad}");
        }
    }
}
