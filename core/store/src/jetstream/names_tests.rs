use proptest::prelude::*;

use super::*;
use crate::MAX_NAME;

fn names() -> Names {
    Names::new("exedra_store")
}

/// Names with many of the characters that mean something to somebody.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a/=.*>$ \u{e9}\u{1f600}0A]{0,12}", "[a-z]{1,8}(/[a-z0-9=]{0,6}){0,4}"]
}

proptest! {
    #[test]
    fn names_come_back(bucket in name(), key in name()) {
        let subject = names().subject(&bucket, &key);
        prop_assert_eq!(names().key(&bucket, &subject), Some(key));
    }

    #[test]
    fn different_names_differ(one in (name(), name()), other in (name(), name())) {
        let subject = |(bucket, key): &(String, String)| names().subject(bucket, key);
        prop_assert_eq!(one == other, subject(&one) == subject(&other));
    }

    #[test]
    fn subjects_are_keys_of_kv(bucket in name(), key in name()) {
        let subject = names().subject(&bucket, &key);
        let kv = subject.strip_prefix("$KV.exedra_store.").unwrap();
        prop_assert!(kv.bytes().all(|byte| is_plain(byte) || byte == b'=' || byte == b'.'));
        prop_assert!(kv.split('.').all(|token| !token.is_empty()));
    }

    #[test]
    fn patterns_fit_their_keys(bucket in name(), prefix in name(), rest in name()) {
        let pattern = names().pattern(&bucket, &prefix);
        let subject = names().subject(&bucket, &format!("{prefix}{rest}"));
        let stem = pattern.strip_suffix('>').unwrap();
        prop_assert!(subject.starts_with(stem) && subject.len() > stem.len(), "{} {}", pattern, subject);
    }

    #[test]
    fn one_subject_per_key(subject in "\\$KV\\.exedra_store\\.b(\\.[a-zA-Z=0-9_-]{0,6}){0,4}") {
        if let Some(key) = names().key("b", &subject) {
            prop_assert_eq!(names().subject("b", &key), subject);
        }
    }

    #[test]
    fn longest_names_fit_a_line(key in "[/*a\u{e9}]{1024}|/{1024}|(\\*/){512}|[\u{1f600}]{256}") {
        let cut = key.floor_char_boundary(MAX_NAME);
        let bucket = "*".repeat(MAX_NAME);
        prop_assert!(names().subject(&bucket, &key[..cut]).len() < 3600);
    }
}

#[test]
fn vectors_hold() {
    let vectors = [
        ("", "="),
        ("/", "=.="),
        ("votes/m-1/ann", "votes.m-1.ann"),
        ("a.b", "a=2Eb"),
        ("*", "=2A"),
        (">/x", "=3E.x"),
        ("=", "=3D"),
        ("==", "==PT0"),
        ("a b", "a=20b"),
        ("caf\u{e9}", "caf=C3=A9"),
        ("\u{1f600}", "==8J-YgA"),
    ];
    for (key, tokens) in vectors {
        let subject = format!("$KV.exedra_store.b.{tokens}");
        assert_eq!(names().subject("b", key), subject);
        assert_eq!(names().key("b", &subject).as_deref(), Some(key));
    }
}

#[test]
fn other_forms_are_nobodys() {
    for tokens in
        ["", ".", "a.", ".a", "=2e", "=41", "=2", "a=", "=GG", "====", "==YQ", "==YQ==", "=FF", "=2F", "a b"]
    {
        assert_eq!(names().key("b", &format!("$KV.exedra_store.b.{tokens}")), None, "{tokens}");
    }
    assert_eq!(names().key("b", "$KV.exedra_store.b2.a"), None);
    assert_eq!(names().key("b", "$KV.other.b.a"), None);
}
