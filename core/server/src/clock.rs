//! Time for the hub, from tokio. Plugins poll their sleeps on threads of their own, so a sleep carries the runtime
//! that it was made in.

use std::time::{Duration, Instant, SystemTime};

use exedra_hub::{Task, port::Clock};
use tokio::runtime::Handle;

/// The clock of a running hub.
#[derive(Debug)]
pub struct TokioClock {
    handle: Handle,
    start: Instant,
}

impl TokioClock {
    /// A clock that starts now.
    pub fn new(handle: Handle) -> Self {
        Self { handle, start: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, after: Duration) -> Task {
        let _inside = self.handle.enter();
        Box::pin(tokio::time::sleep(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, task::Context};

    #[test]
    fn sleep_ends_outside_the_runtime() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let clock = TokioClock::new(runtime.handle().clone());
        let mut sleep = clock.sleep(Duration::from_millis(5));
        struct Wake(mpsc::Sender<()>);
        impl std::task::Wake for Wake {
            fn wake(self: std::sync::Arc<Self>) {
                let _ = self.0.send(());
            }
        }
        let (sender, woken) = mpsc::channel();
        let waker = std::sync::Arc::new(Wake(sender)).into();
        while sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            woken.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        assert!(clock.elapsed() >= Duration::from_millis(5));
    }
}
