//! `exedra plugin check`: each rule is found in a plugin that breaks it, and none in one that keeps them all.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{Folder, Said, library, mode, root, run};

/// Builds `rude.c`, which breaks the rules that the options name.
fn rude(folder: &Folder, options: &[&str]) -> String {
    let (file, root) = (folder.path("librude.so"), root());
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-D_DEFAULT_SOURCE",
            "-shared",
            "-fPIC",
            "-O1",
            "-pthread",
            "-I",
        ])
        .arg(root.join("core/abi/include"))
        .args(options)
        .args(["-o", &file])
        .arg(root.join("core/host/tests/plugins/rude.c"))
        .output()
        .expect("cc, which rustc links with");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    mode(&file, 0o755);
    file
}

/// What is said about a plugin that was built with these options.
fn checked(options: &[&str]) -> (Said, Value) {
    let folder = Folder::new();
    let said = run(&["plugin", "check", &rude(&folder, options), "--json"]);
    let report = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}{}", said.out, said.err));
    (said, report)
}

fn rules(report: &Value) -> Vec<&str> {
    let mut rules: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|found| found["rule"].as_str().unwrap()).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// The rule is found, nothing else is, and the exit code says how much it matters.
fn finds(option: &str, rule: &str, code: i32, words: &str) {
    let (said, report) = checked(&[&format!("-D{option}")]);
    assert_eq!(rules(&report), [rule], "{option}: {report:#}");
    assert_eq!((said.code, &report["fine"]), (code, &Value::Bool(code == 0)), "{option}");
    let found = &report["findings"][0];
    assert!(found["what"].as_str().unwrap().contains(words), "{option}: {found:#}");
    assert!(!found["during"].as_str().unwrap().is_empty(), "{option}: {found:#}");
}

#[test]
fn well_behaved_plugin_is_fine() {
    let (said, report) = checked(&[]);
    assert_eq!((said.code, rules(&report).as_slice()), (0, &[][..]), "{report:#}");
    assert_eq!([&report["name"], &report["version"], &report["abi"]], ["rude", "1.0.0", "1.0"]);
    assert_eq!(report["tried"]["events"], 1);
    assert!(report["tried"]["calls"].as_u64().unwrap() > 100, "{report:#}");
    assert!(report["tried"]["lives"].as_u64().unwrap() > 3, "{report:#}");
}

#[test]
fn calls_end_once() {
    finds("COMPLETED_TWICE", "completed-twice", 1, "complete it once");
    finds(
        "COMPLETED_AND_RETURNED",
        "completed-after-return",
        1,
        "return EXEDRA_PENDING, or do not complete it",
    );
    finds("COMPLETED_AFTER_RETURN", "completed-after-return", 1, "after `dispatch` had ended it");
    finds("UNKNOWN_CALL", "unknown-call", 1, "that the hub never made");
    finds("NEVER_COMPLETED", "never-completed", 1, "not completed within the deadline");
}

#[test]
fn answers_have_their_shape() {
    finds("BAD_ACK", "bad-answer", 1, "JSON array");
    finds("BAD_RESULT", "bad-answer", 1, "no address");
    finds("UNKNOWN_STATUS", "bad-answer", 1, "77 is no status");
    finds("ACK_SCHEMA", "ack-schema", 1, "acknowledgement of event do");
    finds("EMIT_SCHEMA", "emit-schema", 1, "emitted event done");
    finds("EMIT_UNDECLARED", "emit-undeclared", 0, "emits surprise");
}

#[test]
fn what_is_lent_comes_back_once() {
    finds("RELEASED_TWICE", "released-twice", 1, "exactly once");
    finds("NOT_RELEASED", "not-released", 1, "`room.members`");
    finds("WAKER_DROPPED_TWICE", "waker-dropped-twice", 1, "not the plugin's");
    finds("WAKER_NOT_DROPPED", "waker-not-dropped", 1, "waker_drop for each");
    finds("MEMORY_LEFT", "memory-left", 1, "free them in destroy");
}

