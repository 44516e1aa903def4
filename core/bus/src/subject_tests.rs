use proptest::prelude::*;

use super::*;

fn subjects() -> Subjects {
    Subjects::new("exedra").unwrap()
}

fn topics() -> impl Strategy<Value = Topic> {
    let name = || ".{0,40}";
    prop_oneof![
        (name(), name(), name()).prop_map(|(plugin, room, event)| Topic::In { plugin, room, event }),
        (name(), name(), name()).prop_map(|(plugin, room, event)| Topic::Out { plugin, room, event }),
        (name(), name()).prop_map(|(service, method)| Topic::Rpc { service, method }),
        name().prop_map(|plugin| Topic::DeadLetter { plugin }),
    ]
}

proptest! {
    #[test]
    fn names_come_back(name in any::<String>()) {
        if let Ok(token) = encode(&name) {
            prop_assert_eq!(decode(&token), Some(name));
        }
    }

    #[test]
    fn tokens_are_plain(name in any::<String>()) {
        if let Ok(token) = encode(&name) {
            prop_assert!(!token.is_empty() && token.len() <= MAX_TOKEN);
            prop_assert!(token.bytes().all(|b| is_plain(b) || b == b'='));
        }
    }

    #[test]
    fn different_names_differ(one in "[a=.A-Z0-9\u{e9}]{0,6}", other in "[a=.A-Z0-9\u{e9}]{0,6}") {
        prop_assert_eq!(one == other, encode(&one) == encode(&other));
    }

    #[test]
    fn one_token_per_name(token in "[a-zA-Z0-9=%_.*>-]{0,12}") {
        if let Some(name) = decode(&token) {
            prop_assert_eq!(encode(&name).unwrap(), token);
        }
    }

    #[test]
    fn topics_come_back(topic in topics()) {
        let subject = subjects().subject(&topic).unwrap();
        prop_assert!(subject.starts_with("exedra."));
        prop_assert_eq!(subjects().topic(&subject), Some(topic));
    }

    #[test]
    fn any_subject_decodes_to_itself(subject in "exedra\\.(in|out|rpc|dlq|x)(\\.[a-zA-Z=0-9]{0,4}){0,4}") {
        if let Some(topic) = subjects().topic(&subject) {
            prop_assert_eq!(subjects().subject(&topic).unwrap(), subject);
        }
    }
}

#[test]
fn vectors_hold() {
    let vectors = [
        ("", "="),
        ("room-1_A", "room-1_A"),
        ("a.b", "a=2Eb"),
        ("*", "=2A"),
        (">", "=3E"),
        ("=", "=3D"),
        ("a b", "a=20b"),
        ("\r\nPUB x 0", "=0D=0APUB=20x=200"),
        ("$JS.API", "=24JS=2EAPI"),
        ("caf\u{e9}", "caf=C3=A9"),
        ("\u{1f600}", "=F0=9F=98=80"),
    ];
    for (name, token) in vectors {
        assert_eq!(encode(name).unwrap(), token);
        assert_eq!(decode(token).as_deref(), Some(name));
    }
}

#[test]
fn only_one_form_decodes() {
    for token in
        ["", "==", "=2e", "=41", "=2", "a=", "=GG", "a.b", "a b", "*", ">", "=FF", "=C3", "%20", "\u{e9}"]
    {
        assert_eq!(decode(token), None, "{token}");
    }
}

#[test]
fn long_names_are_refused() {
    assert!(encode(&"a".repeat(MAX_TOKEN)).is_ok());
    assert_eq!(encode(&"a".repeat(MAX_TOKEN + 1)), Err(BusError::TooLarge));
    assert!(encode(&".".repeat(MAX_TOKEN / 3)).is_ok());
    assert_eq!(encode(&".".repeat(MAX_TOKEN / 3 + 1)), Err(BusError::TooLarge));
    assert_eq!(decode(&"a".repeat(MAX_TOKEN + 1)), None);
}

#[test]
fn prefixes_are_plain() {
    for prefix in ["exedra", "acme.exedra", "A-1_b"] {
        assert!(Subjects::new(prefix).is_ok(), "{prefix}");
    }
    for prefix in ["", ".", "a.", ".a", "a..b", "a.*", ">", "$SYS", "a b", "a\n", &"a".repeat(257)] {
        assert!(Subjects::new(prefix).is_err(), "{prefix}");
    }
}

#[test]
fn foreign_subjects_are_no_topics() {
    let foreign = [
        "exedra",
        "exedra.in",
        "exedra.in.p",
        "exedra.in.p.r",
        "exedra.in.p.r.e.x",
        "exedra.in.p..e",
        "exedra.rpc.p",
        "exedra.rpc.p.m.x",
        "exedra.dlq.p.x",
        "exedra.cluster.x",
        "exedra2.in.p.r.e",
        "other.in.p.r.e",
        "",
    ];
    for subject in foreign {
        assert_eq!(subjects().topic(subject), None, "{subject}");
    }
}

#[test]
fn patterns_match_their_kind() {
    let pattern = |interest| subjects().pattern(&interest).unwrap();
    let plugin = "my.plugin".to_owned();
    assert_eq!(pattern(Interest::In { plugin: plugin.clone() }), "exedra.in.my=2Eplugin.*.*");
    assert_eq!(pattern(Interest::Out { plugin: plugin.clone() }), "exedra.out.my=2Eplugin.*.*");
    assert_eq!(pattern(Interest::Rpc { service: plugin.clone() }), "exedra.rpc.my=2Eplugin.*");
    assert_eq!(pattern(Interest::DeadLetter { plugin }), "exedra.dlq.my=2Eplugin");
}

#[test]
fn answers_go_to_inboxes_only() {
    for address in ["_INBOX.x.1", "my.replies", "a"] {
        assert!(subjects().is_reply(address), "{address}");
    }
    let long = "a".repeat(MAX_REPLY + 1);
    for address in
        ["", "exedra.in.p.r.e", "$JS.API.STREAM.DELETE.X", "a.*", ">", "a..b", "a b", "a\r\n", &long]
    {
        assert!(!subjects().is_reply(address), "{address}");
    }
}
