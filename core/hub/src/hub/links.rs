//! The gateway's side: connections come, send, answer and go.

use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use rand::Rng;
use serde_json::json;

use super::{
    Hub,
    cluster::Adopted,
    recovery,
    watch::{About, Way},
};
use crate::{
    Class, CloseReason, Code, Connection, Format, Inbound, Refusal,
    connection::{ConnId, Work},
    identity::Identity,
    mailbox::Pushed,
    manifest::AuthMode,
    outbox::Outbox,
    port::{AuthFailure, Call, ConnFacts, Reply},
    recovery::{Beginning, Lost, Session, Ticket},
};

/// What becomes of the session of a connection that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It is over.
    Over,
    /// Its client may come back.
    Waits,
    /// Another node goes on with it.
    Moved,
}

/// Events that a drain handles before it lets others on the executor go first.
const EVENTS_PER_TURN: usize = 64;

/// A client asking to be connected.
pub struct Knock {
    /// `socketio` or `websocket`.
    pub gateway: &'static str,
    /// The namespace as the client sent it, or the endpoint's path.
    pub namespace: String,
    /// The token, wherever it came from.
    pub token: Option<String>,
    /// Socket.IO `auth` as JSON text without `token`; `{}` when absent.
    pub auth: Bytes,
    /// The handshake's query, decoded, without `token` and what the transport uses.
    pub query: Vec<(String, String)>,
    /// The client's address, trusted proxies taken off.
    pub peer: IpAddr,
    /// The queue of the link.
    pub outbox: Arc<Outbox>,
    /// How this namespace and protocol put events into bytes.
    pub format: Arc<dyn Format>,
    /// What a client shows to get its session back.
    pub ticket: Option<Ticket>,
}

/// What became of a client's event.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// It waits for its turn.
    Queued,
    /// The mailbox is full: keep the event, stop reading, and try again after [`Hub::poll_room`].
    Full(Inbound),
    /// The connection has ended.
    Gone,
}

impl Hub {
    /// Whether a namespace or endpoint exists; cheap, before anything is allocated.
    pub fn knows_namespace(&self, gateway: &str, path: &str) -> bool {
        self.table().is_some_and(|table| table.space(gateway, path).is_some())
    }

    /// Whether a namespace or endpoint wants tokens; `None` when it does not exist.
    pub fn auth_mode(&self, gateway: &str, path: &str) -> Option<AuthMode> {
        self.table().and_then(|table| table.space(gateway, path)).map(|(space, _)| space.auth)
    }

    /// The paths of plain WebSocket endpoints.
    pub fn endpoints(&self) -> Vec<String> {
        self.table().map(super::Table::endpoints).unwrap_or_default()
    }

    /// Connects a client: checks its token and asks the plugins of the namespace, in order. The connection is
    /// held: what plugins emit waits until [`Connection::open`].
    ///
    /// Dropping the future before its end gives the connection up.
    ///
    /// # Errors
    /// The refusal to show to the client.
    pub async fn connect(self: &Arc<Self>, knock: Knock) -> Result<Arc<Connection>, Refusal> {
        let adopted = self.adopt_for(&knock).await;
        let connection = self.admit(knock, adopted).inspect_err(|refusal| {
            self.parts.metrics.connect_refused(match refusal.code {
                Code::Unauthorized => "unauthorized",
                Code::ShuttingDown => "draining",
                _ => "namespace",
            });
        })?;
        let mut knocking = Knocking { hub: self, connection: &connection, admitted: false };
        // Asked once it can be found: whoever turns the plugin off from now on closes it.
        self.served(&connection.space).inspect_err(|_| self.parts.metrics.connect_refused("plugin"))?;
        for &plugin in &connection.space.plugins {
            if self.slot(plugin).is_some_and(|slot| slot.manifest.on_connect && slot.switch.is_on()) {
                let call = Call::Connect { conn: connection.facts().clone() };
                self.call(plugin, call)
                    .await
                    .inspect_err(|_| self.parts.metrics.connect_refused("plugin"))?;
            }
        }
        if connection.is_closed() {
            return Err(Refusal::new(Code::Gone, "the connection was closed while it was being made"));
        }
        self.attended(&connection).await;
        knocking.admitted = true;
        drop(knocking);
        if connection.facts().beginning == Beginning::Recovered {
            self.refresh_states(&connection);
        }
        self.note_session(&connection);
        self.parts.metrics.connects.inc();
        Ok(connection)
    }

