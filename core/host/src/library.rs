//! The only file that names the dynamic loader. A library is opened once, under a name of its own, and never
//! closed: threads and thread-locals of a plugin may outlive its instance, and code that is gone cannot be left.
#![expect(unsafe_code, reason = "loading a library runs its code")]

use std::path::Path;

use exedra_abi::Entry;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::{LoadError, verify::Verified};

/// Loads the staged copy of a verified file and finds its entry.
pub(crate) fn open(copy: &Path, verified: &Verified) -> Result<*const Entry, LoadError> {
    let refused = |e: libloading::Error| LoadError::Open { path: verified.path.clone(), reason: reason(&e) };
    let flags = RTLD_NOW | RTLD_LOCAL | libc::RTLD_NODELETE;
    // SAFETY: the library's constructors run here. The operator has named the file and vouches for its code, and
    // the copy holds the very bytes that were verified.
    let library = unsafe { Library::open(Some(copy), flags) }.map_err(refused)?;
    let symbol = exedra_abi::ENTRY_SYMBOL;
    // SAFETY: only the address is taken; what it points to is checked before it is believed.
    let entry = unsafe { library.get::<*const Entry>(symbol) }.map(|s| s.as_raw_ptr()).map_err(refused)?;
    // Never closed, as said above.
    std::mem::forget(library);
    Ok(entry.cast_const().cast())
}

/// The loader's sentence, without the path of the copy, which tells the operator nothing.
fn reason(error: &libloading::Error) -> String {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    text.rsplit_once(".so: ").map_or(text.clone(), |(_, rest)| rest.to_owned())
}
