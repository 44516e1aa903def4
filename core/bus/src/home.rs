//! Where requests run. Plugins wait for answers on threads that are not tokio's, but a request needs tokio's timers.

use exedra_hub::{
    Task,
    port::{BusError, BusMessage},
};
use tokio::{runtime::Handle, task::JoinHandle};

type Answer = Result<BusMessage, BusError>;

/// The runtime that a bus was made in.
pub(crate) struct Home(Option<Handle>);

/// A request that ends with whoever waits for it.
struct Running(JoinHandle<Answer>);

impl Home {
    /// The runtime of this thread.
    pub(crate) fn here() -> Self {
        Self(Handle::try_current().ok())
    }

    /// The same work, to be awaited anywhere.
    pub(crate) fn host(&self, work: Task<Answer>) -> Task<Answer> {
        let Some(home) = self.0.clone() else { return work };
        Box::pin(async move {
            if Handle::try_current().is_ok() {
                return work.await;
            }
            let mut running = Running(home.spawn(work));
            (&mut running.0).await.unwrap_or_else(|lost| Err(BusError::Unavailable(lost.to_string())))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        task::{Context, Poll, Wake},
        thread::{self, Thread},
        time::Duration,
    };

    use super::*;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    #[test]
    fn requests_are_awaited_on_any_thread() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let home = {
            let _inside = runtime.enter();
            Home::here()
        };
        let mut request = home.host(Box::pin(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Err(BusError::Timeout)
        }));
        let waker = Arc::new(Unpark(thread::current())).into();
        let answer = loop {
            match request.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(answer) => break answer,
                Poll::Pending => thread::park_timeout(Duration::from_secs(5)),
            }
        };
        assert_eq!(answer, Err(BusError::Timeout));
    }
}
