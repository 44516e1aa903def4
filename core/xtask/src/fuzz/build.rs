//! Builds the targets with the instrumentation that libFuzzer is led by.
//!
//! The short form shares all outside libraries with the release build and instruments our own crates only, so that it
//! can be afforded on every change. The long form instruments everything, in a folder of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;

/// What `cargo fuzz` gives the compiler, but for sanitizers, which the stable toolchain does not have.
const INSTRUMENTATION: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions=yes",
    "-Coverflow-checks=yes",
];

/// What is instrumented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// The crates of this repository.
    OwnCrates,
    /// They and all that they use.
    Everything,
}

/// The built programs, by name.
pub(super) struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    /// Builds all of them.
    pub(super) fn build(workspace: &Workspace, depth: Depth) -> Result<Self> {
        let mut build = match depth {
            // The same packages as in the release build, so that each library has the same features.
            Depth::OwnCrates => workspace.release_command(),
            Depth::Everything => {
                let mut build = workspace.cargo();
                build.args(["build", "--release"]);
                build
            }
        };
        build.args(["-p", "exedra-fuzz", "--features", "exedra-fuzz/libfuzzer"]);
        for target in super::targets(workspace)? {
            build.args(["--bin", &target]);
        }
        build.args(["--bin", super::PLANTED, "--message-format=json-render-diagnostics"]);
        match depth {
            Depth::OwnCrates => {
                build.env("RUSTC_WORKSPACE_WRAPPER", compiler(workspace)?);
            }
            Depth::Everything => {
                // With a target named, what runs at build time is not instrumented.
                build
                    .args(["--target", "host-tuple", "--target-dir"])
                    .arg(workspace.target.join("fuzz/build"));
                build.env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTATION.join("\u{1f}"));
            }
        }
        Self::of(&mut build)
    }

    fn of(build: &mut Command) -> Result<Self> {
        let mut child =
            build.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
        let mut programs = BTreeMap::new();
        for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
            programs.extend(program(&line?));
        }
        let status = child.wait().context("cannot wait for cargo")?;
        if !status.success() {
            bail!("the targets cannot be built ({status})");
        }
        Ok(Self(programs))
    }

    /// One of them.
    pub(super) fn get(&self, name: &str) -> Result<&Path> {
        self.0.get(name).map(PathBuf::as_path).with_context(|| format!("cargo built no program {name}"))
    }
}

/// The program that a line of cargo's messages says was built.
fn program(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    Some((message["target"]["name"].as_str()?.to_owned(), message["executable"].as_str()?.into()))
}

/// A compiler that instruments all it compiles but what runs at build time. Cargo keeps its results apart from those
/// of the plain one.
fn compiler(workspace: &Workspace) -> Result<PathBuf> {
    let flags = INSTRUMENTATION.join(" ");
    let text = format!(
        "#!/bin/sh\ncase \" $* \" in\n*' proc-macro '*|*' build_script_'*|*' -vV '*) exec \"$@\" ;;\nesac\n\
         exec \"$@\" -Copt-level=1 {flags}\n"
    );
    let path = workspace.tools().join("instrumenting-rustc");
    if !fs::read_to_string(&path).is_ok_and(|there| there == text) {
        fs::create_dir_all(workspace.tools())?;
        fs::write(&path, text).context("cannot write the instrumenting compiler")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_read_from_messages() {
        let built = r#"{"reason":"compiler-artifact","target":{"name":"tokens"},"executable":"/t/tokens"}"#;
        assert_eq!(program(built), Some(("tokens".to_owned(), PathBuf::from("/t/tokens"))));
        assert_eq!(
            program(r#"{"reason":"compiler-artifact","target":{"name":"x"},"executable":null}"#),
            None
        );
        assert_eq!(program("no JSON"), None);
    }
}
