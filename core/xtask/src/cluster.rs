//! `cargo xtask cluster`: several nodes as one hub, on one nats-server and behind a small balancer, to be tried out and
//! broken. Nothing is restarted here: whatever ends is named, with the command that starts it again. Ctrl-C drains the
//! nodes, ends the server after them and leaves nothing behind.

mod balancer;
mod plan;
mod programs;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;
use balancer::Balancer;
use plan::{Node, Plan};
use programs::{Programs, Stop};

/// How long all nodes may take to be ready.
const START: Duration = Duration::from_secs(60);
/// How often it is looked whether a node is ready.
const LOOK: Duration = Duration::from_millis(100);
/// How long nodes may drain. The hub itself gives up before.
const DRAIN: Duration = Duration::from_secs(45);
/// How long the server may take to end.
const END: Duration = Duration::from_secs(10);

/// How the cluster is started.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// Take the hub and its plugins from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    bin_dir: Option<PathBuf>,
}

/// Builds everything, starts it, and stays until it is told to end.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let wanted = [Tool::WebClient, Tool::Nats];
    let tools = Tools::prepare(workspace, &wanted)?;
    tools.check(&wanted)?;
    let programs = match &options.bin_dir {
        Some(folder) => {
            fs::canonicalize(folder).with_context(|| format!("no folder {}", folder.display()))?
        }
        None => {
            workspace.build_release().context("the build failed")?;
            workspace.release()
        }
    };
    let server = tools.nats_server().context("there is no nats-server")?;
    // Everything of this run; it goes when the run ends.
    let folder = tempfile::Builder::new().prefix("cluster-").tempdir_in(&workspace.target)?;
    let plan = Plan::new(workspace, &programs, server, folder.path(), options.nodes)?;
    // One thread, because the programs end with the thread that has started them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(show(&plan))?;
    Ok(ExitCode::SUCCESS)
}

async fn show(plan: &Plan) -> Result<()> {
    let mut stop = Stop::listen()?;
    let (mut server, mut nodes) = (Programs::default(), Programs::default());
    let started = tokio::select! {
        started = start(plan, &mut server, &mut nodes) => started.map(|()| true),
        () = stop.told() => Ok(false),
    };
    if let Ok(true) = started {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("the balancer cannot listen")?;
        println!("{}", plan.welcome(listener.local_addr()?, &server.pids(), &nodes.pids(), &plan.tokens()?));
        let addresses = plan.nodes.iter().map(|node| (node.public, node.admin));
        tokio::spawn(Arc::new(Balancer::new(addresses)).serve(listener));
        attend(plan, &mut server, &mut nodes, &mut stop).await;
        println!("\nThe nodes drain, then everything ends. Once more Ctrl-C ends them at once.");
    }
    nodes.end(DRAIN, &mut stop).await;
    server.end(END, &mut stop).await;
    started.map(|_| ())
}

/// Starts the server, then the nodes, and waits until all of them are ready.
async fn start(plan: &Plan, server: &mut Programs, nodes: &mut Programs) -> Result<()> {
    server.start("nats-server", plan.nats()?)?;
    let listens = async {
        while TcpStream::connect(plan.nats).await.is_err() {
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        waited = timeout(START, listens) => waited.context("nats-server does not listen after a minute")?,
        Some(ended) = server.next_end() => bail!("nats-server has ended ({})", ended.how),
    }
    for node in &plan.nodes {
        nodes.start(&node.name, plan.serve(node)?)?;
    }
    until_ready(&plan.nodes, nodes).await
}

/// Waits for all nodes to be ready; fails when one ends instead.
async fn until_ready(nodes: &[Node], programs: &mut Programs) -> Result<()> {
    let ready = async {
        for node in nodes {
            while !balancer::is_ready(node.admin).await {
                sleep(LOOK).await;
            }
        }
    };
    tokio::select! {
        waited = timeout(START, ready) => waited.context("the nodes are not ready after a minute")?,
        Some(ended) = programs.next_end() => {
            let log = nodes.iter().find(|node| node.name == ended.name).map(Node::last_lines);
            bail!("{} has ended ({})\n{}", ended.name, ended.how, log.unwrap_or_default());
        }
    }
    Ok(())
}

/// Says what ends, until the caller has seen enough.
async fn attend(plan: &Plan, server: &mut Programs, nodes: &mut Programs, stop: &mut Stop) {
    loop {
        let ended = tokio::select! {
            () = stop.told() => return,
            Some(ended) = server.next_end() => ended,
            Some(ended) = nodes.next_end() => ended,
        };
        println!("{}", plan.obituary(&ended));
    }
}
