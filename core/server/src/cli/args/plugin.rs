//! The shape of `exedra plugin`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::ConfigArgs;

const RUNNING: &str = "\
The token is that of [admin] in the configuration, or of the environment variable EXEDRA_ADMIN__TOKEN. Lasts until
the hub ends; [plugins.NAME] enabled says what the next one begins with.

Example:
  exedra plugin disable meetings -c hub.toml";

const NEW: &str = "\
The project is the example plugin under another name: it builds, passes its own test and `exedra plugin check`, and
runs with `exedra serve -c plugin.toml`. Nothing that exists is overwritten.

Examples:
  exedra plugin new my-plugin
  exedra plugin new my-plugin --lang c --dir src/my-plugin";

const CHECK: &str = "\
The file is loaded as a hub loads it, in a process of its own. Its manifest is read, and everything that it declares is
asked: as it should be, as it should not be, and from several sides at once, in several lives from create to destroy. The
hub that does so keeps a logbook of the rules of exedra.h: calls completed twice, late or never, results and wakers that
are not given back, host functions used after destroy, threads and memory left behind, blocked threads, panics, crashes.

Exit codes: 0 it keeps the contract (there may be warnings), 1 it does not, 2 it cannot be checked: no such file, no
plugin, or settings that do not fit.

Examples:
  exedra plugin check target/release/libmy_plugin.so
  exedra plugin check libmy_plugin.so -c plugin.toml --json";

const RELOAD: &str = "\
Put the new file where the old one was, by moving it there: what is loaded is a copy, so the running version is not
touched. If the new version cannot be loaded, created or started, the old one goes on and the answer says why. Clients
stay connected unless the new version serves other namespaces or events; those are told to connect again.

Example:
  exedra plugin reload meetings -c hub.toml";

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Make a project for a plugin
    #[command(after_help = NEW)]
    New {
        /// The plugin's name: a-z, 0-9 and hyphens
        name: String,
        /// The language it is written in
        #[arg(long, value_enum, default_value_t = Lang::Rust)]
        lang: Lang,
        /// Where to put it [default: a folder of the plugin's name]
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
        /// Where the Rust SDK is: core/sdk of a checkout [default: that of the checkout one is in, else the registry]
        #[arg(long, value_name = "FOLDER")]
        sdk: Option<PathBuf>,
    },
    /// The configured plugins and their libraries
    #[command(after_help = "Examples:\n  exedra plugin list\n  exedra plugin list --json -c hub.toml")]
    List {
        #[command(flatten)]
        config: ConfigArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a plugin's manifest as JSON
    #[command(after_help = "Example:\n  exedra plugin inspect target/release/libmeetings.so")]
    Inspect {
        /// The library
        file: PathBuf,
    },
    /// Check whether a plugin keeps the contract with the hub, and settings for it
    #[command(after_help = CHECK)]
    Check {
        /// The library
        file: PathBuf,
        /// A TOML file with the plugin's settings, or with its [plugins.NAME] table
        #[arg(short = 'c', long = "config", value_name = "FILE")]
        settings: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Where the process that does it leaves its report
        #[arg(long, value_name = "FOLDER", hide = true)]
        within: Option<PathBuf>,
    },
    /// Put a newer version of a plugin of a running hub in its place
    #[command(after_help = RELOAD)]
    Reload(Running),
    /// Turn a plugin of a running hub on again
    #[command(after_help = RUNNING)]
    Enable(Running),
    /// Turn a plugin of a running hub off: connections that only it serves are closed, the other plugins go on
    #[command(after_help = RUNNING)]
    Disable(Running),
}

/// A plugin of a running hub.
#[derive(Debug, Args)]
pub(crate) struct Running {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Where the admin listener is, if not at admin.listen
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<SocketAddr>,
    /// The plugin
    pub(crate) name: String,
}

/// What plugins can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// With the SDK
    Rust,
    /// One file over exedra.h
    C,
}
