//! `cargo xtask fuzz` and the step `fuzz`: builds the targets of `core/fuzz`, looks for inputs that break them, and says
//! where such an input was put.
//!
//! cargo-fuzz itself is not needed: its instrumentation works on the stable toolchain as long as no sanitizer is
//! asked for. First comes a control, a planted bug that must be found, or what the others do not find means nothing.

mod build;
mod search;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use self::build::{Depth, Programs};
use self::search::{Ending, Search};
use crate::report::{self, Count, Outcome};
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// What a planted bug needs at most; it is found within a second.
const CONTROL: Duration = Duration::from_secs(60);
/// What the short form gives each target.
const SHORT: Duration = Duration::from_secs(3);
/// The short form makes the same choices every time: it judges a change, and the long form looks further.
const SEED: u32 = 1;
/// The program with the planted bug.
const PLANTED: &str = "planted_bug";

/// What to look at, and for how long.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Run this input once instead, the way a crash is looked at
    #[arg(long)]
    input: Option<PathBuf>,
    /// Only these: file names of core/fuzz/targets without their ending
    targets: Vec<String>,
}

/// The long form: everything instrumented, for as long as is asked.
pub(crate) fn run(workspace: &Workspace, fuzz: &Fuzz) -> Result<ExitCode> {
    let targets = chosen(targets(workspace)?, &fuzz.targets)?;
    Tools::prepare(workspace, &[Tool::Cxx])?.check(&[Tool::Cxx])?;
    let programs = Programs::build(workspace, Depth::Everything)?;
    if let Some(input) = &fuzz.input {
        let [target] = &targets[..] else { bail!("an input is for one target") };
        search::reproduce(programs.get(target)?, input)?;
        println!("{target}: {} breaks nothing", input.display());
        return Ok(ExitCode::SUCCESS);
    }
    control(workspace, &programs)?;
    let time = Duration::from_secs(fuzz.seconds.max(1));
    let outcomes: Vec<_> = targets
        .iter()
        .map(|target| {
            Outcome::of(target, |count| {
                attack(workspace, &programs, target, time, None)?;
                count.passed = 1;
                Ok(())
            })
        })
        .collect();
    Ok(if report::print(&outcomes) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The short form: our own crates instrumented, seconds for each target. Each counts as a test, and so does the control.
pub(crate) fn step(workspace: &Workspace, count: &mut Count) -> Result<()> {
    let programs = Programs::build(workspace, Depth::OwnCrates)?;
    control(workspace, &programs)?;
    count.passed += 1;
    for target in targets(workspace)? {
        match attack(workspace, &programs, &target, SHORT, Some(SEED)) {
            Ok(()) => count.passed += 1,
            Err(error) => {
                eprintln!("error: {error:#}");
                count.failed += 1;
            }
        }
    }
    Ok(())
}

/// The programs that there are, but for the control.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("core/fuzz/targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.retain(|name| name != PLANTED);
    names.sort();
    Ok(names)
}

fn chosen(targets: Vec<String>, wanted: &[String]) -> Result<Vec<String>> {
    if let Some(word) = wanted.iter().find(|word| !targets.contains(word)) {
        bail!("no target is called {word}\nhint: there are {}", targets.join(", "));
    }
    Ok(targets.into_iter().filter(|target| wanted.is_empty() || wanted.contains(target)).collect())
}

/// Where inputs that break a target, and those that led to new places, are kept.
fn kept(workspace: &Workspace, what: &str, target: &str) -> PathBuf {
    workspace.target.join("fuzz").join(what).join(target)
}

/// The planted bug is found, and what was found breaks it again.
fn control(workspace: &Workspace, programs: &Programs) -> Result<()> {
    let program = programs.get(PLANTED)?;
    let artifacts = kept(workspace, "artifacts", PLANTED);
    let scratch = tempfile::tempdir().context("no folder for the control")?;
    let found =
        Search { program, corpus: scratch.path(), seeds: None, artifacts: &artifacts, seed: Some(SEED) }
            .run(CONTROL)?;
    let Ending::Broken { input, .. } = found.ending else {
        bail!("the planted bug was not found in {} runs", found.executions);
    };
    if search::reproduce(program, &input).is_ok() {
        bail!("{} does not break the planted bug again", input.display());
    }
    println!("control: the planted bug was found");
    Ok(())
}

/// Searches for `time`. Fails when the target breaks, and when the search did not really happen.
fn attack(
    workspace: &Workspace,
    programs: &Programs,
    target: &str,
    time: Duration,
    seed: Option<u32>,
) -> Result<()> {
    let seeds = workspace.root.join("core/fuzz/seeds").join(target);
    let (corpus, artifacts) = (kept(workspace, "corpus", target), kept(workspace, "artifacts", target));
    fs::create_dir_all(&corpus)?;
    let search = Search {
        program: programs.get(target)?,
        corpus: &corpus,
        seeds: Some(&seeds),
        artifacts: &artifacts,
        seed,
    };
    let found = search.run(time).context(target.to_owned())?;
    if let Ending::Broken { input, why } = found.ending {
        bail!(
            "{target}: {why}\nreproducer: {}\nhint: cargo xtask fuzz {target} --input {0}",
            input.display()
        );
    }
    found.must_be_real(files_in(&seeds)?).context(target.to_owned())?;
    println!("{target}: {} runs, {} places reached, nothing found", found.executions, found.coverage);
    Ok(())
}

fn files_in(folder: &Path) -> Result<u64> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    Ok(entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_chosen_by_name() {
        let all = || vec!["config".to_owned(), "tokens".to_owned()];
        assert_eq!(chosen(all(), &[]).unwrap(), all());
        assert_eq!(chosen(all(), &["tokens".to_owned()]).unwrap(), ["tokens"]);
        assert!(chosen(all(), &["token".to_owned()]).is_err());
    }

    #[test]
    fn every_target_has_seeds() {
        let workspace = Workspace::find().unwrap();
        let targets = targets(&workspace).unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            assert!(files_in(&workspace.root.join("core/fuzz/seeds").join(target)).unwrap() > 0);
        }
    }
}
