//! `exedra serve`: its two listeners, its signals, and what it keeps to itself.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use rustix::process::Signal;

use crate::support::{CANARY, Folder, Hub, eventually, exedra, get, library, run, said};

const DEVELOPMENT: &str = "[server]\nexamples = \"config\"\n\
    [auth]\nsecret = \"exedra-development-secret-do-not-use-in-production\"\n[plugins.meetings]\n";
const PLAIN: &str = "[auth]\nsecret = \"a secret of more than thirty-two bytes\"\n[plugins.meetings]\n";

fn metric(hub: &Hub, name: &str) -> String {
    let metrics = get(&hub.admin, "/metrics", &[]).body;
    let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit_once(' ').unwrap().1.to_owned()
}

#[test]
fn admin_listener_tells_operators() {
    let hub = Hub::start(PLAIN);
    assert_eq!(get(&hub.admin, "/livez", &[]).status, 200);
    let ready = get(&hub.admin, "/readyz", &[]);
    assert_eq!((ready.status, ready.json()["ready"].as_bool()), (200, Some(true)));
    let metrics = get(&hub.admin, "/metrics", &[]);
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(
        metrics.body.contains("exedra_build_info{")
            && metrics.body.contains("exedra_plugin_up{plugin=\"meetings\"")
    );
    assert_eq!(get(&hub.admin, "/version", &[]).json()["name"], "exedra");
    assert_eq!(get(&hub.admin, "/api/plugins", &[]).json()["plugins"][0]["condition"], "running");
    assert!(get(&hub.admin, "/", &[]).body.contains("Exedra console"));
    assert_eq!(get(&hub.admin, "/no/such", &[]).status, 404);
}

#[test]
fn public_listener_tells_nothing() {
    let hub = Hub::start(DEVELOPMENT);
    for path in ["/metrics", "/livez", "/readyz", "/version", "/api/plugins", "/api/"] {
        assert_eq!(get(&hub.public, path, &[]).status, 404, "{path}");
    }
}

#[test]
fn foreign_names_are_refused() {
    let hub = Hub::start(PLAIN);
    for path in ["/metrics", "/api/plugins", "/", "/readyz"] {
        assert_eq!(get(&hub.admin, path, &[("Host", "rebound.example:9464")]).status, 403, "{path}");
    }
    assert_eq!(get(&hub.admin, "/livez", &[("Host", "localhost:1")]).status, 200);
}

#[test]
fn api_wants_its_token() {
    let folder = Folder::new();
    let token = folder.write("token", format!("{CANARY}\n"));
    let hub = Hub::start(&format!("{PLAIN}[admin]\ntoken_file = \"{token}\"\n"));
    let ask = |value: &str| get(&hub.admin, "/api/plugins", &[("Authorization", value)]).status;
    assert_eq!(get(&hub.admin, "/api/plugins", &[]).status, 401);
    assert_eq!(ask("Bearer wrong"), 401);
    assert_eq!(ask(&format!("Basic {CANARY}")), 401);
    assert_eq!(ask(&format!("Bearer {CANARY}")), 200);
    assert_eq!(get(&hub.admin, "/metrics", &[]).status, 200);
}

#[test]
fn demo_gives_tokens_in_development() {
    let hub = Hub::start(DEVELOPMENT);
    let answer = get(&hub.public, "/demo/tokens.json", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["users"][2]["userId"], "carol");
    let token = answer.json()["users"][0]["token"].as_str().unwrap().to_owned();
    assert_eq!(run(&["token", "check", &token]).code, 0);
    let page = get(&hub.public, "/exedra.toml", &[]);
    assert!(
        page.status == 200 && page.head.contains("content-security-policy: default-src 'self'"),
        "{}",
        page.head
    );
    assert_eq!(get(&hub.public, "/../Cargo.toml", &[]).status, 404);
    for stranger in [("Host", "rebound.example"), ("Sec-Fetch-Site", "cross-site")] {
        assert_eq!(get(&hub.public, "/demo/tokens.json", &[stranger]).status, 403, "{stranger:?}");
    }
    let (code, out) = hub.stop();
    assert!(code == 0 && out.contains("demo pages") && out.contains("carol  ey"), "{out}");
}

#[test]
fn own_secret_gives_no_tokens() {
    let hub = Hub::start(&format!("[server]\nexamples = \"config\"\n{PLAIN}"));
    assert_eq!(get(&hub.public, "/demo/tokens.json", &[]).status, 404);
    assert_eq!(hub.stop(), (0, String::new()));
}

#[test]
fn sigterm_ends_with_0() {
    let hub = Hub::start(PLAIN);
    assert_eq!(hub.stop().0, 0);
}

/// Links that say nothing; closing them takes the hub its time.
fn links(hub: &Hub, count: usize) -> Vec<TcpStream> {
    let open = |_| {
        let mut link = TcpStream::connect(&hub.public).unwrap();
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            hub.public
        );
        link.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        link.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        link
    };
    (0..count).map(open).collect()
}

