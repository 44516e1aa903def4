//! The plugins' side: what they may ask of the hub. Every name is checked here; nothing is sent to a connection of
//! a namespace that the plugin does not serve.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};

use super::{
    Hub,
    watch::{About, Way},
};
use crate::{
    Class, CloseReason, Code, Connection, Message, Reach, Refusal, Task,
    cluster::parcel::Parcel,
    coalesce::StateKey,
    connection::{Answer, ConnId, Place},
    frame::{Format, Frame},
    metrics::PluginMetrics,
    outbox::Pushed,
    port::{BusError, Call, PluginId, Topic},
    recovery::Target,
    rooms::{Audience, Full, Joined, Left, MemberView, RoomKey},
    table::Slot,
};

/// Bytes of notes that a plugin may keep with a connection.
const DATA_LIMIT: usize = 64 * 1024;
/// Members of a room that are brought into the cache together.
const AHEAD: usize = 16;

impl Hub {
    /// Sends an event to one connection.
    ///
    /// # Errors
    /// `GONE` when the connection has ended, `BUSY` when its link could not take more and is being closed.
    pub fn emit(
        &self,
        plugin: PluginId,
        conn: ConnId,
        message: Message,
        class: Class,
    ) -> Result<(), Refusal> {
        let connection = self.own(plugin, conn)?;
        self.named(&message.event, "event")?;
        let about = About { connection: Some(&connection), ..About::default() };
        self.passes(Way::Emit, plugin, &message, about);
        let mut line = self.hold_session(&connection).filter(|_| class == Class::Reliable);
        if line.is_some() && connection.is_closed() {
            return Err(Refusal::new(Code::Gone, "the connection has ended"));
        }
        let recorded = line.as_mut().and_then(|(line, session)| {
            let (target, now) = (Target::Session(session.origin), self.parts.clock.elapsed());
            let recorded = line.record(target, (true, self.is_united()), &message, None, now)?;
            self.keep_for_session(session.origin, &message, &recorded);
            Some(recorded)
        });
        let frame = match &recorded {
            Some(recorded) => connection.format.recoverable(&message, &recorded.offset),
            None => connection.format.event(&message, None),
        };
        match self.deliver(plugin, &connection, &frame, class) {
            Pushed::Queued | Pushed::Replaced | Pushed::Dropped => Ok(()),
            Pushed::Overflow => {
                Err(Refusal::new(Code::Busy, "the client reads too slowly and is being closed"))
            }
            Pushed::Closed => Err(Refusal::new(Code::Gone, "the connection has ended")),
        }
    }

    /// Sends an event and waits for the client's acknowledgement.
    pub fn request(
        self: &Arc<Self>,
        plugin: PluginId,
        conn: ConnId,
        message: Message,
        timeout: Option<Duration>,
    ) -> Task<Result<Answer, Refusal>> {
        let hub = self.clone();
        Box::pin(async move {
            let connection = hub.own(plugin, conn)?;
            hub.named(&message.event, "event")?;
            let asked = connection.ask(hub.parts.limits.pending_acks);
            let (number, answer) =
                asked.ok_or_else(|| Refusal::new(Code::Busy, "too many acknowledgements are awaited"))?;
            let about = About { connection: Some(&connection), ..About::default() };
            hub.passes(Way::Emit, plugin, &message, about);
            let frame = connection.format.event(&message, Some(number));
            hub.deliver(plugin, &connection, &frame, Class::Reliable);
            let timeout = hub.parts.clock.sleep(timeout.unwrap_or(hub.parts.limits.ack_timeout));
            match select(answer, timeout).await {
                Either::Left((Ok(answer), _)) => Ok(answer),
                Either::Left((Err(_), _)) => Err(Refusal::new(Code::Gone, "the connection has ended")),
                Either::Right(_) => {
                    Err(Refusal::new(Code::Timeout, "the client did not acknowledge in time"))
                }
            }
        })
    }

    /// Ends a connection; what was sent before still arrives.
    ///
    /// # Errors
    /// `GONE` when it has ended before.
    pub fn kick(self: &Arc<Self>, plugin: PluginId, conn: ConnId) -> Result<(), Refusal> {
        let connection = self.own(plugin, conn)?;
        self.close(&connection, CloseReason::Kicked);
        Ok(())
    }

