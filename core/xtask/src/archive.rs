//! Programs from the machine's own Debian archive, unpacked into the target folder instead of installed.
//!
//! It needs no root, starts no service and leaves the system's package lists alone. A newer suite than the
//! machine's own can be asked first: the archive's address comes from the machine's sources, its signatures are
//! checked by apt as always.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// One private set of package lists and the folder programs are unpacked into.
pub(crate) struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Keeps everything under `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The program's path if an earlier run has unpacked it.
    pub(crate) fn unpacked(&self, package: &str, program: &str) -> Option<PathBuf> {
        ["usr/bin", "usr/sbin"]
            .map(|bin| self.folder.join(package).join(bin).join(program))
            .into_iter()
            .find(|path| path.is_file())
    }

    /// Unpacks `package` from the first of the newer `suites` that has it, else from the machine's own sources.
    pub(crate) fn unpack(&self, package: &str, suites: &[&str]) -> Result<()> {
        let own = Lists::of_the_machine(&self.folder)?;
        own.update()?;
        for suite in suites {
            let Some(lists) = own.newer(&self.folder, suite)? else { continue };
            if lists.update().and_then(|()| self.fetch(&lists, package)).is_ok() {
                println!("{package}: unpacked from {suite}");
                return Ok(());
            }
        }
        self.fetch(&own, package).with_context(|| format!("no suite of the archive gave {package}"))?;
        println!("{package}: unpacked from the machine's own suite");
        Ok(())
    }

    fn fetch(&self, lists: &Lists, package: &str) -> Result<()> {
        let downloads = tempfile::tempdir_in(&self.folder).context("cannot make a download folder")?;
        succeed(lists.apt_get().current_dir(downloads.path()).args(["download", package]))?;
        let deb = fs::read_dir(downloads.path())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("apt-get download left no file for {package}"))?;
        let place = self.folder.join(package);
        fs::create_dir_all(&place)?;
        succeed(Command::new("dpkg").arg("-x").arg(deb).arg(place))?;
        Ok(())
    }
}

/// Package lists in a folder of their own, for one choice of sources.
struct Lists {
    folder: PathBuf,
    /// The only source to use; `None` uses the machine's.
    source: Option<PathBuf>,
}

impl Lists {
    fn of_the_machine(folder: &Path) -> Result<Self> {
        Self::new(folder.join("apt/own"), None)
    }

    fn new(folder: PathBuf, source: Option<&str>) -> Result<Self> {
        fs::create_dir_all(folder.join("lists/partial"))?;
        fs::create_dir_all(folder.join("cache/archives/partial"))?;
        let source = match source {
            Some(line) => {
                let path = folder.join("sources.list");
                fs::write(&path, format!("{line}\n"))?;
                Some(path)
            }
            None => None,
        };
        Ok(Self { folder, source })
    }

    /// The same archive at another suite, or `None` when the machine's sources name no archive at all.
    fn newer(&self, folder: &Path, suite: &str) -> Result<Option<Self>> {
        let output = succeed(self.apt_get().args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(COMPONENT)",
            "Identifier: Packages",
        ]))?;
        let targets = String::from_utf8_lossy(&output.stdout);
        let Some(address) = archive_address(&targets) else { return Ok(None) };
        let line = format!("deb {address} {suite} main");
        Ok(Some(Self::new(folder.join("apt").join(suite), Some(&line))?))
    }

    fn update(&self) -> Result<()> {
        succeed(self.apt_get().arg("update")).map(|_| ())
    }

    fn apt_get(&self) -> Command {
        let mut command = Command::new("apt-get");
        let mut option = |name: &str, value: &Path| {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        };
        option("Dir::State::lists", &self.folder.join("lists"));
        option("Dir::Cache", &self.folder.join("cache"));
        if let Some(source) = &self.source {
            option("Dir::Etc::sourcelist", source);
            option("Dir::Etc::sourceparts", Path::new("-"));
        }
        // apt's own download user may not reach into the target folder.
        command.args(["-qq", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]);
        command.args(["-o", "APT::Update::Error-Mode=any", "-o", "Acquire::Retries=2"]);
        command.stdin(Stdio::null());
        command
    }
}

/// The first address that is not a security or other side archive.
fn archive_address(targets: &str) -> Option<&str> {
    targets
        .lines()
        .filter_map(|line| line.strip_suffix(" main"))
        .find(|address| !address.contains("security"))
}

fn succeed(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_archive_chosen() {
        let targets = "http://a.example/debian-security/ main\nhttp://a.example/debian/ contrib\n\
                       http://a.example/debian/ main\n";
        assert_eq!(archive_address(targets), Some("http://a.example/debian/"));
        assert_eq!(archive_address(""), None);
    }

    #[test]
    fn unpacked_program_found() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path().to_owned());
        assert_eq!(archive.unpacked("tea", "kettle"), None);
        let program = folder.path().join("tea/usr/sbin/kettle");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        assert_eq!(archive.unpacked("tea", "kettle"), Some(program));
    }
}
