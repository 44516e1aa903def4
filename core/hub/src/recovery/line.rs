//! One order for the recoverable events of plugins that share namespaces, and who waits for what of them.
//!
//! Whoever sends a recoverable event holds the line from the giving of its number to the last queueing, so that every
//! connection gets its numbers in order, and a link is lost, or a session resumed, between two events and never within
//! one. Pure but for its lock: time is given, nothing is sent.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use indexmap::IndexMap;
use parking_lot::{Mutex, MutexGuard};

use super::{
    Lost, Origin, Recovery, Session, Ticket, Word,
    log::{Entry, Log, Numbered, Target, Total},
    position::{self, Heard, Position},
};
use crate::{ConnId, Message, port::PluginId, rooms::RoomKey};

/// Logs that one sweep looks at.
const SWEEP: usize = 1024;
/// What a waiting session costs beside its rooms and notes, about.
const SESSION: usize = 512;

/// The line. Its lock is the first: no other lock of the hub is held when it is taken.
pub(crate) struct Line {
    rules: Recovery,
    /// The largest number so far; written under the lock.
    last: AtomicU64,
    kept: Mutex<Kept>,
    /// This process among the senders of events.
    word: Word,
    total: Total,
}

#[derive(Default)]
struct Kept {
    logs: IndexMap<Target, Log>,
    /// Where the next sweep begins.
    swept: usize,
    /// The newest events of other nodes that were handed on here, when, and as the end of an offset.
    heard: Heard,
    heard_at: HashMap<Word, Duration>,
    heard_text: Arc<str>,
    /// Sessions whose present connection is not the one they began with. As many as there are such connections, and
    /// sessions that wait.
    sessions: HashMap<Origin, Known>,
    /// Losses in order of time; those that are over by something else are skipped.
    losses: VecDeque<(Duration, Origin)>,
    /// Sessions that wait.
    waiting: usize,
}

enum Known {
    /// It waits for its client.
    Away(Box<Away>),
    /// Its client came back, as this connection.
    Back(ConnId),
}

/// A session without a connection.
pub(crate) struct Away {
    pub(crate) session: Session,
    /// The namespace as the client gave it.
    pub(crate) namespace: Arc<str>,
    /// The user, unless it is anonymous.
    pub(crate) user: Option<Arc<str>>,
    /// What clients know the connection by.
    pub(crate) public_id: Arc<str>,
    pub(crate) rooms: Vec<Stay>,
    /// Notes of plugins.
    pub(crate) data: Vec<(PluginId, Bytes)>,
    /// When the link was lost, monotonic.
    pub(crate) since: Duration,
}

/// An event that has its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// The number.
    pub(crate) number: u64,
    /// The number of the last event before it that was sent here to the same room or session; 0 for none of late.
    pub(crate) before: u64,
    /// How far a client has come that has received it.
    pub(crate) offset: String,
}

/// A place in a room that a session keeps.
#[derive(Debug, Clone)]
pub(crate) struct Stay {
    pub(crate) key: RoomKey,
    /// The last number before it joined.
    pub(crate) since: u64,
    /// The same as other nodes understand it.
    pub(crate) since_offset: Arc<str>,
    pub(crate) user: Arc<str>,
    pub(crate) meta: Bytes,
}

/// Who wants a session back.
pub(crate) struct Claim<'a> {
    pub(crate) ticket: &'a Ticket,
    pub(crate) namespace: &'a str,
    pub(crate) user: Option<&'a str>,
}

impl Line {
    pub(crate) fn new(rules: Recovery, word: Word, total: Total) -> Self {
        Self { rules, last: AtomicU64::new(0), kept: Mutex::default(), word, total }
    }

    /// How far a client has come that hears everything from now on.
    pub(crate) fn offset(&self) -> String {
        let kept = self.kept.lock();
        match self.last() {
            0 => kept.heard_text.to_string(),
            last => position::text(self.word, last, &kept.heard_text),
        }
    }

