//! One run of one target: how it is started, and what its words mean.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The longest input that is made up, in bytes.
const MAX_INPUT: usize = 4096;
/// Seconds that one input may take: a target that takes longer hangs.
const PATIENCE: u64 = 10;
/// Memory that a target may use, in MiB.
const MEMORY: u64 = 1024;

/// A run to be.
pub(super) struct Search<'a> {
    pub(super) program: &'a Path,
    /// Inputs of earlier runs; new ones are added.
    pub(super) corpus: &'a Path,
    /// Inputs that are only read.
    pub(super) seeds: Option<&'a Path>,
    /// Where an input is put that breaks the target.
    pub(super) artifacts: &'a Path,
    /// Makes the same choices every time; none: others each time.
    pub(super) seed: Option<u32>,
}

/// A run that was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) ending: Ending,
    /// How many inputs were tried.
    pub(super) executions: u64,
    /// Places of the program that were reached.
    pub(super) coverage: u64,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The time was over.
    Whole,
    /// An input broke the target.
    Broken { input: PathBuf, why: String },
}

impl Search<'_> {
    /// Searches until something is found or `time` is over.
    pub(super) fn run(&self, time: Duration) -> Result<Found> {
        fs::create_dir_all(self.artifacts).context("no folder for artifacts")?;
        let mut command = Command::new(self.program);
        command.arg(format!("-artifact_prefix={}/", self.artifacts.display()));
        command.arg(format!("-max_total_time={}", time.as_secs()));
        command.args(["-print_final_stats=1".to_owned(), format!("-max_len={MAX_INPUT}")]);
        command.args([format!("-timeout={PATIENCE}"), format!("-rss_limit_mb={MEMORY}")]);
        command.args(self.seed.map(|seed| format!("-seed={seed}")));
        command.arg(self.corpus).args(self.seeds);
        let mut heard = Heard::default();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        for line in child.stderr.take().map(BufReader::new).into_iter().flat_map(|text| text.split(b'\n')) {
            heard.line(&String::from_utf8_lossy(&line?));
        }
        let status = child.wait()?;
        heard.verdict(status.success(), &status.to_string())
    }
}

impl Found {
    /// Fails when nothing was tried beyond the seeds, or nothing was measured.
    pub(super) fn must_be_real(&self, seeds: u64) -> Result<()> {
        if self.executions <= seeds {
            bail!("only {} inputs were tried, {seeds} of them seeds", self.executions);
        }
        if self.coverage == 0 {
            bail!("no place of the program was reached: it is not instrumented");
        }
        Ok(())
    }
}

/// Runs one input; fails when it breaks the target.
pub(super) fn reproduce(program: &Path, input: &Path) -> Result<()> {
    if !input.is_file() {
        bail!("there is no file {}", input.display());
    }
    let output = Command::new(program).arg(input).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{} breaks it:\n{}", input.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// What the target has said so far.
#[derive(Default)]
struct Heard {
    executions: Option<u64>,
    coverage: u64,
    artifact: Option<PathBuf>,
    /// The panic, or what libFuzzer found wrong.
    why: Vec<String>,
    panicking: bool,
}

impl Heard {
    fn line(&mut self, line: &str) {
        if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = number.trim().parse().ok();
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.artifact = Some(path.trim().into());
        } else if line.starts_with('#') {
            let number = line.split("cov: ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
            self.coverage = number.unwrap_or(self.coverage);
        } else if line.contains("panicked at") || line.contains("ERROR: libFuzzer") {
            self.why.push(line.to_owned());
            self.panicking = line.contains("panicked at");
        } else if self.panicking {
            self.why.push(line.to_owned());
            self.panicking = false;
        }
    }

    fn verdict(self, ended_well: bool, status: &str) -> Result<Found> {
        let why = self.why.join("\n");
        let ending = match (ended_well, self.artifact) {
            (_, Some(input)) => Ending::Broken { input, why },
            (true, None) => Ending::Whole,
            (false, None) => bail!("ended with {status} and left no input\n{why}"),
        };
        let executions = self.executions.context("it did not say how many inputs it tried")?;
        Ok(Found { ending, executions, coverage: self.coverage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str, ended_well: bool) -> Result<Found> {
        let mut heard = Heard::default();
        text.lines().for_each(|line| heard.line(line));
        heard.verdict(ended_well, "exit status: 77")
    }

    const WHOLE: &str = "#2\tINITED cov: 7 ft: 8 corp: 1/1b\n#9\tDONE   cov: 12 ft: 20 corp: 3/9b\n\
                         stat::number_of_executed_units: 900\n";

    #[test]
    fn whole_run_counted() {
        let found = heard(WHOLE, true).unwrap();
        assert_eq!(found, Found { ending: Ending::Whole, executions: 900, coverage: 12 });
        assert!(found.must_be_real(10).is_ok());
        assert!(found.must_be_real(900).is_err());
    }

    #[test]
    fn reproducer_told() {
        let text = format!(
            "thread '<unnamed>' panicked at core/x.rs:1:2:\nit broke\nstack\n{WHOLE}==1== ERROR: libFuzzer: deadly\n\
             artifact_prefix='/t/'; Test unit written to /t/crash-1\n"
        );
        let Ending::Broken { input, why } = heard(&text, false).unwrap().ending else { panic!() };
        assert_eq!(input, Path::new("/t/crash-1"));
        assert!(why.contains("it broke") && !why.contains("stack"), "{why}");
    }

    #[test]
    fn silent_target_is_failure() {
        assert!(heard("", true).is_err());
        assert!(heard(WHOLE, false).is_err());
        let blind = heard("stat::number_of_executed_units: 5\n", true).unwrap();
        assert!(blind.must_be_real(1).is_err());
    }
}
