//! Where things are: the root of the repository, the target folder, the packages, and how to call cargo.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::report;

/// The workspace as `cargo metadata` tells it.
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder, wherever the caller's environment puts it.
    pub(crate) target: PathBuf,
    /// Packages under `plugins/` and the example of one, in name order.
    pub(crate) plugins: Vec<String>,
    /// `package/feature` for each package whose feature `conformance` opens its suite to the integration tests.
    pub(crate) conformance: Vec<String>,
}

impl Workspace {
    /// Asks cargo; works from any folder inside the repository.
    pub(crate) fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(manifest)
            .output()
            .context("cannot start cargo")?;
        if !output.status.success() {
            bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).context("cannot read cargo's metadata")?;
        Self::from_metadata(&metadata)
    }

    fn from_metadata(metadata: &Value) -> Result<Self> {
        let path = |key: &str| {
            metadata[key].as_str().map(PathBuf::from).with_context(|| format!("cargo's metadata lacks {key}"))
        };
        let (root, target) = (path("workspace_root")?, path("target_directory")?);
        let mut workspace = Self { root, target, plugins: Vec::new(), conformance: Vec::new() };
        for package in metadata["packages"].as_array().into_iter().flatten() {
            workspace.add(package);
        }
        workspace.plugins.sort();
        workspace.conformance.sort();
        Ok(workspace)
    }

    fn add(&mut self, package: &Value) {
        let (Some(name), Some(manifest)) = (package["name"].as_str(), package["manifest_path"].as_str())
        else {
            return;
        };
        let folders = [self.root.join("plugins"), self.root.join("examples/plugin-rust")];
        if folders.iter().any(|folder| Path::new(manifest).starts_with(folder)) {
            self.plugins.push(name.to_owned());
        }
        if package["features"].get("conformance").is_some() {
            self.conformance.push(format!("{name}/conformance"));
        }
    }

    /// Where the release executables and plugin libraries are put.
    pub(crate) fn release(&self) -> PathBuf {
        self.target.join("release")
    }

    /// Where installed tools and stamps are kept; removed with `cargo clean` like everything that can be had again.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// The folder of the JavaScript and browser tests, with their package.json.
    pub(crate) fn e2e(&self) -> PathBuf {
        self.root.join("core/server/tests/e2e")
    }

    /// A cargo command in the root folder.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = cargo();
        command.current_dir(&self.root);
        command
    }

    /// The release build. The hub refuses plugin files that others may write, as they are under a umask of 0002.
    pub(crate) fn build_release(&self) -> Result<()> {
        report::check(&mut self.release_command())?;
        for entry in fs::read_dir(self.release())? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "so") {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
        }
        Ok(())
    }

    /// `cargo build --release` of the hub, every plugin and what else the end-to-end tests run: the Rust publisher and
    /// the plugin of the load tests.
    pub(crate) fn release_command(&self) -> Command {
        let mut command = self.cargo();
        command.args(["build", "--release", "-p", "exedra"]);
        for package in ["exedra-detection-engine", "exedra-bench-plugin"] {
            command.args(["-p", package]);
        }
        for plugin in &self.plugins {
            command.args(["-p", plugin]);
        }
        command
    }
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, folder: &str, features: Value) -> Value {
        json!({ "name": name, "manifest_path": format!("/r/{folder}/Cargo.toml"), "features": features })
    }

    #[test]
    fn plugins_and_suites_found() {
        let metadata = json!({
            "workspace_root": "/r", "target_directory": "/r/target",
            "packages": [
                package("exedra-meetings", "plugins/meetings", json!({})),
                package("exedra-echo", "plugins/echo", json!({})),
                package("quick-poll", "examples/plugin-rust", json!({})),
                package("exedra-bus", "core/bus", json!({ "conformance": [] })),
                package("exedra", "core/server", json!({})),
            ],
        });
        let workspace = Workspace::from_metadata(&metadata).unwrap();
        assert_eq!(workspace.plugins, ["exedra-echo", "exedra-meetings", "quick-poll"]);
        assert_eq!(workspace.conformance, ["exedra-bus/conformance"]);
        assert_eq!(workspace.release(), Path::new("/r/target/release"));
    }

    #[test]
    fn incomplete_metadata_refused() {
        let error = Workspace::from_metadata(&json!({ "workspace_root": "/r" })).err().unwrap();
        assert!(error.to_string().contains("target_directory"), "{error}");
    }
}
