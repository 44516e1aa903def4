//! Lines for the hub's log. A plugin file has statics of its own, so one slot per file knows the way.

use std::{
    fmt,
    sync::{PoisonError, RwLock},
};

use crate::Hub;

static HUB: RwLock<Option<Hub>> = RwLock::new(None);

/// The newest instance of this file takes the lines.
pub(crate) fn listen(hub: &Hub) {
    *HUB.write().unwrap_or_else(PoisonError::into_inner) = Some(hub.clone());
}

/// An instance has ended.
pub(crate) fn silence(hub: &Hub) {
    let mut slot = HUB.write().unwrap_or_else(PoisonError::into_inner);
    if slot.as_ref().is_some_and(|held| held.is(hub)) {
        *slot = None;
    }
}

/// Writes a line: 1 error, 2 warn, 3 info, 4 debug, 5 trace. Costs a comparison when nobody listens to the level.
#[doc(hidden)]
pub fn write(level: u32, target: &str, message: fmt::Arguments<'_>) {
    // Cloned, so that a line logged while an instance is being destroyed does not hold the slot.
    let Some(hub) = HUB.read().unwrap_or_else(PoisonError::into_inner).clone() else { return };
    let _stopping = hub.door.with(|link| {
        if level <= link.max_log_level() {
            link.log(level, target, &message.to_string());
        }
        Ok(())
    });
}

/// Logs an error: something that somebody must look at.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::__private::log(1, module_path!(), format_args!($($message)+)) };
}

/// Logs a warning.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::__private::log(2, module_path!(), format_args!($($message)+)) };
}

/// Logs what operators want to know.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::__private::log(3, module_path!(), format_args!($($message)+)) };
}

/// Logs what helps to find a fault.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::__private::log(4, module_path!(), format_args!($($message)+)) };
}

/// Logs every step.
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => { $crate::__private::log(5, module_path!(), format_args!($($message)+)) };
}
