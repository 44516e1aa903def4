//! `exedra config`: every problem at once and with its place, and no secret anywhere.

use crate::support::{CANARY, Folder, exedra, library, mode, root, run, said};

#[test]
fn all_problems_come_with_places() {
    let folder = Folder::new();
    let file = folder.write(
        "bad.toml",
        "[server]\nlistn = \"x\"\ndrain = \"10 parsecs\"\n[limits]\nconnections = \"many\"\n\
         [server.cors]\norigins = [\"http://ok\", \"nope\"]\n[log]\nformat = \"xml\"\n[plugins.nosuch]\n",
    );
    let said = run(&["config", "check", "-c", &file]);
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{}", said.err);
    for place in ["2:1", "3:9", "5:15", "7:25", "9:10", "10:10"] {
        assert!(said.err.contains(&format!("--> {file}:{place}\n")), "{place} is missing:\n{}", said.err);
    }
    assert!(said.err.contains("hint: did you mean `listen`?"), "{}", said.err);
    assert_eq!(said.errors().len(), 7, "six problems and their number:\n{}", said.err);
}

#[test]
fn syntax_errors_have_places() {
    let folder = Folder::new();
    let file = folder.write("bad.toml", "[server]\nlisten = \"127.0.0.1:0\nx = = 1\n");
    let said = run(&["config", "check", "-c", &file]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains(&format!("{file}:2:")), "{}", said.err);
}

#[test]
fn missing_file_is_named() {
    let said = run(&["config", "check", "-c", "no/such.toml"]);
    assert_eq!(said.code, 2);
    assert!(said.err.starts_with("error: no/such.toml: cannot be read: "), "{}", said.err);
    assert!(said.err.contains("hint: "), "{}", said.err);
}

#[test]
fn layers_win_in_order() {
    let folder = Folder::new();
    let low =
        folder.write("low.toml", "[limits]\nconnections = 1\ninbound_queue = 1\nrooms_per_connection = 1\n");
    let high = folder.write("high.toml", "[limits]\ninbound_queue = 2\nrooms_per_connection = 2\n");
    let mut command = exedra(&["config", "show", "--origin", "-c", &low, "-c", &high]);
    command.args(["--set", "limits.events_per_second=4"]);
    command.env("EXEDRA_LIMITS__ROOMS_PER_CONNECTION", "3").env("EXEDRA_LIMITS__EVENTS_PER_SECOND", "3");
    let said = said(command);
    assert_eq!(said.code, 0, "{}", said.err);
    let line = |key: &str| said.out.lines().find(|line| line.starts_with(key)).unwrap();
    let shown = [
        ("connections = 1 ", format!("# {low}:2:15")),
        ("inbound_queue = 2 ", format!("# {high}:2:17")),
        (
            "rooms_per_connection = 3 ",
            "# environment variable EXEDRA_LIMITS__ROOMS_PER_CONNECTION".to_owned(),
        ),
        ("events_per_second = 4 ", "# --set limits.events_per_second".to_owned()),
        ("connects_per_second = 0 ", "# default".to_owned()),
    ];
    for (key, origin) in shown {
        assert!(line(key).ends_with(&origin), "{}", line(key));
    }
}

