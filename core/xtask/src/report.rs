//! What a step did, counted from what the test programs themselves print, and the closing table.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Tests of one step by their result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Not run on the test's own word: shown, so that nothing is skipped silently.
    pub(crate) ignored: u64,
}

impl Count {
    /// Adds up the `test result:` lines that Rust's test programs close with.
    pub(crate) fn of_cargo(output: &str) -> Self {
        let mut count = Self::default();
        for line in output.lines().filter_map(|line| line.trim().strip_prefix("test result: ")) {
            let number = |label: &str| number_before(line, label);
            count.passed += number(" passed");
            count.failed += number(" failed");
            count.ignored += number(" ignored");
        }
        count
    }

    /// Reads the summary lines (`# pass 3`) that Node's test runner closes its TAP output with.
    pub(crate) fn of_tap(output: &str) -> Self {
        let number = |label: &str| {
            let line = output.lines().rev().find_map(|line| line.strip_prefix("# ")?.strip_prefix(label));
            line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
        };
        Self {
            passed: number("pass "),
            failed: number("fail ") + number("cancelled "),
            ignored: number("skipped ") + number("todo "),
        }
    }

    /// Reads mocha's `25 passing` and `1 failing`.
    pub(crate) fn of_mocha(output: &str) -> Self {
        let number = |label: &str| {
            let words = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            words
                .filter(|words| words.get(1) == Some(&label))
                .find_map(|words| words.first()?.parse().ok())
                .unwrap_or(0)
        };
        Self { passed: number("passing"), failed: number("failing"), ignored: number("pending") }
    }
}

fn number_before(line: &str, label: &str) -> u64 {
    line.split(label).next().and_then(|before| before.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// One line of the closing table.
pub(crate) struct Outcome {
    pub(crate) step: String,
    pub(crate) took: Duration,
    pub(crate) result: Result<Count>,
    /// The tests that ran although the step as a whole failed.
    pub(crate) counted: Count,
}

impl Outcome {
    /// Runs a step and times it. A step that fails without a failed test counts as one failure.
    pub(crate) fn of(step: &str, run: impl FnOnce(&mut Count) -> Result<()>) -> Self {
        let start = Instant::now();
        let mut counted = Count::default();
        let result = run(&mut counted).and_then(|()| match counted.failed {
            0 => Ok(counted),
            failed => bail!("{failed} failed"),
        });
        if result.is_err() && counted.failed == 0 {
            counted.failed = 1;
        }
        Self { step: step.to_owned(), took: start.elapsed(), result, counted }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { passed, failed, ignored } = self.counted;
        let word = if self.result.is_ok() { "ok" } else { "FAILED" };
        let seconds = self.took.as_secs_f64();
        write!(f, "{:<20}{word:<8}{passed:>7}{failed:>7}{ignored:>8}{seconds:>9.1}s", self.step)?;
        match &self.result {
            Ok(_) => Ok(()),
            Err(error) => write!(f, "  {error:#}"),
        }
    }
}

/// Prints the table and the closing line; true when everything passed.
pub(crate) fn print(outcomes: &[Outcome]) -> bool {
    println!("\n{:<20}{:<8}{:>7}{:>7}{:>8}{:>10}", "step", "", "passed", "failed", "ignored", "took");
    for outcome in outcomes {
        println!("{outcome}");
    }
    let passed: u64 = outcomes.iter().map(|outcome| outcome.counted.passed).sum();
    let failed: u64 = outcomes.iter().map(|outcome| outcome.counted.failed).sum();
    println!("\n{passed} passed, {failed} failed");
    outcomes.iter().all(|outcome| outcome.result.is_ok())
}

/// Runs a command, shows its stdout as it comes and gives it back too.
pub(crate) fn tee(command: &mut Command) -> Result<(ExitStatus, String)> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut output = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = BufReader::new(stdout);
        let mut line = Vec::new();
        while stdout.read_until(b'\n', &mut line)? > 0 {
            std::io::stdout().write_all(&line)?;
            output.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for {name}"))?;
    Ok((status, output))
}

/// Runs a command that has nothing to count and must end well.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_results_added_up() {
        let output = "running 3 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                      test result: FAILED. 10 passed; 3 failed; 0 ignored; 0 measured\nnothing 99 passed\n";
        assert_eq!(Count::of_cargo(output), Count { passed: 12, failed: 3, ignored: 1 });
    }

    #[test]
    fn tap_summary_read() {
        let output = "ok 1 - pass 7\n# tests 5\n# suites 0\n# pass 3\n# fail 1\n# cancelled 1\n# skipped 2\n# todo 0\n";
        assert_eq!(Count::of_tap(output), Count { passed: 3, failed: 2, ignored: 2 });
    }

    #[test]
    fn mocha_summary_read() {
        let output = "    ok passing by\n\n  24 passing (9s)\n  1 failing\n";
        assert_eq!(Count::of_mocha(output), Count { passed: 24, failed: 1, ignored: 0 });
    }

    #[test]
    fn uncounted_failure_counts_once() {
        let outcome = Outcome::of("x", |_| bail!("no"));
        assert_eq!(outcome.counted, Count { passed: 0, failed: 1, ignored: 0 });
        let counted = Outcome::of("x", |count| {
            *count = Count { passed: 4, failed: 2, ignored: 0 };
            bail!("exit status 1")
        });
        assert_eq!(counted.counted.failed, 2);
    }

    #[test]
    fn output_shown_and_kept() {
        let (status, output) = tee(Command::new("sh").args(["-c", "echo one; echo two; exit 3"])).unwrap();
        assert_eq!((status.code(), output.as_str()), (Some(3), "one\ntwo\n"));
    }
}