    /// Keeps a plugin's notes about a connection, up to 64 KiB; they go with the connection.
    ///
    /// # Errors
    /// `GONE`, `TOO_LARGE`.
    pub fn set_data(&self, plugin: PluginId, conn: ConnId, data: Bytes) -> Result<(), Refusal> {
        if data.len() > DATA_LIMIT {
            return Err(Refusal::new(Code::TooLarge, "the notes about a connection are limited to 64 KiB"));
        }
        let connection = self.own(plugin, conn)?;
        let mut state = connection.state.lock();
        state.data.retain(|(owner, _)| *owner != plugin);
        state.data.push((plugin, data));
        drop(state);
        self.note_session(&connection);
        Ok(())
    }

    /// The plugin's notes about a connection; empty when there are none.
    ///
    /// # Errors
    /// `GONE`.
    pub fn get_data(&self, plugin: PluginId, conn: ConnId) -> Result<Bytes, Refusal> {
        let connection = self.own(plugin, conn)?;
        let state = connection.state.lock();
        Ok(state
            .data
            .iter()
            .find(|(owner, _)| *owner == plugin)
            .map(|(_, data)| data.clone())
            .unwrap_or_default())
    }

    /// Sends an event to every connection in a room, but `except`; with [`Reach::Everywhere`] on the other nodes too.
    /// Encoded once per wire format. Says how many links took it here.
    ///
    /// # Errors
    /// `INVALID` for a bad name.
    pub fn broadcast(
        &self,
        plugin: PluginId,
        room: &str,
        message: Message,
        (class, reach): (Class, Reach),
        except: Option<ConnId>,
    ) -> Result<usize, Refusal> {
        self.named(&message.event, "event")?;
        let key = self.room(plugin, room)?;
        let Some(slot) = self.slot(plugin) else { return Ok(0) };
        self.passes(Way::Broadcast, plugin, &message, About { room: Some(room), ..About::default() });
        let mut line = if class == Class::Reliable { self.hold_line(plugin) } else { None }; // to the last queueing
        let audience = self.rooms.audience(&key).filter(|audience| !audience.is_empty());
        let spread = reach == Reach::Everywhere && self.is_united();
        let origin = self.origin(except);
        let recorded = line.as_mut().and_then(|line| {
            let now = self.parts.clock.elapsed();
            line.record(Target::Room(key.clone()), (audience.is_some(), spread), &message, origin, now)
        });
        if spread {
            self.spread(&key, &message, class, recorded.as_ref(), origin);
        }
        let Some(audience) = audience else { return Ok(0) };
        let offset = recorded.as_ref().map(|recorded| &*recorded.offset);
        Ok(hand_out(slot, &audience, &message, offset, class, except))
    }

    /// A room message of another node, to every connection in the room here.
    pub(super) fn deliver_parcel(&self, key: &RoomKey, parcel: Parcel) {
        let Some(slot) = self.slot(key.plugin) else { return };
        let Parcel { class, message, sender, number, except, .. } = parcel;
        let mut line = if number > 0 { self.hold_line(key.plugin) } else { None };
        let audience = self.rooms.audience(key).filter(|audience| !audience.is_empty());
        let offset = line.as_mut().and_then(|line| {
            let (target, now) = (Target::Room(key.clone()), self.parts.clock.elapsed());
            line.relay(target, audience.is_some(), (sender, number), &message, except, now)
        });
        if let Some(audience) = audience {
            hand_out(slot, &audience, &message, offset.as_deref(), class, None);
        }
    }

    /// Puts a connection into a room, up to `max_members` users.
    ///
    /// # Errors
    /// `GONE`, `INVALID` for a bad name, `BUSY` when the room is full, `RATE_LIMITED` when the connection is in too
    /// many rooms.
    pub fn join(
        self: &Arc<Self>,
        plugin: PluginId,
        conn: ConnId,
        room: &str,
        meta: Bytes,
        max_members: Option<u64>,
    ) -> Result<Joined, Refusal> {
        let user = self.own(plugin, conn)?.user();
        self.seat(plugin, conn, room, &user, meta, max_members)
    }

    /// Puts a connection into a room as a member that the plugin names. A lease of the member ends: the connection
    /// holds its place from now on.
    ///
    /// # Errors
    /// As [`Hub::join`]; `CONFLICT` when the connection is in the room as another member.
    pub fn join_as(
        self: &Arc<Self>,
        plugin: PluginId,
        conn: ConnId,
        room: &str,
        user: &str,
        meta: Bytes,
        max_members: Option<u64>,
    ) -> Result<Joined, Refusal> {
        self.named(user, "member")?;
        let user = user.into();
        let joined = self.seat(plugin, conn, room, &user, meta, max_members)?;
        let key = self.room(plugin, room)?;
        let _turn = self.turn();
        if let Some(left) = self.rooms.end_lease(&key, &user) {
            self.settle_left(&key, left); // the member itself stays, unless the connection has gone meanwhile
        }
        self.unlease_elsewhere(&key, &user);
        Ok(joined)
    }