    /// Takes an event from a client, in order of arrival.
    pub fn receive(self: &Arc<Self>, connection: &Arc<Connection>, event: Inbound) -> Received {
        if connection.is_closed() {
            return Received::Gone;
        }
        let size = event.message.size();
        let work = Work::Event(event, self.parts.clock.elapsed());
        let pushed = connection.mailbox.lock().push(work, self.parts.limits.inbound_queue);
        match pushed {
            Pushed::Start => self.start_drain(connection),
            Pushed::Waits => {}
            Pushed::Full(Work::Event(event, _)) => return Received::Full(event),
            Pushed::Full(Work::End(_)) => {}
        }
        connection.account.received(size);
        Received::Queued
    }

    /// Ready when the connection's mailbox has room, or the connection has ended.
    pub fn poll_room(&self, connection: &Arc<Connection>, cx: &Context<'_>) -> Poll<()> {
        if connection.is_closed() {
            return Poll::Ready(());
        }
        connection.mailbox.lock().poll_room(self.parts.limits.inbound_queue, cx)
    }

    /// Takes a client's acknowledgement; one that nobody waits for is ignored.
    pub fn acked(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        ack: u64,
        args: Bytes,
        attachments: Vec<Bytes>,
    ) {
        if !connection.answered(ack, (args, attachments)) {
            tracing::debug!(conn = %connection.id(), "an acknowledgement came that nobody waits for");
        }
    }

    /// Ends a connection: it leaves its rooms at once; its plugins hear of the end after its last event.
    /// Does nothing when it has ended before.
    pub fn disconnect(self: &Arc<Self>, connection: &Arc<Connection>, reason: CloseReason) {
        self.end(connection, reason, After::Over);
    }

    pub(super) fn end(self: &Arc<Self>, connection: &Arc<Connection>, reason: CloseReason, after: After) {
        let mut line = self.hold_session(connection);
        let turn = self.turn();
        let Some(mut remains) = connection.close() else { return };
        self.connections.remove(connection.id());
        if let Some(at) = remains.expires_at {
            self.expiries.lock().remove(&(at, connection.id()));
        }
        let (stays, lefts) = self.leave_all(connection, std::mem::take(&mut remains.rooms));
        let facts = connection.facts();
        let knows_pid = remains.was_open || facts.beginning == Beginning::Recovered;
        match &mut line {
            Some((line, session)) if after == After::Waits && knows_pid => {
                self.put_away(line, *session, facts, (stays, remains));
            }
            Some((line, session)) => {
                line.forget(session.origin);
                if after != After::Moved {
                    self.note_session_end(session.origin, None);
                }
            }
            None => {}
        }
        drop(line);
        for (key, left) in lefts {
            self.settle_left(&key, left);
        }
        drop(turn);
        connection.space.connections.dec();
        self.parts.metrics.disconnected(reason);
        if reason == CloseReason::SlowConsumer {
            self.parts.metrics.slow_links.inc();
        }
        tracing::debug!(conn = %connection.id(), reason = reason.label(), "disconnected");
        let (pushed, resume) = {
            let mut mailbox = connection.mailbox.lock();
            (mailbox.push_last(Work::End(reason)), mailbox.resume())
        };
        wake(resume);
        if matches!(pushed, Pushed::Start) {
            self.start_drain(connection);
        }
    }

    /// Ends every connection that is left, so that the plugins hear of it; says how many there were. For a hub that
    /// stops: links that do not end by themselves are left behind.
    pub fn disconnect_all(self: &Arc<Self>, reason: CloseReason) -> usize {
        let left = self.connections.all();
        for connection in &left {
            self.disconnect(connection, reason);
        }
        left.len()
    }

    /// Ends a connection from the hub's side, telling the client in its protocol. The link stays where the
    /// protocol can end a namespace alone. One that is being made is let in first, so that the client hears what was
    /// emitted to it, and why.
    pub(super) fn close(self: &Arc<Self>, connection: &Arc<Connection>, reason: CloseReason) {
        let (hub, held) = (self.clone(), connection.clone());
        if connection.after_open(move || hub.close(&held, reason)).is_ok() {
            return;
        }
        match connection.format.goodbye() {
            Some(frame) => {
                connection.send(&frame, Class::Reliable);
            }
            None => connection.outbox().close(reason),
        }
        self.disconnect(connection, reason);
    }

