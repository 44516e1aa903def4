//! The servers that are compared: how each is built, started on its core, and known to be the one that answers.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::report;
use crate::workspace::Workspace;

/// Signs the tokens of all servers; it protects nothing.
const SECRET: &str = "exedra-bench-secret-that-protects-nothing-at-all";
/// How long a server may take to listen.
const START: Duration = Duration::from_secs(30);

/// A server to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The floor: a loop that only writes.
    Epoll,
    /// The floor, but it leaves deliveries out: the harness must notice.
    Loser,
    /// This tree.
    Exedra,
    /// The Rust library that users would otherwise pick.
    Socketioxide,
    /// The reference server.
    Node,
}

impl Kind {
    /// As the table calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Epoll => "bare epoll",
            Self::Loser => "bare epoll, losing",
            Self::Exedra => "Exedra",
            Self::Socketioxide => "socketioxide",
            Self::Node => "Node socket.io",
        }
    }
}

/// What the benchmarks run, built and in place.
pub(super) struct Yard {
    /// Where everything of a run is written.
    pub(super) folder: PathBuf,
    release: PathBuf,
    yardsticks: PathBuf,
    /// Where the yardsticks' sources are.
    source: PathBuf,
    /// The core of the server.
    server_cpu: String,
    /// The core of the load.
    load_cpu: String,
}

impl Yard {
    /// Where everything is or will be.
    pub(super) fn new(workspace: &Workspace, server_cpu: usize, load_cpu: usize) -> Self {
        Self {
            folder: workspace.target.join("bench"),
            release: workspace.release(),
            yardsticks: workspace.target.join("yardsticks/release"),
            source: workspace.root.join("core/load/yardsticks"),
            server_cpu: server_cpu.to_string(),
            load_cpu: load_cpu.to_string(),
        }
    }

    /// Builds all servers that are built.
    pub(super) fn build(&self, workspace: &Workspace) -> Result<()> {
        let mut hub = workspace.cargo();
        hub.args(["build", "--release", "-p", "exedra", "-p", "exedra-bench-plugin"]);
        report::check(&mut hub).context("the hub's build failed")?;
        let mut build = workspace.cargo();
        build.args(["build", "--release", "--locked", "--manifest-path"]).arg(self.source.join("Cargo.toml"));
        build.arg("--target-dir").arg(workspace.target.join("yardsticks"));
        report::check(&mut build).context("the yardsticks' build failed")
    }

    /// Makes what the servers need to start.
    pub(super) fn furnish(&self) -> Result<()> {
        fs::create_dir_all(&self.folder).context("cannot make target/bench")?;
        self.install_node()?;
        fs::write(self.config(), self.hub_config()).context("cannot write the hub's configuration")
    }

    fn install_node(&self) -> Result<()> {
        let node = self.source.join("node");
        let lock = fs::read_to_string(node.join("package-lock.json")).context("no package-lock.json")?;
        let stamp = node.join("node_modules/.installed-lock");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
            return Ok(());
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&node);
        report::check(&mut npm).context("npm could not install socket.io")?;
        fs::write(stamp, lock).context("cannot note what npm has installed")
    }

    /// The configuration of the hub under test, which also tells the load tester the secret.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("exedra.toml")
    }

    fn hub_config(&self) -> String {
        let (plugins, store) = (&self.release, self.folder.join("store.redb"));
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n[auth]\nsecret = \"{SECRET}\"\n\n\
             [store]\npath = {store:?}\n\n[limits]\nconnections = 19500\n\n[log]\nlevel = \"warn\"\n\n\
             [plugins]\ndir = {plugins:?}\n\n[plugins.bench]\nenabled = true\n"
        )
    }

    /// Starts a server on its core. Ports are chosen by the kernel, so no older process can hold them.
    pub(super) fn start(&self, kind: Kind) -> Result<Server> {
        self.start_with(kind, &[])
    }

    /// The same, the hub with more settings.
    pub(super) fn start_with(&self, kind: Kind, settings: &[&str]) -> Result<Server> {
        let ports = self.folder.join("ports.json");
        let _ = fs::remove_file(&ports);
        let mut command = Command::new("taskset");
        command.args(["-c", &self.server_cpu]);
        match kind {
            Kind::Epoll => command.arg(self.yardsticks.join("yardstick-epoll")).arg(&ports),
            Kind::Loser => {
                command.arg(self.yardsticks.join("yardstick-epoll")).arg(&ports).args(["--lose", "50"])
            }
            Kind::Exedra => {
                command.arg(self.release.join("exedra")).args(["serve", "-c"]).arg(self.config());
                command.arg("--ports-file").arg(&ports).args(settings)
            }
            Kind::Socketioxide => {
                command.arg(self.yardsticks.join("yardstick-socketioxide")).arg(&ports).arg(SECRET)
            }
            Kind::Node => command.arg("node").arg(self.source.join("node/server.js")).arg(&ports).arg(SECRET),
        };
        let log = fs::File::create(self.folder.join("server.log")).context("cannot write server.log")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("cannot start taskset")?;
        let mut server = Server { child, url: String::new() };
        server.url = server.wait(&ports).with_context(|| format!("{} did not start", kind.name()))?;
        Ok(server)
    }

    /// A run of the load tester against a server, on the load's core. It must measure that server and no other.
    pub(super) fn load(&self, server: &Server, arguments: &[String]) -> Result<Value> {
        let output = self.load_expecting(server.child.id(), server, arguments)?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let found: Value = serde_json::from_slice(&output.stdout).context("the report is no JSON")?;
        if found["pid"] != server.child.id() {
            bail!("process {} was measured, not {}", found["pid"], server.child.id());
        }
        Ok(found)
    }

    /// Whether the load tester measures `server` when it is told to expect another process.
    pub(super) fn mistakes(&self, server: &Server, arguments: &[String]) -> Result<bool> {
        let output = self.load_expecting(std::process::id(), server, arguments)?;
        Ok(output.status.success())
    }

    fn load_expecting(&self, pid: u32, server: &Server, arguments: &[String]) -> Result<Output> {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.load_cpu]).arg(self.release.join("exedra")).arg("load").args(arguments);
        command.args(["--json", "--quiet", "--url", &server.url, "--expect-pid", &pid.to_string()]);
        command.arg("-c").arg(self.config());
        command.stdin(Stdio::null()).output().context("cannot start taskset")
    }
}

/// A server that runs; dropping it ends it.
pub(super) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Waits until the process that we started says where it listens.
    fn wait(&mut self, ports: &Path) -> Result<String> {
        let start = Instant::now();
        while start.elapsed() < START {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}; see target/bench/server.log");
            }
            let said =
                fs::read_to_string(ports).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
            if let Some(said) = said {
                if said["pid"] != self.child.id() {
                    bail!("process {} answers, but {} was started", said["pid"], self.child.id());
                }
                let public = said["public"].as_str().context("it does not say where it listens")?;
                return Ok(format!("http://{}", public.trim_start_matches("http://")));
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        bail!("it does not listen after {} s", START.as_secs())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Cores that this process may use.
pub(super) fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What was measured on, for the record.
pub(super) fn machine() -> Value {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let model = read("/proc/cpuinfo").lines().find_map(|line| {
        line.strip_prefix("model name")?.split_once(':').map(|(_, model)| model.trim().to_owned())
    });
    let version = |program: &str| {
        let output = Command::new(program).arg("--version").output().ok();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    serde_json::json!({
        "cpu": model,
        "cores": cpus(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_average": read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        "node": version("node"),
        "rustc": version(&env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())),
    })
}
