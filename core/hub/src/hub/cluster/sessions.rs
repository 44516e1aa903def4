//! Clients whose node is gone, or that have been sent to another one: what their sessions consist of is written down
//! where every node finds it, and so are the events; whichever node they come to goes on with both.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{Shared, join_all, poll_fn},
    task::AtomicWaker,
};
use indexmap::IndexSet;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Hub, United};
use crate::{
    CloseReason, ConnId, Connection, Frame, Message, Task,
    cluster::parcel::Parcel,
    hub::{Knock, recovery::Resumed},
    identity::Identity,
    port::{Address, PluginId, Point},
    recovery::{
        Away, Heard, Kept, Line, Lost, Numbered, Origin, Position, Record, Session, Stay, Target, Word,
    },
    rooms::{RoomKey, millis_of},
    table::Space,
};

/// The pause between two rounds of writing, so that what changes together is written once.
const ROUND: Duration = Duration::from_millis(10);
/// Records in one round.
const BATCH: usize = 512;
/// Ends of sessions that wait to be written; beyond it the oldest is forgotten, and its record runs out by itself.
const ENDS: usize = 65_536;

/// What is to be written down.
#[derive(Default)]
pub(super) struct Sessions {
    changed: Mutex<IndexSet<ConnId>>,
    /// Sessions without a connection here: what is to be written of them.
    ended: Mutex<Vec<(Origin, Bytes)>>,
    writer: AtomicWaker,
    /// What is being read right now, and up to where, so that a thousand clients read it once.
    reading: Mutex<HashMap<(Address, Point), Reading>>,
}

/// What is kept of a room or a session, in order.
pub(super) type History = Arc<Vec<(Point, Parcel)>>;
pub(super) type Reading = Shared<Task<Option<History>>>;

/// A session of another node, and what its client has missed.
pub(in super::super) struct Adopted {
    session: Session,
    record: Record,
    /// What the client has received.
    heard: Heard,
    missed: Vec<(Numbered, Message)>,
    /// Holds the rooms until the client is in them.
    hold: Hold,
}

/// Rooms that are attended, and logs that are kept, for a client that is on its way.
struct Hold {
    hub: Arc<Hub>,
    line: usize,
    keys: Vec<RoomKey>,
    targets: Vec<Target>,
}

/// A word from node to node.
#[derive(Serialize, Deserialize)]
struct Release {
    word: u32,
    conn: u64,
}

impl Hub {
    /// A connection's session has changed.
    pub(in super::super) fn note_session(&self, connection: &Connection) {
        let Some(united) = self.united.get() else { return };
        if connection.session.is_some() && !connection.is_closed() {
            united.sessions.changed.lock().insert(connection.id());
            united.sessions.writer.wake();
        }
    }

    /// Everything is to be written again.
    pub(super) fn note_all_sessions(&self) {
        let Some(united) = self.united.get() else { return };
        let with_session = |c: &Arc<Connection>| c.session.is_some().then(|| c.id());
        united.sessions.changed.lock().extend(self.connections.all().iter().filter_map(with_session));
        united.sessions.writer.wake();
    }

    /// A session has lost its link, and waits; or it is over (`None`).
    pub(in super::super) fn note_session_end(&self, origin: Origin, away: Option<&Away>) {
        let Some(united) = self.united.get() else { return };
        let record = away.map_or_else(Bytes::new, |away| {
            let lost = millis_of(self.parts.clock.now());
            let seats = away.rooms.iter().map(|s| (&s.key, &s.user, &s.meta, &s.since_offset));
            let record = Record {
                mark: away.session.mark(),
                home: united.me,
                namespace: away.namespace.clone(),
                user: away.user.clone(),
                public_id: away.public_id.clone(),
                rooms: seats.map(|(key, user, meta, since)| self.kept(key, user, meta, since)).collect(),
                notes: self.notes(&away.data),
                lost,
            };
            record.encode()
        });
        let mut ended = united.sessions.ended.lock();
        if ended.len() >= ENDS {
            ended.remove(0);
        }
        ended.push((origin, record));
        drop(ended);
        united.sessions.writer.wake();
    }

