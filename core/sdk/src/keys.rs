//! Names in the store. Ids come from outside and may hold any character, so each becomes a segment of its own in
//! which neither `/` nor anything ambiguous is left: two different lists of ids never make the same key.
//!
//! `A-Z a-z 0-9 - _` stand for themselves, every other byte is `=XX`, an empty id is `=`. An id that would grow beyond
//! 96 bytes is replaced by `==` and its SHA-256, so that five ids always fit into the store's 512 bytes.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::random::hex;

const LONGEST_SEGMENT: usize = 96;

/// The key of a value: one segment for each part.
pub fn key(parts: &[&str]) -> String {
    let mut out = String::new();
    for part in parts {
        if !out.is_empty() {
            out.push('/');
        }
        out.push_str(&segment(part));
    }
    out
}

/// What all keys that begin with these parts have in common.
pub fn prefix(parts: &[&str]) -> String {
    key(parts) + "/"
}

/// SHA-256 as hexadecimal text.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn segment(raw: &str) -> String {
    if raw.is_empty() {
        return "=".to_owned();
    }
    let mut out = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "={byte:02X}");
        }
    }
    if out.len() > LONGEST_SEGMENT { format!("=={}", digest(raw.as_bytes())) } else { out }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn plain_ids_stay_readable() {
        assert_eq!(key(&["votes", "m-1", "ann_2"]), "votes/m-1/ann_2");
        assert_eq!(prefix(&["votes", "m-1"]), "votes/m-1/");
    }

    #[test]
    fn hostile_ids_never_collide() {
        let ids = ["", "=", "==", "a", "a/b", "a=2Fb", "a/", "/a", "A", "ä", "=3D", "..", "a b", "a\0b"];
        let mut seen = HashSet::new();
        for left in ids {
            for right in ids {
                assert!(seen.insert(key(&[left, right])), "{left:?} and {right:?} collide");
            }
        }
    }

    #[test]
    fn long_ids_stay_distinct() {
        let (one, two) = ("x".repeat(200), "x".repeat(201));
        assert_ne!(segment(&one), segment(&two));
        // What a short id spells as can never look like the digest of a long one.
        assert_ne!(segment(&segment(&one)), segment(&one));
        let long = "💬".repeat(128);
        assert!(key(&[long.as_str(); 5]).len() < 512);
    }
}