    /// The largest number so far.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Holds the line: nothing recoverable is sent, lost or resumed by others meanwhile.
    pub(crate) fn hold(&self) -> Recorder<'_> {
        Recorder { line: self, kept: self.kept.lock() }
    }

    /// Forgets what is over; a part of it per call.
    pub(crate) fn sweep(&self, now: Duration) {
        let mut recorder = self.hold();
        while recorder.kept.losses.front().is_some_and(|(at, _)| *at + self.rules.window <= now) {
            recorder.give_up_oldest();
        }
        let kept = &mut *recorder.kept;
        let before = now.saturating_sub(self.rules.keep());
        if kept.heard_at.values().any(|at| *at < before) {
            kept.heard_at.retain(|_, at| *at >= before);
            let Kept { heard, heard_at, .. } = kept;
            heard.retain(|word| heard_at.contains_key(&word));
            kept.heard_text = kept.heard.text().into();
        }
        for _ in 0..SWEEP.min(kept.logs.len()) {
            if kept.swept >= kept.logs.len() {
                kept.swept = 0;
            }
            let Some((_, log)) = kept.logs.get_index_mut(kept.swept) else { break };
            log.expire(now, &self.rules);
            if log.is_over(now, &self.rules) {
                kept.logs.swap_remove_index(kept.swept);
            } else {
                kept.swept += 1;
            }
        }
        if kept.logs.capacity() > 64 && kept.logs.len() < kept.logs.capacity() / 4 {
            kept.logs.shrink_to_fit();
        }
        if kept.sessions.capacity() > 64 && kept.sessions.len() < kept.sessions.capacity() / 4 {
            kept.sessions.shrink_to_fit();
        }
    }

    /// The place in this node's order that an offset names; `None` when it is a place elsewhere, or none at all.
    pub(crate) fn place(&self, offset: &str) -> Option<u64> {
        let (word, number) = Position::read(offset)?.place?;
        (word == self.word && number <= self.last()).then_some(number)
    }

    /// How long a session waits for its client.
    pub(crate) fn window(&self) -> Duration {
        self.rules.window
    }

    /// Sessions that wait for their clients.
    pub(crate) fn waiting(&self) -> usize {
        self.kept.lock().waiting
    }
}

/// The line, held.
pub(crate) struct Recorder<'a> {
    line: &'a Line,
    kept: MutexGuard<'a, Kept>,
}

impl<'a> Recorder<'a> {
    /// Gives an event of this node its number, and keeps it. `None` when it is for nobody: a room without anybody in it
    /// here (`heard` is false) for which no session waits, of a hub that runs alone (`spread` is false).
    pub(crate) fn record(
        &mut self,
        target: Target,
        (heard, spread): (bool, bool),
        message: &Message,
        except: Option<Origin>,
        at: Duration,
    ) -> Option<Recorded> {
        let awaited = heard || self.kept.logs.get(&target).is_some_and(|log| log.waiting > 0);
        if !awaited && !spread {
            return None;
        }
        let number = self.next();
        let (from, others) = ((self.line.word, number), self.kept.heard_text.clone());
        let entry = Entry { number, from, others, at, message: message.clone(), except };
        self.keep(target.clone(), awaited, entry);
        let log = self.log(target);
        let before = log.last_own;
        if spread {
            log.last_own = number; // what stays here is no link in the chain that other nodes see
        }
        let offset = position::text(self.line.word, number, &self.kept.heard_text);
        Some(Recorded { number, before, offset })
    }

    /// The same for an event of another node; gives the offset. `None` when it is for nobody here.
    pub(crate) fn relay(
        &mut self,
        target: Target,
        heard: bool,
        from: Numbered,
        message: &Message,
        except: Option<Origin>,
        at: Duration,
    ) -> Option<String> {
        self.note_heard(from, at);
        if !heard && self.kept.logs.get(&target).is_none_or(|log| log.waiting == 0) {
            return None;
        }
        let number = self.next();
        let others = self.kept.heard_text.clone();
        self.keep(target, true, Entry { number, from, others, at, message: message.clone(), except });
        Some(position::text(self.line.word, number, &self.kept.heard_text))
    }

