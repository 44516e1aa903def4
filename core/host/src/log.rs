//! What plugins log, passed on to our own log with the plugin's name.
#![expect(unsafe_code, reason = "called by plugins")]

use std::sync::atomic::{AtomicU32, Ordering};

use exedra_abi::{Host, Slice};
use tracing::level_filters::LevelFilter;

use crate::ops;

/// The longest message or field object; longer ones are cut off.
const LIMIT: usize = 8 << 10;

/// The most detailed level that anybody listens to, as plugins read it.
static LEVEL: AtomicU32 = AtomicU32::new(3);

/// Where plugins read the level.
pub(crate) fn level() -> *const u32 {
    LEVEL.as_ptr()
}

/// Follows changes of the log's level.
pub(crate) fn refresh_level() {
    let level = match LevelFilter::current() {
        LevelFilter::OFF => 0,
        LevelFilter::ERROR => 1,
        LevelFilter::WARN => 2,
        LevelFilter::INFO => 3,
        LevelFilter::DEBUG => 4,
        _ => 5,
    };
    LEVEL.store(level, Ordering::Relaxed);
}

/// `log` of the host table.
pub(crate) unsafe extern "C" fn log(
    host: *const Host,
    level: u32,
    target: Slice,
    message: Slice,
    fields: Slice,
) {
    // SAFETY: the plugin passes the table that it was given, and slices that it lends for the call.
    let _ = unsafe {
        ops::guarded(host, "log", |instance| {
            let target = ops::text_cut(target, 128)?;
            let message = ops::text_cut(message, LIMIT)?;
            let fields = ops::text_cut(fields, LIMIT)?;
            say(&instance.name, level, &target, &message, &fields);
            Ok(exedra_abi::Status::OK)
        })
    };
}

/// Levels are constants to the log, hence one arm for each.
fn say(plugin: &str, level: u32, target: &str, message: &str, fields: &str) {
    let fields = (!fields.is_empty()).then_some(fields);
    match level {
        1 => tracing::error!(target: "plugin", plugin, origin = target, fields, "{message}"),
        2 => tracing::warn!(target: "plugin", plugin, origin = target, fields, "{message}"),
        3 => tracing::info!(target: "plugin", plugin, origin = target, fields, "{message}"),
        4 => tracing::debug!(target: "plugin", plugin, origin = target, fields, "{message}"),
        _ => tracing::trace!(target: "plugin", plugin, origin = target, fields, "{message}"),
    }
}
