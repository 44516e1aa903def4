//! Files that must not be loaded, and what is said about each: the rule and what to do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/build.rs"]
mod build;
#[path = "support/fakes.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod fakes;

use std::{fs, path::Path};

use build::{allow, c_plugin};
use exedra_host::{Host, HostConfig, LoadError, PluginSpec, Source, inspect};
use serde_json::json;
use tempfile::TempDir;

const LIBRARY: &str = "broken.so";

fn spec(dir: &Path) -> PluginSpec {
    file(dir, LIBRARY, None)
}

fn file(dir: &Path, library: &str, sha256: Option<&str>) -> PluginSpec {
    let (dir, sha256) = (dir.to_owned(), sha256.map(str::to_owned));
    PluginSpec::new("broken", Source::File { dir, library: library.into(), sha256 })
}

fn built(options: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    c_plugin(dir.path(), LIBRARY, "broken.c", options);
    dir
}

/// What is said about a plugin that was built with these options.
fn refusal(options: &[&str]) -> LoadError {
    inspect(spec(built(options).path())).unwrap_err()
}

/// What is said when a plugin that was built with these options is started.
fn start_refusal(options: &[&str]) -> LoadError {
    let (dir, (hub, _)) = (built(options), fakes::hub());
    let host = Host::new(HostConfig::new(dir.path()), hub.clone());
    let manifest = host.load(spec(dir.path())).unwrap();
    hub.install(host.clone(), vec![manifest.into()]).unwrap();
    let error = host.start().unwrap_err();
    host.stop(std::time::Duration::ZERO);
    error
}

#[test]
fn sound_plugin_is_inspected() {
    let dir = built(&[]);
    let found = inspect(spec(dir.path())).unwrap();
    assert_eq!((&*found.id, &*found.version, &*found.abi, &*found.sdk), ("broken", "1.0.0", "1.0", "c"));
    assert_eq!(found.size, fs::metadata(dir.path().join(LIBRARY)).unwrap().len());
    let sha256 = found.sha256.unwrap().to_uppercase();
    assert!(inspect(file(dir.path(), LIBRARY, Some(&sha256))).is_ok());
}

#[test]
fn missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = inspect(spec(dir.path())).unwrap_err();
    assert!(matches!(error, LoadError::NotFound { .. }));
    assert!(error.to_string().contains(dir.path().join(LIBRARY).to_str().unwrap()), "{error}");
}

#[test]
fn paths_are_no_file_names() {
    let dir = built(&[]);
    for library in ["", ".", "..", "../broken.so", "/etc/passwd", "a/b.so", "a\0.so"] {
        let error = inspect(file(dir.path(), library, None)).unwrap_err();
        assert!(matches!(error, LoadError::NotAFileName { .. }), "{library}");
    }
}

#[test]
fn links_and_folders_are_refused() {
    let dir = built(&[]);
    std::os::unix::fs::symlink(dir.path().join(LIBRARY), dir.path().join("link.so")).unwrap();
    fs::create_dir(dir.path().join("folder.so")).unwrap();
    let refused = |library| inspect(file(dir.path(), library, None)).unwrap_err();
    assert!(matches!(refused("link.so"), LoadError::Symlink { .. }));
    assert!(matches!(refused("folder.so"), LoadError::NotRegular { .. }));
}

#[test]
fn writable_by_others_is_refused() {
    let dir = built(&[]);
    for mode in [0o775, 0o757, 0o777] {
        allow(&dir.path().join(LIBRARY), mode);
        let error = inspect(spec(dir.path())).unwrap_err();
        assert!(matches!(error, LoadError::Writable { mode: found, .. } if found == mode), "{error}");
    }
}

#[test]
fn other_checksum_is_refused() {
    let dir = built(&[]);
    let refused = |sum: &str| inspect(file(dir.path(), LIBRARY, Some(sum))).unwrap_err();
    assert!(matches!(refused(&"0".repeat(64)), LoadError::Checksum { .. }));
    assert!(matches!(refused("beef"), LoadError::MalformedChecksum { .. }));
    assert!(matches!(refused(&"x".repeat(64)), LoadError::MalformedChecksum { .. }));
}

#[test]
fn damaged_files_are_refused() {
    let dir = built(&[]);
    let path = dir.path().join(LIBRARY);
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        inspect(spec(dir.path())).unwrap_err()
    };
    assert!(matches!(refused(b""), LoadError::NotElf { .. }));
    assert!(matches!(refused(b"#!/bin/sh\nexit 0\n"), LoadError::NotElf { .. }));
    for part in [20, 100, whole.len() / 2, whole.len() - 100] {
        assert!(matches!(refused(&whole[..part]), LoadError::Truncated { .. }), "{part}");
    }
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    assert!(matches!(refused(&changed(4, 1)), LoadError::WrongMachine { .. }));
    assert!(matches!(refused(&changed(18, 8)), LoadError::WrongMachine { .. }));
    assert!(matches!(refused(&changed(16, 2)), LoadError::NotShared { .. }));
}

