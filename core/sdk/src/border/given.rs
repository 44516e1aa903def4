//! What the hub gave away to us: read it, then it releases itself.

use std::fmt;

use exedra_abi::{RawResult, Slice, Status};

use super::link::read_table;
use crate::{Error, Result};

/// A result whose contents we own now. Released exactly once, when dropped.
pub(crate) struct Given(RawResult);

// SAFETY: the contents do not change any more, and `release` may be called from any thread.
unsafe impl Send for Given {}
// SAFETY: as above: sharing means reading bytes that nobody changes.
unsafe impl Sync for Given {}

impl Given {
    /// Takes over what the other side has written.
    ///
    /// # Safety
    /// `raw` must be null or a result as the contract describes it, and nobody else may release it.
    pub(crate) unsafe fn take(raw: *const RawResult) -> Self {
        // SAFETY: a result starts with its size, and all zeroes are an empty result.
        Self(unsafe { read_table(raw) })
    }

    pub(crate) fn code(&self) -> u64 {
        self.0.code
    }

    pub(crate) fn payload(&self) -> &[u8] {
        // SAFETY: owned by `self` until it is dropped.
        unsafe { self.0.payload.bytes() }
    }

    pub(crate) fn meta(&self) -> &[u8] {
        // SAFETY: owned by `self` until it is dropped.
        unsafe { self.0.meta.bytes() }
    }

    pub(crate) fn attachments(&self) -> Vec<&[u8]> {
        // SAFETY: owned by `self` until it is dropped.
        unsafe { slices(self.0.attachments, self.0.n_attachments) }
    }

    /// `self` when the operation succeeded, else what the hub said about it.
    pub(crate) fn check(self, status: Status) -> Result<Self> {
        if status == Status::OK { Ok(self) } else { Err(Error::from_hub(status, self.meta())) }
    }
}

/// A list of byte strings of the other side.
///
/// # Safety
/// `first` must point to `n` slices (or `n` be 0), which must be readable for `'a`.
pub(crate) unsafe fn slices<'a>(first: *const Slice, n: usize) -> Vec<&'a [u8]> {
    if first.is_null() || n == 0 {
        return Vec::new();
    }
    // SAFETY: the caller vouches for the list and for what it points to.
    unsafe { std::slice::from_raw_parts(first, n).iter().map(|slice| slice.bytes()).collect() }
}

impl Drop for Given {
    fn drop(&mut self) {
        if let Some(release) = self.0.release.take() {
            // SAFETY: we are the owner, and this is the one release.
            unsafe { release(self.0.owner) };
        }
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Given({} bytes)", self.payload().len())
    }
}
