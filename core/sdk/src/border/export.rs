//! The object that a plugin file exports.

pub use exedra_abi::Entry;

use super::shim;
use crate::plugin::Plugin;

/// The entry of a plugin, for the static that [`export!`](crate::export) writes.
#[doc(hidden)]
pub const fn entry_of<P: Plugin>(version: &'static str) -> Entry {
    shim::entry::<P>(version)
}

/// The name in a plugin's entry.
#[cfg(feature = "testing")]
pub(crate) fn name_of(entry: &'static Entry) -> &'static str {
    // SAFETY: entries are made by `entry_of` only, from static text.
    std::str::from_utf8(unsafe { entry.id.bytes() }).unwrap_or_default()
}