    fn seat(
        self: &Arc<Self>,
        plugin: PluginId,
        conn: ConnId,
        room: &str,
        user: &Arc<str>,
        meta: Bytes,
        max_members: Option<u64>,
    ) -> Result<Joined, Refusal> {
        let key = self.room(plugin, room)?;
        let connection = self.own(plugin, conn)?;
        // Read before, so that no event is lost.
        let (since, since_offset) = self.since(connection.space.line);
        let _turn = self.turn();
        // Held across the join, so that a connection that ends now either sees this room or refuses the join.
        let mut state = connection.state.lock();
        if connection.is_closed() {
            return Err(Refusal::new(Code::Gone, "the connection has ended"));
        }
        let is_in = state.rooms.iter().any(|place| place.key == key);
        if is_in && self.rooms.member_of(&key, conn).is_some_and(|member| member != *user) {
            return Err(Refusal::new(Code::Conflict, "the connection is in the room as another member"));
        }
        if !is_in && state.rooms.len() >= self.parts.limits.rooms_per_connection {
            return Err(Refusal::new(Code::RateLimited, "the connection is in too many rooms"));
        }
        let now = self.parts.clock.now();
        let joined = self
            .rooms
            .join(&key, (conn, connection.clone()), user, meta, now, max_members)
            .map_err(|Full| full())?;
        if !is_in {
            if state.rooms.is_empty() {
                state.rooms.reserve_exact(1); // most connections are in one room
            }
            state.rooms.push(Place { key: key.clone(), since, since_offset });
        }
        drop(state);
        self.note_joined(&key, user, joined);
        self.note_session(&connection);
        Ok(joined)
    }

    /// Takes a connection out of a room.
    ///
    /// # Errors
    /// `NOT_FOUND` when it was not in, `GONE` when it has ended.
    pub fn leave(self: &Arc<Self>, plugin: PluginId, conn: ConnId, room: &str) -> Result<Left, Refusal> {
        let key = self.room(plugin, room)?;
        let connection = self.own(plugin, conn)?;
        let _turn = self.turn();
        let mut state = connection.state.lock();
        state.rooms.retain(|place| place.key != key);
        let left = self.rooms.leave(&key, conn);
        drop(state);
        let left = left.ok_or_else(|| Refusal::new(Code::NotFound, "the connection is not in the room"))?;
        self.settle_left(&key, left.clone());
        self.note_session(&connection);
        Ok(left)
    }

    /// Makes a user a member for `ttl` without a connection, or renews it.
    ///
    /// # Errors
    /// `INVALID` for a bad name, `BUSY` when the room is full.
    pub fn join_user(
        self: &Arc<Self>,
        plugin: PluginId,
        room: &str,
        user: &str,
        meta: Bytes,
        ttl: Duration,
        max_members: Option<u64>,
    ) -> Result<Joined, Refusal> {
        let key = self.room(plugin, room)?;
        self.named(user, "user")?;
        let until = self.parts.clock.elapsed() + ttl;
        let now = self.parts.clock.now();
        let user = user.into();
        let _turn = self.turn();
        let joined =
            self.rooms.join_user(&key, &user, meta, (now, until), max_members).map_err(|Full| full())?;
        self.note_joined(&key, &user, joined);
        Ok(joined)
    }

    /// Takes a user out of a room, with all of its connections.
    ///
    /// # Errors
    /// `NOT_FOUND` when it was no member.
    pub fn leave_user(self: &Arc<Self>, plugin: PluginId, room: &str, user: &str) -> Result<Left, Refusal> {
        let key = self.room(plugin, room)?;
        if let Some(left) = self.evict_elsewhere(&key, user) {
            return Ok(left);
        }
        let _turn = self.turn();
        let mut last = None;
        for conn in self.rooms.connections_of(&key, user) {
            last = self.leave(plugin, conn, room).ok().or(last);
        }
        if let Some(left) = self.rooms.end_lease(&key, &user.into()) {
            self.settle_left(&key, left.clone());
            last = Some(left);
        }
        last.ok_or_else(|| Refusal::new(Code::NotFound, "the user is not in the room"))
    }

