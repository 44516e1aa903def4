//! Connection State Recovery: what is remembered so that a client whose link broke gets its session back, as stock
//! Socket.IO clients ask for it (`pid`, offsets, `socket.recovered`).
//!
//! Plugins that share a namespace share a [`Line`]: their recoverable events have one order there, so that the last
//! offset that a client received says exactly what it has. Events are kept per room and per session, bounded by
//! count, age and bytes; what was forgotten is never hidden: a client that missed it is connected as a new one.

mod line;
mod log;

use std::time::Duration;

use rand::Rng;

use crate::ConnId;

pub(crate) use line::{Away, Claim, Line, Recorder, Stay};
pub(crate) use log::{Target, Total};

/// How much is remembered, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How long a session waits for its client.
    pub window: Duration,
    /// How long a broken link may go unnoticed: the time of a heartbeat.
    pub slack: Duration,
    /// Events kept per room, and per session of those sent to it alone; older ones are forgotten.
    pub max_events: usize,
    /// Bytes of all kept events and waiting sessions. When spent, the sessions that wait longest are given up, and
    /// of a room or session its own older events; if that is not enough, the new event is not kept.
    pub max_bytes: usize,
}

impl Recovery {
    /// How old an event may become: a client that missed an older one cannot come back any more.
    pub(crate) fn keep(&self) -> Duration {
        self.window + self.slack
    }
}

/// What a client shows to come back: all of it is hostile until checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The private id that CONNECT gave it.
    pub pid: String,
    /// The offset of the last event it received; `None` when it received none.
    pub offset: Option<String>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// How a connection began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// As a new one.
    New,
    /// As the next link of a session: rooms, notes and public id are those of before.
    Recovered,
    /// As a new one, although the client wanted its session back.
    Lost(Lost),
}

/// Why a client could not get its session back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// No such session: the window has passed, the hub is another, or it never was.
    Unknown,
    /// The session is of another user or namespace.
    Foreign,
    /// Events that the client missed are kept no longer, are too many for its link, or cannot be told.
    Gap,
}

impl Lost {
    /// The metric label, and what clients are told.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Foreign => "foreign",
            Self::Gap => "gap",
        }
    }
}

/// What a session is known by: the handle that it began with, and a secret of its client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) origin: ConnId,
    secret: [u64; 2],
}

impl Session {
    pub(crate) fn new(origin: ConnId) -> Self {
        Self { origin, secret: rand::rng().random() }
    }

    /// As the client shows it.
    pub(crate) fn pid(&self) -> String {
        format!("{:x}-{:016x}{:016x}", self.origin.0, self.secret[0], self.secret[1])
    }

    /// The session that a client claims, if it is one at all.
    pub(crate) fn read(pid: &str) -> Option<Self> {
        let (origin, secret) = pid.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if secret.len() != 32 || origin.len() > 16 || !digits(origin) || !digits(secret) {
            return None;
        }
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Self {
            origin: ConnId(number(origin)?),
            secret: [number(&secret[..16])?, number(&secret[16..])?],
        })
    }

    /// Whether the other shows the same secret; takes the same time whatever it shows.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let differs = (self.secret[0] ^ other.secret[0]) | (self.secret[1] ^ other.secret[1]);
        (differs | (self.origin.0 ^ other.origin.0)) == 0
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// How clients see the numbers of events: as text that begins with a word of this process, so that an argument of an
/// application, or an offset of another process, is never taken for one.
#[derive(Debug)]
pub(crate) struct Offsets {
    word: String,
}

impl Default for Offsets {
    fn default() -> Self {
        Self { word: format!("{:08x}", rand::rng().random::<u32>()) }
    }
}

impl Offsets {
    /// As clients see a number.
    pub(crate) fn text(&self, number: u64) -> String {
        format!("{}.{number:x}", self.word)
    }

    /// The number in what a client shows; `None` when it is not one of ours, of which `last` is the largest.
    pub(crate) fn read(&self, text: &str, last: u64) -> Option<u64> {
        let digits = text.strip_prefix(&*self.word)?.strip_prefix('.')?;
        let plain = digits.len() <= 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(digits, 16).ok().filter(|_| plain)?;
        (1..=last).contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_come_back_as_numbers() {
        let offsets = Offsets::default();
        for number in [1, 10, u64::MAX] {
            assert_eq!(offsets.read(&offsets.text(number), u64::MAX), Some(number));
        }
    }

    #[test]
    fn strange_offsets_are_none() {
        let (offsets, other) = (Offsets::default(), Offsets { word: "x".into() });
        let text = offsets.text(1);
        let plus = text.replace('.', ".+");
        let strange =
            ["", "1", "hello", &other.text(1), &offsets.text(2), &offsets.text(0), &plus, &text[..9]];
        for text in strange {
            assert_eq!(offsets.read(text, 1), None, "{text}");
        }
        assert_eq!(offsets.read(&format!("{text} "), 1), None);
    }

    #[test]
    fn sessions_are_known_by_their_secret() {
        let session = Session::new(ConnId(700));
        let read = Session::read(&session.pid()).unwrap();
        assert!(session.is(&read));
        assert!(!session.is(&Session::new(ConnId(700))));
        assert!(!Session { origin: ConnId(701), ..read }.is(&session));
    }

    #[test]
    fn strange_pids_are_none() {
        let pid = Session::new(ConnId(7)).pid();
        let (signed, long) = (pid.replacen("7-", "+7-", 1), format!("{pid}0"));
        for text in ["", "-", "7", "7-", &signed, &long, &pid[..30], &pid.replace('-', "é-"), "é"] {
            assert_eq!(Session::read(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let session = Session::new(ConnId(7));
        let ticket = Ticket { pid: session.pid(), offset: None };
        let secret = &session.pid()[2..];
        assert!(!format!("{ticket:?} {session:?}").contains(secret));
    }
}
