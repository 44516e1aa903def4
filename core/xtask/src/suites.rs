//! The official protocol suites, run unmodified against the servers of this repository.
//!
//! The suites want port 3000 and cannot be kept here, so the caller names their folders. A run counts only when
//! the port was free before, the process listening on it is the one started here, before and after, and the
//! number of tests is the full one: a leftover server must not be able to pass for ours.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::report::{self, Count, Outcome};
use crate::workspace::Workspace;

/// The suites have it written in.
const PORT: u16 = 3000;
/// How long a server may take to listen.
const START: Duration = Duration::from_secs(10);

/// One suite: where it lies, what serves it and how many tests it has.
struct Suite<'a> {
    name: &'static str,
    folder: &'a Path,
    server: Command,
    tests: u64,
}

/// Runs the suites whose folders are given.
pub(crate) fn run(
    workspace: &Workspace,
    engineio: Option<&Path>,
    socketio: Option<&Path>,
) -> Result<ExitCode> {
    ensure!(engineio.or(socketio).is_some(), "name a folder with --engineio or --socketio");
    workspace.build_release().context("the build failed")?;
    let mut outcomes = Vec::new();
    if let Some(folder) = engineio {
        let example = ["build", "--release", "-p", "exedra-gateway", "--example", "engineio_echo"];
        report::check(workspace.cargo().args(example)).context("the build failed")?;
        let server = Command::new(workspace.release().join("examples/engineio_echo"));
        outcomes.push(Suite { name: "engine.io", folder, server, tests: 25 }.outcome());
    }
    if let Some(folder) = socketio {
        let mut server = Command::new(workspace.release().join("exedra"));
        server.args(["serve", "-c", "config/conformance.toml"]).current_dir(&workspace.root);
        outcomes.push(Suite { name: "socket.io", folder, server, tests: 32 }.outcome());
    }
    Ok(if report::print(&outcomes) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Suite<'_> {
    fn outcome(self) -> Outcome {
        Outcome::of(self.name, |count| self.run(count))
    }

    fn run(mut self, count: &mut Count) -> Result<()> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
            .with_context(|| format!("port {PORT} must be free: another server would be tested instead"))?;
        let server = Server::start(&mut self.server)?;
        server.wait_until_listening()?;
        let mut suite = Command::new("npm");
        suite.args(["test", "--silent"]).current_dir(self.folder);
        let (status, output) = report::tee(&mut suite)?;
        *count = Count::of_mocha(&output);
        ensure!(server.listens()?, "the server tested is not the one started here");
        ensure!(status.success() || count.failed > 0, "the suite ended with {status}");
        ensure!(
            count.passed + count.failed == self.tests,
            "{} tests ran instead of {}",
            count.passed + count.failed,
            self.tests
        );
        Ok(())
    }
}

/// A server that is killed with its owner.
struct Server(Child);

impl Server {
    fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self(child))
    }

    fn wait_until_listening(&self) -> Result<()> {
        // Nobody sends: the channel only paces the looks.
        let (_quiet, pace) = mpsc::channel::<()>();
        let start = Instant::now();
        while start.elapsed() < START {
            if self.listens()? {
                return Ok(());
            }
            let _ = pace.recv_timeout(Duration::from_millis(20));
        }
        bail!("the server does not listen on port {PORT}")
    }

    /// Whether the listening socket of the port is one of this process.
    fn listens(&self) -> Result<bool> {
        let table = fs::read_to_string("/proc/net/tcp").context("cannot read the socket table")?;
        let Some(inode) = listening_inode(&table, PORT) else { return Ok(false) };
        let socket = format!("socket:[{inode}]");
        let files = fs::read_dir(format!("/proc/{}/fd", self.0.id())).context("the server has ended")?;
        Ok(files
            .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
            .any(|target| target.as_os_str() == socket.as_str()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Finds the inode of the socket that listens on `port` in the kernel's IPv4 table.
fn listening_inode(table: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let listens = columns.get(1)?.ends_with(&wanted) && *columns.get(3)? == LISTEN;
        if listens { columns.get(9).copied() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_socket_found() {
        let table = "  sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode\n\
             0: 0100007F:0BB8 0100007F:1234 01 00:00 00:00 00 0 0 777 1\n\
             1: 0100007F:0BB8 00000000:0000 0A 00:00 00:00 00 0 0 4242 1\n";
        assert_eq!(listening_inode(table, 3000), Some("4242"));
        assert_eq!(listening_inode(table, 3001), None);
    }

    #[test]
    fn own_listener_recognised() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        assert!(listening_inode(&table, listener.local_addr().unwrap().port()).is_some());
    }
}
