//! What we give away to the hub: an answer and the box that owns its bytes until the hub releases it.

use std::{ffi::c_void, mem::size_of, ptr};

use bytes::Bytes;
use exedra_abi::{RawResult, Slice, Status};

use super::guard::contained;
use crate::{Error, answer::Outcome};

/// Owns the bytes that a result points to.
struct Owner {
    payload: Bytes,
    meta: Vec<u8>,
    attachments: Vec<Bytes>,
    slices: Vec<Slice>,
}

/// The result of a call, and the status that goes with it.
pub(crate) fn outcome(outcome: Outcome) -> (Status, RawResult) {
    match outcome {
        Ok(answer) => (Status::OK, raw(answer.code, answer.payload, answer.meta, answer.attachments)),
        Err(error) => (error.code.status(), raw(0, Bytes::new(), error.to_meta(), Vec::new())),
    }
}

/// The result of a call that panicked.
pub(crate) fn panicked(message: &str) -> (Status, RawResult) {
    let meta = Error::new(crate::Code::Internal, message).to_meta();
    (Status::PANICKED, raw(0, Bytes::new(), meta, Vec::new()))
}

/// Writes a result where the hub wants it.
///
/// # Safety
/// `out` must be null or the out-parameter of the running call.
pub(crate) unsafe fn write(out: *mut RawResult, result: RawResult) {
    if out.is_null() {
        take_back(result);
        return;
    }
    // SAFETY: an out-parameter starts with the size that its owner knows; nothing of version 1 is smaller than ours.
    let room = unsafe { (*out).struct_size } as usize;
    if room != 0 && room < size_of::<RawResult>() {
        take_back(result);
        return;
    }
    // SAFETY: the hub lent us a writable result, and it is large enough.
    unsafe { out.write(result) };
}

fn raw(code: u64, payload: Bytes, meta: Vec<u8>, attachments: Vec<Bytes>) -> RawResult {
    if payload.is_empty() && meta.is_empty() && attachments.is_empty() {
        return RawResult { code, ..RawResult::EMPTY };
    }
    let slices = attachments.iter().map(|bytes| Slice::new(bytes)).collect();
    let owner = Box::new(Owner { payload, meta, attachments, slices });
    RawResult {
        code,
        payload: Slice::new(&owner.payload),
        meta: Slice::new(&owner.meta),
        attachments: if owner.slices.is_empty() { ptr::null() } else { owner.slices.as_ptr() },
        n_attachments: owner.attachments.len(),
        owner: Box::into_raw(owner).cast(),
        release: Some(release),
        ..RawResult::EMPTY
    }
}

/// `[any]` Called once by whoever holds the result.
unsafe extern "C" fn release(owner: *mut c_void) {
    contained(|| {
        // SAFETY: `owner` is the box that `raw` leaked, and it is released once.
        drop(unsafe { Box::from_raw(owner.cast::<Owner>()) });
    });
}

/// Frees a result that could not be given to anybody.
pub(crate) fn take_back(result: RawResult) {
    if let Some(release) = result.release {
        // SAFETY: made by `raw`, and given to nobody.
        unsafe { release(result.owner) };
    }
}
