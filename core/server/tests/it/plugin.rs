//! `exedra plugin`, and plugins that are refused: the reason is readable and nothing crashes.

use std::{fs, process::Command};

use crate::support::{Folder, exedra, library, mode, run, said};

fn refused(file: &str, reason: &str) {
    for command in ["inspect", "check"] {
        let said = run(&["plugin", command, file]);
        assert_eq!(said.code, 2, "{command} {file}: {}", said.err);
        assert_eq!(said.errors().len(), 1, "{}", said.err);
        assert!(said.err.contains(file) && said.err.contains(reason), "{command}: {}", said.err);
        assert_eq!(said.out, "");
    }
}

#[test]
fn manifest_is_printed() {
    let said = run(&["plugin", "inspect", library("echo").to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}", said.err);
    let inspection: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(inspection["id"], "echo");
    assert_eq!(inspection["manifest"]["namespaces"][1]["path"], "/custom");
}

#[test]
fn renamed_file_is_still_understood() {
    let folder = Folder::new();
    let file = folder.write("something_else.so", fs::read(library("echo")).unwrap());
    let said = run(&["plugin", "inspect", &file]);
    assert_eq!(said.code, 0, "{}", said.err);
}

#[test]
fn broken_files_are_refused() {
    let folder = Folder::new();
    let whole = fs::read(library("echo")).unwrap();
    refused(&folder.write("libtext.so", "not a library"), "not an ELF");
    refused(&folder.write("libempty.so", ""), "not an ELF");
    refused(&folder.write("libhalf.so", &whole[..whole.len() / 2]), "truncated or damaged");
    refused(&folder.path("libmissing.so"), "does not exist");
    let open = folder.write("libopen.so", &whole);
    mode(&open, 0o666);
    refused(&open, "can be written by others");
    let link = folder.path("liblink.so");
    std::os::unix::fs::symlink(library("echo"), &link).unwrap();
    refused(&link, "symbolic link");
}

#[test]
fn library_without_the_symbol_is_refused() {
    let folder = Folder::new();
    let file = folder.path("libnothing.so");
    let cc = Command::new("cc").args(["-shared", "-x", "c", "/dev/null", "-o", &file]).status();
    assert!(cc.expect("cc, which rustc links with").success());
    mode(&file, 0o755);
    refused(&file, "exedra_plugin_v1");
}

#[test]
fn settings_have_places() {
    let folder = Folder::new();
    let file = folder.write(
        "hub.toml",
        "[auth]\nsecret = \"a secret of more than thirty-two bytes\"\n\
         [plugins.meetings]\nsettings = { directory = \"moon\", nosuch = 1 }\n",
    );
    library("meetings");
    let said = run(&["config", "check", "-c", &file]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("\"moon\" is not one of: \"store\", \"nats\""), "{}", said.err);
    assert!(
        said.err.contains("plugins.meetings.settings.directory: ") && said.err.contains(":4:26"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("plugins.meetings.settings.nosuch: ") && said.err.contains(":4:34"),
        "{}",
        said.err
    );
}

#[test]
fn settings_can_be_checked_alone() {
    let folder = Folder::new();
    let meetings = library("meetings");
    let good = folder.write("good.toml", "directory = \"store\"\n");
    let bad = folder.write("bad.toml", "[plugins.meetings.settings]\ndirectory = \"moon\"\n");
    let check = |file: &str| run(&["plugin", "check", meetings.to_str().unwrap(), "-c", file]);
    assert_eq!(check(&good).code, 0, "{}", check(&good).err);
    assert_eq!(check(&bad).code, 2);
    assert!(check(&bad).err.contains(&format!("{bad}:2:13")), "{}", check(&bad).err);
}

#[test]
fn wrong_checksum_stops_the_start() {
    let folder = Folder::new();
    library("echo");
    let sum = "0".repeat(64);
    let file = folder.write("hub.toml", format!("[plugins.echo]\nsha256 = \"{sum}\"\nauth = \"none\"\n"));
    for command in [&["config", "check"][..], &["serve"][..]] {
        let mut command = exedra(&[command, &["-c", &file]].concat());
        command.env("EXEDRA_SERVER__LISTEN", "127.0.0.1:0").env("EXEDRA_ADMIN__LISTEN", "127.0.0.1:0");
        command.env("EXEDRA_STORE__PATH", folder.path("hub.redb"));
        let said = said(command);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains("plugins.echo.sha256: ") && said.err.contains(":2:10"), "{}", said.err);
    }
}

#[test]
fn configured_plugins_are_listed() {
    library("meetings");
    let said = run(&["plugin", "list"]);
    assert!(said.code == 0 && said.out.contains("meetings"), "{}{}", said.out, said.err);
    let json: serde_json::Value = serde_json::from_str(&run(&["plugin", "list", "--json"]).out).unwrap();
    let mut fine: Vec<&str> = json
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["fine"] == true)
        .filter_map(|p| p["name"].as_str())
        .collect();
    fine.sort_unstable();
    assert_eq!(fine, ["deepfake", "hangouts", "live-preview", "meetings", "public-rooms"]);
}

#[test]
fn section_must_bear_the_plugins_name() {
    let folder = Folder::new();
    let libraries = folder.path("libraries");
    fs::create_dir(&libraries).unwrap();
    for name in ["echo", "meetings"] {
        let file = folder.write(&format!("libraries/lib{name}.so"), fs::read(library(name)).unwrap());
        mode(file, 0o755);
    }
    // One file cannot be two plugins: the second section is refused by its own name.
    let twice = format!(
        "[plugins]\ndir = \"{libraries}\"\n[plugins.other]\nlibrary = \"libecho.so\"\nauth = \"none\"\n"
    );
    let file = folder.write("hub.toml", twice);
    let said = run(&["config", "check", "-c", &file]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("[plugins.other]") && said.err.contains("\"echo\""), "{}", said.err);
}
