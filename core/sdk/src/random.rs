//! Identifiers that nobody can guess.

use std::{
    fmt::Write,
    fs::File,
    io::{self, Read},
    sync::OnceLock,
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
    fn identifiers_do_not_repeat() {
        let (a, b) = (id().unwrap(), id().unwrap());
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
