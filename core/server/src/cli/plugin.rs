//! `exedra plugin …`: what authors do with files, and what operators do with the plugins of a running hub.

use std::path::{Path, PathBuf};

use super::{
    Failure,
    args::{Lang, PluginCommand, Running},
    load, operate, print, print_json, say,
};
use crate::{
    check::{self, Weight},
    config::Problem,
    plugins,
    scaffold::{self, Language, Name, Project},
};

pub(super) fn run(command: PluginCommand) -> Result<(), Failure> {
    match command {
        PluginCommand::New { name, lang, dir, sdk } => new(&name, lang, dir, sdk.as_deref()),
        PluginCommand::List { config, json } => {
            let list = plugins::list(&load(&config)?);
            if json { print_json(&serde_json::json!(list)) } else { print(&plugins::table(&list)) }
        }
        PluginCommand::Inspect { file } => print_json(&serde_json::json!(plugins::inspect(&file)?)),
        PluginCommand::Check { file, settings, within: Some(folder), .. } => {
            Ok(check::within(&file, settings.as_deref(), &folder)?)
        }
        PluginCommand::Check { file, settings, json, within: None } => {
            judge(&file, settings.as_deref(), json)
        }
        PluginCommand::Enable(Running { config, admin, name }) => {
            operate::switch(&load(&config)?.config, admin, &name, true)
        }
        PluginCommand::Disable(Running { config, admin, name }) => {
            operate::switch(&load(&config)?.config, admin, &name, false)
        }
        PluginCommand::Reload(Running { config, admin, name }) => {
            operate::reload(&load(&config)?.config, admin, &name)
        }
    }
}

/// Checks a plugin, and says what it found: the verdict on stdout, what is wrong on stderr.
fn judge(file: &Path, settings: Option<&Path>, json: bool) -> Result<(), Failure> {
    let report = check::check(file, settings)?;
    if json {
        print_json(&serde_json::json!(report))?;
    } else {
        for found in &report.findings {
            match found.weight {
                Weight::Problem => say("error", &found.line(), "31"),
                Weight::Warning => say("warning", &found.line(), "33"),
            }
        }
        for what in &report.tried.left_out {
            say("note", &format!("not tried: {what}"), "36");
        }
        let verdict = if report.fine { "is fine" } else { "breaks the contract" };
        print(&format!(
            "{} {} {verdict} ({}): {}\n",
            report.name,
            report.version,
            report.file,
            report.summary()
        ))?;
    }
    if report.fine { Ok(()) } else { Err(Failure::Broken) }
}

/// Makes a project, and says what to do with it.
fn new(name: &str, lang: Lang, dir: Option<PathBuf>, sdk: Option<&Path>) -> Result<(), Failure> {
    let name = Name::parse(name).map_err(|why| Problem::new("NAME", why))?;
    let language = match lang {
        Lang::C => Language::C,
        Lang::Rust => Language::Rust(scaffold::sdk(sdk).map_err(|why| Problem::new("--sdk", why))?),
    };
    let dir = dir.unwrap_or_else(|| PathBuf::from(name.as_str()));
    let project = Project { name, language };
    project.write(&dir)?;
    print(&project.next_steps(&dir))
}
