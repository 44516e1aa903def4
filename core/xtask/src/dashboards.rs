//! `cargo xtask dashboards`: writes the Grafana dashboards, or says which of the committed ones differ.
//!
//! They are described in Rust, row by row, because a page of JSON hides what is asked; what is committed is the JSON,
//! because that is what Grafana reads.

mod cluster;
mod grafana;
mod links;
mod model;
mod overview;
mod own;
mod plugins;
mod promql;
mod storage;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use model::Dashboard;

/// Where they are committed, under the repository's root.
const FOLDER: &str = "dashboards/grafana";

/// Writes every dashboard, or with `check` only compares.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<ExitCode> {
    let (folder, wanted) = (workspace.root.join(FOLDER), files()?);
    let differ = differing(&folder, &wanted)?;
    if !check {
        write(&folder, &wanted, &differ)?;
    }
    for name in &differ {
        println!("{} {FOLDER}/{name}", if check { "differs:" } else { "written:" });
    }
    if check && !differ.is_empty() {
        eprintln!(
            "hint: `cargo xtask dashboards` writes them as they are described in core/xtask/src/dashboards"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// All dashboards, the hub's own first.
fn all() -> Vec<Dashboard> {
    let mut all = vec![
        overview::dashboard(),
        links::dashboard(),
        plugins::dashboard(),
        storage::dashboard(),
        cluster::dashboard(),
    ];
    all.extend(own::all());
    all
}

/// Text by file name.
fn files() -> Result<BTreeMap<String, String>> {
    let file = |dashboard: &Dashboard| {
        let json = grafana::dashboard(dashboard).with_context(|| format!("in {}", dashboard.slug))?;
        Ok((format!("{}.json", dashboard.slug), serde_json::to_string_pretty(&json)? + "\n"))
    };
    all().iter().map(file).collect()
}

/// Names of files that are missing, are another text, or are nobody's.
fn differing(folder: &Path, wanted: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let mut there = committed(folder)?;
    let mut differ = Vec::new();
    for (name, text) in wanted {
        if there.remove(name).as_ref() != Some(text) {
            differ.push(name.clone());
        }
    }
    differ.extend(there.into_keys());
    Ok(differ)
}

fn committed(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(files)
}

fn write(folder: &Path, wanted: &BTreeMap<String, String>, differ: &[String]) -> Result<()> {
    fs::create_dir_all(folder)?;
    for name in differ {
        let path: PathBuf = folder.join(name);
        match wanted.get(name) {
            Some(text) => fs::write(&path, text),
            None => fs::remove_file(&path),
        }
        .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_files_are_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FOLDER);
        let differ = differing(&folder, &files().unwrap()).unwrap();
        assert!(differ.is_empty(), "`cargo xtask dashboards` would change {differ:?}");
    }

    #[test]
    fn differences_found() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = files().unwrap();
        assert_eq!(differing(folder.path(), &wanted).unwrap().len(), wanted.len(), "nothing is there");
        write(folder.path(), &wanted, &wanted.keys().cloned().collect::<Vec<_>>()).unwrap();
        assert!(differing(folder.path(), &wanted).unwrap().is_empty());

        fs::write(folder.path().join("overview.json"), "{}").unwrap();
        fs::write(folder.path().join("old.json"), "{}").unwrap();
        let differ = differing(folder.path(), &wanted).unwrap();
        assert_eq!(differ, ["overview.json", "old.json"]);
        write(folder.path(), &wanted, &differ).unwrap();
        assert!(differing(folder.path(), &wanted).unwrap().is_empty());
    }

    #[test]
    fn every_panel_asks_and_explains() {
        for dashboard in all() {
            for panel in dashboard.rows.iter().flat_map(|row| &row.panels) {
                let at = format!("{}: {}", dashboard.slug, panel.title);
                assert!(panel.question.contains('?'), "{at} says no question");
                assert!(!panel.queries.is_empty(), "{at} has no query");
                assert!(
                    panel.queries.len() == 1 || panel.queries.iter().all(|one| !one.legend.is_empty()),
                    "{at}"
                );
                let slugs: Vec<_> = all().iter().map(|one| one.slug).collect();
                assert!(panel.more.is_none_or(|slug| slugs.contains(&slug)), "{at} leads nowhere");
            }
        }
    }

    #[test]
    fn ids_stay_when_panels_come() {
        let one =
            |title| model::Panel::new(model::Kind::Lines, title, model::Unit::Count, "How?").ask("", "up");
        let ids = |dashboard: &Dashboard| {
            let json = grafana::dashboard(dashboard).unwrap();
            let panels = json["panels"].as_array().unwrap().clone();
            panels
                .into_iter()
                .map(|panel| (panel["title"].to_string(), panel["id"].to_string()))
                .collect::<BTreeMap<_, _>>()
        };
        let few = ids(&Dashboard::new("x", "X", "").row("Row", [one("b")]));
        let more = ids(&Dashboard::new("x", "X", "").row("Row", [one("a"), one("b")]));
        assert!(few.iter().all(|(title, id)| more.get(title) == Some(id)), "{few:?} {more:?}");
        let twice = Dashboard::new("x", "X", "").row("Row", [one("a"), one("a")]);
        assert!(grafana::dashboard(&twice).is_err(), "two panels of one name have one id");
    }
}
