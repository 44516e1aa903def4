//! Clients that come back: what is kept when a link breaks, and how a session goes on.

use std::{sync::Arc, time::Duration};

use super::{Hub, Knock, links::After};
use crate::{
    CloseReason, ConnId, Connection, Frame,
    connection::{Place, Remains},
    identity::Identity,
    port::{ConnFacts, PluginId},
    recovery::{Away, Beginning, Claim, Line, Lost, Origin, Recorder, Session, Stay},
    rooms::{Joined, Left, RoomKey},
    table::Space,
};

/// A session that goes on: what the new connection begins with.
pub(super) struct Resumed<'a> {
    line: Recorder<'a>,
    away: Away,
    missed: Vec<Frame>,
    /// What is let go of once the connection is in its rooms.
    hold: Option<Box<dyn Send>>,
}

impl Hub {
    /// Ends a connection because its link has ended without a word about the connection. Where the reason allows it,
    /// the session waits for its client; members leave their rooms at once either way.
    pub fn link_lost(self: &Arc<Self>, connection: &Arc<Connection>, reason: CloseReason) {
        let after = if reason.may_return() { After::Waits } else { After::Over };
        self.end(connection, reason, after);
    }

    /// The line that the events of a plugin, or of a namespace, are in; `None` without recovery.
    pub(super) fn line(&self, number: usize) -> Option<&Line> {
        self.installed.get()?.lines.get(number).map(|line| &**line)
    }

    /// The line of a plugin, held, while something recoverable is sent.
    pub(super) fn hold_line(&self, plugin: PluginId) -> Option<Recorder<'_>> {
        self.line(self.slot(plugin)?.line).map(Line::hold)
    }

    /// The line that a connection's session is in, held.
    pub(super) fn hold_session(&self, connection: &Connection) -> Option<(Recorder<'_>, Session)> {
        let session = connection.session?;
        self.line(connection.space.line).map(|line| (line.hold(), session))
    }

    /// What a broadcast leaves out, as sessions know it.
    pub(super) fn origin(&self, except: Option<ConnId>) -> Option<Origin> {
        self.connections.get(except?)?.session.map(|session| session.origin)
    }

    /// Takes a connection out of its rooms; gives what its session needs to have them again.
    pub(super) fn leave_all(
        &self,
        connection: &Connection,
        rooms: Vec<Place>,
    ) -> (Vec<Stay>, Vec<(RoomKey, Left)>) {
        let (mut stays, mut lefts) = (Vec::new(), Vec::new());
        for Place { key, since, since_offset } in rooms {
            let place = self.rooms.place_of(&key, connection.id());
            let Some(left) = self.rooms.leave(&key, connection.id()) else { continue };
            if let Some((user, meta)) = place {
                stays.push(Stay { key: key.clone(), since, since_offset, user, meta });
            }
            lefts.push((key, left));
        }
        (stays, lefts)
    }

    /// Lets the session of an ended connection wait.
    pub(super) fn put_away(
        &self,
        line: &mut Recorder<'_>,
        session: Session,
        facts: &ConnFacts,
        (rooms, remains): (Vec<Stay>, Remains),
    ) {
        let away = Away {
            session,
            namespace: facts.namespace.clone(),
            user: facts.identity.as_ref().map(|identity| identity.user_id.clone()),
            public_id: facts.public_id.clone(),
            rooms,
            data: remains.data,
            since: self.parts.clock.elapsed(),
        };
        self.note_session_end(session.origin, Some(&away));
        line.put_away(away);
    }

    /// Looks at a client's ticket: gives its session, with the line held, or how the connection begins without.
    pub(super) fn take_back(
        self: &Arc<Self>,
        space: &Space,
        identity: Option<&Identity>,
        knock: &Knock,
    ) -> Result<Resumed<'_>, Beginning> {
        let (Some(ticket), Some(line)) = (&knock.ticket, self.line(space.line)) else {
            return Err(Beginning::New);
        };
        let user = identity.map(|identity| &*identity.user_id);
        let claim = Claim { ticket, namespace: &knock.namespace, user };
        self.cut_off(line, &claim);
        let mut recorder = line.hold();
        let found = recorder.claim(&claim, self.parts.clock.elapsed()).and_then(|(away, missed)| {
            let frames = missed.iter().map(|(offset, message)| knock.format.recoverable(message, offset));
            let frames: Vec<Frame> = frames.collect();
            // The other half is for what comes while the client catches up.
            if frames.iter().map(Frame::size).sum::<usize>() > knock.outbox.budget() / 2 {
                recorder.forget(away.session.origin);
                return Err(Lost::Gap);
            }
            Ok((away, frames))
        });
        match found {
            Ok((away, missed)) => {
                self.parts.metrics.recovery("recovered");
                Ok(Resumed { line: recorder, away, missed, hold: None })
            }
            Err(lost) => {
                self.parts.metrics.recovery(lost.label());
                Err(Beginning::Lost(lost))
            }
        }
    }

    /// A client may be back before anybody noticed that its link was lost: then it is lost now.
    fn cut_off(self: &Arc<Self>, line: &Line, claim: &Claim<'_>) {
        let Some(session) = Session::read(&claim.ticket.pid) else { return };
        let present = line.hold().present(&session);
        let Some(old) = present.and_then(|id| self.connections.get(id)) else { return };
        let facts = old.facts();
        let is_owner = old.session.is_some_and(|known| known.is(&session))
            && *facts.namespace == *claim.namespace
            && facts.identity.as_ref().map(|identity| &*identity.user_id) == claim.user;
        if is_owner {
            self.link_lost(&old, CloseReason::TransportLost);
            old.outbox().close(CloseReason::TransportLost);
        }
    }

    /// Room states are about who is there: a member who comes back is told, and so are the others.
    pub(super) fn refresh_states(self: &Arc<Self>, connection: &Connection) {
        let rooms: Vec<RoomKey> =
            connection.state.lock().rooms.iter().map(|place| place.key.clone()).collect();
        for key in rooms {
            let states = self.slot(key.plugin).map_or(0, |slot| slot.manifest.states.len());
            for state in 0..states {
                let _ = self.refresh(key.plugin, state as u32, &key.name); // the name was checked at the join
            }
        }
    }

    /// Looks after what waits.
    pub(super) fn sweep_lines(&self, now: Duration) {
        let Some(installed) = self.installed.get() else { return };
        for line in &installed.lines {
            line.sweep(now);
        }
        let waiting = installed.lines.iter().map(|line| line.waiting()).sum::<usize>();
        self.parts.metrics.recoverable_sessions.set(waiting as i64);
        self.parts.metrics.recovery_bytes.set(self.recovery_total.bytes() as i64);
    }
}

