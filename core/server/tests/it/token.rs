//! `exedra token`.

use crate::support::{exedra, run, said};

fn mint(more: &[&str]) -> String {
    let said = run(&[&["token", "mint", "--sub", "ann"], more].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    said.out.trim().to_owned()
}

#[test]
fn minted_token_passes_the_check() {
    let token =
        mint(&["--name", "Ann Example", "--email", "ann@example.com", "--claim", "roles=[\"detector\"]"]);
    let said = run(&["token", "check", &token]);
    assert_eq!(said.code, 0, "{}", said.err);
    let identity: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(identity["user_id"], "ann");
    assert_eq!(identity["name"], "Ann Example");
    assert_eq!(identity["email"], "ann@example.com");
    assert_eq!(identity["roles"][0], "detector");
}

#[test]
fn forged_token_fails_the_check() {
    let token = mint(&[]);
    let (body, _) = token.rsplit_once('.').unwrap();
    let said = run(&["token", "check", &format!("{body}.AAAA")]);
    assert_eq!(said.code, 1);
    assert!(said.err.starts_with("error: the token is not valid: "), "{}", said.err);
    assert!(!said.err.contains(body));
}

#[test]
fn expired_token_fails_the_check() {
    let said = run(&["token", "check", &mint(&["--claim", "exp=1"])]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("expired"), "{}", said.err);
}

#[test]
fn other_secret_fails_the_check() {
    let mut command = exedra(&["token", "check", &mint(&[])]);
    command.env("EXEDRA_AUTH__SECRET", "another secret of more than thirty-two bytes");
    assert_eq!(said(command).code, 1);
}

#[test]
fn without_a_secret_nothing_is_minted() {
    let said = run(&["token", "mint", "-c", "config/conformance.toml", "--sub", "ann"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("shared secret"), "{}", said.err);
}

#[test]
fn usage_errors_end_with_2() {
    assert_eq!(run(&["token", "mint"]).code, 2);
    assert_eq!(run(&["no-such-command"]).code, 2);
    assert_eq!(run(&["config", "check", "--set", "nonsense"]).code, 2);
}

#[test]
fn help_and_version_say_enough() {
    let said = run(&["--version"]);
    assert!(said.out.starts_with("exedra 0.") && said.out.contains("rustc") && said.out.contains("ABI 1."));
    let said = run(&["--help"]);
    assert!(said.code == 0 && said.out.contains("Examples:"), "{}", said.out);
    assert!(run(&["completions", "bash"]).out.contains("_exedra"));
}
