//! The steps of `cargo xtask test`, in order, and how each is run and counted.
//!
//! A failed step does not stop the others. A step whose tests cannot be counted, or that counts none, has failed:
//! a runner that ran nothing must not look like a success.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::fuzz;
use crate::report::{self, Count, Outcome};
use crate::stories;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// Short forms belong to every test run; long ones go on for the numbers the project promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// A few minutes altogether.
    Short,
    /// As long as it takes: 50 random kills, 9,000 clients.
    Long,
}

/// One step by name.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) about: String,
    needs: Vec<Tool>,
    work: Work,
}

/// What a step does.
#[derive(Clone)]
enum Work {
    /// Cargo with these arguments; nothing to count.
    Check(&'static [&'static str]),
    /// `cargo doc` with warnings as errors.
    Doc,
    /// The release build the end-to-end tests run.
    Build,
    /// `cargo test` of the whole workspace.
    CargoTest,
    /// The fuzz targets, for seconds.
    Fuzz,
    /// One file of Node tests in the end-to-end folder; `long` when it has a long form.
    Node { file: String, long: bool },
}

/// Every step, in the order of a full run: quick and sure ones first.
pub(crate) fn all(workspace: &Workspace) -> Result<Vec<Step>> {
    const CLIPPY: &[&str] = &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    let step = |name: &str, about: &str, needs: &[Tool], work| Step {
        name: name.to_owned(),
        about: about.to_owned(),
        needs: needs.to_vec(),
        work,
    };
    let mut steps = vec![
        step("fmt", "formatting", &[], Work::Check(&["fmt", "--all", "--check"])),
        step("clippy", "lints, warnings as errors", &[], Work::Check(CLIPPY)),
        step("doc", "documentation, warnings as errors", &[], Work::Doc),
        step("build", "release build of the hub and all plugins", &[], Work::Build),
        step(
            "cargo-test",
            "unit, conformance and integration tests",
            &[Tool::Nats, Tool::Strace],
            Work::CargoTest,
        ),
        step("fuzz", "hostile input, a few seconds for each parser", &[Tool::Cxx], Work::Fuzz),
    ];
    for story in stories::find(&workspace.e2e())? {
        let work = Work::Node { file: story.file, long: story.long };
        steps.push(step(&story.name, &story.about, &story.needs, work));
    }
    Ok(steps)
}

