//! The repository's chores, run as `cargo xtask …`.
//!
//! `run` shows the hub at work, `cluster` several as one, `test` runs every test there is and installs what it needs,
//! `soak` runs the long forms, `fuzz` looks for inputs that break the hub, `bench` measures it beside others,
//! `dashboards` writes the Grafana dashboards, `book` the book's configuration reference, `suites` runs the official
//! protocol suites from folders the caller has.
//! Nothing of the hub is linked in: what is tested is what people run.

#![allow(clippy::print_stdout, reason = "a command-line tool answers on stdout")]

mod archive;
mod bench;
mod beside;
mod book;
mod cluster;
mod dashboards;
mod demo;
mod fuzz;
mod report;
mod steps;
mod stories;
mod suites;
mod tools;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The repository's chores", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build the hub and all plugins (release) and serve config/exedra.toml with the demo pages
    Run {
        /// Start a nats-server beside the hub and use it as the bus
        #[arg(long)]
        nats: bool,
        /// Handed to `exedra serve` as they are, for example `--set log.level=debug`
        #[arg(last = true)]
        serve: Vec<String>,
    },
    /// Build the hub and all plugins (release) and start several nodes of config/cluster.toml on one nats-server, behind
    /// a balancer, to try out what happens when one is killed
    Cluster(cluster::Options),
    /// Run every test there is, or only the steps whose name contains one of the words
    Test {
        /// Step names or parts of them, for example `clippy` or `e2e`
        filter: Vec<String>,
        /// Print the names of the steps and stop
        #[arg(long)]
        list: bool,
    },
    /// Run the long forms of the end-to-end tests: 50 random kills, 9,000 clients
    Soak {
        /// Step names or parts of them
        filter: Vec<String>,
    },
    /// Look for inputs that break the parsers, a minute for each; those found are kept under target/fuzz
    Fuzz(fuzz::Fuzz),
    /// Measure Exedra beside socketioxide, Node's socket.io and a bare epoll loop; writes target/bench
    Bench(bench::Bench),
    /// Write the Grafana dashboards of dashboards/grafana as they are described in this tool
    Dashboards {
        /// Write nothing; fail when a committed file differs
        #[arg(long)]
        check: bool,
    },
    /// Write the configuration reference of examples/book from config/exedra.schema.json
    Book {
        /// Write nothing; fail when the committed page differs
        #[arg(long)]
        check: bool,
    },
    /// Run the official Engine.IO and Socket.IO protocol suites, unmodified, from folders given here
    Suites {
        /// Folder of the Engine.IO v4 suite (with package.json and test-suite.js)
        #[arg(long)]
        engineio: Option<PathBuf>,
        /// Folder of the Socket.IO v5 suite
        #[arg(long)]
        socketio: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match chore(Cli::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            match error.downcast_ref::<tools::NeedsRoot>() {
                Some(_) => ExitCode::from(2),
                None => ExitCode::FAILURE,
            }
        }
    }
}

fn chore(chore: Chore) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find()?;
    match chore {
        Chore::Run { nats, serve } => demo::run(&workspace, nats, &serve),
        Chore::Cluster(options) => cluster::run(&workspace, &options),
        Chore::Test { list: true, .. } => {
            for step in steps::all(&workspace)? {
                println!("{:<20}{}", step.name, step.about);
            }
            Ok(ExitCode::SUCCESS)
        }
        Chore::Test { filter, list: false } => steps::run(&workspace, &filter, steps::Length::Short),
        Chore::Soak { filter } => steps::run(&workspace, &filter, steps::Length::Long),
        Chore::Fuzz(fuzz) => fuzz::run(&workspace, &fuzz),
        Chore::Bench(bench) => bench::run(&workspace, &bench),
        Chore::Dashboards { check } => dashboards::run(&workspace, check),
        Chore::Book { check } => book::run(&workspace, check),
        Chore::Suites { engineio, socketio } => {
            suites::run(&workspace, engineio.as_deref(), socketio.as_deref())
        }
    }
}