    /// Writes down what changes; never ends.
    pub(super) async fn keep_records(self: Arc<Self>) {
        let Some(united) = self.united.get() else { return };
        loop {
            let records = poll_fn(|cx| {
                united.sessions.writer.register(cx.waker());
                let records = self.next_records(united);
                if records.is_empty() { Poll::Pending } else { Poll::Ready(records) }
            })
            .await;
            for (origin, record) in records {
                if let Err(error) = united.link.put_record(&origin.to_string(), record) {
                    tracing::debug!(%error, "a session is not written down");
                }
            }
            self.parts.clock.sleep(ROUND).await;
        }
    }

    fn next_records(&self, united: &United) -> Vec<(Origin, Bytes)> {
        let ended = std::mem::take(&mut *united.sessions.ended.lock());
        let changed: Vec<ConnId> = {
            let mut changed = united.sessions.changed.lock();
            let batch = changed.len().min(BATCH);
            changed.drain(..batch).collect()
        };
        let record = |id: ConnId| {
            let connection = self.connections.get(id)?;
            let session = connection.session?;
            Some((session.origin, self.record_of(united, &connection, &session)?.encode()))
        };
        ended.into_iter().chain(changed.into_iter().filter_map(record)).collect()
    }

    fn record_of(&self, united: &United, connection: &Connection, session: &Session) -> Option<Record> {
        let facts = connection.facts();
        let (seats, data) = {
            let state = connection.state.lock();
            let seats: Vec<_> = state.rooms.iter().map(|s| (s.key.clone(), s.since_offset.clone())).collect();
            (seats, state.data.clone())
        };
        if connection.is_closed() {
            return None;
        }
        let kept = |(key, since): (RoomKey, Arc<str>)| {
            let (user, meta) = self.rooms.place_of(&key, connection.id())?;
            Some(self.kept(&key, &user, &meta, &since))
        };
        Some(Record {
            mark: session.mark(),
            home: united.me,
            namespace: facts.namespace.clone(),
            user: facts.identity.as_ref().map(|identity| identity.user_id.clone()),
            public_id: facts.public_id.clone(),
            rooms: seats.into_iter().filter_map(kept).collect(),
            notes: self.notes(&data),
            lost: 0,
        })
    }

    fn kept(&self, key: &RoomKey, user: &Arc<str>, meta: &Bytes, since: &Arc<str>) -> Kept {
        let place = self.place(key);
        let meta = serde_json::from_slice(meta).ok();
        Kept { plugin: place.plugin, room: place.room, user: user.clone(), meta, since: since.clone() }
    }

    fn notes(&self, data: &[(PluginId, Bytes)]) -> Vec<(Arc<str>, crate::recovery::Note)> {
        let named = data.iter().filter_map(|(plugin, note)| {
            Some((self.slot(*plugin)?.manifest.name.as_str().into(), note.into()))
        });
        named.collect()
    }

    /// Fetches the session that a client wants back, if it was with another node last. `None` when it was with this one,
    /// or the client wants none.
    pub(in super::super) async fn adopt(
        self: &Arc<Self>,
        space: &Space,
        identity: Option<&Identity>,
        knock: &Knock,
    ) -> Option<Result<Adopted, Lost>> {
        let (united, ticket) = (self.united.get()?, knock.ticket.as_ref()?);
        let line = self.line(space.line)?;
        let session = Session::read(&ticket.pid)?;
        let position = ticket.offset.as_deref().map(Position::read);
        let is_ours = match &position {
            None => session.origin.word == self.word,
            Some(None) => true, // no offset of anybody's
            Some(Some(position)) => position.place.is_some_and(|(word, _)| word == self.word),
        };
        if is_ours {
            return None;
        }
        let heard = position.flatten().map(|position| position.heard).unwrap_or_default();
        let user = identity.map(|identity| &*identity.user_id);
        Some(self.fetch(united, (space.line, line), session, heard, (&knock.namespace, user)).await)
    }