    fn next(&mut self) -> u64 {
        let number = self.line.last() + 1;
        self.line.last.store(number, Ordering::Release);
        number
    }

    fn keep(&mut self, target: Target, awaited: bool, entry: Entry) {
        let line: &'a Line = self.line;
        let log = self.log(target);
        if awaited {
            log.push(entry, &line.rules);
        } else {
            log.pass(entry.number, entry.at);
        }
    }

    fn note_heard(&mut self, (word, number): Numbered, at: Duration) {
        let kept = &mut *self.kept;
        kept.heard_at.insert(word, at);
        if number > kept.heard.of(word) {
            kept.heard.note(word, number);
            kept.heard_text = kept.heard.text().into();
        }
    }

    /// A client that has come from another node has been given all that it says it has heard, and what it missed.
    pub(crate) fn catch_up(&mut self, heard: &Heard, at: Duration) {
        let mut others = heard.clone();
        others.retain(|word| word != self.line.word);
        for word in others.words() {
            self.note_heard((word, others.of(word)), at);
        }
    }

    /// Keeps what comes for these from now on, until it is taken off again.
    pub(crate) fn expect(&mut self, targets: &[Target]) {
        targets.iter().for_each(|target| self.log(target.clone()).waiting += 1);
    }

    /// Takes an [`expect`](Self::expect) off.
    pub(crate) fn let_go(&mut self, targets: &[Target]) {
        targets.iter().for_each(|target| self.log(target.clone()).waiting -= 1);
    }

    /// What has been kept for these and is newer than `heard`, in order of arrival.
    pub(crate) fn beyond(
        &self,
        targets: &[Target],
        heard: &Heard,
        session: Origin,
    ) -> Vec<(Numbered, Message)> {
        let logs = targets.iter().filter_map(|target| self.kept.logs.get(target));
        let mut entries: Vec<&Entry> = logs.flat_map(|log| log.beyond(heard, session)).collect();
        entries.sort_unstable_by_key(|entry| entry.number);
        entries.into_iter().map(|entry| (entry.from, entry.message.clone())).collect()
    }

    /// The connection that a session has now, unless it waits.
    pub(crate) fn present(&self, session: &Session) -> Option<ConnId> {
        match self.kept.sessions.get(&session.origin) {
            None => (session.origin.word == self.line.word).then_some(session.origin.conn),
            Some(Known::Back(id)) => Some(*id),
            Some(Known::Away(_)) => None,
        }
    }

    /// Lets a session wait for its client.
    pub(crate) fn put_away(&mut self, away: Away) {
        let size = away.size();
        while self.line.total.over(size, self.line.rules.max_bytes) && !self.kept.losses.is_empty() {
            self.give_up_oldest();
        }
        if self.line.total.over(size, self.line.rules.max_bytes) {
            return self.forget(away.session.origin);
        }
        self.line.total.add(size);
        for target in away.targets() {
            self.log(target).waiting += 1;
        }
        let origin = away.session.origin;
        self.kept.losses.push_back((away.since, origin));
        self.kept.waiting += 1;
        self.kept.sessions.insert(origin, Known::Away(Box::new(away)));
    }

