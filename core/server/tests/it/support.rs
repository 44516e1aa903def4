//! Sentences for the tests: run a command, start a hub, ask it something.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, OnceLock, mpsc},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A secret that must never be seen again.
pub(crate) const CANARY: &str = "canary-7f3a9c51e2d84b06-canary-canary";
/// How long a hub may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// The plugins that the shipped configurations name.
const PLUGINS: [&str; 7] = [
    "exedra-deepfake",
    "exedra-echo",
    "exedra-hangouts",
    "exedra-live-preview",
    "exedra-meetings",
    "exedra-public-rooms",
    "quick-poll",
];

/// The folder of the workspace; shipped files are named from there.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The built library of a plugin, beside the program.
pub(crate) fn library(name: &str) -> PathBuf {
    static BUILT: OnceLock<bool> = OnceLock::new();
    let folder = Path::new(env!("CARGO_BIN_EXE_exedra")).parent().unwrap();
    let built = BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--quiet"])
            .args(PLUGINS.iter().flat_map(|name| ["-p", name]))
            .current_dir(root());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.status().is_ok_and(|status| status.success())
    });
    assert!(built, "the plugins cannot be built: cargo build -p {}", PLUGINS.join(" -p "));
    let file = folder.join(format!("lib{}.so", name.replace('-', "_")));
    assert!(file.is_file(), "{} is missing: cargo build -p exedra-{name}", file.display());
    file
}

/// What a command has said and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The lines of stderr that report problems.
    pub(crate) fn errors(&self) -> Vec<&str> {
        self.err.lines().filter(|line| line.starts_with("error: ")).collect()
    }
}

/// The program with arguments, in the folder of the workspace, without settings from this environment.
pub(crate) fn exedra(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exedra"));
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EXEDRA_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Said {
    said(exedra(arguments))
}

/// Runs a prepared command to its end.
pub(crate) fn said(mut command: Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with files.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Writes a file that only its owner can read.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        mode(&path, 0o600);
        path.display().to_string()
    }
}

pub(crate) fn mode(path: impl AsRef<Path>, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A running hub; killed when dropped.
pub(crate) struct Hub {
    pub(crate) folder: Folder,
    pub(crate) public: String,
    pub(crate) admin: String,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Hub {
    /// Starts a hub with a configuration. Ports and the store are its own.
    pub(crate) fn start(configuration: &str) -> Self {
        Self::start_with(configuration, |_| {})
    }

    /// The same, with a say in the command.
    pub(crate) fn start_with(configuration: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        library("meetings");
        let folder = Folder::new();
        let file = folder.write("hub.toml", configuration);
        let ports = folder.path("ports.json");
        let mut command = exedra(&["serve", "-c", &file, "--ports-file", &ports]);
        command
            .env("EXEDRA_SERVER__LISTEN", "127.0.0.1:0")
            .env("EXEDRA_ADMIN__LISTEN", "127.0.0.1:0")
            .env("EXEDRA_STORE__PATH", folder.path("hub.redb"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let (log, listening) = follow(child.stderr.take().unwrap());
        if listening.recv_timeout(PATIENCE).is_err() {
            let _ = child.kill();
            panic!("the hub does not listen:\n{}", log.lock().unwrap());
        }
        let ports: Value = serde_json::from_slice(&fs::read(ports).unwrap()).unwrap();
        let port = |name: &str| ports[name].as_str().unwrap().to_owned();
        Self { public: port("public"), admin: port("admin"), folder, child, log }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log has a text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let seen = eventually(|| self.log().contains(text).then_some(()));
        assert!(seen.is_some(), "the log never says {text:?}:\n{}", self.log());
    }

    /// Stops the hub and gives its exit code and what it wrote to stdout.
    pub(crate) fn stop(mut self) -> (i32, String) {
        self.signal(Signal::TERM);
        let status = eventually(|| self.child.try_wait().unwrap());
        let status = status.unwrap_or_else(|| panic!("the hub does not stop:\n{}", self.log()));
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        (status.code().unwrap_or(-1), out)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects the log; the channel tells when the hub listens.
fn follow(stderr: impl Read + Send + 'static) -> (Arc<Mutex<String>>, mpsc::Receiver<()>) {
    let log = Arc::new(Mutex::new(String::new()));
    let (tell, listening) = mpsc::channel();
    let collected = log.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            collected.lock().unwrap().push_str(&format!("{line}\n"));
            if line.contains("listening public=") {
                let _ = tell.send(());
            }
        }
    });
    (log, listening)
}

/// Asks until there is an answer or patience ends.
pub(crate) fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let until = std::time::Instant::now() + PATIENCE;
    let (_never, silence) = mpsc::channel::<()>();
    while std::time::Instant::now() < until {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        let _ = silence.recv_timeout(Duration::from_millis(20));
    }
    None
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }
}

/// GET with more headers; `Host` is the address unless it is among them.
pub(crate) fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(address, "GET", path, headers, "")
}

/// The same with any method and a body.
pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if method != "GET" {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}
