//! The limits of the port, checked before anything is queued or read.

use exedra_hub::port::StoreError;

use crate::queue::WriteKind;

/// The longest bucket name or key, in bytes.
pub const MAX_NAME: usize = 1024;
/// The largest value, in bytes.
pub const MAX_VALUE: usize = 1024 * 1024;

pub(crate) fn check_names(bucket: &str, key: &str) -> Result<(), StoreError> {
    if bucket.len() > MAX_NAME {
        return Err(StoreError::TooLarge("the bucket name"));
    }
    check_key(key)
}

pub(crate) fn check_key(key: &str) -> Result<(), StoreError> {
    if key.len() > MAX_NAME { Err(StoreError::TooLarge("the key")) } else { Ok(()) }
}

pub(crate) fn check_value(kind: &WriteKind) -> Result<(), StoreError> {
    match kind.value() {
        Some(value) if value.len() > MAX_VALUE => Err(StoreError::TooLarge("the value")),
        _ => Ok(()),
    }
}