    /// The members of a room, in order of joining; none for a room that does not exist.
    pub fn members(&self, plugin: PluginId, room: &str) -> Vec<MemberView> {
        self.room(plugin, room).map(|key| self.rooms.members(&key)).unwrap_or_default()
    }

    /// How many members a room has.
    pub fn count(&self, plugin: PluginId, room: &str) -> u64 {
        self.room(plugin, room).map_or(0, |key| self.rooms.count(&key))
    }

    /// Asks for a room's state to be sent: now, or once its window has passed.
    ///
    /// # Errors
    /// `INVALID` for a bad name or a state that the manifest does not have.
    pub fn refresh(self: &Arc<Self>, plugin: PluginId, state: u32, room: &str) -> Result<(), Refusal> {
        let (key, window) = self.state_of(plugin, state, room)?;
        self.note_asked(&key);
        self.send_soon(key, window);
        Ok(())
    }

    /// The same for this node alone: each node sends its own members what it knows.
    pub(super) fn refresh_here(
        self: &Arc<Self>,
        plugin: PluginId,
        state: u32,
        room: &str,
    ) -> Result<(), Refusal> {
        let (key, window) = self.state_of(plugin, state, room)?;
        self.send_soon(key, window);
        Ok(())
    }

    fn state_of(&self, plugin: PluginId, state: u32, room: &str) -> Result<(StateKey, Duration), Refusal> {
        let room = self.room(plugin, room)?.name;
        let declared = self.slot(plugin).and_then(|slot| slot.manifest.states.get(state as usize));
        let declared =
            declared.ok_or_else(|| Refusal::new(Code::Invalid, "the manifest has no such state"))?;
        Ok((StateKey { plugin, state, room }, Duration::from_millis(declared.window_ms)))
    }

    fn send_soon(self: &Arc<Self>, key: StateKey, window: Duration) {
        if self.states.changed(&key) {
            let hub = self.clone();
            self.spawn(Box::pin(async move { hub.send_state(key, window).await }));
        }
    }

    async fn send_state(self: &Arc<Self>, key: StateKey, window: Duration) {
        loop {
            self.spread_state(&key);
            self.tell(key.plugin, Call::Refresh { handler: key.state, room: key.room.clone() }).await;
            self.parts.clock.sleep(window).await;
            if !self.states.again(&key) {
                return;
            }
        }
    }

    /// Tells outside services what happened. Handed over without waiting.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the bus is away, `TOO_LARGE`, `INVALID` for a bad name.
    pub fn publish(&self, plugin: PluginId, room: &str, event: &str, payload: Bytes) -> Result<(), Refusal> {
        self.named(event, "event")?;
        let room = self.room(plugin, room)?.name.to_string();
        let about = About { room: Some(&room), ..About::default() };
        self.passes_bus(Way::Publish, plugin, event, &payload, about);
        let plugin = self.slot(plugin).map(|slot| slot.manifest.name.clone()).unwrap_or_default();
        let topic = Topic::Out { plugin, room, event: event.to_owned() };
        self.parts.bus.publish(&topic, &[], payload).map_err(refused_by_bus)
    }

    /// Asks an outside service and waits for its answer.
    pub fn ask(
        &self,
        service: &str,
        method: &str,
        payload: Bytes,
        timeout: Duration,
    ) -> Task<Result<Bytes, Refusal>> {
        let topic = Topic::Rpc { service: service.to_owned(), method: method.to_owned() };
        let answer = self.parts.bus.request(&topic, payload, timeout);
        Box::pin(async move { answer.await.map(|message| message.payload).map_err(refused_by_bus) })
    }

    fn deliver(&self, plugin: PluginId, connection: &Connection, frame: &Frame, class: Class) -> Pushed {
        let pushed = connection.send(frame, class);
        if let Some(slot) = self.slot(plugin) {
            let mut dropped = Dropped::default();
            dropped.note(pushed);
            dropped.count(&slot.metrics);
            if matches!(pushed, Pushed::Queued | Pushed::Replaced) {
                slot.metrics.delivered(connection.space.gateway).inc();
            }
        }
        pushed
    }

    /// A connection that the plugin may act on.
    pub(super) fn own(&self, plugin: PluginId, conn: ConnId) -> Result<Arc<Connection>, Refusal> {
        let connection = self.connection(conn)?;
        if !connection.space.plugins.contains(&plugin) {
            return Err(Refusal::new(Code::Forbidden, "the connection is in a namespace of other plugins"));
        }
        Ok(connection)
    }

