//! What is started and where it will be: free ports, the commands, and what the caller is told of them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::programs::Ended;
use crate::beside::beside;
use crate::workspace::Workspace;

/// The configuration that all nodes share.
const CONFIG: &str = "config/cluster.toml";
const NATS_CONFIG: &str = "config/nats.conf";
/// The users of the demo pages.
const USERS: [&str; 3] = ["ann", "bob", "carol"];
/// Lines of a log that are shown when a node does not start.
const LAST_LINES: usize = 20;

/// What is started, and where it will be.
pub(super) struct Plan {
    root: PathBuf,
    exedra: PathBuf,
    nats_server: PathBuf,
    folder: PathBuf,
    pub(super) nats: SocketAddr,
    monitor: SocketAddr,
    pub(super) nodes: Vec<Node>,
}

/// One node.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) public: SocketAddr,
    pub(super) admin: SocketAddr,
    log: PathBuf,
}

impl Plan {
    /// Chooses ports that are free now.
    pub(super) fn new(
        workspace: &Workspace,
        programs: &Path,
        nats_server: &Path,
        folder: &Path,
        nodes: u8,
    ) -> Result<Self> {
        let mut free = free_addresses(2 + 2 * usize::from(nodes))?.into_iter();
        let mut next = || free.next().context("no port is free");
        let (nats, monitor) = (next()?, next()?);
        let mut plan = Self {
            root: workspace.root.clone(),
            exedra: programs.join("exedra"),
            nats_server: nats_server.to_owned(),
            folder: folder.to_owned(),
            nats,
            monitor,
            nodes: Vec::new(),
        };
        for number in 1..=nodes {
            let name = format!("n{number}");
            let log = folder.join(format!("{name}.log"));
            plan.nodes.push(Node { name, public: next()?, admin: next()?, log });
        }
        Ok(plan)
    }

    /// Starts the nats-server, with the configuration of the repository at addresses of its own.
    pub(super) fn nats(&self) -> Result<Command> {
        let shipped = fs::read_to_string(self.root.join(NATS_CONFIG)).context("cannot read nats.conf")?;
        let store = self.folder.join("nats");
        let here = [
            ("listen", self.nats.to_string()),
            ("http", self.monitor.to_string()),
            ("store_dir", store.display().to_string()),
        ];
        fs::write(self.nats_config(), with_values(&shipped, &here)?).context("cannot write nats.conf")?;
        let mut command = beside(&self.nats_server);
        command.args(self.nats_arguments()).current_dir(&self.root);
        Ok(command)
    }

    fn nats_config(&self) -> PathBuf {
        self.folder.join("nats.conf")
    }

    fn nats_arguments(&self) -> Vec<String> {
        let text = |path: PathBuf| path.display().to_string();
        let log = text(self.folder.join("nats-server.log"));
        vec!["-c".to_owned(), text(self.nats_config()), "--log".to_owned(), log]
    }