    /// Gives a session to a client that can show it is its own, with the events that it missed, in order.
    pub(crate) fn claim(
        &mut self,
        claim: &Claim<'_>,
        now: Duration,
    ) -> Result<(Away, Vec<(String, Message)>), Lost> {
        let session = Session::read(&claim.ticket.pid).ok_or(Lost::Unknown)?;
        let Some(Known::Away(away)) = self.kept.sessions.get(&session.origin) else {
            return Err(Lost::Unknown);
        };
        if !away.session.is(&session) || away.since + self.line.rules.window <= now {
            return Err(Lost::Unknown);
        }
        if *away.namespace != *claim.namespace || away.user.as_deref() != claim.user {
            return Err(Lost::Foreign);
        }
        let last = match &claim.ticket.offset {
            None => Some(0),
            Some(offset) => self.line.place(offset),
        };
        let missed = last.and_then(|last| self.missed(away, last));
        let Some(away) = self.release(session.origin) else { return Err(Lost::Unknown) };
        match missed {
            Some(missed) => Ok((*away, missed)),
            None => {
                self.forget(session.origin);
                Err(Lost::Gap)
            }
        }
    }

    /// A session goes on as this connection.
    pub(crate) fn resume(&mut self, session: Session, id: ConnId) {
        self.kept.sessions.insert(session.origin, Known::Back(id));
    }

    /// A session goes on elsewhere; gives its connection, if it still has one here.
    pub(crate) fn give_away(&mut self, origin: Origin) -> Option<ConnId> {
        let present = match self.kept.sessions.get(&origin) {
            None => (origin.word == self.line.word).then_some(origin.conn),
            Some(Known::Back(id)) => Some(*id),
            Some(Known::Away(_)) => None,
        };
        self.forget(origin);
        present
    }

    /// A session is over.
    pub(crate) fn forget(&mut self, origin: Origin) {
        self.release(origin);
        self.kept.sessions.remove(&origin);
        self.kept.logs.swap_remove(&Target::Session(origin));
    }

    /// What a session missed after `last`; `None` when that is not known any more.
    fn missed(&self, away: &Away, last: u64) -> Option<Vec<(String, Message)>> {
        let mut missed = Vec::new();
        let own = (Target::Session(away.session.origin), 0);
        let rooms = away.rooms.iter().map(|stay| (Target::Room(stay.key.clone()), stay.since));
        for (target, since) in rooms.chain([own]) {
            let Some(log) = self.kept.logs.get(&target) else { continue };
            let after = last.max(since);
            if !log.reaches(after) {
                return None;
            }
            missed.extend(log.after(after, away.session.origin));
        }
        missed.sort_unstable_by_key(|entry| entry.number);
        let shown = |entry: &Entry| {
            (position::text(self.line.word, entry.number, &entry.others), entry.message.clone())
        };
        Some(missed.into_iter().map(shown).collect())
    }

    /// Takes a waiting session out.
    fn release(&mut self, origin: Origin) -> Option<Box<Away>> {
        let away = match self.kept.sessions.remove(&origin)? {
            Known::Away(away) => away,
            back @ Known::Back(_) => {
                self.kept.sessions.insert(origin, back);
                return None;
            }
        };
        self.kept.waiting -= 1;
        self.line.total.take(away.size());
        for target in away.targets() {
            self.log(target).waiting -= 1;
        }
        Some(away)
    }

    fn give_up_oldest(&mut self) {
        let Some((at, origin)) = self.kept.losses.pop_front() else { return };
        let waits = matches!(self.kept.sessions.get(&origin), Some(Known::Away(away)) if away.since == at);
        if waits {
            self.forget(origin);
        }
    }

    fn log(&mut self, target: Target) -> &mut Log {
        let total = &self.line.total;
        self.kept.logs.entry(target).or_insert_with(|| Log::new(total.clone()))
    }
}

impl Away {
    fn targets(&self) -> impl Iterator<Item = Target> + use<> {
        let own = Target::Session(self.session.origin);
        let rooms: Vec<_> = self.rooms.iter().map(|stay| Target::Room(stay.key.clone())).collect();
        rooms.into_iter().chain([own])
    }

