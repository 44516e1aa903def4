//! Manual pages, one per command, made from the same text as `--help`.

use std::{fs, path::Path};

use anyhow::Context;
use clap::CommandFactory;

use super::{Failure, args::Cli, print};

/// Writes every page into a folder, or the first one to stdout.
pub(super) fn write(dir: Option<&Path>) -> Result<(), Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).context("the page cannot be made")?;
        return print(&String::from_utf8_lossy(&page));
    };
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    // Of options that every command has, each page would have a copy.
    let command = Cli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, dir)
        .with_context(|| format!("pages cannot be written to {}", dir.display()))?;
    Ok(())
}