    pub(super) fn room(&self, plugin: PluginId, name: &str) -> Result<RoomKey, Refusal> {
        self.named(name, "room")?;
        Ok(RoomKey { plugin, name: name.into() })
    }

    pub(super) fn named(&self, name: &str, what: &str) -> Result<(), Refusal> {
        if name.is_empty() || name.len() > self.parts.limits.name_length {
            let limit = self.parts.limits.name_length;
            return Err(Refusal::new(Code::Invalid, format!("a {what} name has 1 to {limit} bytes")));
        }
        Ok(())
    }
}

/// Queues an event for an audience, encoded once per wire format; says how many links took it.
fn hand_out(
    slot: &Slot,
    audience: &Audience<Arc<Connection>>,
    message: &Message,
    offset: Option<&str>,
    class: Class,
    except: Option<ConnId>,
) -> usize {
    let mut encoded = Encoded { message, offset, frames: Vec::new() };
    let mut dropped = Dropped::default();
    for (at, (id, seat)) in audience.iter().enumerate() {
        if at % AHEAD == 0 {
            look_ahead(audience, at);
        }
        if except != Some(*id) {
            let form = encoded.for_format(&seat.receiver.format);
            let pushed = seat.receiver.send(&form.frame, class);
            match pushed {
                Pushed::Queued | Pushed::Replaced => form.taken += 1,
                pushed => dropped.note(pushed),
            }
        }
    }
    for form in &encoded.frames {
        slot.metrics.delivered(form.format.gateway()).inc_by(form.taken);
    }
    dropped.count(&slot.metrics);
    encoded.frames.iter().map(|form| form.taken as usize).sum()
}

/// Brings the next members into the cache, all at once: one after the other, as the pushes would, is as long a wait
/// for each. In a room of thousands that is most of what a push costs.
fn look_ahead(audience: &Audience<Arc<Connection>>, at: usize) {
    let next = || (at..audience.len().min(at + AHEAD)).filter_map(|at| audience.get_index(at));
    for (_, seat) in next() {
        std::hint::black_box(seat.receiver.is_closed());
    }
    for (_, seat) in next() {
        std::hint::black_box(Arc::strong_count(seat.receiver.outbox()));
    }
}

/// A message in the wire formats that have been needed so far: one or two, so a list is the quickest map.
struct Encoded<'a> {
    message: &'a Message,
    /// Its offset, when it is recoverable.
    offset: Option<&'a str>,
    frames: Vec<Form>,
}

/// A message in one wire format.
struct Form {
    format: Arc<dyn Format>,
    frame: Frame,
    /// How many links took it.
    taken: u64,
}

impl Encoded<'_> {
    fn for_format(&mut self, format: &Arc<dyn Format>) -> &mut Form {
        let at = self.frames.iter().position(|known| Arc::ptr_eq(&known.format, format));
        let at = at.unwrap_or_else(|| {
            let frame = match self.offset {
                Some(offset) => format.recoverable(self.message, offset),
                None => format.event(self.message, None),
            };
            self.frames.push(Form { format: format.clone(), frame, taken: 0 });
            self.frames.len() - 1
        });
        &mut self.frames[at]
    }
}

/// What links did not take, by reason, of one message.
#[derive(Default)]
struct Dropped {
    volatile: u64,
    slow_consumer: u64,
    closed: u64,
}

impl Dropped {
    fn note(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::Queued | Pushed::Replaced => {}
            Pushed::Dropped => self.volatile += 1,
            Pushed::Overflow => self.slow_consumer += 1,
            Pushed::Closed => self.closed += 1,
        }
    }

    fn count(&self, metrics: &PluginMetrics) {
        metrics.dropped_times("volatile", self.volatile);
        metrics.dropped_times("slow_consumer", self.slow_consumer);
        metrics.dropped_times("closed", self.closed);
    }
}

pub(super) fn full() -> Refusal {
    Refusal::new(Code::Busy, "the room is full")
}

fn refused_by_bus(error: BusError) -> Refusal {
    let code = match error {
        BusError::Timeout => Code::Timeout,
        BusError::TooLarge => Code::TooLarge,
        BusError::NoResponders | BusError::Unavailable(_) => Code::Unavailable,
    };
    Refusal::new(code, error.to_string())
}