    /// A call whose failure nobody waits for: it is logged.
    pub(super) async fn tell(&self, plugin: crate::port::PluginId, call: Call) {
        let kind = call.kind();
        let Ok(plugins) = self.plugins() else { return };
        if let Err(refusal) = plugins.call(plugin, call).await {
            let name = self.slot(plugin).map_or("?", |slot| &slot.manifest.name);
            tracing::warn!(plugin = name, kind, code = refusal.code_str(), "{refusal}");
        }
    }

    /// Checks the token by the mode of a namespace or route.
    pub(super) fn identify(
        &self,
        mode: AuthMode,
        token: Option<&str>,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        let refuse = |failure: AuthFailure| {
            self.parts.metrics.auth_failed(failure);
            tracing::debug!(reason = failure.label(), "a token was refused");
            Refusal::new(Code::Unauthorized, "Authentication failed")
        };
        match (mode, token, &self.parts.authenticator) {
            (AuthMode::None, ..) | (AuthMode::Optional, None, _) => Ok(None),
            (AuthMode::Required, None, _) => Err(refuse(AuthFailure::Missing)),
            (_, Some(_), None) => Err(refuse(AuthFailure::UnknownKey)),
            (_, Some(token), Some(authenticator)) => {
                authenticator.verify(token).map(|identity| Some(Arc::new(identity))).map_err(refuse)
            }
        }
    }

    /// Looks at other nodes for the session that a client wants back.
    async fn adopt_for(self: &Arc<Self>, knock: &Knock) -> Option<Result<Adopted, Lost>> {
        if !self.is_united() || knock.ticket.is_none() || self.is_draining() {
            return None;
        }
        let (space, _) = self.table()?.space(knock.gateway, &knock.namespace)?;
        let identity = self.identify(space.auth, knock.token.as_deref()).ok()?;
        self.adopt(space, identity.as_deref(), knock).await
    }

    fn admit(
        self: &Arc<Self>,
        knock: Knock,
        adopted: Option<Result<Adopted, Lost>>,
    ) -> Result<Arc<Connection>, Refusal> {
        if self.is_draining() {
            return Err(Refusal::new(Code::ShuttingDown, "the hub is stopping, connect again"));
        }
        let unknown = || Refusal::new(Code::NotFound, "Invalid namespace");
        let (space, params) = self
            .table()
            .and_then(|table| table.space(knock.gateway, &knock.namespace))
            .ok_or_else(unknown)?;
        let identity = self.identify(space.auth, knock.token.as_deref())?;
        let resumed = match adopted {
            None => self.take_back(space, identity.as_deref(), &knock),
            Some(adopted) => {
                let resumed = adopted.and_then(|adopted| self.take_over(adopted, &knock));
                self.parts
                    .metrics
                    .recovery(resumed.as_ref().map_or_else(|lost| lost.label(), |_| "recovered"));
                resumed.map_err(Beginning::Lost)
            }
        };
        let id = self.connections.next_id();
        let session = match &resumed {
            Ok(resumed) => Some(resumed.session()),
            Err(_) => (self.parts.limits.recovery.is_some() && knock.format.recovers())
                .then(|| Session::new(self.word, id)),
        };
        let facts = ConnFacts {
            id,
            public_id: resumed.as_ref().map_or_else(|_| public_id(), recovery::Resumed::public_id),
            identity,
            namespace: knock.namespace.into(),
            params,
            peer: knock.peer,
            query: knock.query,
            auth: knock.auth,
            beginning: resumed.as_ref().map_or_else(|beginning| *beginning, |_| Beginning::Recovered),
        };
        let connection = Connection::new(
            facts,
            space.clone(),
            knock.format,
            knock.outbox,
            session,
            self.parts.clock.now(),
        );
        self.connections.insert(&connection);
        connection.space.connections.inc();
        if let Some(at) = connection.expires_at() {
            self.expiries.lock().insert((at, connection.id()));
        }
        if let Ok(resumed) = resumed {
            resumed.settle(self, &connection);
        }
        Ok(connection)
    }

    fn start_drain(self: &Arc<Self>, connection: &Arc<Connection>) {
        let (hub, connection) = (self.clone(), connection.clone());
        self.spawn(Box::pin(async move { hub.drain(&connection).await }));
    }

    /// Handles what waits for a connection, one after another, until nothing does.
    async fn drain(self: &Arc<Self>, connection: &Arc<Connection>) {
        for turn in 1_usize.. {
            let (work, resume) = connection.mailbox.lock().next(self.parts.limits.inbound_queue);
            wake(resume);
            match work {
                Some(Work::Event(event, since)) => self.handle(connection, event, since).await,
                Some(Work::End(reason)) => self.say_goodbye(connection, reason).await,
                None => return,
            }
            if turn.is_multiple_of(EVENTS_PER_TURN) {
                yield_now().await;
            }
        }
    }

