//! The watchdog: looks at the executor's threads ten times a second. It cannot stop a plugin that does not return;
//! it can say so, keep new calls away from it, and give the others a thread in its place.

use std::{io, thread, time::Duration};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::{executor::Executor, log};

/// The time between two looks.
const EVERY: Duration = Duration::from_millis(100);

/// A running watchdog; dropping it ends it.
pub(crate) struct Watchdog {
    _until: Sender<()>,
}

impl Watchdog {
    /// Starts watching.
    pub(crate) fn start(executor: Executor, warn_after: Duration, stuck_after: Duration) -> io::Result<Self> {
        let (until, ended) = bounded::<()>(1);
        thread::Builder::new().name("plugins-watch".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(EVERY) {
                executor.inspect(warn_after, stuck_after);
                log::refresh_level();
            }
        })?;
        Ok(Self { _until: until })
    }
}
