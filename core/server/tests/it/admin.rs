//! The admin API: who may use it, what it shows, and what it keeps to itself.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::support::{Answer, CANARY, Folder, Hub, eventually, exedra, get, request, said};

const ECHO: &str = "[plugins.echo]\nnamespace = \"/echo\"\nauth = \"none\"\n";
const TWO: &str = "[auth]\nsecret = \"a secret of more than thirty-two bytes\"\n\
                   [plugins.echo]\nnamespace = \"/echo\"\nauth = \"none\"\n[plugins.meetings]\n";
const INTENT: (&str, &str) = ("X-Exedra-Intent", "test");

/// A Socket.IO client on a raw WebSocket: just enough to be connected.
struct Client(BufReader<TcpStream>);

impl Client {
    fn join(hub: &Hub, namespace: &str) -> Self {
        let mut link = TcpStream::connect(&hub.public).unwrap();
        link.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let head = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        let path = "/socket.io/?EIO=4&transport=websocket";
        write!(link, "GET {path} HTTP/1.1\r\nHost: {}\r\n{head}", hub.public).unwrap();
        let mut client = Self(BufReader::new(link));
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            client.0.read_line(&mut line).unwrap();
        }
        client.hear("0{");
        let to = if namespace == "/" { String::new() } else { format!("{namespace},") };
        client.say(&format!("40{to}"));
        client
    }

    fn joined(hub: &Hub) -> Self {
        let mut client = Self::join(hub, "/echo");
        client.hear("40/echo,{");
        client.hear("42/echo,[\"auth\"");
        client
    }

    /// A masked text frame; the mask is 0.
    fn say(&mut self, text: &str) {
        let size = u8::try_from(text.len()).unwrap();
        assert!(size < 126);
        let frame = [&[0x81, 0x80 | size, 0, 0, 0, 0][..], text.as_bytes()].concat();
        self.0.get_mut().write_all(&frame).unwrap();
    }

    /// The next frame, which begins with a text.
    fn hear(&mut self, beginning: &str) -> String {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let mut size = usize::from(head[1] & 0x7f);
        if size == 126 {
            let mut long = [0; 2];
            self.0.read_exact(&mut long).unwrap();
            size = usize::from(u16::from_be_bytes(long));
        }
        let mut text = vec![0; size];
        self.0.read_exact(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.starts_with(beginning), "{text}");
        text
    }
}

