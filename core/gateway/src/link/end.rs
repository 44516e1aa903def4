//! How a link ends: the owner is told first, then the client is told as well as it can be.

use std::{task::Poll, time::Duration};

use exedra_hub::CloseReason;
use socket2::SockRef;

use super::{Link, Stage, writer::Wrote};
use crate::{frames, retry};

/// The last frames must be written by then.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// How long to wait for the client to close too, so that it reads our last frame before the socket goes.
const LINGER: Duration = Duration::from_secs(1);

/// Why and how a link ends.
#[derive(Debug)]
pub(crate) struct End {
    /// Why.
    pub(crate) reason: CloseReason,
    /// What the client is told.
    pub(crate) farewell: Farewell,
}

/// What the client is told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Farewell {
    /// A close frame with that code.
    Code(u16),
    /// The client's own close frame is answered.
    Echo(Option<u16>),
    /// Nothing: it would not hear.
    Silence,
}

impl End {
    /// The end that a reason brings.
    pub(super) fn because(reason: CloseReason) -> Self {
        let farewell = match reason {
            CloseReason::TransportLost => Farewell::Silence,
            _ => Farewell::Code(reason.websocket_code()),
        };
        Self { reason, farewell }
    }

    /// The TCP connection broke.
    pub(super) fn lost() -> Self {
        Self::because(CloseReason::TransportLost)
    }

    /// The client said goodbye within its protocol.
    pub(super) fn goodbye() -> Self {
        Self::because(CloseReason::ClientLeft)
    }
}

impl Link {
    /// Tells owner and client, and drops the socket.
    pub(super) async fn end(mut self: Box<Self>, end: End) {
        let mut waiting = Vec::new();
        if let Stage::Talking(owner) = &mut self.stage {
            owner.closed(end.reason);
            self.pipe.outbox.close(end.reason);
            self.pipe.outbox.take_now(&mut waiting);
        }
        let frame = match end.farewell {
            Farewell::Silence => return self.drop_socket(end.reason),
            Farewell::Code(code) => frames::close(Some(code), &retry::close_reason(end.reason)),
            Farewell::Echo(code) => frames::close(code, ""),
        };
        self.ping = None; // nothing may follow a close, not even the answer to a ping
        // Answers to what came before the client's last words go out before ours.
        waiting.push(frame);
        self.pipe.finish(waiting);
        let Ok(true) = tokio::time::timeout(LAST_WRITE, self.write_the_rest()).await else { return };
        if SockRef::from(self.pipe.stream()).shutdown(std::net::Shutdown::Write).is_ok() {
            let _ = tokio::time::timeout(LINGER, self.read_to_the_end()).await;
        }
    }

    /// A reader that has stopped is reset: closed in order, the kernel would keep what it does not read.
    fn drop_socket(self: Box<Self>, reason: CloseReason) {
        self.pipe.finish(Vec::new());
        if reason == CloseReason::SlowConsumer {
            let _ = SockRef::from(self.pipe.stream()).set_linger(Some(Duration::ZERO));
        }
    }

    /// Writes what is left; false when the socket broke.
    async fn write_the_rest(&mut self) -> bool {
        std::future::poll_fn(|cx| match self.pipe.poll_write(cx, false, &mut self.ping) {
            Ok((_, Wrote::Blocked)) => Poll::Pending,
            Ok(_) => Poll::Ready(true),
            Err(_) => Poll::Ready(false),
        })
        .await
    }

    async fn read_to_the_end(&mut self) {
        let mut buffer = [0; 1024];
        let mut read = async || std::future::poll_fn(|cx| self.pipe.poll_read(cx, &mut buffer)).await;
        while matches!(read().await, Ok(read) if read > 0) {}
    }
}