    /// One event of a client: the plugin that declared it handles it, and its answer is the acknowledgement.
    async fn handle(&self, connection: &Arc<Connection>, event: Inbound, since: Duration) {
        let Inbound { message, ack } = event;
        let Some((plugin, handler)) = connection.space.taker(&message.event) else {
            if let Some(slot) = connection.space.plugins.first().and_then(|p| self.slot(*p)) {
                slot.metrics.dropped("unknown_event");
            }
            let refusal = Refusal::new(Code::NotFound, "no plugin takes this event");
            if let Some(plugin) = connection.space.plugins.first() {
                let reason = Some(&*refusal.message);
                let about = About { connection: Some(connection), reason, ..About::default() };
                self.passes(Way::Client, *plugin, &message, about);
            }
            return answer(connection, ack, Err(refusal));
        };
        let (Some(slot), Ok(plugins)) = (self.slot(plugin), self.plugins()) else { return };
        slot.metrics.from_clients.inc();
        let about = About { connection: Some(connection), ..About::default() };
        self.passes(Way::Client, plugin, &message, about);
        let call =
            Call::Event { handler, conn: connection.facts().clone(), message, wants_ack: ack.is_some() };
        let reply = plugins.call(plugin, call).await;
        if let Err(refusal) = &reply {
            tracing::debug!(plugin = %slot.manifest.name, code = refusal.code_str(), "an event was refused: {refusal}");
            slot.metrics.dropped("refused");
        }
        self.attended(connection).await; // who is told that it is in hears everything from now on
        answer(connection, ack, reply);
        slot.metrics.delivery_seconds.observe(self.parts.clock.elapsed().saturating_sub(since).as_secs_f64());
    }

    async fn say_goodbye(&self, connection: &Arc<Connection>, reason: CloseReason) {
        for &plugin in &connection.space.plugins {
            if self.slot(plugin).is_some_and(|slot| slot.manifest.on_disconnect) {
                self.tell(plugin, Call::Disconnect { conn: connection.facts().clone(), reason }).await;
            }
        }
    }

    /// The connection behind a handle, if it is open.
    pub(super) fn connection(&self, id: ConnId) -> Result<Arc<Connection>, Refusal> {
        self.connections.get(id).ok_or_else(|| Refusal::new(Code::Gone, "the connection has ended"))
    }
}

/// Gives a connection up if its making does not come to an end.
struct Knocking<'a> {
    hub: &'a Arc<Hub>,
    connection: &'a Arc<Connection>,
    admitted: bool,
}

impl Drop for Knocking<'_> {
    fn drop(&mut self) {
        if !self.admitted {
            self.hub.disconnect(self.connection, CloseReason::ConnectTimeout);
        }
    }
}

/// Sends the answer to an event, where the client asked for one or its protocol always gives one.
fn answer(connection: &Arc<Connection>, ack: Option<u64>, reply: Result<Reply, Refusal>) {
    let (args, attachments) = match reply {
        Ok(Reply::Args { args, attachments }) => (args, attachments),
        Ok(Reply::Empty | Reply::Http(_)) => (Bytes::from_static(b"[]"), Vec::new()),
        Err(refusal) => (refusal_args(connection.space.gateway, &refusal), Vec::new()),
    };
    if let Some(frame) = connection.format.ack(ack, &args, &attachments) {
        connection.send(&frame, Class::Reliable);
    }
}

/// How a refusal looks to a client, as an array of one argument.
fn refusal_args(gateway: &str, refusal: &Refusal) -> Bytes {
    if let Some(body) = &refusal.body {
        return [b"[", &body[..], b"]"].concat().into();
    }
    let body = match gateway {
        "websocket" => json!([{"type": "ERROR", "code": refusal.code_str(), "message": refusal.message}]),
        _ => json!([{"error": refusal.describe()}]),
    };
    body.to_string().into()
}

/// 120 random bits: what clients know a connection by. It opens nothing, but it must not be guessable either.
fn public_id() -> Arc<str> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = rand::rng();
    (0..20).map(|_| char::from(ALPHABET[random.random_range(0..64)])).collect::<String>().into()
}

/// Lets a link read again that had stopped because the mailbox was full.
fn wake(paused: Option<Waker>) {
    if let Some(waker) = paused {
        waker.wake();
    }
}

/// Lets other tasks of the executor run first.
async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
