//! Entries of the ledger: what a node has to say about itself, in words that nodes of adjacent versions share. Unknown
//! fields and unknown kinds of changes are passed over; an entry of another major version is not read at all.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::NodeId;
use crate::port::Place;

/// The version of the words. Raised when an older node would misread them.
const VERSION: u16 = 1;

/// One entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Whose.
    pub node: NodeId,
    /// The node's name, for people.
    pub name: Arc<str>,
    /// Counts the node's entries: one that comes twice is passed over.
    pub number: u64,
    /// Counts the node's heartbeats: the clock by which it judges others.
    pub beat: u64,
    /// The plugins whose injected events it may take; `None` from an older node, which does not say: all.
    pub takes: Option<Vec<Arc<str>>>,
    /// What it says.
    pub word: Word,
}

/// What an entry says.
#[derive(Debug, Clone)]
pub enum Word {
    /// What has changed at the node, in order; may be nothing, as a sign of life.
    Changes(Vec<Change>),
    /// Everything that the node holds, in parts: it takes the place of all that was known of it.
    State {
        /// This part, from 0.
        part: u32,
        /// How many there are.
        of: u32,
        /// What it holds.
        holds: Vec<Change>,
    },
    /// The node is new, or has lost its place: it asks all others for their state.
    Hello,
    /// The node ends; all that it held is over.
    Bye,
    /// The author takes another node for dead, unless that has said something after entry `heard`.
    Gone {
        /// Who.
        node: NodeId,
        /// The last entry of it that the author has read.
        heard: u64,
    },
    /// A word of a later version.
    Unknown,
}

/// A change at a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A member has a place there, or what is known of it has changed.
    Hold(Hold),
    /// A member has no place there any more.
    Free {
        /// Where.
        place: Place,
        /// Who.
        user: Arc<str>,
        /// What the plugin had said of it.
        meta: Bytes,
        /// Whether its leave has been told already.
        told: bool,
    },
    /// A member is taken out on every node.
    Evict {
        /// Where.
        place: Place,
        /// Who.
        user: Arc<str>,
        /// What the plugin had said of it.
        meta: Bytes,
    },
    /// A member holds its place by a connection from now on: places without one are over, wherever they are.
    Unlease {
        /// Where.
        place: Place,
        /// Who.
        user: Arc<str>,
    },
    /// A member wants a place among at most so many; the order of the ledger says who gets it.
    Reserve {
        /// The place.
        hold: Hold,
        /// The most members.
        max: u64,
        /// Which question of the author this is.
        ask: u64,
    },
    /// The state of a room is to be sent again by every node.
    Refresh {
        /// Where.
        place: Place,
        /// Which of the plugin's states.
        state: u32,
    },
    /// A change of a later version.
    Unknown,
}

/// A member's place at a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// Where.
    pub place: Place,
    /// Who.
    pub user: Arc<str>,
    /// What the plugin says of it, JSON; empty for nothing.
    pub meta: Bytes,
    /// When it joined, in milliseconds since 1970.
    pub joined: u64,
    /// When it joined last, in milliseconds since 1970.
    pub seen: u64,
    /// Its connections there.
    pub connections: u32,
    /// How much longer it stays without a connection.
    pub lease: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Say {
    Changes,
    State,
    Hello,
    Bye,
    Gone,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Hold,
    Free,
    Evict,
    Unlease,
    Reserve,
    Refresh,
    #[serde(other)]
    Unknown,
}

/// An entry as JSON has it.
#[derive(Serialize, Deserialize)]
struct Written {
    v: u16,
    node: u64,
    #[serde(default)]
    name: Arc<str>,
    number: u64,
    beat: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    takes: Option<Vec<Arc<str>>>,
    say: Say,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Line>,
    #[serde(default, skip_serializing_if = "is_zero")]
    part: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    of: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    gone: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    heard: u64,
}