/// Runs the steps that match `filter` (all without one) and prints the table.
pub(crate) fn run(workspace: &Workspace, filter: &[String], length: Length) -> Result<ExitCode> {
    let steps = chosen(all(workspace)?, filter, length)?;
    let mut needs: Vec<Tool> = steps.iter().flat_map(|step| &step.needs).copied().collect();
    needs.sort_unstable();
    needs.dedup();
    let tools = Tools::prepare(workspace, &needs)?;
    let mut built = false;
    let mut outcomes = Vec::new();
    for step in &steps {
        // A filtered run of an end-to-end step still tests what is in the tree, not an old build.
        if matches!(step.work, Work::Node { .. }) && !built {
            outcomes.push(Outcome::of("build", |_| workspace.build_release()));
        }
        built |= matches!(step.work, Work::Build | Work::Node { .. });
        println!("\n== {}: {}", step.name, step.about);
        outcomes.push(Outcome::of(&step.name, |count| {
            tools.check(&step.needs)?;
            step.work.run(workspace, &tools, length, count)
        }));
    }
    Ok(if report::print(&outcomes) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(steps: Vec<Step>, filter: &[String], length: Length) -> Result<Vec<Step>> {
    let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
    if let Some(word) = filter.iter().find(|word| !names.iter().any(|name| name.contains(word.as_str()))) {
        bail!("no step is called {word}\nhint: there are {}", names.join(", "));
    }
    let wanted = |step: &Step| match (filter.is_empty(), length) {
        (true, Length::Short) => true,
        (true, Length::Long) => matches!(step.work, Work::Node { long: true, .. }),
        (false, _) => filter.iter().any(|word| step.name.contains(word.as_str())),
    };
    Ok(steps.into_iter().filter(wanted).collect())
}

impl Work {
    fn run(&self, workspace: &Workspace, tools: &Tools, length: Length, count: &mut Count) -> Result<()> {
        match self {
            Self::Check(arguments) => report::check(workspace.cargo().args(*arguments)),
            Self::Doc => {
                let mut doc = workspace.cargo();
                doc.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
                report::check(doc.env("RUSTDOCFLAGS", "-D warnings"))
            }
            Self::Build => workspace.build_release(),
            Self::CargoTest => cargo_test(workspace, tools, count),
            Self::Fuzz => fuzz::step(workspace, count),
            Self::Node { file, .. } => node_test(workspace, tools, file, length, count),
        }
    }
}

fn cargo_test(workspace: &Workspace, tools: &Tools, count: &mut Count) -> Result<()> {
    // Some tests load plugin libraries; `cargo test` alone does not promise to have built those.
    let mut libraries = workspace.cargo();
    libraries.arg("build");
    for plugin in &workspace.plugins {
        libraries.args(["-p", plugin]);
    }
    report::check(&mut libraries)?;
    let mut test = workspace.cargo();
    test.args(["test", "--workspace", "--no-fail-fast"]).envs(tools.env());
    if !workspace.conformance.is_empty() {
        test.args(["--features", &workspace.conformance.join(",")]);
    }
    let (status, output) = report::tee(&mut test)?;
    *count = Count::of_cargo(&output);
    judge(status.success(), count)
}

fn node_test(
    workspace: &Workspace,
    tools: &Tools,
    file: &str,
    length: Length,
    count: &mut Count,
) -> Result<()> {
    let tap = workspace.tools().join(format!("{file}.tap"));
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec", "--test-reporter-destination=stdout"]);
    node.arg("--test-reporter=tap").arg(format!("--test-reporter-destination={}", tap.display()));
    node.arg(file).current_dir(workspace.e2e()).envs(tools.env());
    if length == Length::Long {
        node.env("EXEDRA_SOAK", "1");
    }
    let ended = report::check(&mut node);
    let output = fs::read_to_string(&tap).context("the test runner left no results")?;
    *count = Count::of_tap(&output);
    judge(ended.is_ok(), count)
}

fn judge(ended_well: bool, count: &Count) -> Result<()> {
    match (count.passed, count.failed) {
        (0, 0) => bail!("no test was counted"),
        (_, 0) if !ended_well => bail!("the test runner failed"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        let node = |file: &str, long| Work::Node { file: file.to_owned(), long };
        let works = [
            ("fmt", Work::Check(&[])),
            ("clippy", Work::Check(&[])),
            ("e2e-browser", node("browser.test.mjs", false)),
            ("e2e-storm", node("storm.test.mjs", true)),
        ];
        works
            .into_iter()
            .map(|(name, work)| Step { name: name.to_owned(), about: String::new(), needs: Vec::new(), work })
            .collect()
    }

    fn names(filter: &[&str], length: Length) -> Vec<String> {
        let filter: Vec<_> = filter.iter().map(|word| (*word).to_owned()).collect();
        chosen(steps(), &filter, length).unwrap().into_iter().map(|step| step.name).collect()
    }

    #[test]
    fn steps_chosen_by_name() {
        assert_eq!(names(&["clippy"], Length::Short), ["clippy"]);
        assert_eq!(names(&["e2e", "fmt"], Length::Short), ["fmt", "e2e-browser", "e2e-storm"]);
        assert_eq!(names(&[], Length::Short).len(), 4);
        assert_eq!(names(&[], Length::Long), ["e2e-storm"]);
    }

    #[test]
    fn unknown_step_refused() {
        let error = chosen(steps(), &["nonsense".to_owned()], Length::Short).err().unwrap();
        assert!(error.to_string().starts_with("no step is called nonsense"), "{error}");
    }

    #[test]
    fn empty_run_is_failure() {
        assert!(judge(true, &Count::default()).is_err());
        assert!(judge(true, &Count { passed: 1, ..Count::default() }).is_ok());
        assert!(judge(false, &Count { passed: 1, ..Count::default() }).is_err());
    }
}