    async fn fetch(
        self: &Arc<Self>,
        united: &United,
        (number, line): (usize, &Line),
        session: Session,
        heard: Heard,
        (namespace, user): (&str, Option<&str>),
    ) -> Result<Adopted, Lost> {
        let name = session.origin.to_string();
        let found = united.link.record(&name).await.ok().flatten();
        let record = found.and_then(|bytes| Record::decode(&bytes)).ok_or(Lost::Unknown)?;
        record.is_for(&session, namespace, user)?;
        let now = millis_of(self.parts.clock.now());
        if record.lost > 0 && Duration::from_millis(now.saturating_sub(record.lost)) > line.window() {
            return Err(Lost::Unknown);
        }
        self.ask_release(united, &record, session.origin);
        let hold = Hold::new(self, united, number, &record, session.origin);
        if !self.attended_all(united, &hold.keys).await {
            return Err(Lost::Gap);
        }
        // One point for all: what comes after it is in the logs, in the order of each sender.
        let up_to = self.point(united).await.ok_or(Lost::Gap)?;
        let (rooms, own) = self.read_all(united, &hold.keys, &name, up_to).await.ok_or(Lost::Gap)?;
        if !self.heard_all(united, &rooms).await {
            return Err(Lost::Gap);
        }
        let since = |kept: &Kept| Position::read(&kept.since).unwrap_or_default().heard;
        let joined = record.rooms.iter().filter_map(|kept| Some((self.key_of(&kept.place())?, since(kept))));
        let joined: HashMap<RoomKey, Heard> = joined.collect();
        let mut missed: Vec<(Point, Numbered, Message)> = Vec::new();
        for (key, history) in &rooms {
            let mut bound = heard.clone();
            joined.get(key).iter().for_each(|since| bound.merge(since));
            missed.extend(beyond(history, &bound, session.origin).ok_or(Lost::Gap)?);
        }
        missed.extend(beyond(&own, &heard, session.origin).ok_or(Lost::Gap)?);
        missed.sort_unstable_by_key(|(at, ..)| *at);
        let missed = missed.into_iter().map(|(_, from, message)| (from, message)).collect();
        Ok(Adopted { session, record, heard, missed, hold })
    }

    /// What is kept of rooms, and of a session; `None` when it cannot be read.
    async fn read_all(
        self: &Arc<Self>,
        united: &United,
        keys: &[RoomKey],
        session: &str,
        up_to: Point,
    ) -> Option<(Vec<(RoomKey, History)>, History)> {
        let own = self.read_history(united, Address::Session(session.into()), up_to);
        let rooms = keys.iter().map(|key| self.read_history(united, self.kept_of(key), up_to));
        let rooms = join_all(rooms).await;
        let rooms = keys.iter().zip(rooms).map(|(key, history)| Some((key.clone(), history?)));
        Some((rooms.collect::<Option<_>>()?, own.await?))
    }

    /// Where what is said in a room is kept.
    pub(super) fn kept_of(&self, key: &RoomKey) -> Address {
        Address::Kept(self.place(key))
    }

    /// What is kept of an address up to a point; read once for all who ask at the same time.
    pub(super) fn read_history(self: &Arc<Self>, united: &United, address: Address, up_to: Point) -> Reading {
        let mut reading = united.sessions.reading.lock();
        let of = (address, up_to);
        if let Some(reading) = reading.get(&of) {
            return reading.clone();
        }
        let (hub, history) = (self.clone(), united.link.history(&of.0, up_to));
        let read: Task<_> = Box::pin({
            let of = of.clone();
            async move {
                let history = history.await;
                if let Some(united) = hub.united.get() {
                    united.sessions.reading.lock().remove(&of);
                }
                let parcels =
                    history.ok()?.into_iter().map(|(at, bytes)| Some((at, Parcel::decode(&bytes)?)));
                parcels.collect::<Option<Vec<_>>>().map(Arc::new)
            }
        });
        let read = read.shared();
        reading.insert(of, read.clone());
        read
    }

