//! `cargo xtask run`: the hub as a newcomer first sees it, built from this tree, with demo pages, in the foreground.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::beside::beside;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// Builds everything and becomes the hub: from here on Ctrl-C and the exit code are the hub's own.
pub(crate) fn run(workspace: &Workspace, nats: bool, arguments: &[String]) -> Result<ExitCode> {
    let wanted: &[Tool] = if nats { &[Tool::WebClient, Tool::Nats] } else { &[Tool::WebClient] };
    let tools = Tools::prepare(workspace, wanted)?;
    tools.check(wanted)?;
    workspace.build_release().context("the build failed")?;
    let mut serve = Command::new(workspace.release().join("exedra"));
    serve.args(["serve", "-c", "config/exedra.toml"]).current_dir(&workspace.root);
    if let Some(server) = tools.nats_server().filter(|_| nats) {
        let url = start_nats(workspace, server)?;
        serve.arg("--set").arg(format!("nats.url={url}"));
    }
    serve.args(arguments);
    Err(serve.exec()).context("cannot start the hub")
}

/// A nats-server that outlives Ctrl-C (the hub drains through it) and ends with the hub.
fn start_nats(workspace: &Workspace, server: &Path) -> Result<String> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|probe| probe.local_addr())?.port();
    let folder = workspace.tools().join("nats-data");
    let log = workspace.tools().join("nats-server.log");
    beside(server)
        .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream"])
        .arg("--store_dir")
        .arg(folder)
        .arg("--log")
        .arg(&log)
        .spawn()
        .context("cannot start nats-server")?;
    println!("nats-server on 127.0.0.1:{port}, log in {}", log.display());
    Ok(format!("nats://127.0.0.1:{port}"))
}