    fn size(&self) -> usize {
        let rooms = self.rooms.iter().map(|stay| stay.key.name.len() + stay.meta.len() + 128);
        let data = self.data.iter().map(|(_, data)| data.len());
        SESSION + rooms.chain(data).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn line(max_bytes: usize) -> Line {
        let rules = Recovery { window: SECOND * 10, slack: SECOND * 5, max_events: 10, max_bytes };
        Line::new(rules, Word(1), Total::default())
    }

    fn room() -> RoomKey {
        RoomKey { plugin: PluginId(0), name: "r".into() }
    }

    fn away(id: u64, since: Duration) -> Away {
        let stay =
            Stay { key: room(), since: 0, since_offset: "".into(), user: "ann".into(), meta: Bytes::new() };
        Away {
            session: Session::new(Word(1), ConnId(id)),
            namespace: "/".into(),
            user: None,
            public_id: "x".into(),
            rooms: vec![stay],
            data: Vec::new(),
            since,
        }
    }

    fn say(line: &Line, heard: bool, at: Duration) -> Option<String> {
        let recorded =
            line.hold().record(Target::Room(room()), (heard, false), &Message::new("e", "[]"), None, at);
        recorded.map(|recorded| recorded.offset)
    }

    fn claim(line: &Line, session: Session, now: Duration) -> Result<usize, Lost> {
        let ticket = Ticket { pid: session.pid(), offset: None };
        let claim = Claim { ticket: &ticket, namespace: "/", user: None };
        line.hold().claim(&claim, now).map(|(_, missed)| missed.len())
    }

    #[test]
    fn nobody_there_nothing_kept() {
        let line = line(10_000);
        assert!(say(&line, false, SECOND).is_none());
        assert!(line.hold().kept.logs.is_empty());
        assert!(say(&line, true, SECOND).is_some());
    }

    #[test]
    fn waiting_session_is_somebody() {
        let line = line(10_000);
        let away = away(1, SECOND);
        let session = away.session;
        line.hold().put_away(away);
        assert!(say(&line, false, SECOND).is_some());
        assert_eq!(claim(&line, session, SECOND), Ok(1));
        assert_eq!(claim(&line, session, SECOND), Err(Lost::Unknown), "it is taken");
    }

    #[test]
    fn everything_is_over_some_day() {
        let line = line(10_000);
        line.hold().put_away(away(1, SECOND));
        say(&line, false, SECOND);
        assert!(line.total.bytes() > 0);
        line.sweep(SECOND * 11);
        assert_eq!(line.waiting(), 0);
        line.sweep(SECOND * 17);
        let held = line.hold();
        assert!(held.kept.logs.is_empty() && held.kept.sessions.is_empty() && held.kept.losses.is_empty());
        assert_eq!(line.total.bytes(), 0);
    }

    #[test]
    fn oldest_sessions_make_room() {
        let line = line(2000);
        let sessions: Vec<_> = (1..=4).map(|id| away(id, SECOND)).collect();
        let known: Vec<_> = sessions.iter().map(|away| away.session).collect();
        for away in sessions {
            line.hold().put_away(away);
        }
        assert!(line.total.bytes() <= 2000);
        assert_eq!(claim(&line, known[0], SECOND), Err(Lost::Unknown));
        assert_eq!(claim(&line, known[3], SECOND), Ok(0));
    }

    #[test]
    fn second_loss_starts_the_window_anew() {
        let line = line(10_000);
        let first = away(1, SECOND);
        let session = first.session;
        line.hold().put_away(first);
        assert_eq!(claim(&line, session, SECOND * 2), Ok(0));
        line.hold().resume(session, ConnId(5));
        assert_eq!(line.hold().present(&session), Some(ConnId(5)));
        line.hold().put_away(Away { session, ..away(1, SECOND * 8) });
        line.sweep(SECOND * 12);
        assert_eq!(line.waiting(), 1, "the first loss is over, the second is not");
        assert_eq!(claim(&line, session, SECOND * 17), Ok(0));
        line.hold().forget(session.origin);
        assert_eq!(line.total.bytes(), 0);
    }
}
