//! Identifiers that nobody can guess.

use std::{
    fmt::Write,
    fs::File,
    io::{self, Read},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::Result;

/// Bytes from the operating system's generator, fit for keys.
///
/// # Errors
/// When the operating system gives none.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    static SOURCE: OnceLock<io::Result<File>> = OnceLock::new();
    let mut bytes = [0; N];
    match SOURCE.get_or_init(|| File::open("/dev/urandom")) {
        Ok(mut_less) => (&*mut_less).read_exact(&mut bytes)?,
        Err(error) => return Err(crate::Error::internal(error)),
    }
    Ok(bytes)
}

/// A new identifier: 128 random bits as 32 hexadecimal digits.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn id() -> Result<String> {
    Ok(hex(&bytes::<16>()?))
}

/// Makes identifiers that sort in order of their making and still cannot be guessed: sixteen digits of time, then twelve
/// random hexadecimal ones. For keys that are listed in order.
#[derive(Debug, Default)]
pub struct Sequence(AtomicU64);

impl Sequence {
    /// The next identifier; of those made here each sorts after the one before, whatever the clock says.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn next(&self, now_ms: u64) -> Result<String> {
        // Microseconds: the digits that the clock does not know count identifiers of the same millisecond.
        let at = now_ms.saturating_mul(1000);
        let next = |last: u64| Some(at.max(last + 1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
        Ok(format!("{:016}-{}", at.max(last + 1), hex(&bytes::<6>()?)))
    }

    /// What sorts before all identifiers made at or after this time, and after all made before it.
    pub fn since(ms: u64) -> String {
        format!("{:016}", ms.saturating_mul(1000))
    }

    /// When an identifier was made, in milliseconds since 1970; 0 for what is none.
    pub fn time_ms(id: &str) -> u64 {
        if Self::made(id) { id[..16].parse::<u64>().unwrap_or_default() / 1000 } else { 0 }
    }

    /// Whether a text looks like such an identifier.
    pub fn made(text: &str) -> bool {
        let all = |text: &str, fits: fn(&u8) -> bool| text.as_bytes().iter().all(fits);
        text.split_once('-').is_some_and(|(at, rest)| {
            (at.len(), rest.len()) == (16, 12)
                && all(at, u8::is_ascii_digit)
                && all(rest, u8::is_ascii_hexdigit)
        })
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_keep_their_order() {
        let ids = Sequence::default();
        let mut made: Vec<String> = [5, 5, 5, 4, 6, 1_768_905_000_000].map(|ms| ids.next(ms).unwrap()).into();
        assert!(made.is_sorted() && made.iter().all(|id| Sequence::made(id)), "{made:?}");
        assert_eq!((Sequence::time_ms(&made[5]), Sequence::time_ms("x")), (1_768_905_000_000, 0));
        assert!(made[5] > Sequence::since(1_768_905_000_000) && made[5] < Sequence::since(1_768_905_000_001));
        made.dedup();
        assert_eq!(made.len(), 6);
        for bad in ["", "x-y", &made[0][1..], &made[0].replace('-', "/"), "000000000000000a-aaaaaaaaaaaa"] {
            assert!(!Sequence::made(bad), "{bad}");
        }
    }

    #[test]
    fn identifiers_do_not_repeat() {
        let (a, b) = (id().unwrap(), id().unwrap());
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
