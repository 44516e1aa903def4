//! Results on their way across the border. Taken from a plugin: checked, copied when small, else kept with their
//! owner, and released exactly once. Given to a plugin: boxed, with our own release.
#![expect(unsafe_code, reason = "reads and writes memory that both sides describe")]

use std::{ffi::c_void, mem::size_of, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use exedra_abi::{RawResult, Slice, Status};

use crate::logbook;

/// Results up to this size are copied, so that the plugin's memory is free again at once.
const COPY_UP_TO: usize = 16 << 10;
/// The largest result that is taken; a larger one is the plugin's fault.
pub(crate) const MAX_BYTES: usize = 64 << 20;
/// The most attachments of one message or result.
pub(crate) const MAX_ATTACHMENTS: usize = 1024;

/// A result that belongs to the hub.
#[derive(Debug, Default, Clone)]
pub(crate) struct Answer {
    pub(crate) code: u64,
    pub(crate) payload: Bytes,
    pub(crate) meta: Bytes,
    pub(crate) attachments: Vec<Bytes>,
}

impl Answer {
    /// Only a payload.
    pub(crate) fn payload(payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }

    /// Only a code.
    pub(crate) fn code(code: u64) -> Self {
        Self { code, ..Self::default() }
    }
}

/// What is wrong with a plugin's result, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("struct_size of a result is not set")]
    Size,
    #[error("a slice of a result has a length but no address")]
    Address,
    #[error("a result is too large")]
    TooLarge,
}

/// The plugin's owner of a result; dropping it gives the result back.
struct Owner {
    owner: *mut c_void,
    release: Option<unsafe extern "C" fn(*mut c_void)>,
}

// SAFETY: the contract lets `release` be called from any thread, and nobody looks into `owner`.
unsafe impl Send for Owner {}
// SAFETY: as above; there is nothing to share but an address.
unsafe impl Sync for Owner {}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: the plugin gave both together, and an `Owner` is made once per result.
            unsafe { release(self.owner) }
        }
    }
}

/// A slice that keeps its owner alive.
struct View {
    slice: Slice,
    _owner: Arc<Owner>,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the memory is valid until the owner is released, and the owner lives in `self`.
        unsafe { self.slice.bytes() }
    }
}

/// Takes over the result that a plugin filled into memory of ours.
///
/// # Safety
/// Slices, owner and release must be as the contract says, and nobody may take the same result again.
pub(crate) unsafe fn take_filled(raw: &RawResult) -> Result<Answer, Fault> {
    let owner = Owner { owner: raw.owner, release: raw.release };
    if raw.payload.len == 0 && raw.meta.len == 0 && raw.n_attachments == 0 {
        return Ok(Answer::code(raw.code));
    }
    // SAFETY: the caller vouches for the addresses, the lengths are checked.
    let attachments = unsafe { slices(raw.attachments, raw.n_attachments) }?;
    let all = || [raw.payload, raw.meta].into_iter().chain(attachments.iter().copied());
    if all().any(|s| s.len > 0 && s.ptr.is_null()) {
        return Err(Fault::Address);
    }
    let total = all().try_fold(0usize, |sum, s| sum.checked_add(s.len)).ok_or(Fault::TooLarge)?;
    if total > MAX_BYTES {
        return Err(Fault::TooLarge);
    }
    // The plugin's memory is read only while its owner is alive: each view holds it, or it is dropped below.
    let owner = Arc::new(owner);
    let keep = |slice: Slice| match total > COPY_UP_TO {
        true => Bytes::from_owner(View { slice, _owner: owner.clone() }),
        // SAFETY: address and length were checked above.
        false => Bytes::copy_from_slice(unsafe { slice.bytes() }),
    };
    Ok(Answer {
        code: raw.code,
        payload: keep(raw.payload),
        meta: keep(raw.meta),
        attachments: attachments.iter().copied().map(keep).collect(),
    })
}

/// Takes over a result in memory of the plugin's; none is an empty one.
///
/// # Safety
/// As [`take_filled`]; `raw` must be null or point to a result.
pub(crate) unsafe fn take_given(raw: *const RawResult) -> Result<Answer, Fault> {
    if raw.is_null() {
        return Ok(Answer::default());
    }
    // SAFETY: every result starts with its size.
    let size = unsafe { raw.cast::<u32>().read() } as usize;
    if !raw.is_aligned() || size < size_of::<RawResult>() {
        return Err(Fault::Size);
    }
    // SAFETY: it is at least as large as ours and the caller vouches for the rest.
    unsafe { take_filled(&*raw) }
}

