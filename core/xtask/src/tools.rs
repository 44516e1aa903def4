//! What the tests need beside Rust, found or installed.
//!
//! npm and pip packages go into folders of this repository, nats-server, Prometheus and nginx are unpacked from the Debian
//! archive, the rest are Debian packages that only root can install. A tool that cannot be had is remembered with
//! its reason, and each step that needs it fails with that.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::archive::Archive;
use crate::workspace::Workspace;

/// Suites asked for a nats-server newer than the machine's own, newest first.
const NATS_SUITES: [&str; 2] = ["forky", "trixie"];

/// A thing a step may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// Node.js and the packages of the end-to-end tests.
    Node,
    /// Python and its packages for the end-to-end tests.
    Python,
    /// The Socket.IO client file the demo pages load.
    WebClient,
    /// A current nats-server.
    Nats,
    /// Prometheus and promtool.
    Prometheus,
    /// The balancer of the deployment samples.
    Nginx,
    /// Network namespaces, and a firewall that loses what is sent.
    Network,
    /// A Chromium that runs headless.
    Chromium,
    /// A C++ compiler, for libFuzzer.
    Cxx,
    /// Counts what a server asks of the kernel.
    Strace,
}

impl Tool {
    /// Every tool there is.
    pub(crate) const ALL: [Self; 10] = [
        Self::Node,
        Self::Python,
        Self::WebClient,
        Self::Nats,
        Self::Prometheus,
        Self::Nginx,
        Self::Network,
        Self::Chromium,
        Self::Cxx,
        Self::Strace,
    ];

    /// Programs it cannot do without, each with the Debian package that brings it.
    fn programs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Node | Self::WebClient => &[("node", "nodejs"), ("npm", "npm")],
            Self::Python => &[("python3", "python3"), ("pip3", "python3-pip")],
            Self::Chromium if chromium().is_some() => &[],
            Self::Chromium => &[("chromium", "chromium")],
            Self::Cxx => &[("c++", "g++")],
            Self::Strace => &[("strace", "strace")],
            Self::Network => &[("ip", "iproute2"), ("nft", "nftables")],
            Self::Nats | Self::Prometheus | Self::Nginx => &[],
        }
    }
}

/// Debian packages are missing and only root may install them; the command is for the user to run.
#[derive(Debug)]
pub(crate) struct NeedsRoot(String);

impl fmt::Display for NeedsRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Debian packages are missing\nhint: run `{}`, then try again", self.0)
    }
}

impl std::error::Error for NeedsRoot {}

/// What was found: an environment for the tests, and why each missing tool is missing.
#[derive(Default)]
pub(crate) struct Tools {
    env: BTreeMap<&'static str, PathBuf>,
    missing: BTreeMap<Tool, String>,
}

impl Tools {
    /// Finds or installs each of `wanted`. Only missing Debian packages without root stop it.
    pub(crate) fn prepare(workspace: &Workspace, wanted: &[Tool]) -> Result<Self> {
        fs::create_dir_all(workspace.tools()).context("cannot make the folder for tools")?;
        install_debian_packages(wanted)?;
        let mut tools = Self::default();
        tools.env.insert("EXEDRA_BIN_DIR", workspace.release());
        for &tool in wanted {
            if let Err(error) = tools.add(workspace, tool) {
                eprintln!("error: {tool:?}: {error:#}");
                tools.missing.insert(tool, format!("{error:#}"));
            }
        }
        Ok(tools)
    }