    /// The node that a client was with gives it up.
    fn ask_release(self: &Arc<Self>, united: &United, record: &Record, origin: Origin) {
        if record.home == united.me {
            return self.release_session(origin);
        }
        let release = Release { word: origin.word.0, conn: origin.conn.0 };
        let word = serde_json::to_vec(&release).map(Bytes::from).unwrap_or_default(); // numbers always can
        if let Err(error) = united.link.send(&Address::Node(record.home), word) {
            tracing::debug!(%error, "a node does not hear that its client has gone elsewhere");
        }
    }

    /// Another node goes on with a session.
    pub(super) fn hear_release(self: &Arc<Self>, word: &[u8]) {
        let Ok(Release { word, conn }) = serde_json::from_slice(word) else { return };
        self.release_session(Origin { word: Word(word), conn: ConnId(conn) });
    }

    fn release_session(self: &Arc<Self>, origin: Origin) {
        let Some(installed) = self.installed.get() else { return };
        for line in &installed.lines {
            let present = line.hold().give_away(origin);
            if let Some(old) = present.and_then(|id| self.connections.get(id))
                && old.session.is_some_and(|session| session.origin == origin)
            {
                self.end(&old, CloseReason::TransportLost, crate::hub::links::After::Moved);
                old.outbox().close(CloseReason::TransportLost);
            }
        }
    }

    /// Makes of a fetched session what a new connection begins with; the line is held from here on.
    pub(in super::super) fn take_over(&self, adopted: Adopted, knock: &Knock) -> Result<Resumed<'_>, Lost> {
        let Adopted { session, record, mut heard, missed, hold } = adopted;
        let line = self.line(hold.line).ok_or(Lost::Unknown)?;
        let mut recorder = line.hold();
        let known: HashSet<Numbered> = missed.iter().map(|(from, _)| *from).collect();
        let since = recorder.beyond(&hold.targets, &heard, session.origin);
        let since = since.into_iter().filter(|(from, _)| !known.contains(from));
        let all: Vec<(Numbered, Message)> = missed.into_iter().chain(since).collect();
        let mut frames: Vec<Frame> = Vec::with_capacity(all.len());
        for ((word, number), message) in &all {
            heard.note(*word, *number);
            frames.push(knock.format.recoverable(message, &heard.text()));
        }
        if frames.iter().map(Frame::size).sum::<usize>() > knock.outbox.budget() / 2 {
            return Err(Lost::Gap); // the other half is for what comes while the client catches up
        }
        let now = self.parts.clock.elapsed();
        recorder.catch_up(&heard, now);
        recorder.let_go(&hold.targets);
        let (since, offset): (u64, Arc<str>) = (line.last(), heard.text().into());
        let stay = |kept: Kept| {
            let key = self.key_of(&kept.place())?;
            let meta = kept.meta.map(|meta| Bytes::from(Box::<str>::from(meta).into_string()));
            Some(Stay {
                key,
                since,
                since_offset: offset.clone(),
                user: kept.user,
                meta: meta.unwrap_or_default(),
            })
        };
        let data = record.notes.into_iter();
        let data = data.filter_map(|(plugin, note)| Some((self.plugin_named(&plugin)?, note.into())));
        self.parts.metrics.cluster.sessions.inc();
        let away = Away {
            session,
            namespace: record.namespace,
            user: record.user,
            public_id: record.public_id,
            rooms: record.rooms.into_iter().filter_map(stay).collect(),
            data: data.collect(),
            since: now,
        };
        Ok(Resumed::adopted(recorder, away, frames, hold.settled()))
    }

    /// The place of a line that whoever joins now has come to, and the same as other nodes understand it.
    pub(in super::super) fn since(&self, line: usize) -> (u64, Arc<str>) {
        let Some(line) = self.line(line) else { return (0, "".into()) };
        let offset = if self.is_united() { line.offset().into() } else { "".into() };
        (line.last(), offset)
    }
}

