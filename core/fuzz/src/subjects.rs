//! Names as tokens of subjects, and subjects as topics. The input is a name, a token and a subject at once.

use exedra_bus::subject::{MAX_TOKEN, Subjects, decode, encode};
use exedra_hub::port::{Interest, Topic};

/// A token is plain, is not empty and says one name; a name has one token; a subject has one topic.
///
/// # Panics
/// When that does not hold.
pub fn subject_tokens(input: &str) {
    match encode(input) {
        Ok(token) => {
            assert_plain(&token);
            assert_eq!(decode(&token).as_deref(), Some(input), "the token {token:?} says another name");
        }
        Err(_) => assert!(input.len() * 3 > MAX_TOKEN, "a short name was refused"),
    }
    if let Some(name) = decode(input) {
        assert_eq!(encode(&name).as_deref(), Ok(input), "the name {name:?} has two tokens");
    }
    for prefix in ["exedra", "a.b"] {
        match Subjects::new(prefix) {
            Ok(subjects) => topics(&subjects, prefix, input),
            Err(why) => panic!("the prefix {prefix} was refused: {why}"),
        }
    }
    if let Ok(subjects) = Subjects::new(input) {
        assert!(input.split('.').all(|token| decode(token).as_deref() == Some(token)));
        topics(&subjects, input, "x");
    }
}

fn assert_plain(token: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    assert!(!token.is_empty() && token.len() <= MAX_TOKEN && token.bytes().all(plain), "{token:?}");
}

/// Names out of the input in every place of a topic, and the input as a subject.
fn topics(subjects: &Subjects, prefix: &str, input: &str) {
    let mut names = input.splitn(3, ',').map(str::to_owned).chain(std::iter::repeat(input.to_owned()));
    let mut name = || names.next().unwrap_or_default();
    let (plugin, room, event) = (name(), name(), name());
    let all = [
        Topic::In { plugin: plugin.clone(), room: room.clone(), event: event.clone() },
        Topic::Out { plugin: plugin.clone(), room: room.clone(), event },
        Topic::Rpc { service: plugin.clone(), method: room },
        Topic::DeadLetter { plugin: plugin.clone() },
    ];
    for topic in all {
        let Ok(subject) = subjects.subject(&topic) else { continue };
        let rest = subject.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
        assert!(rest.is_some(), "{subject:?} is outside of {prefix}");
        rest.unwrap_or_default().split('.').for_each(assert_plain);
        assert_eq!(subjects.topic(&subject), Some(topic), "{subject:?}");
        assert!(!subjects.is_reply(&subject), "{subject:?} could be answered at");
    }
    if let Some(topic) = subjects.topic(input) {
        assert_eq!(subjects.subject(&topic).as_deref(), Ok(input), "{topic:?} has two subjects");
    }
    if let Ok(pattern) = subjects.pattern(&Interest::In { plugin }) {
        assert!(pattern.ends_with(".*.*") && pattern.matches('*').count() == 2, "{pattern:?}");
    }
    if subjects.is_reply(input) {
        assert!(!input.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()));
        assert!(!input.split('.').any(|token| matches!(token, "" | "*" | ">")));
    }
}
