//! `exedra plugin check`: whether a plugin keeps the contract. The plugin runs in a process of its own, so that a crash
//! or a hang is a finding like any other; this side starts it, waits, and says in plain words what was found.

mod lint;
mod report;
mod sample;
mod smoke;
mod stage;
mod tour;

use std::{
    env, fs,
    io::Read,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};

pub use report::{Found, Report, Tried, Weight};

use crate::{cli::Failure, config::Problem};

/// How long a plugin may be silent: no call takes as long.
const SILENCE: Duration = Duration::from_secs(20);
/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(300);
/// How much of what it prints is kept.
const KEPT: usize = 64 << 10;
/// Lines of it that are quoted after a crash.
const QUOTED: usize = 6;

/// Checks a plugin, and settings for it when a file with some is given.
///
/// # Errors
/// Why it cannot be checked. What is wrong with the plugin is in the report.
pub fn check(file: &Path, settings: Option<&Path>) -> Result<Report, Failure> {
    let folder = scratch()?;
    let checked = in_a_process(file, settings, &folder);
    let _ = fs::remove_dir_all(&folder); // it lies among what may be thrown away
    checked
}

/// The inside of a check.
///
/// # Errors
/// What is wrong with the file or the settings.
pub fn within(file: &Path, settings: Option<&Path>, folder: &Path) -> Result<(), Vec<Problem>> {
    smoke::run(file, settings, folder)
}

fn in_a_process(file: &Path, settings: Option<&Path>, folder: &Path) -> Result<Report, Failure> {
    let mut command = Command::new(env::current_exe().context("this program cannot be found")?);
    command.args(["plugin", "check"]).arg(file).arg("--within").arg(folder);
    if let Some(settings) = settings {
        command.arg("-c").arg(settings);
    }
    // Freed memory gets another content, so that whoever reads it is found out; and it is free at once, so that what is
    // left can be counted.
    command.env("MALLOC_PERTURB_", "165").env("NO_COLOR", "1");
    command.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("the check cannot be started")?;
    let stderr = child.stderr.take();
    let reader = thread::spawn(move || stderr.map(last_words).unwrap_or_default());
    let ended = wait(&mut child, folder)?;
    let words = reader.join().unwrap_or_default();
    let report = fs::read(folder.join("report.json")).ok();
    let report = report.and_then(|text| serde_json::from_slice::<Report>(&text).ok());
    match (ended, report) {
        // Before the plugin has a name, nothing of its own but constructors and `describe` has run.
        (Ended::Exited(status), Some(report)) if status.code() == Some(2) && report.name.is_empty() => {
            Err(Failure::Told(words))
        }
        (ended, Some(mut report)) => {
            report.file = file.display().to_string();
            report.findings.extend(unfinished(&ended, &report, &words));
            report.judge();
            Ok(report)
        }
        (_, None) => Err(anyhow!("the check ended without a word: {}", quoted(&words)).into()),
    }
}

/// How the process ended.
enum Ended {
    Exited(ExitStatus),
    Silent,
}

fn wait(child: &mut Child, folder: &Path) -> Result<Ended, Failure> {
    let began = Instant::now();
    let mut last = (Instant::now(), None);
    loop {
        if let Some(status) = child.try_wait().context("the check cannot be waited for")? {
            return Ok(Ended::Exited(status));
        }
        let written = fs::metadata(folder.join("report.json")).and_then(|m| m.modified()).ok();
        if written != last.1 {
            last = (Instant::now(), written);
        }
        if last.0.elapsed() > SILENCE || began.elapsed() > WHOLE {
            let _ = child.kill(); // it may just have ended
            let _ = child.wait();
            return Ok(Ended::Silent);
        }
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// What a process that did not come to the end has died of.
fn unfinished(ended: &Ended, report: &Report, words: &str) -> Option<Found> {
    let during =
        if report.during.is_empty() { "ending the process".to_owned() } else { report.during.clone() };
    let (rule, what) = match ended {
        Ended::Silent => ("hangs", format!("it did not come back within {} s", SILENCE.as_secs())),
        Ended::Exited(status) if status.success() && report.during.is_empty() => return None,
        Ended::Exited(status) => ("crashes", format!("{}{}", cause(*status), quoted(words))),
    };
    Some(Found { weight: Weight::Problem, rule: rule.to_owned(), during, what, count: 1 })
}

fn cause(status: ExitStatus) -> String {
    match status.signal() {
        Some(6) => "it ended the process with SIGABRT: a panic or an exception left the plugin, or the C library found \
                    its heap damaged (something freed twice, or written behind its end)"
            .to_owned(),
        Some(11) => "it ended the process with SIGSEGV: memory was used that is not there, or not any more".to_owned(),
        Some(7) => "it ended the process with SIGBUS: memory was used that is not there".to_owned(),
        Some(8) => "it ended the process with SIGFPE: a division by zero".to_owned(),
        Some(4) => "it ended the process with SIGILL: code ran that is none".to_owned(),
        Some(signal) => format!("it ended the process with signal {signal}"),
        None => format!("it ended the process with exit code {}: a plugin must not", status.code().unwrap_or(-1)),
    }
}

/// The last lines of what was printed.
fn quoted(words: &str) -> String {
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("; it printed: {}", lines[lines.len().saturating_sub(QUOTED)..].join(" | "))
}

/// Reads to the end and keeps the last part.
fn last_words(mut from: impl Read) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..read]);
        if kept.len() > 2 * KEPT {
            kept.drain(..kept.len() - KEPT);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// A folder that only this user can enter.
fn scratch() -> Result<std::path::PathBuf, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let number: u64 = rand::random();
    let folder = env::temp_dir().join(format!("exedra-check-{}-{number:016x}", std::process::id()));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    Ok(folder)
}