/// The slices of a list that the other side describes.
///
/// # Safety
/// `list` must be null or point to `count` readable slices that stay for `'a`.
pub(crate) unsafe fn slices<'a>(list: *const Slice, count: usize) -> Result<&'a [Slice], Fault> {
    match count {
        0 => Ok(&[]),
        1..=MAX_ATTACHMENTS if !list.is_null() && list.is_aligned() => {
            // SAFETY: the caller vouches for the memory, the count is within bounds.
            Ok(unsafe { std::slice::from_raw_parts(list, count) })
        }
        1..=MAX_ATTACHMENTS => Err(Fault::Address),
        _ => Err(Fault::TooLarge),
    }
}

/// What stands behind a result that a plugin holds.
struct Given {
    answer: Answer,
    slices: Vec<Slice>,
}

/// Makes a result for a plugin, which releases it.
pub(crate) fn give(answer: Answer) -> RawResult {
    let code = answer.code;
    if answer.payload.is_empty() && answer.meta.is_empty() && answer.attachments.is_empty() {
        return RawResult { code, ..RawResult::EMPTY };
    }
    let slices = answer.attachments.iter().map(|a| Slice::new(a)).collect();
    let given = Box::new(Given { answer, slices });
    let mut raw = RawResult { code, ..RawResult::EMPTY };
    raw.payload = Slice::new(&given.answer.payload);
    raw.meta = Slice::new(&given.answer.meta);
    raw.attachments = given.slices.as_ptr();
    raw.n_attachments = given.slices.len();
    raw.owner = Box::into_raw(given).cast();
    raw.release = Some(release);
    logbook::given(raw.owner as usize);
    raw
}

/// Gives an operation's answer into the plugin's `out`.
///
/// # Safety
/// `out` must be null or point to a writable result.
pub(crate) unsafe fn fill(out: *mut RawResult, answer: Answer) -> Result<Status, Status> {
    if out.is_null() || !out.is_aligned() {
        return Err(Status::INVALID);
    }
    // SAFETY: checked above; the caller vouches that it is writable.
    unsafe { out.write(give(answer)) };
    Ok(Status::OK)
}

unsafe extern "C" fn release(owner: *mut c_void) {
    if owner.is_null() || !logbook::released(owner as usize) {
        return;
    }
    // SAFETY: `give` made it from a box, and the contract says that it is released once.
    let given = unsafe { Box::from_raw(owner.cast::<Given>()) };
    // A value inside may be a view of another plugin's memory; nothing may unwind from here.
    if std::panic::catch_unwind(AssertUnwindSafe(move || drop(given))).is_err() {
        tracing::error!("releasing a result panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    unsafe extern "C" fn count(owner: *mut c_void) {
        // SAFETY: the tests below pass a counter that outlives the result.
        unsafe { &*owner.cast::<AtomicUsize>() }.fetch_add(1, Ordering::SeqCst);
    }

    fn raw(payload: &[u8], released: &AtomicUsize) -> RawResult {
        RawResult {
            payload: Slice::new(payload),
            owner: std::ptr::from_ref(released).cast_mut().cast(),
            release: Some(count),
            ..RawResult::EMPTY
        }
    }

    #[test]
    fn small_results_are_released_at_once() {
        let released = AtomicUsize::new(0);
        // SAFETY: everything it points to lives on this stack.
        let answer = unsafe { take_filled(&raw(b"[1]", &released)) }.unwrap();
        assert_eq!(released.load(Ordering::SeqCst), 1);
        assert_eq!(&answer.payload[..], b"[1]");
    }

    #[test]
    fn large_results_keep_their_owner() {
        let (released, payload) = (AtomicUsize::new(0), vec![7; COPY_UP_TO + 1]);
        // SAFETY: as above.
        let answer = unsafe { take_filled(&raw(&payload, &released)) }.unwrap();
        assert_eq!(answer.payload.as_ptr(), payload.as_ptr());
        let kept = answer.payload.clone();
        drop(answer);
        assert_eq!(released.load(Ordering::SeqCst), 0);
        drop(kept);
        assert_eq!(released.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn bad_results_are_still_released() {
        let released = AtomicUsize::new(0);
        let mut bad = raw(b"x", &released);
        bad.payload = Slice { ptr: std::ptr::null(), len: 9 };
        // SAFETY: as above.
        assert_eq!(unsafe { take_given(&raw const bad) }.unwrap_err(), Fault::Address);
        bad.payload = Slice::new(b"x");
        bad.n_attachments = MAX_ATTACHMENTS + 1;
        // SAFETY: as above.
        assert_eq!(unsafe { take_given(&raw const bad) }.unwrap_err(), Fault::TooLarge);
        assert_eq!(released.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn given_results_come_back_whole() {
        let answer = Answer { attachments: vec![Bytes::from_static(b"abc")], ..Answer::payload("[]") };
        let raw = give(answer);
        // SAFETY: `give` filled it.
        let back = unsafe { take_filled(&raw) }.unwrap();
        assert_eq!((&back.payload[..], &back.attachments[0][..]), (&b"[]"[..], &b"abc"[..]));
    }
}