/// A change as JSON has it: flat, so that what plugins say of members is not parsed on the way.
#[derive(Serialize, Deserialize)]
struct Line {
    kind: Kind,
    #[serde(default)]
    plugin: Arc<str>,
    #[serde(default)]
    room: Arc<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    user: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    joined: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    seen: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    connections: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    max: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    ask: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    state: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    told: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Entry {
    /// As bytes.
    pub fn encode(&self) -> Bytes {
        let written = Written::from(self);
        serde_json::to_vec(&written).map(Bytes::from).unwrap_or_default() // strings and numbers always can
    }

    /// The entry in bytes of another node.
    ///
    /// # Errors
    /// Why it cannot be read: it is no entry, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u16,
        }
        let Versioned { v } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if v != VERSION {
            return Err(format!("it is of version {v}, and this node reads {VERSION}"));
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        Ok(written.into())
    }
}

impl From<&Entry> for Written {
    fn from(entry: &Entry) -> Self {
        let mut written = Self {
            v: VERSION,
            node: entry.node.0,
            name: entry.name.clone(),
            number: entry.number,
            beat: entry.beat,
            takes: entry.takes.clone(),
            say: Say::Unknown,
            changes: Vec::new(),
            part: 0,
            of: 0,
            gone: 0,
            heard: 0,
        };
        let lines = |changes: &[Change]| changes.iter().map(Line::from).collect();
        written.say = match &entry.word {
            Word::Changes(changes) => {
                written.changes = lines(changes);
                Say::Changes
            }
            Word::State { part, of, holds } => {
                (written.part, written.of) = ((*part).into(), (*of).into());
                written.changes = lines(holds);
                Say::State
            }
            Word::Gone { node, heard } => {
                (written.gone, written.heard) = (node.0, *heard);
                Say::Gone
            }
            Word::Hello => Say::Hello,
            Word::Bye => Say::Bye,
            Word::Unknown => Say::Unknown,
        };
        written
    }
}

impl From<Written> for Entry {
    fn from(written: Written) -> Self {
        let changes = written.changes.into_iter().map(Change::from).collect();
        let word = match written.say {
            Say::Changes => Word::Changes(changes),
            Say::State => Word::State { part: cut(written.part), of: cut(written.of), holds: changes },
            Say::Hello => Word::Hello,
            Say::Bye => Word::Bye,
            Say::Gone => Word::Gone { node: NodeId(written.gone), heard: written.heard },
            Say::Unknown => Word::Unknown,
        };
        Self {
            node: NodeId(written.node),
            name: written.name,
            number: written.number,
            beat: written.beat,
            takes: written.takes,
            word,
        }
    }
}

impl Change {
    /// Its bytes in an entry, about.
    pub fn size(&self) -> usize {
        let (place, user, meta) = match self {
            Self::Hold(hold) | Self::Reserve { hold, .. } => (&hold.place, hold.user.len(), hold.meta.len()),
            Self::Free { place, user, meta, .. } | Self::Evict { place, user, meta } => {
                (place, user.len(), meta.len())
            }
            Self::Unlease { place, user } => (place, user.len(), 0),
            Self::Refresh { place, .. } => (place, 0, 0),
            Self::Unknown => return 0,
        };
        128 + place.plugin.len() + place.room.len() + user + meta
    }
}

impl Line {
    fn new(kind: Kind, place: &Place, user: &Arc<str>, meta: &Bytes) -> Self {
        Self {
            kind,
            plugin: place.plugin.clone(),
            room: place.room.clone(),
            user: user.clone(),
            meta: serde_json::from_slice(meta).ok(),
            joined: 0,
            seen: 0,
            connections: 0,
            lease: None,
            max: 0,
            ask: 0,
            state: 0,
            told: false,
        }
    }

    fn hold(kind: Kind, hold: &Hold) -> Self {
        let lease = hold.lease.map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
        let (joined, seen, connections) = (hold.joined, hold.seen, hold.connections.into());
        Self { joined, seen, connections, lease, ..Self::new(kind, &hold.place, &hold.user, &hold.meta) }
    }
}

