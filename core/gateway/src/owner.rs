//! The seam between links and what is said on them. A link tells its owner; the owner answers by pushing frames
//! into the link's `Outbox`.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use exedra_hub::{CloseReason, outbox::Outbox};

use crate::request::Handshake;

/// Whether a link may go on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The next message may come.
    More,
    /// The message was taken, but no other will be until [`Owner::poll_room`] is ready.
    Full,
}

/// What a link or session tells whoever it works for. Calls come one at a time and in order; an error ends the
/// link for that reason.
pub(crate) trait Owner: Send {
    /// A text message has come.
    fn text(&mut self, text: String) -> Result<Flow, CloseReason>;

    /// A binary message has come.
    fn binary(&mut self, data: Bytes) -> Result<Flow, CloseReason>;

    /// Ready once there is room again; asked only after [`Flow::Full`].
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>>;

    /// Whether the other side has said what it wants. A link that is not settled in time is closed.
    fn settled(&self) -> bool {
        true
    }

    /// The link has begun to write what the outbox holds.
    fn opened(&mut self) {}

    /// The link has ended; nothing else will be called.
    fn closed(&mut self, reason: CloseReason);
}

/// Makes the owner of each new Engine.IO session.
pub(crate) trait Opener: Send + Sync + 'static {
    /// A session has opened; its frames will be taken from `outbox`.
    fn open(&self, handshake: Handshake, outbox: Arc<Outbox>) -> Box<dyn Owner>;
}