    /// The environment variables that tell the tests where everything is.
    pub(crate) fn env(&self) -> &BTreeMap<&'static str, PathBuf> {
        &self.env
    }

    /// Why the first of `needs` that is missing is missing.
    pub(crate) fn check(&self, needs: &[Tool]) -> Result<()> {
        for need in needs {
            if let Some(reason) = self.missing.get(need) {
                bail!("{need:?} is missing: {reason}");
            }
        }
        Ok(())
    }

    /// The nats-server, when it was asked for and found.
    pub(crate) fn nats_server(&self) -> Option<&Path> {
        self.env.get("NATS_SERVER").map(PathBuf::as_path)
    }

    fn add(&mut self, workspace: &Workspace, tool: Tool) -> Result<()> {
        for (program, package) in tool.programs() {
            if which(program).is_none() {
                bail!("no program {program} (Debian package {package})");
            }
        }
        match tool {
            Tool::Node => npm_packages(workspace),
            Tool::Python => {
                self.env.insert("PYTHON", which("python3").context("no program python3")?);
                self.env.insert("PYTHONPATH", python_packages(workspace)?);
                Ok(())
            }
            Tool::WebClient => web_client(workspace),
            Tool::Nats => self.add_program(
                workspace,
                "nats-server",
                &[("NATS_SERVER", "nats-server")],
                &NATS_SUITES,
                "--version",
            ),
            Tool::Prometheus => {
                let programs = [("PROMETHEUS", "prometheus"), ("PROMTOOL", "promtool")];
                self.add_program(workspace, "prometheus", &programs, &[], "--version")
            }
            Tool::Nginx => self.add_program(workspace, "nginx", &[("NGINX", "nginx")], &[], "-v"),
            Tool::Network => network_namespaces(),
            Tool::Cxx | Tool::Strace => Ok(()),
            Tool::Chromium => {
                self.env.insert("CHROMIUM", chromium().context("no program chromium")?);
                Ok(())
            }
        }
    }

    /// Programs of one Debian package: as the environment says, else unpacked before, else unpacked now.
    fn add_program(
        &mut self,
        workspace: &Workspace,
        package: &str,
        programs: &[(&'static str, &str)],
        suites: &[&str],
        version: &str,
    ) -> Result<()> {
        let archive = Archive::new(workspace.tools());
        for &(variable, program) in programs {
            let path = match env::var_os(variable) {
                Some(path) => PathBuf::from(path),
                None => match archive.unpacked(package, program) {
                    Some(path) => path,
                    None => {
                        archive.unpack(package, suites)?;
                        archive
                            .unpacked(package, program)
                            .with_context(|| format!("package {package} has no program {program}"))?
                    }
                },
            };
            println!("{program}: {}", first_line_of(&path, version)?);
            self.env.insert(variable, path);
        }
        Ok(())
    }
}

/// Whether network namespaces can be made here; only root can, and not in every container.
fn network_namespaces() -> Result<()> {
    if !is_root() {
        bail!("network namespaces are for root");
    }
    let name = format!("exedra-{}", std::process::id());
    let made = succeed(Command::new("ip").args(["netns", "add", &name]));
    let _ = Command::new("ip").args(["netns", "delete", &name]).stderr(Stdio::null()).status();
    made.context("network namespaces cannot be made here")
}

/// Puts the Socket.IO client where the demo pages look for it.
fn web_client(workspace: &Workspace) -> Result<()> {
    let wanted =
        fs::read_to_string(workspace.e2e().join("package.json")).context("cannot read package.json")?;
    let wanted: Value = serde_json::from_str(&wanted).context("package.json is not JSON")?;
    let version = wanted["dependencies"]["socket.io-client"]
        .as_str()
        .context("package.json names no socket.io-client")?;
    let vendored = workspace.root.join("examples/web/vendor/socket.io.min.js");
    let folder = workspace.tools().join("web-client");
    let installed = folder.join(format!("{version}.installed"));
    if !(installed.is_file() && vendored.is_file()) {
        fs::create_dir_all(&folder)?;
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--no-save",
            "--no-package-lock",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]);
        npm.arg("--prefix").arg(&folder).arg(format!("socket.io-client@{version}"));
        succeed(&mut npm)?;
        fs::create_dir_all(vendored.parent().context("the vendored file has no folder")?)?;
        fs::copy(folder.join("node_modules/socket.io-client/dist/socket.io.min.js"), &vendored)
            .context("cannot copy the Socket.IO client")?;
        fs::write(installed, "")?;
    }
    Ok(())
}

fn npm_packages(workspace: &Workspace) -> Result<()> {
    let folder = workspace.e2e();
    let lock =
        fs::read_to_string(folder.join("package-lock.json")).context("cannot read package-lock.json")?;
    let stamp = folder.join("node_modules/.installed-lock");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
    succeed(&mut npm)?;
    fs::write(stamp, lock).context("cannot note what npm has installed")
}

fn python_packages(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = workspace.e2e().join("requirements.txt");
    let wanted = fs::read_to_string(&requirements).context("cannot read requirements.txt")?;
    let folder = workspace.tools().join("python");
    let stamp = folder.join("installed-requirements.txt");
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]);
        pip.arg("--target").arg(&folder).arg("-r").arg(&requirements);
        succeed(&mut pip)?;
        fs::write(stamp, wanted).context("cannot note what pip has installed")?;
    }
    Ok(folder)
}

fn install_debian_packages(wanted: &[Tool]) -> Result<()> {
    let mut packages: Vec<&str> = wanted
        .iter()
        .flat_map(|tool| tool.programs())
        .filter(|(program, _)| which(program).is_none())
        .map(|&(_, package)| package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !is_root() {
        return Err(NeedsRoot(format!("sudo apt-get install --no-install-recommends {names}")).into());
    }
    println!("installing Debian packages: {names}");
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install.args(["install", "--yes", "-qq", "--no-install-recommends"]).args(&packages);
    // A package that cannot be had fails the steps that need it, by name, later: the others still run.
    let installed =
        succeed(Command::new("apt-get").args(["update", "-qq"])).and_then(|()| succeed(&mut install));
    if let Err(error) = installed {
        eprintln!("error: {error:#}");
    }
    Ok(())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn chromium() -> Option<PathBuf> {
    env::var_os("CHROMIUM").map(PathBuf::from).or_else(|| which("chromium"))
}

fn which(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn first_line_of(program: &Path, argument: &str) -> Result<String> {
    let output = Command::new(program)
        .arg(argument)
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}

fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tool_named() {
        let mut tools = Tools::default();
        tools.missing.insert(Tool::Nats, "no archive".to_owned());
        assert!(tools.check(&[Tool::Node]).is_ok());
        let error = tools.check(&[Tool::Node, Tool::Nats]).unwrap_err();
        assert_eq!(error.to_string(), "Nats is missing: no archive");
    }

    #[test]
    fn programs_found_on_path() {
        assert!(which("sh").is_some());
        assert_eq!(which("no-such-program-anywhere"), None);
    }

    #[test]
    fn root_command_given() {
        let error = NeedsRoot("sudo apt-get install chromium".to_owned());
        assert!(error.to_string().contains("`sudo apt-get install chromium`"));
    }
}