impl From<&Change> for Line {
    fn from(change: &Change) -> Self {
        let nobody = || "".into();
        match change {
            Change::Hold(hold) => Self::hold(Kind::Hold, hold),
            Change::Reserve { hold, max, ask } => {
                Self { max: *max, ask: *ask, ..Self::hold(Kind::Reserve, hold) }
            }
            Change::Free { place, user, meta, told } => {
                Self { told: *told, ..Self::new(Kind::Free, place, user, meta) }
            }
            Change::Evict { place, user, meta } => Self::new(Kind::Evict, place, user, meta),
            Change::Unlease { place, user } => Self::new(Kind::Unlease, place, user, &Bytes::new()),
            Change::Refresh { place, state } => {
                Self { state: (*state).into(), ..Self::new(Kind::Refresh, place, &nobody(), &Bytes::new()) }
            }
            Change::Unknown => {
                let place = Place { plugin: nobody(), room: nobody() };
                Self::new(Kind::Unknown, &place, &nobody(), &Bytes::new())
            }
        }
    }
}

impl From<Line> for Change {
    fn from(line: Line) -> Self {
        let place = Place { plugin: line.plugin, room: line.room };
        let meta =
            line.meta.map(|meta| Bytes::from(Box::<str>::from(meta).into_string())).unwrap_or_default();
        let user = line.user;
        match line.kind {
            Kind::Free => Self::Free { place, user, meta, told: line.told },
            Kind::Evict => Self::Evict { place, user, meta },
            Kind::Unlease => Self::Unlease { place, user },
            Kind::Refresh => Self::Refresh { place, state: cut(line.state) },
            Kind::Unknown => Self::Unknown,
            kind => {
                let hold = Hold {
                    place,
                    user,
                    meta,
                    joined: line.joined,
                    seen: line.seen,
                    connections: cut(line.connections),
                    lease: line.lease.map(Duration::from_millis),
                };
                if kind == Kind::Hold {
                    Self::Hold(hold)
                } else {
                    Self::Reserve { hold, max: line.max, ask: line.ask }
                }
            }
        }
    }
}

fn cut(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { plugin: "meetings".into(), room: "r".into() }
    }

    fn hold() -> Hold {
        Hold {
            place: place(),
            user: "ann".into(),
            meta: Bytes::from_static(br#"{"name":"Ann"}"#),
            joined: 1,
            seen: 2,
            connections: 3,
            lease: Some(Duration::from_millis(4)),
        }
    }

    fn entry(word: Word) -> Entry {
        let takes = Some(vec!["p".into()]);
        Entry { node: NodeId(u64::MAX), name: "a".into(), number: 7, beat: 8, takes, word }
    }

    #[test]
    fn changes_arrive_as_written() {
        let (user, meta): (Arc<str>, _) = ("ann".into(), Bytes::from_static(b"[1]"));
        let changes = vec![
            Change::Hold(hold()),
            Change::Free { place: place(), user: user.clone(), meta: meta.clone(), told: true },
            Change::Evict { place: place(), user: user.clone(), meta },
            Change::Unlease { place: place(), user },
            Change::Reserve { hold: Hold { lease: None, meta: Bytes::new(), ..hold() }, max: 2, ask: 9 },
            Change::Refresh { place: place(), state: 1 },
        ];
        let read = Entry::decode(&entry(Word::Changes(changes.clone())).encode()).unwrap();
        assert_eq!((read.node, read.number, read.beat), (NodeId(u64::MAX), 7, 8));
        assert_eq!(read.takes, Some(vec!["p".into()]));
        let Word::Changes(read) = read.word else { panic!("{:?}", read.word) };
        assert_eq!(read, changes);
    }

    #[test]
    fn later_words_are_passed_over() {
        let later = br#"{"v":1,"node":1,"number":2,"beat":3,"say":"sing","tune":"a"}"#;
        let read = Entry::decode(later).unwrap();
        assert!(matches!(read.word, Word::Unknown) && read.takes.is_none());
        let later =
            br#"{"v":1,"node":1,"number":2,"beat":3,"say":"changes","changes":[{"kind":"paint","x":1}]}"#;
        let Word::Changes(changes) = Entry::decode(later).unwrap().word else { panic!() };
        assert_eq!(changes, [Change::Unknown]);
    }

    #[test]
    fn other_versions_are_refused() {
        let error = Entry::decode(br#"{"v":2,"what":"ever"}"#).unwrap_err();
        assert_eq!(error, "it is of version 2, and this node reads 1");
        assert!(Entry::decode(b"\xff").is_err());
    }
}