impl Hold {
    fn new(hub: &Arc<Hub>, united: &United, line: usize, record: &Record, origin: Origin) -> Self {
        let keys: Vec<RoomKey> = record.rooms.iter().filter_map(|kept| hub.key_of(&kept.place())).collect();
        let targets = keys.iter().cloned().map(Target::Room).chain([Target::Session(origin)]).collect();
        let hold = Self { hub: hub.clone(), line, keys, targets };
        if let Some(line) = hub.line(line) {
            line.hold().expect(&hold.targets);
        }
        hub.pin_interest(united, &hold.keys, true);
        hold
    }

    /// The logs have been let go already; the rooms are when this is dropped.
    fn settled(mut self) -> Box<dyn Send> {
        self.targets.clear();
        Box::new(self)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(line) = self.hub.line(self.line).filter(|_| !self.targets.is_empty()) {
            line.hold().let_go(&self.targets);
        }
        if let Some(united) = self.hub.united.get() {
            self.hub.pin_interest(united, &self.keys, false);
        }
    }
}

/// What of a history is newer than `bound` and was for a session; `None` when something is missing in between.
fn beyond(
    history: &[(Point, Parcel)],
    bound: &Heard,
    session: Origin,
) -> Option<Vec<(Point, Numbered, Message)>> {
    let mut reached = bound.clone();
    let mut new = Vec::new();
    for (at, parcel) in history {
        if parcel.number <= reached.of(parcel.sender) {
            continue;
        }
        if parcel.before > reached.of(parcel.sender) {
            return None;
        }
        reached.note(parcel.sender, parcel.number);
        if parcel.except != Some(session) {
            new.push((*at, (parcel.sender, parcel.number), parcel.message.clone()));
        }
    }
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    const ME: Origin = Origin { word: Word(1), conn: ConnId(1) };

    /// What is kept at `at`.
    fn kept(at: u64, sender: u32, number: u64, before: u64) -> (Point, Parcel) {
        let (message, class) = (Message::new("e", format!("[{number}]")), Class::Reliable);
        let parcel = Parcel { sender: Word(sender), number, before, except: None, class, time: 0, message };
        (Point { era: 0, number: at }, parcel)
    }

    fn bound(word: u32, number: u64) -> Heard {
        let mut heard = Heard::default();
        heard.note(Word(word), number);
        heard
    }

    #[test]
    fn newer_events_are_missed() {
        let history = [kept(1, 1, 4, 0), kept(2, 2, 7, 0), kept(3, 1, 6, 4)];
        let missed = beyond(&history, &bound(1, 4), ME).unwrap();
        let numbers: Vec<u64> = missed.iter().map(|(_, (_, number), _)| *number).collect();
        assert_eq!(numbers, [7, 6]);
    }

    #[test]
    fn hole_is_never_hidden() {
        let history = [kept(5, 1, 9, 6)];
        assert!(beyond(&history, &bound(1, 4), ME).is_none(), "6 was forgotten");
        assert!(beyond(&history, &bound(1, 6), ME).is_some());
        assert!(beyond(&[kept(5, 1, 9, 0)], &bound(1, 4), ME).is_some(), "nothing of late before it");
    }

    #[test]
    fn excepted_session_misses_nothing() {
        let mut spared = kept(1, 1, 5, 4);
        spared.1.except = Some(ME);
        let missed = beyond(&[spared, kept(2, 1, 6, 5)], &bound(1, 4), ME).unwrap();
        assert_eq!(missed.len(), 1);
    }
}
