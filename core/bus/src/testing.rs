//! A real `nats-server` for tests: on a free port, with its own folder, gone when dropped.
//!
//! The program is what the environment variable `NATS_SERVER` names, else `nats-server` on the `PATH`. Without it
//! a test fails and says so; nothing is skipped.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

/// How long the server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// A running `nats-server`; killed when dropped.
pub struct NatsServer {
    program: PathBuf,
    arguments: Vec<String>,
    /// Port files, the log and JetStream's files.
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts a server on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with JetStream, its files in a folder that goes with it.
    pub async fn start_jetstream() -> Self {
        Self::start_with(&["-js"]).await
    }

    /// Starts a server with further arguments.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(folder(), arguments.iter().map(|argument| (*argument).to_owned()).collect()).await
    }

    /// Starts a server with a configuration file of this text.
    pub async fn start_configured(text: &str) -> Self {
        let folder = folder();
        let file = folder.path().join("nats.conf");
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("a file for nats-server: {error}"));
        Self::start_in(folder, vec!["-c".to_owned(), file.display().to_string()]).await
    }

    async fn start_in(folder: TempDir, arguments: Vec<String>) -> Self {
        let mut server = Self { program: program(), arguments, folder, port: 0, child: None };
        server.run().await;
        server
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Where it listens, without a scheme.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The folder with all that the server keeps.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Lets the server stand still, as SIGSTOP does.
    pub async fn freeze(&self) {
        self.signal("STOP").await;
    }

    /// Lets it go on.
    pub async fn thaw(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let Some(pid) = self.pid() else { return };
        let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().await;
        assert!(sent.is_ok_and(|sent| sent.success()), "SIG{name} was not sent");
    }

    /// Kills the server, as `kill -9` does.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    /// Kills the server if it runs and starts it again, on the same port.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.run().await;
    }

    async fn run(&mut self) {
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let child = Command::new(&self.program)
            .args(["--addr", "127.0.0.1", "--port", &port])
            .arg("--ports_file_dir")
            .arg(self.folder.path())
            .arg("--log")
            .arg(self.folder.path().join("log"))
            .arg("--store_dir")
            .arg(self.folder.path().join("jetstream"))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("nats-server is missing ({}): {error}", self.program.display()));
        let id = child.id();
        self.child = Some(child);
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.is_ready(id).await {
            assert!(Instant::now() < deadline, "nats-server did not start:\n{}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether the server greets; learns its port first.
    async fn is_ready(&mut self, id: Option<u32>) -> bool {
        if self.port == 0 {
            match id.and_then(|id| self.port_in_file(id)) {
                Some(port) => self.port = port,
                None => return false,
            }
        }
        let Ok(mut stream) = TcpStream::connect(self.address()).await else { return false };
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting).await.is_ok() && &greeting == b"INFO "
    }

    /// The server writes the port that it got into a file named after itself and its process.
    fn port_in_file(&self, id: u32) -> Option<u16> {
        let entries = std::fs::read_dir(self.folder.path()).ok()?;
        let end = format!("_{id}.ports");
        let file = entries.flatten().find(|entry| entry.file_name().to_string_lossy().ends_with(&end))?;
        let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok()?;
        ports["nats"][0].as_str()?.rsplit_once(':')?.1.parse().ok()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn folder() -> TempDir {
    TempDir::new().unwrap_or_else(|error| panic!("a folder for nats-server: {error}"))
}

fn program() -> PathBuf {
    std::env::var_os("NATS_SERVER").map_or_else(|| PathBuf::from("nats-server"), PathBuf::from)
}