impl<'a> Resumed<'a> {
    /// A session that was with another node.
    pub(super) fn adopted(line: Recorder<'a>, away: Away, missed: Vec<Frame>, hold: Box<dyn Send>) -> Self {
        Self { line, away, missed, hold: Some(hold) }
    }

    /// What clients know the connection by.
    pub(super) fn public_id(&self) -> Arc<str> {
        self.away.public_id.clone()
    }

    /// What the session is found by.
    pub(super) fn session(&self) -> Session {
        self.away.session
    }

    /// Gives a new connection, which nobody knows yet, the session's rooms, notes and missed events.
    pub(super) fn settle(self, hub: &Arc<Hub>, connection: &Arc<Connection>) {
        let Self { mut line, away, missed, hold } = self;
        line.resume(away.session, connection.id());
        connection.replay(missed);
        let now = hub.parts.clock.now();
        let mut joins: Vec<(RoomKey, Arc<str>, Joined)> = Vec::new();
        let turn = hub.turn();
        {
            let mut state = connection.state.lock();
            state.data = away.data;
            for Stay { key, since, since_offset, user, meta } in away.rooms {
                let seat = (connection.id(), connection.clone());
                // Without a bound: the place was the session's before the link broke.
                if let Ok(joined) = hub.rooms.join(&key, seat, &user, meta, now, None) {
                    joins.push((key.clone(), user, joined));
                    state.rooms.push(Place { key, since, since_offset });
                }
            }
        }
        drop(line);
        for (key, user, joined) in joins {
            hub.note_joined(&key, &user, joined);
        }
        drop(turn);
        drop(hold);
    }
}