fn api(hub: &Hub, path: &str) -> Value {
    let answer = get(&hub.admin, &format!("/api/{path}"), &[]);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

fn change(hub: &Hub, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    request(&hub.admin, method, &format!("/api/{path}"), headers, body)
}

fn connections(hub: &Hub, count: usize) -> Value {
    let seen = eventually(|| Some(api(hub, "connections")).filter(|page| page["total"] == count));
    seen.unwrap_or_else(|| panic!("never {count} connections: {}", api(hub, "connections")))
}

#[test]
fn console_has_strict_headers() {
    let hub = Hub::start(ECHO);
    let page = get(&hub.admin, "/", &[]);
    assert!(page.status == 200 && page.body.contains("<main"), "{}", page.body);
    assert!(page.head.contains("default-src 'none'; script-src 'self'; style-src 'self'"), "{}", page.head);
    assert!(!page.head.contains("unsafe") && page.head.contains("x-content-type-options: nosniff"));
    assert!(page.head.contains("referrer-policy: no-referrer"), "{}", page.head);
    assert!(get(&hub.admin, "/console/app.js", &[]).head.contains("text/javascript"));
    assert_eq!(get(&hub.admin, "/console/../Cargo.toml", &[]).status, 404);
}

#[test]
fn foreign_pages_change_nothing() {
    let hub = Hub::start(ECHO);
    let disable = |headers: &[(&str, &str)]| change(&hub, "POST", "plugins/echo/disable", headers, "").status;
    assert_eq!(disable(&[]), 403);
    assert_eq!(disable(&[("Origin", "https://evil.example")]), 403);
    assert_eq!(disable(&[("Origin", "https://evil.example"), INTENT]), 403);
    assert_eq!(disable(&[("Origin", "null"), INTENT]), 403);
    assert_eq!(disable(&[("Sec-Fetch-Site", "cross-site"), INTENT]), 403);
    assert_eq!(disable(&[("Sec-Fetch-Site", "same-site"), INTENT]), 403);
    assert_eq!(disable(&[("Host", "rebound.example"), INTENT]), 403);
    let foreign = [("Sec-Fetch-Site", "cross-site")];
    assert_eq!(get(&hub.admin, "/api/connections", &foreign).status, 403);
    assert_eq!(api(&hub, "plugins")["plugins"][0]["condition"], "running");
    assert_eq!(disable(&[("Origin", &format!("http://{}", hub.admin))]), 200);
}

#[test]
fn guessers_are_slowed_down() {
    let folder = Folder::new();
    let token = folder.write("token", CANARY);
    let hub = Hub::start(&format!("{ECHO}[admin]\ntoken_file = \"{token}\"\n"));
    let ask =
        |token: &str| get(&hub.admin, "/api/config", &[("Authorization", &format!("Bearer {token}"))]).status;
    assert_eq!(ask(CANARY), 200);
    for _ in 0..10 {
        assert_eq!(ask("wrong"), 401);
    }
    assert_eq!((ask("wrong"), ask(CANARY)), (429, 429));
    assert_eq!(get(&hub.admin, "/metrics", &[]).status, 200);
    assert_eq!(get(&hub.admin, "/", &[]).status, 200);
}

#[test]
fn every_part_wants_the_token() {
    let folder = Folder::new();
    let token = folder.write("token", CANARY);
    let hub = Hub::start(&format!("{ECHO}[admin]\ntoken_file = \"{token}\"\n"));
    let parts =
        ["overview", "history", "health", "connections", "connections/1", "rooms", "members", "plugins"];
    for path in parts.into_iter().chain(["config", "tail"]) {
        assert_eq!(get(&hub.admin, &format!("/api/{path}"), &[INTENT]).status, 401, "{path}");
        let in_address = format!("/api/{path}?token={CANARY}");
        assert_eq!(get(&hub.admin, &in_address, &[INTENT]).status, 401, "{path}");
    }
    for path in ["publish", "plugins/echo/disable", "plugins/echo/enable"] {
        assert_eq!(change(&hub, "POST", path, &[INTENT], "{}").status, 401, "{path}");
    }
    assert_eq!(change(&hub, "DELETE", "connections/1", &[INTENT], "").status, 401);
}

#[test]
fn connections_come_in_pages() {
    let hub = Hub::start(&format!("{ECHO}[limits]\nconnections_per_ip = 100\nconnects_per_second = 1000\n"));
    let mut clients: Vec<_> = (0..7).map(|_| Client::joined(&hub)).collect();
    clients[3].say("42/echo,[\"message\",\"0123456789\"]");
    let busiest = || Some(api(&hub, "connections?sort=bytes&limit=1")["rows"][0].clone());
    let busiest = eventually(|| busiest().filter(|row| row["received"].as_u64() > Some(0))).unwrap();
    assert_eq!(busiest["events"], 1);
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let page = api(&hub, &format!("connections?sort=age&order=desc&limit=3&after={after}"));
        assert_eq!((page["total"].as_u64(), page["matched"].as_u64()), (Some(7), Some(7)));
        assert!(page["rows"].as_array().unwrap().len() <= 3);
        ids.extend(page["rows"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        after = next.replace('[', "%5B").replace(']', "%5D").replace('"', "%22");
    }
    assert_eq!(ids.len(), 7);
    assert!(ids.is_sorted(), "the oldest is first: {ids:?}");
    let found = api(&hub, &format!("connections?search={}", busiest["publicId"].as_str().unwrap()));
    assert_eq!((found["matched"].as_u64(), &found["rows"][0]["id"]), (Some(1), &busiest["id"]));
    assert_eq!(api(&hub, "connections?search=nobody")["matched"], 0);
    assert_eq!(get(&hub.admin, "/api/connections?sort=nonsense", &[]).status, 400);
    assert_eq!(get(&hub.admin, "/api/connections?limit=99999999", &[]).status, 200);
}

#[test]
fn operator_ends_a_connection() {
    let hub = Hub::start(ECHO);
    let (mut one, mut other) = (Client::joined(&hub), Client::joined(&hub));
    let rows = connections(&hub, 2)["rows"].clone();
    let first = rows.as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()).min().unwrap();
    let path = format!("connections/{first}");
    assert_eq!(api(&hub, &path)["namespace"], "/echo");
    assert_eq!(change(&hub, "DELETE", &path, &[], "").status, 403);
    assert_eq!(change(&hub, "DELETE", &path, &[INTENT], "").status, 204);
    one.hear("41/echo,");
    assert_eq!(change(&hub, "DELETE", &path, &[INTENT], "").status, 404);
    other.say("42/echo,1[\"message-with-ack\",7]");
    other.hear("43/echo,1[7]");
    connections(&hub, 1);
}

#[test]
fn settings_have_origins_and_no_secrets() {
    let folder = Folder::new();
    let token = folder.write("token", CANARY);
    let hub =
        Hub::start(&format!("[auth]\nsecret = \"{CANARY}\"\n{ECHO}[admin]\ntoken_file = \"{token}\"\n"));
    let bearer = format!("Bearer {CANARY}");
    let mut seen = String::new();
    for path in ["overview", "history", "health", "connections", "rooms", "plugins", "config"] {
        seen.push_str(&get(&hub.admin, &format!("/api/{path}"), &[("Authorization", &bearer)]).body);
    }
    assert!(!seen.contains(CANARY), "{seen}");
    let config = get(&hub.admin, "/api/config", &[("Authorization", &bearer)]).json();
    let setting = |key: &str| {
        let list = config["settings"].as_array().unwrap();
        list.iter().find(|setting| setting["key"] == key).cloned().unwrap_or_else(|| panic!("no {key}"))
    };
    assert_eq!(
        (&setting("auth.secret")["value"], &setting("auth.secret")["secret"]),
        (&Value::Null, &json!(true))
    );
    assert!(setting("auth.secret")["origin"].as_str().unwrap().ends_with("hub.toml:2:10"));
    assert_eq!(
        setting("server.drain"),
        json!({"key": "server.drain", "value": "\"10s\"", "secret": false, "origin": null})
    );
    assert_eq!(setting("server.listen")["origin"], "environment variable EXEDRA_SERVER__LISTEN");
}

#[test]
fn tail_shows_what_passes() {
    let hub = Hub::start(ECHO);
    let mut stream = TcpStream::connect(&hub.admin).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    write!(stream, "GET /api/tail?plugin=echo&event=sa* HTTP/1.1\r\nHost: {}\r\n\r\n", hub.admin).unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "event: open"), "the tail does not open");
    let mut client = Client::joined(&hub);
    client.say("42/echo,[\"other\",1]");
    client.say("42/echo,[\"say\",{\"a\":1}]");
    let seen = lines.find(|line| line.starts_with("data: {\"at\"")).expect("an event");
    let seen: Value = serde_json::from_str(&seen[6..]).unwrap();
    assert_eq!((seen["event"].as_str(), seen["way"].as_str()), (Some("say"), Some("client")));
    assert_eq!(seen["payload"], "[{\"a\":1}]");
    assert_eq!(api(&hub, "overview")["watchers"], 1);
    drop(lines);
    let left = eventually(|| {
        client.say("42/echo,[\"say\"]"); // a watcher that has gone is noticed when there is something to tell
        (api(&hub, "overview")["watchers"] == 0).then_some(())
    });
    assert!(left.is_some(), "the watcher is never forgotten");
    assert_eq!(get(&hub.admin, "/api/tail?way=sideways", &[]).status, 400);
}

