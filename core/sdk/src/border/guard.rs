//! Nothing unwinds across the border: every function that the hub calls runs inside this guard.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

thread_local! {
    /// Whether a guard of this copy of the SDK is on the stack, so that the hook speaks of our own panics only.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic becomes its message.
///
/// What `work` touches may be left half done. That is why a task that panicked is never polled again, and why the
/// hub counts panics against the plugin.
pub(crate) fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    let before = GUARDED.with(|guarded| guarded.replace(true));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    GUARDED.with(|guarded| guarded.set(before));
    outcome.map_err(|payload| {
        let message = text_of(&*payload);
        // Dropping a payload can panic as well; a leak of a few bytes is the better end.
        std::mem::forget(payload);
        message
    })
}

/// Runs `work` where nobody can be told of a panic; the hook has logged it.
pub(crate) fn contained(work: impl FnOnce()) {
    let _logged = guarded(work);
}

/// Sends panics of this copy of the SDK to the hub's log, once per copy.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            // A plugin linked into a test binary shares the hook with the tests.
            if !GUARDED.try_with(Cell::get).unwrap_or(false) {
                return before(info);
            }
            let place =
                info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
            crate::log::write(1, "panic", format_args!("panicked{place}: {}", text_of(info.payload())));
        }));
    });
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
