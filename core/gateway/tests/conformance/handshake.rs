//! The opening handshake (RFC 6455, 4).

use crate::{
    Class,
    peer::{ask, header},
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pplmbitxaq9kygzzhzrbk+xoo=";

/// Headers of a handshake that are replaced, each with its values; without one it is left out.
type Changes = [(&'static str, &'static [&'static str])];
/// A request line, and what is changed.
type Attempt = (&'static str, &'static Changes);

/// A good handshake as lines of `name: value`, one or more of them replaced or left out.
fn request(first: &str, changes: &[(&str, &[&str])]) -> String {
    let good = [
        ("Host", "echo.test"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ];
    let mut lines = vec![first.to_owned()];
    for (name, value) in good {
        match changes.iter().find(|(changed, _)| *changed == name) {
            Some((_, values)) => lines.extend(values.iter().map(|value| format!("{name}: {value}"))),
            None => lines.push(format!("{name}: {value}")),
        }
    }
    let new = changes.iter().filter(|(name, _)| good.iter().all(|(known, _)| known != name));
    lines.extend(new.flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}"))));
    lines.join("\r\n") + "\r\n\r\n"
}

const GET: &str = "GET /chat HTTP/1.1";

#[test]
fn good_handshakes_are_accepted() {
    let mut class = Class::new("0 handshake: good");
    let good: &[Attempt] = &[
        (GET, &[]),
        ("GET /a/b?c=d&e HTTP/1.1", &[]),
        (GET, &[("Upgrade", &["WebSocket"])]),
        (GET, &[("Upgrade", &["WEBSOCKET"])]),
        (GET, &[("Upgrade", &["h2c, websocket"])]),
        (GET, &[("Connection", &["keep-alive, Upgrade"])]),
        (GET, &[("Connection", &["keep-alive,upgrade"])]),
        (GET, &[("Connection", &["UPGRADE"])]),
        (GET, &[("Connection", &["keep-alive", "Upgrade"])]),
        (GET, &[("Sec-WebSocket-Key", &["  dGhlIHNhbXBsZSBub25jZQ==  "])]),
        (GET, &[("Origin", &["https://anywhere.example"])]),
        (GET, &[("Content-Length", &["0"])]),
        (GET, &[("Sec-WebSocket-Protocol", &["chat, superchat"])]),
        (GET, &[("Sec-WebSocket-Extensions", &["x-unheard-of; a=1; b"])]),
        (GET, &[("X-Other", &["\u{e9}"])]),
    ];
    for (first, changes) in good {
        class.case(format!("{first} {changes:?}"), || {
            let (head, _open, early) = ask(&request(first, changes));
            assert!(head.starts_with("http/1.1 101 "), "{head}");
            assert_eq!(header(&head, "sec-websocket-accept"), Some(ACCEPT));
            assert_eq!(header(&head, "upgrade"), Some("websocket"));
            assert_eq!(header(&head, "connection"), Some("upgrade"));
            for absent in
                ["sec-websocket-protocol", "sec-websocket-extensions", "content-length", "transfer-encoding"]
            {
                assert_eq!(header(&head, absent), None, "what was not agreed on is not said");
            }
            assert!(early.is_empty());
        });
    }
    class.case("header names in any case", || {
        let text =
            request(GET, &[]).replace("Sec-WebSocket", "sEC-wEBsOCKET").replace("Upgrade:", "uPGRADE:");
        assert!(ask(&text).0.starts_with("http/1.1 101 "));
    });
    class.case("the accept is the key's own", || {
        let (head, ..) = ask(&request(GET, &[("Sec-WebSocket-Key", &["AAAAAAAAAAAAAAAAAAAAAA=="])]));
        let accept = header(&head, "sec-websocket-accept").unwrap();
        assert!(accept.len() == 28 && accept != ACCEPT);
    });
    class.done(17);
}

#[test]
fn bad_handshakes_are_refused() {
    let mut class = Class::new("0 handshake: bad");
    let bad: &[Attempt] = &[
        ("POST /chat HTTP/1.1", &[("Content-Length", &["0"])]),
        ("PUT /chat HTTP/1.1", &[("Content-Length", &["0"])]),
        ("HEAD /chat HTTP/1.1", &[]),
        ("OPTIONS /chat HTTP/1.1", &[]),
        ("GET /chat HTTP/1.0", &[]),
        (GET, &[("Host", &[])]),
        (GET, &[("Host", &["one.test", "two.test"])]),
        (GET, &[("Upgrade", &[])]),
        (GET, &[("Upgrade", &["h2c"])]),
        (GET, &[("Upgrade", &["websockets"])]),
        (GET, &[("Connection", &[])]),
        (GET, &[("Connection", &["keep-alive"])]),
        (GET, &[("Connection", &["upgraded"])]),
        (GET, &[("Sec-WebSocket-Key", &[])]),
        (GET, &[("Sec-WebSocket-Key", &[""])]),
        (GET, &[("Sec-WebSocket-Key", &[KEY, KEY])]),
        (GET, &[("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25j"])]),
        (GET, &[("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZWVl"])]),
        (GET, &[("Sec-WebSocket-Key", &["not base64 at all!!!!!=="])]),
        (GET, &[("Content-Length", &["5"])]),
        (GET, &[("Transfer-Encoding", &["chunked"])]),
    ];
    for (first, changes) in bad {
        class.case(format!("{first} {changes:?}"), || {
            let (head, ..) = ask(&request(first, changes));
            assert!(head.starts_with("http/1.1 400 ") || head.starts_with("http/1.0 400 "), "{head}");
        });
    }
    for versions in
        [&["8"][..], &["0"], &["14"], &["13, 8"], &["8", "13"], &["13", "13"], &["013"], &["x"], &[]]
    {
        class.case(format!("version {versions:?}"), || {
            let (head, ..) = ask(&request(GET, &[("Sec-WebSocket-Version", versions)]));
            assert!(head.starts_with("http/1.1 426 "), "{head}");
            assert_eq!(header(&head, "sec-websocket-version"), Some("13"));
            assert_eq!(header(&head, "upgrade"), Some("websocket"));
            assert_eq!(header(&head, "connection"), Some("upgrade"));
        });
    }
    class.done(30);
}