#[test]
fn threads_keep_to_their_time() {
    let (said, report) = checked(&["-DAFTER_DESTROY"]);
    assert_eq!((said.code, rules(&report).contains(&"after-destroy")), (1, true), "{report:#}");
    finds("THREADS_LEFT", "threads-left", 1, "end and join them");
    finds("AFTER_QUIESCE", "after-quiesce", 0, "stop it there");
    finds("BLOCKED", "blocked", 1, "nothing may block");
    let (said, report) = checked(&["-DOTHER_HOST"]);
    assert_eq!((said.code, rules(&report).contains(&"other-host")), (1, true), "{report:#}");
}

#[test]
fn hub_is_asked_what_can_be() {
    finds("BAD_ARGUMENTS", "bad-arguments", 0, "`socket.emit`");
    finds("GONE_CONNECTION", "gone-connection", 0, "DISCONNECT");
}

#[test]
fn ends_of_the_process_are_findings() {
    finds("PANICKED", "panicked", 1, "index out of bounds");
    finds("CRASHES", "crashes", 1, "SIGSEGV");
    finds("ABORTS", "crashes", 1, "free(): invalid pointer");
    finds("EXITS", "crashes", 1, "must not");
    finds("DOES_NOT_START", "does-not-start", 1, "the moon is not full");
    finds("HANGS", "hangs", 1, "did not come back");
}

#[test]
fn manifests_are_read_closely() {
    let with = |fields: &str| {
        let manifest = format!(
            r#"{{"name":"rude","version":"1.0.0","description":"x","settings":{{"additionalProperties":false}},"namespaces":[{{"path":"/rude","auth":"none"}}]{fields}}}"#
        );
        checked(&[&format!("-DMANIFEST={manifest:?}")])
    };
    let finds = |fields: &str, rule: &str, code: i32| {
        let (said, report) = with(fields);
        assert!(rules(&report).contains(&rule), "{fields}: {report:#}");
        assert_eq!(said.code, code, "{fields}: {report:#}");
    };
    finds(r#","emits":[{"name":"disconnect"}]"#, "manifest-reserved", 1);
    finds(r#","injects":[{"event":"a"},{"event":"a"}]"#, "manifest-twice", 1);
    finds(r#","events":[{"name":"a","ack":{"type":7}}]"#, "manifest-schema", 1);
    finds(r#","timers":[{"every_ms":0}]"#, "manifest-timer", 1);
    finds(r#","routes":[{"method":"FETCH","path":"/a"}]"#, "manifest-route", 1);
    finds(r#","routes":[{"method":"GET","path":"a"}]"#, "manifest-refused", 1);
    finds(r#","metrics":[{"name":"a","kind":"counter","help":"x"}]"#, "manifest-metric", 1);
    let (_, report) = checked(&["-DVERSION=\"2.0.0\""]);
    assert_eq!(rules(&report), ["manifest-version"], "{report:#}");
}

#[test]
fn words_are_for_people() {
    let folder = Folder::new();
    let said = run(&["plugin", "check", &rude(&folder, &["-DCOMPLETED_TWICE"])]);
    assert_eq!(said.code, 1);
    assert!(
        said.errors()[0].contains("completed-twice while event do with a minimal payload: "),
        "{}",
        said.err
    );
    assert!(said.out.contains("rude 1.0.0 breaks the contract"), "{}", said.out);
}

#[test]
fn shipped_plugins_keep_the_contract() {
    for name in ["echo", "meetings", "deepfake", "live-preview", "public-rooms", "hangouts", "quick-poll"] {
        let file = library(name);
        let said = run(&["plugin", "check", file.to_str().unwrap(), "--json"]);
        let report: Value =
            serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{name}: {}", said.err));
        assert_eq!((said.code, rules(&report).as_slice()), (0, &[][..]), "{name}: {:#}", report["findings"]);
        assert!(Path::new(report["file"].as_str().unwrap()).is_absolute());
    }
}
