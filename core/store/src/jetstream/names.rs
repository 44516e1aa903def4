//! Buckets and keys as subjects of one stream, and back, one to one.
//!
//! A bucket is one token. A key is cut at each `/` and every part is a token, so that the server itself can find what
//! lies under a prefix. In a token `A-Z a-z 0-9 - _` stand for themselves and every other byte is `=XX`; an empty part
//! is `=`; a part that is shorter as base64 is written as `==` and that. So the longest key takes 2 KiB, and what
//! comes out is a key of NATS KV, which its tools can show. Decoding takes only what encoding makes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The subjects of one KV bucket of NATS.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// `$KV.` and the KV bucket, with a dot.
    root: String,
}

impl Names {
    /// For a KV bucket.
    pub(super) fn new(kv_bucket: &str) -> Self {
        Self { root: format!("$KV.{kv_bucket}.") }
    }

    /// What the stream takes.
    pub(super) fn all(&self) -> String {
        format!("{}>", self.root)
    }

    pub(super) fn subject(&self, bucket: &str, key: &str) -> String {
        let mut subject = self.bucket(bucket);
        for (number, part) in key.split('/').enumerate() {
            if number > 0 {
                subject.push('.');
            }
            push(part, &mut subject);
        }
        subject
    }

    /// A pattern that fits every key of the bucket with this prefix, and others.
    pub(super) fn pattern(&self, bucket: &str, prefix: &str) -> String {
        let mut pattern = self.bucket(bucket);
        if let Some((whole, _)) = prefix.rsplit_once('/') {
            for part in whole.split('/') {
                push(part, &mut pattern);
                pattern.push('.');
            }
        }
        pattern.push('>');
        pattern
    }

    /// The key of a subject in a bucket; `None` when [`Self::subject`] makes no such subject.
    pub(super) fn key(&self, bucket: &str, subject: &str) -> Option<String> {
        let parts = subject.strip_prefix(&self.bucket(bucket))?;
        let mut key = String::with_capacity(parts.len());
        for (number, token) in parts.split('.').enumerate() {
            if number > 0 {
                key.push('/');
            }
            let before = key.len();
            pull(token, &mut key)?;
            // A part with a slash in it would be another key's.
            if key[before..].contains('/') {
                return None;
            }
        }
        Some(key)
    }

    fn bucket(&self, bucket: &str) -> String {
        let mut subject = self.root.clone();
        push(bucket, &mut subject);
        subject.push('.');
        subject
    }
}

/// Writes a part as a token.
fn push(part: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if part.is_empty() {
        return out.push('=');
    }
    if is_packed(part) {
        out.push_str("==");
        return URL_SAFE_NO_PAD.encode_string(part, out);
    }
    for byte in part.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('=');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Whether base64 is the shorter form.
fn is_packed(part: &str) -> bool {
    let escaped: usize = part.bytes().map(|byte| if is_plain(byte) { 1 } else { 3 }).sum();
    escaped > 2 + (part.len() * 4).div_ceil(3)
}

/// Reads a token; `None` unless [`push`] makes exactly this one.
fn pull(token: &str, out: &mut String) -> Option<()> {
    let part = if token == "=" {
        String::new()
    } else if let Some(packed) = token.strip_prefix("==") {
        String::from_utf8(URL_SAFE_NO_PAD.decode(packed).ok()?).ok()?
    } else {
        String::from_utf8(unescape(token)?).ok()?
    };
    let mut again = String::with_capacity(token.len());
    push(&part, &mut again);
    (again == token).then(|| out.push_str(&part))
}

fn unescape(token: &str) -> Option<Vec<u8>> {
    let mut part = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'=' {
            let ([high, low], after) = rest.split_first_chunk()?;
            part.push(hex(*high)? << 4 | hex(*low)?);
            rest = after;
        } else {
            part.push(first);
        }
    }
    Some(part)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