    /// Starts a node; what it says goes to its log.
    pub(super) fn serve(&self, node: &Node) -> Result<Command> {
        let log = fs::File::create(&node.log).context("cannot write a log")?;
        let mut command = beside(&self.exedra);
        command.args(self.serve_arguments(node)).current_dir(&self.root);
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn serve_arguments(&self, node: &Node) -> Vec<String> {
        let store = self.folder.join(&node.name).join("exedra.redb");
        let settings = [
            format!("cluster.node={}", node.name),
            format!("server.listen={}", node.public),
            format!("admin.listen={}", node.admin),
            format!("nats.url=nats://{}", self.nats),
            format!("nats.monitor=http://{}", self.monitor),
            format!("store.path={}", store.display()),
        ];
        let start = ["serve", "-c", CONFIG].map(str::to_owned);
        start.into_iter().chain(settings.into_iter().flat_map(|set| ["--set".to_owned(), set])).collect()
    }

    /// A token for each user of the demo, as the hub's own tool makes them.
    pub(super) fn tokens(&self) -> Result<Vec<(&'static str, String)>> {
        USERS.iter().map(|user| Ok((*user, self.token(user)?))).collect()
    }

    fn token(&self, user: &str) -> Result<String> {
        let mut mint = Command::new(&self.exedra);
        mint.args(["token", "mint", "-c", CONFIG, "--sub", user, "--ttl", "24h"]).current_dir(&self.root);
        let output = mint.output().context("cannot make a token")?;
        if !output.status.success() {
            bail!("cannot make a token: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Where everything is, and what to do with it.
    pub(super) fn welcome(
        &self,
        balancer: SocketAddr,
        server: &[u32],
        nodes: &[u32],
        tokens: &[(&str, String)],
    ) -> String {
        let mut text = format!(
            "\n{} nodes are one hub.\n\n  demo pages   http://{balancer}/   (the balancer)\n",
            self.nodes.len()
        );
        for (node, pid) in self.nodes.iter().zip(nodes) {
            let Node { name, public, admin, log } = node;
            text += &format!(
                "  {name:<12} http://{public}/   console http://{admin}/   pid {pid}   log {}\n",
                log.display()
            );
        }
        for pid in server {
            let (nats, monitor) = (self.nats, self.monitor);
            text += &format!("  nats-server  nats://{nats}   monitoring http://{monitor}/   pid {pid}\n");
        }
        text += "\n  Tokens of the demo users, valid for a day:\n";
        for (user, token) in tokens {
            text += &format!("  {user:<6} {token}\n");
        }
        text += "\n  Each WebSocket goes to the next node; pages, REST and long polling of one address stay at one.\n";
        text += "  Open a demo page in two tabs, then break something:\n";
        for (node, pid) in self.nodes.iter().zip(nodes) {
            text +=
                &format!("    kill -9 {pid}     kill -STOP {pid}     kill -CONT {pid}     ({})\n", node.name);
        }
        for pid in server {
            text += &format!(
                "    kill -9 {pid}     (nats-server: rooms go on, what must be stored is answered 503)\n"
            );
        }
        text + "\n  Nothing is restarted by itself. Ctrl-C ends everything.\n"
    }

    /// What is said of a program that has ended: the rest goes on, and so it is started again.
    pub(super) fn obituary(&self, ended: &Ended) -> String {
        let node = self.nodes.iter().find(|node| node.name == ended.name);
        let (program, arguments) = match node {
            Some(node) => (&self.exedra, self.serve_arguments(node)),
            None => (&self.nats_server, self.nats_arguments()),
        };
        let command = format!("cd {}; {} {}", self.root.display(), program.display(), arguments.join(" "));
        format!(
            "\n{} has ended ({}). To start it again, in a terminal of its own:\n  {command}",
            ended.name, ended.how
        )
    }
}

impl Node {
    /// What it said last.
    pub(super) fn last_lines(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

/// A configuration of NATS with other values for settings that it has.
fn with_values(config: &str, values: &[(&str, String)]) -> Result<String> {
    let mut lines: Vec<String> = config.lines().map(str::to_owned).collect();
    for (key, value) in values {
        let is_setting = |line: &&mut String| line.trim_start().starts_with(&format!("{key}:"));
        let line =
            lines.iter_mut().find(is_setting).with_context(|| format!("{NATS_CONFIG} has no {key}"))?;
        *line = format!("{key}: {value:?}");
    }
    Ok(lines.join("\n"))
}

/// Addresses with different ports that nobody uses now.
fn free_addresses(count: usize) -> Result<Vec<SocketAddr>> {
    let probes: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()
        .context("no port is free")?;
    probes.iter().map(|probe| probe.local_addr().context("a probe has no address")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let node = Node { name: "n1".to_owned(), public: at(3), admin: at(4), log: "/t/n1.log".into() };
        Plan {
            root: "/r".into(),
            exedra: "/r/target/release/exedra".into(),
            nats_server: "/usr/sbin/nats-server".into(),
            folder: "/t".into(),
            nats: at(1),
            monitor: at(2),
            nodes: vec![node],
        }
    }

    #[test]
    fn obituary_says_how_to_go_on() {
        let of = |name: &str| plan().obituary(&Ended { name: name.to_owned(), how: "signal: 9".to_owned() });
        assert!(of("n1").contains(
            "exedra serve -c config/cluster.toml --set cluster.node=n1 --set server.listen=127.0.0.1:3"
        ));
        assert!(of("nats-server").contains("nats-server -c /t/nats.conf"));
    }

    #[test]
    fn welcome_names_what_can_be_killed() {
        let balancer = SocketAddr::from(([127, 0, 0, 1], 9));
        let text = plan().welcome(balancer, &[11], &[22], &[("ann", "t".to_owned())]);
        for words in ["http://127.0.0.1:9/", "kill -9 22 ", "kill -9 11 ", "nats://127.0.0.1:1", "ann    t"] {
            assert!(text.contains(words), "{words} in {text}");
        }
    }

    #[test]
    fn shipped_configuration_moves() {
        let shipped =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(NATS_CONFIG));
        let moved = with_values(&shipped.unwrap(), &[("listen", "127.0.0.1:9".to_owned())]).unwrap();
        assert!(moved.contains("listen: \"127.0.0.1:9\"") && !moved.contains("4222\""));
        assert!(moved.contains("sync_interval: always"));
        assert!(with_values("", &[("listen", String::new())]).is_err());
    }

    #[test]
    fn ports_differ() {
        let mut ports: Vec<u16> = free_addresses(8).unwrap().iter().map(SocketAddr::port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 8);
    }
}
