//! Connection State Recovery: what is remembered so that a client whose link broke gets its session back, as stock
//! Socket.IO clients ask for it (`pid`, offsets, `socket.recovered`).
//!
//! Plugins that share a namespace share a [`Line`]: their recoverable events have one order there, so that the last
//! offset that a client received says exactly what it has. Events are kept per room and per session, bounded by
//! count, age and bytes; what was forgotten is never hidden: a client that missed it is connected as a new one.

mod line;
mod log;
mod position;
mod record;

use std::time::Duration;

use rand::Rng;

use crate::ConnId;

pub(crate) use line::{Away, Claim, Line, Recorded, Recorder, Stay};
pub(crate) use log::{Numbered, Target, Total};
pub(crate) use position::{Heard, Position, Word};
pub(crate) use record::{Kept, Note, Record};

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

/// Where a session began: the process, and the handle of its first connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) word: Word,
    pub(crate) conn: ConnId,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}{:x}", self.word.0, self.conn.0)
    }
}

/// What a session is known by: where it began, and a secret of its client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) origin: Origin,
    secret: [u64; 2],
}

impl Session {
    pub(crate) fn new(word: Word, conn: ConnId) -> Self {
        Self { origin: Origin { word, conn }, secret: rand::rng().random() }
    }

    /// As the client shows it.
    pub(crate) fn pid(&self) -> String {
        format!("{}-{:016x}{:016x}", self.origin, self.secret[0], self.secret[1])
    }

    /// The session that a client claims, if it is one at all.
    pub(crate) fn read(pid: &str) -> Option<Self> {
        let (origin, secret) = pid.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if secret.len() != 32 || !(9..=24).contains(&origin.len()) || !digits(origin) || !digits(secret) {
            return None;
        }
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let word = Word(u32::from_str_radix(&origin[..8], 16).ok()?);
        Some(Self {
            origin: Origin { word, conn: ConnId(number(&origin[8..])?) },
            secret: [number(&secret[..16])?, number(&secret[16..])?],
        })
    }

    /// Whether the other shows the same secret; takes the same time whatever it shows.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let differs = (self.secret[0] ^ other.secret[0]) | (self.secret[1] ^ other.secret[1]);
        differs == 0 && self.origin == other.origin
    }

    /// What others may keep to know the secret by without having it.
    pub(crate) fn mark(&self) -> String {
        use sha2::{Digest, Sha256};
        Sha256::digest(self.pid()).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("origin", &self.origin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_known_by_their_secret() {
        let session = Session::new(Word(1), ConnId(700));
        let read = Session::read(&session.pid()).unwrap();
        assert!(session.is(&read));
        assert!(!session.is(&Session::new(Word(1), ConnId(700))));
        assert!(!Session { origin: Origin { word: Word(2), ..read.origin }, ..read }.is(&session));
        assert_ne!(session.mark(), read.pid());
    }

    #[test]
    fn strange_pids_are_none() {
        let pid = Session::new(Word(1), ConnId(7)).pid();
        let (signed, long) = (pid.replacen("7-", "+-", 1), format!("{pid}0"));
        for text in ["", "-", "7", "7-", &signed, &long, &pid[..30], &pid.replace('-', "é-"), "é"] {
            assert_eq!(Session::read(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let session = Session::new(Word(1), ConnId(7));
        let ticket = Ticket { pid: session.pid(), offset: None };
        let secret = &session.pid()[10..];
        assert!(!format!("{ticket:?} {session:?}").contains(secret));
    }
}