#[test]
fn watchers_are_bounded() {
    let hub = Hub::start(ECHO);
    let watch = || {
        let mut stream = TcpStream::connect(&hub.admin).unwrap();
        write!(stream, "GET /api/tail HTTP/1.1\r\nHost: {}\r\n\r\n", hub.admin).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        (stream, String::from_utf8_lossy(&status).into_owned())
    };
    let watchers: Vec<_> = (0..17).map(|_| watch()).collect();
    assert!(watchers[..16].iter().all(|(_, status)| status == "HTTP/1.1 200"));
    assert_eq!(watchers[16].1, "HTTP/1.1 429");
}

#[test]
fn test_event_goes_as_a_services() {
    let hub = Hub::start(TWO);
    let publish = |body: Value| {
        let headers = [INTENT, ("Content-Type", "application/json")];
        change(&hub, "POST", "publish", &headers, &body.to_string())
    };
    let refused = publish(json!({"plugin": "meetings", "room": "r", "event": "nonsense", "payload": {}}));
    assert_eq!((refused.status, &refused.json()["answer"]["error"]["code"]), (200, &json!("NOT_FOUND")));
    assert_eq!(publish(json!({"plugin": "nobody", "room": "r", "event": "x"})).status, 404);
    assert_eq!(publish(json!({"plugin": "meetings", "room": "r", "event": ""})).status, 400);
    assert_eq!(publish(json!({"plugin": "meetings", "shout": true})).status, 422);
    assert_eq!(change(&hub, "POST", "publish", &[INTENT], "{}").status, 415);
    assert_eq!(api(&hub, "plugins")["plugins"][1]["counts"]["deadLetters"], 1);
}