#[test]
fn missing_symbol_is_refused() {
    assert!(matches!(refusal(&["-DSYMBOL=something_else"]), LoadError::NoSymbol { .. }));
    assert!(matches!(refusal(&["-fvisibility=hidden"]), LoadError::NoSymbol { .. }));
}

#[test]
fn unresolved_symbol_is_refused() {
    let error = refusal(&["-DSTART=nobody_has_this()", "-Wno-error=implicit-function-declaration"]);
    assert!(
        matches!(&error, LoadError::Open { reason, .. } if reason.contains("nobody_has_this")),
        "{error}"
    );
}

#[test]
fn other_versions_are_refused() {
    assert!(matches!(refusal(&["-DMAJOR=2"]), LoadError::AbiMajor { found: 2, wanted: 1, .. }));
    assert!(matches!(refusal(&["-DMIN_MINOR=9"]), LoadError::TooNew { needs: 9, has: 0, .. }));
    assert!(matches!(refusal(&["-DFLAGS=1"]), LoadError::BadEntry { .. }));
}

#[test]
fn unknown_extension_is_named() {
    let error = refusal(&["-DREQUIRES=\"exedra.magic/1\""]);
    assert!(matches!(&error, LoadError::MissingExtension { missing, .. } if missing == &["exedra.magic/1"]));
    assert!(error.to_string().contains("exedra.magic/1"));
}

#[test]
fn names_must_agree() {
    assert!(matches!(refusal(&["-DID=\"other\""]), LoadError::NameDiffers { .. }));
    assert!(matches!(refusal(&["-DID=\"Bad_Name\""]), LoadError::BadEntry { .. }));
    assert!(matches!(refusal(&["-DMANIFEST=\"{\\\"name\\\":\\\"x\\\"}\""]), LoadError::NameDiffers { .. }));
}

#[test]
fn failing_describe_is_quoted() {
    let error = refusal(&["-DDESCRIBE=EXEDRA_E_INVALID"]);
    assert!(matches!(&error, LoadError::Describe { .. }));
    assert!(error.to_string().contains("because I say so"), "{error}");
    assert!(matches!(refusal(&["-DDESCRIBE=EXEDRA_E_PANICKED"]), LoadError::DescribePanicked { .. }));
}

#[test]
fn unreadable_manifest_is_refused() {
    assert!(matches!(refusal(&["-DMANIFEST=\"{\""]), LoadError::Manifest { .. }));
    let unknown = r#"-DMANIFEST="{\"name\":\"broken\",\"colour\":1}""#;
    assert!(refusal(&[unknown]).to_string().contains("colour"));
}

#[test]
fn settings_follow_the_schema() {
    let schema = r#"-DMANIFEST="{\"name\":\"broken\",\"settings\":{\"required\":[\"key\"],\"properties\":{\"key\":{\"type\":\"integer\"}}}}""#;
    let dir = built(&[schema]);
    let with = |settings| inspect(PluginSpec { settings, ..spec(dir.path()) });
    assert!(with(json!({"key": 1})).is_ok());
    assert!(matches!(with(json!(null)), Err(LoadError::Settings { .. })));
    let error = with(json!({"key": "hunter2"})).unwrap_err().to_string();
    assert!(error.contains("/key") && !error.contains("hunter2"), "{error}");
}

#[test]
fn failing_create_and_start_are_told() {
    assert!(matches!(start_refusal(&["-DCREATE=EXEDRA_E_UNAVAILABLE"]), LoadError::Create { .. }));
    assert!(matches!(start_refusal(&["-DCREATE=EXEDRA_E_PANICKED"]), LoadError::CreatePanicked { .. }));
    assert!(matches!(start_refusal(&["-DNO_DISPATCH"]), LoadError::Incomplete { .. }));
    assert!(matches!(start_refusal(&["-DSTART=EXEDRA_E_BUSY"]), LoadError::Start { status: -6, .. }));
    assert!(matches!(start_refusal(&["-DSTART=EXEDRA_E_PANICKED"]), LoadError::StartPanicked { .. }));
}

#[test]
fn copies_are_private_and_swept() {
    let (dir, (hub, _)) = (built(&[]), fakes::hub());
    let state = dir.path().join("state");
    for _ in 0..2 {
        let host = Host::new(HostConfig::new(&state), hub.clone());
        host.load(spec(dir.path())).unwrap();
        assert!(matches!(host.load(spec(dir.path())), Err(LoadError::Duplicate { .. })));
        host.stop(std::time::Duration::ZERO);
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let copies: Vec<_> = fs::read_dir(state.join("plugins")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!((mode(&state.join("plugins")), mode(&copies[0])), (0o700, 0o500));
}