#[test]
fn draining_shows_in_readiness() {
    let hub = Hub::start(&format!("[server]\ndrain = \"20s\"\n{PLAIN}"));
    let links = links(&hub, 30);
    hub.signal(Signal::TERM);
    hub.wait_for_log("closing connections");
    let ready = get(&hub.admin, "/readyz", &[]);
    assert_eq!((ready.status, ready.json()["reasons"][0]["why"].as_str()), (503, Some("draining")));
    assert_eq!(get(&hub.admin, "/livez", &[]).status, 200);
    // A second signal does not wait for the rest.
    assert_eq!(hub.stop().0, 1);
    drop(links);
}

#[test]
fn drain_ends_with_the_links() {
    let hub = Hub::start(&format!("[server]\ndrain = \"500ms\"\n{PLAIN}"));
    let links = links(&hub, 30);
    assert_eq!(hub.stop().0, 0);
    drop(links);
}

#[test]
fn sigint_stops_as_well() {
    let hub = Hub::start(PLAIN);
    hub.signal(Signal::INT);
    hub.wait_for_log("\"stopped\"");
}

#[test]
fn bad_reload_changes_nothing() {
    let hub = Hub::start(PLAIN);
    let file = hub.folder.path("hub.toml");
    assert_eq!(metric(&hub, "exedra_config_last_reload_successful"), "1");
    fs::write(&file, format!("{PLAIN}[log]\nlevle = \"debug\"\n")).unwrap();
    hub.signal(Signal::HUP);
    hub.wait_for_log("the new configuration is refused");
    assert_eq!(metric(&hub, "exedra_config_last_reload_successful"), "0");
    assert!(hub.log().contains("log.levle"), "{}", hub.log());
    fs::write(&file, format!("{PLAIN}[log]\nlevel = \"debug\"\n[limits]\nconnections = 7\n")).unwrap();
    hub.signal(Signal::HUP);
    hub.wait_for_log("these changes need a restart");
    assert!(hub.log().contains("limits.connections"), "{}", hub.log());
    assert_eq!(metric(&hub, "exedra_config_last_reload_successful"), "1");
    assert_eq!(hub.stop().0, 0);
}

#[test]
fn changed_file_is_read_again() {
    let hub = Hub::start(PLAIN);
    fs::write(hub.folder.path("hub.toml"), format!("{PLAIN}[log]\nlevel = \"debug\"\n")).unwrap();
    hub.wait_for_log("a file has changed");
}

#[test]
fn secrets_stay_inside() {
    let folder = Folder::new();
    let secret = folder.write("secret", CANARY);
    let hub = Hub::start(&format!(
        "[auth]\nsecret_file = \"{secret}\"\n[admin]\ntoken_file = \"{secret}\"\n[log]\nlevel = \"trace\"\n\
         [plugins.meetings]\n"
    ));
    let bearer = format!("Bearer {CANARY}");
    let mut seen = String::new();
    for (address, path) in [
        (&hub.public, format!("/socket.io/?EIO=4&transport=polling&token={CANARY}")),
        (&hub.public, format!("/meetings?token={CANARY}")),
        (&hub.public, "/meetings".to_owned()),
        (&hub.admin, "/api/plugins".to_owned()),
        (&hub.admin, "/metrics".to_owned()),
        (&hub.admin, "/".to_owned()),
    ] {
        seen.push_str(&get(address, &path, &[("Authorization", &bearer)]).body);
    }
    seen.push_str(&String::from_utf8_lossy(&fs::read(format!("/proc/{}/cmdline", hub.pid())).unwrap()));
    hub.signal(Signal::HUP);
    hub.wait_for_log("configuration read again");
    seen.push_str(&hub.log());
    assert!(!seen.contains(CANARY), "{seen}");
}

#[test]
fn every_log_line_is_json() {
    let hub = Hub::start(&format!("{PLAIN}[log]\nlevel = \"trace\"\n"));
    let forged = "x%0A%7B%22level%22:%22ERROR%22%7D";
    get(&hub.public, &format!("/socket.io/?EIO=4&transport={forged}"), &[("User-Agent", "\u{1b}[31m")]);
    get(&hub.public, &format!("/{forged}"), &[("Origin", "https://a\tb")]);
    hub.signal(Signal::TERM);
    hub.wait_for_log("\"stopped\"");
    for line in hub.log().lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line:?}"));
        assert!(["ts", "level", "target", "message"].iter().all(|key| line[key].is_string()), "{line}");
    }
}

#[test]
fn taken_port_is_named() {
    library("meetings");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let file = folder.write("hub.toml", PLAIN);
    let mut command = exedra(&["serve", "-c", &file]);
    command.env("EXEDRA_SERVER__LISTEN", &address).env("EXEDRA_ADMIN__LISTEN", "127.0.0.1:0");
    command.env("EXEDRA_STORE__PATH", folder.path("hub.redb"));
    let said = said(command);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(
        said.err.contains(&format!("error: cannot listen on {address} (server.listen): ")),
        "{}",
        said.err
    );
}

#[test]
fn readiness_names_a_missing_bus() {
    let hub = Hub::start(&format!("{PLAIN}[nats]\nurl = \"nats://127.0.0.1:1\"\n"));
    let ready =
        eventually(|| Some(get(&hub.admin, "/readyz", &[])).filter(|ready| ready.status == 503)).unwrap();
    assert_eq!(ready.json()["reasons"][0]["part"], "bus");
    assert_eq!(get(&hub.admin, "/livez", &[]).status, 200);
    assert_eq!(hub.stop().0, 0);
}