#[test]
fn disabled_plugin_leaves_others_alone() {
    let hub = Hub::start(TWO);
    let mut client = Client::joined(&hub);
    let turn =
        |name: &str, to: &str| change(&hub, "POST", &format!("plugins/{name}/{to}"), &[INTENT], "").json();
    assert_eq!(turn("meetings", "disable")["closed"], 0);
    client.say("42/echo,1[\"message-with-ack\",7]");
    client.hear("43/echo,1[7]");
    let route = get(&hub.public, "/meetings", &[]);
    assert!(route.status == 401 || route.status == 503, "{}", route.status);
    let off = turn("echo", "disable");
    assert_eq!((off["changed"].as_bool(), off["closed"].as_u64()), (Some(true), Some(1)));
    client.hear("41/echo,");
    assert_eq!(turn("echo", "disable")["changed"], false);
    let refusal = Client::join(&hub, "/echo").hear("44/echo,{");
    assert!(refusal.contains("the plugin is disabled"), "{refusal}");
    assert_eq!(api(&hub, "plugins")["plugins"][0]["condition"], "disabled");
    assert!(
        get(&hub.admin, "/metrics", &[])
            .body
            .contains("exedra_plugin_up{plugin=\"echo\",version=\"0.1.0\"} 0")
    );
    assert_eq!(get(&hub.admin, "/readyz", &[]).status, 200, "an operator wants it so");
    assert_eq!(turn("echo", "enable")["changed"], true);
    Client::joined(&hub);
    assert_eq!(change(&hub, "POST", "plugins/nobody/disable", &[INTENT], "").status, 404);
}

#[test]
fn cli_switches_plugins() {
    let folder = Folder::new();
    let token = folder.write("token", CANARY);
    let hub = Hub::start(&format!("{ECHO}[admin]\ntoken_file = \"{token}\"\n"));
    let file = hub.folder.path("hub.toml");
    let plugin =
        |turn: &str, name: &str| said(exedra(&["plugin", turn, name, "-c", &file, "--admin", &hub.admin]));
    let off = plugin("disable", "echo");
    assert_eq!((off.code, &*off.out), (0, "echo is disabled; 0 connections closed\n"), "{}", off.err);
    assert_eq!(plugin("disable", "echo").out, "echo was disabled before\n");
    assert_eq!(plugin("enable", "echo").out, "echo is enabled; 0 connections closed\n");
    let unknown = plugin("disable", "nobody");
    assert!(unknown.code == 1 && unknown.err.contains("no such plugin is loaded"), "{}", unknown.err);
    assert_eq!(plugin("disable", "../x").code, 2);
    let mut bare = exedra(&["plugin", "disable", "echo", "--set", "plugins.echo.auth=none"]);
    bare.args(["--admin", &hub.admin]).env("EXEDRA_ADMIN__TOKEN", "wrong-wrong-wrong-wrong");
    let wrong = said(bare);
    assert!(wrong.code == 1 && wrong.err.contains("needs its bearer token"), "{}", wrong.err);
    let closed = said(exedra(&["plugin", "disable", "echo", "-c", &file, "--admin", "127.0.0.1:1"]));
    assert!(closed.code == 1 && closed.err.contains("no hub answers on 127.0.0.1:1"), "{}", closed.err);
}
