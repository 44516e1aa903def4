//! What a close frame says.

use super::{Violation, frame::MAX_CONTROL};

/// The payload of a close frame. Without a code the other side gave no reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// Why, as a number.
    pub code: u16,
    /// Why, for people; often empty.
    pub reason: String,
}

impl Close {
    /// Reads a close frame's payload; an empty one says nothing.
    ///
    /// # Errors
    /// One byte only, a code that may not be sent, or a reason that is not UTF-8.
    pub fn parse(payload: &[u8]) -> Result<Option<Self>, Violation> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return if payload.is_empty() { Ok(None) } else { Err(Violation::Protocol("close of one byte")) };
        };
        let code = u16::from_be_bytes(*code);
        if !close_code_allowed(code) {
            return Err(Violation::Protocol("close code that may not be sent"));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
        Ok(Some(Self { code, reason: reason.to_owned() }))
    }

    /// The payload of a close frame; the reason is cut to what a control frame holds.
    pub fn encode(code: u16, reason: &str) -> Vec<u8> {
        let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL - 2)];
        let mut payload = Vec::with_capacity(2 + reason.len());
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(reason.as_bytes());
        payload
    }
}

/// Whether a close code may stand in a frame (RFC 6455, 7.4): the registered ones that are not only for use
/// inside a program, and the ranges for libraries and applications.
pub fn close_code_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let payload = Close::encode(1012, "restarting");
        assert_eq!(Close::parse(&payload), Ok(Some(Close { code: 1012, reason: "restarting".into() })));
        assert_eq!(Close::parse(b""), Ok(None));
    }

    #[test]
    fn refuses_private_codes() {
        for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert!(Close::parse(&code.to_be_bytes()).is_err(), "{code}");
        }
        assert!(Close::parse(&[3]).is_err());
    }

    #[test]
    fn long_reason_is_cut_between_characters() {
        let payload = Close::encode(1000, &"é".repeat(100));
        assert!(payload.len() <= MAX_CONTROL);
        assert!(Close::parse(&payload).is_ok());
    }

    #[test]
    fn reason_must_be_utf8() {
        assert_eq!(Close::parse(&[0x03, 0xe8, 0xff]), Err(Violation::Utf8));
    }
}
