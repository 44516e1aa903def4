//! The move from polling to WebSocket: the client probes, its waiting poll ends, it moves.

use std::sync::Arc;

use exedra_hub::CloseReason;
use http::Request;
use hyper::body::Incoming;

use super::{
    Answer, EngineIo,
    session::{Moved, Session},
};
use crate::{
    link::{Opening, Stage},
    listener::Visit,
    request::switch_to_websocket,
};

/// A WebSocket on which a polling session may continue.
pub(crate) struct Probe {
    session: Arc<Session>,
    /// The session waits for us to finish or to go.
    begun: bool,
}

impl Probe {
    /// Whether the session can still move; not when another WebSocket probes, or it has moved or ended.
    pub(crate) fn may_begin(&self) -> bool {
        self.session.may_move()
    }

    /// The client asks whether the WebSocket works.
    pub(crate) fn begin(&mut self) -> Result<(), CloseReason> {
        if !self.session.begin_move() {
            return Err(CloseReason::ProtocolError);
        }
        self.begun = true;
        Ok(())
    }

    /// The client moves.
    pub(crate) fn finish(&mut self) -> Result<Moved, CloseReason> {
        if !self.begun {
            return Err(CloseReason::ProtocolError);
        }
        let moved = self.session.finish_move().ok_or(CloseReason::ProtocolError)?;
        self.begun = false;
        Ok(moved)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if self.begun {
            self.session.abandon_move();
        }
    }
}

impl EngineIo {
    /// Answers the WebSocket handshake of a session that is polled.
    pub(super) fn probed(
        &self,
        session: Arc<Session>,
        mut request: Request<Incoming>,
        visit: Visit,
    ) -> Answer {
        let (response, deflate) = switch_to_websocket(&request, self.rules.compress_from.is_some())?;
        let opening = Opening {
            outbox: session.outbox.clone(),
            stage: Stage::Probing(Probe { session, begun: false }),
            rules: self.rules.clone(),
            deflate,
            keep: None,
            place: visit.place,
        };
        opening.start(&self.links, &mut request);
        Ok(response)
    }
}
