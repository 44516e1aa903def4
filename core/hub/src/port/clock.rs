//! Time as a port, so that tests can turn it by hand.

use std::time::{Duration, SystemTime};

use crate::Task;

/// Where the hub gets its time from.
///
/// `elapsed` is monotonic and drives every timeout; `now` is the wall clock and is used only for dates that
/// leave the process and for the expiry of tokens.
pub trait Clock: Send + Sync + 'static {
    /// Time since an arbitrary start; never goes back.
    fn elapsed(&self) -> Duration;
    /// The wall clock.
    fn now(&self) -> SystemTime;
    /// A future that ends once `after` has passed on the monotonic clock. May be polled on any thread.
    fn sleep(&self, after: Duration) -> Task;
}