#[test]
fn shown_settings_are_valid_toml() {
    let shown = run(&["config", "show", "--origin", "-c", "config/production.toml"]);
    let folder = Folder::new();
    let file = folder.write("shown.toml", &shown.out);
    let again = run(&["config", "show", "-c", &file]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert_eq!(again.out, run(&["config", "show", "-c", "config/production.toml"]).out);
}

#[test]
fn secrets_are_never_shown() {
    let folder = Folder::new();
    let file = folder.write(
        "hub.toml",
        format!("[auth]\nsecret = \"{CANARY}\"\n[admin]\ntoken = \"{CANARY}\"\n[nats]\nurl = \"nats://u:{CANARY}@h\"\n"),
    );
    for command in ["show", "check"] {
        let said = run(&["config", command, "-c", &file]);
        assert!(!said.out.contains(CANARY) && !said.err.contains(CANARY), "{command}");
    }
    let weak =
        folder.write("weak.toml", "[auth]\nsecret = \"canary-short\"\n[admin]\ntoken = [\"canary-array\"]\n");
    let said = run(&["config", "check", "-c", &weak]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("2:10") && said.err.contains("4:9") && !said.err.contains("canary-"),
        "{}",
        said.err
    );
}

#[test]
fn digits_can_be_a_secret() {
    let folder = Folder::new();
    let file = folder.write("hub.toml", "");
    let digits = "1".repeat(40);
    let mut command = exedra(&["token", "mint", "-c", &file, "--sub", "ann"]);
    command.env("EXEDRA_AUTH__SECRET", digits);
    assert_eq!(said(command).code, 0);
}

#[test]
fn open_secret_files_are_refused() {
    let folder = Folder::new();
    let secret = folder.write("secret", CANARY);
    let file = folder.write("hub.toml", format!("[auth]\nsecret_file = \"{secret}\"\n"));
    assert_eq!(run(&["config", "check", "-c", &file]).code, 0);
    for (bits, code) in [(0o640, 0), (0o644, 2), (0o660, 2)] {
        mode(&secret, bits);
        let said = run(&["config", "check", "-c", &file]);
        assert_eq!(said.code, code, "{bits:o}: {}", said.err);
        assert!(code == 0 || said.err.contains("hint: chmod 640"), "{}", said.err);
    }
}

#[test]
fn one_key_is_enough() {
    let folder = Folder::new();
    let secret = folder.write("secret", CANARY);
    let file =
        folder.write("hub.toml", format!("[auth]\nsecret = \"{CANARY}\"\nsecret_file = \"{secret}\"\n"));
    let said = run(&["config", "check", "-c", &file]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("auth.secret_file: secret and secret_file give a key each"), "{}", said.err);
}

#[test]
fn development_secret_stays_at_home() {
    let said = run(&["config", "check", "--set", "server.listen=0.0.0.0:3000"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("the development secret is public"), "{}", said.err);
}

#[test]
fn admin_outside_needs_a_token() {
    let folder = Folder::new();
    let file = folder.write("hub.toml", "[admin]\nlisten = \"0.0.0.0:9464\"\n");
    let said = run(&["config", "check", "-c", &file]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("outside loopback the admin API needs a token"), "{}", said.err);
}

#[test]
fn what_is_not_there_is_refused() {
    let folder = Folder::new();
    let file =
        folder.write("hub.toml", "[server.tls]\ncert = \"c\"\n[cluster]\nenabled = true\nlease = \"10ms\"\n");
    let said = run(&["config", "check", "-c", &file]);
    assert_eq!(said.code, 2);
    for key in ["server.tls.cert", "cluster.enabled", "cluster.lease"] {
        assert!(said.err.contains(&format!("error: {key}: ")), "{key}:\n{}", said.err);
    }
}

#[test]
fn store_in_jetstream_needs_nats() {
    let folder = Folder::new();
    let file = folder.write("hub.toml", "[store]\nkind = \"jetstream\"\nreplicas = 2\n");
    let said = run(&["config", "check", "-c", &file]);
    assert_eq!(said.code, 2);
    for why in ["error: store.kind: ", "error: store.replicas: must be 1, 3 or 5"] {
        assert!(said.err.contains(why), "{why}:\n{}", said.err);
    }
    assert!(said.err.contains("set nats.url"), "{}", said.err);
    let file = folder.write(
        "hub.toml",
        "[nats]\nurl = \"nats://127.0.0.1:1\"\nmonitor = \"https://x\"\n[store]\nkind = \"jetstream\"\nreplicas = 3\n",
    );
    let said = run(&["config", "check", "-c", &file]);
    assert!(said.err.contains("error: nats.monitor: ") && !said.err.contains("error: store"), "{}", said.err);
}

#[test]
fn shipped_schema_is_in_step() {
    let shipped = std::fs::read_to_string(root().join("config/exedra.schema.json")).unwrap();
    let said = run(&["config", "schema"]);
    assert!(said.out == shipped, "run: exedra config schema > config/exedra.schema.json");
}

#[test]
fn shipped_configurations_are_fine() {
    library("meetings");
    for file in ["exedra", "conformance"] {
        let said = run(&["config", "check", "-c", &format!("config/{file}.toml")]);
        assert_eq!(said.code, 0, "{file}:\n{}", said.err);
    }
    // The production file has no key on purpose: it comes with the service.
    let folder = Folder::new();
    let mut command = exedra(&["config", "check", "-c", "config/production.toml"]);
    command.env("EXEDRA_AUTH__SECRET_FILE", folder.write("secret", CANARY));
    let said = said(command);
    assert_eq!(said.code, 0, "{}", said.err);
}
