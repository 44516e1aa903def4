//! Tells the binary which source and compiler it was built from, for `exedra --version`.

use std::process::Command;

fn main() {
    let revision = said("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let rustc = said(&rustc, &["--version"]).unwrap_or_else(|| "unknown".to_owned());
    let rustc = rustc.split(' ').nth(1).unwrap_or("unknown");
    println!("cargo::rustc-env=EXEDRA_REVISION={revision}");
    println!("cargo::rustc-env=EXEDRA_RUSTC={rustc}");
    println!("cargo::rerun-if-changed=build.rs");
    // The log of HEAD changes with every commit and checkout.
    if let Some(log) = said("git", &["rev-parse", "--git-path", "logs/HEAD"])
        && std::path::Path::new(&log).exists()
    {
        println!("cargo::rerun-if-changed={log}");
    }
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
