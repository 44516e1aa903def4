//! Topics as NATS subjects and back. Every name that a user gave is encoded, one to one, so that no name can be a
//! wildcard, reach into another subject or break the protocol's lines.
//!
//! `A-Z a-z 0-9 - _` stand for themselves, every other byte of the UTF-8 form is `=XX` (upper-case hex), and the
//! empty name is `=`. Decoding takes only what encoding makes.

use exedra_hub::port::{Address, BusError, Interest, Place, Topic};

/// The longest encoded name, in bytes: three of them and a prefix stay below the 4 KiB of a protocol line.
pub const MAX_TOKEN: usize = 1024;
/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 256;
/// The longest reply address that is answered, in bytes.
const MAX_REPLY: usize = 1024;

/// One name as one subject token.
///
/// # Errors
/// [`BusError::TooLarge`] when it takes more than [`MAX_TOKEN`] bytes.
pub fn encode(name: &str) -> Result<String, BusError> {
    let mut token = String::with_capacity(name.len().min(MAX_TOKEN));
    push_token(&mut token, name)?;
    Ok(token)
}

/// Adds a name to a subject, as [`encode`] writes it.
fn push_token(subject: &mut String, name: &str) -> Result<(), BusError> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if name.len() > MAX_TOKEN {
        return Err(BusError::TooLarge);
    }
    let start = subject.len();
    if name.is_empty() {
        subject.push('=');
    }
    for byte in name.bytes() {
        if is_plain(byte) {
            subject.push(char::from(byte));
        } else {
            subject.push('=');
            subject.push(char::from(HEX[usize::from(byte >> 4)]));
            subject.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    if subject.len() - start > MAX_TOKEN { Err(BusError::TooLarge) } else { Ok(()) }
}

/// The name of a token; `None` unless [`encode`] makes exactly this token of it.
pub fn decode(token: &str) -> Option<String> {
    if token == "=" {
        return Some(String::new());
    }
    if token.is_empty() || token.len() > MAX_TOKEN {
        return None;
    }
    let mut name = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if is_plain(first) {
            name.push(first);
        } else if first == b'=' {
            let ([high, low], after) = rest.split_first_chunk()?;
            let byte = hex(*high)? << 4 | hex(*low)?;
            if is_plain(byte) {
                return None;
            }
            name.push(byte);
            rest = after;
        } else {
            return None;
        }
    }
    String::from_utf8(name).ok()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The subjects under one prefix.
#[derive(Debug, Clone)]
pub struct Subjects {
    /// The prefix and a dot.
    prefix: String,
}

impl Subjects {
    /// Takes a prefix of one or more plain tokens.
    ///
    /// # Errors
    /// A sentence that says what a prefix may be.
    pub fn new(prefix: &str) -> Result<Self, &'static str> {
        let plain = prefix.split('.').all(|token| !token.is_empty() && token.bytes().all(is_plain));
        if !plain || prefix.len() > MAX_PREFIX {
            return Err(
                "takes letters, digits, - and _, in tokens separated by dots, 256 characters at most",
            );
        }
        Ok(Self { prefix: format!("{prefix}.") })
    }

    /// The subject of a topic.
    ///
    /// # Errors
    /// [`BusError::TooLarge`] when a name is too long; [`BusError::Unavailable`] for a reply address that nobody
    /// may be answered at.
    pub fn subject(&self, topic: &Topic) -> Result<String, BusError> {
        match topic {
            Topic::In { plugin, room, event } => self.join("in", &[plugin, room, event]),
            Topic::Out { plugin, room, event } => self.join("out", &[plugin, room, event]),
            Topic::Rpc { service, method } => self.join("rpc", &[service, method]),
            Topic::DeadLetter { plugin } => self.join("dlq", &[plugin]),
            Topic::Reply(address) if self.is_reply(address) => Ok(address.clone()),
            Topic::Reply(_) => Err(BusError::Unavailable("not an address to answer at".to_owned())),
        }
    }

    /// The pattern that matches an interest's subjects.
    ///
    /// # Errors
    /// As [`Self::subject`].
    pub fn pattern(&self, interest: &Interest) -> Result<String, BusError> {
        Ok(match interest {
            Interest::In { plugin } => self.join("in", &[plugin])? + ".*.*",
            Interest::Out { plugin } => self.join("out", &[plugin])? + ".*.*",
            Interest::Rpc { service } => self.join("rpc", &[service])? + ".*",
            Interest::DeadLetter { plugin } => self.join("dlq", &[plugin])?,
        })
    }

    /// The pattern of all dead letters.
    pub fn letters(&self) -> String {
        format!("{}dlq.*", self.prefix)
    }

    /// Where nodes write their ledger.
    pub fn ledger(&self) -> String {
        format!("{}cluster.ledger", self.prefix)
    }

    /// Where the ledger is read aloud, entry by entry, with their numbers.
    pub fn said(&self) -> String {
        format!("{}cluster.said", self.prefix)
    }

    /// Where nothing is ever heard.
    pub fn nobody(&self) -> String {
        format!("{}cluster.nobody", self.prefix)
    }

    /// Where a parcel between nodes goes.
    ///
    /// # Errors
    /// [`BusError::TooLarge`] when a name is too long.
    pub fn address(&self, address: &Address) -> Result<String, BusError> {
        match address {
            Address::Kept(place) => self.of_room(place, ".kept"),
            Address::Passing(place) => self.of_room(place, ".passing"),
            Address::Session(session) => Ok(format!("{}cluster.events.{}", self.prefix, encode(session)?)),
            Address::Node(node) => Ok(format!("{}cluster.node.{node}", self.prefix)),
        }
    }

    /// All parcels for a room.
    ///
    /// # Errors
    /// [`BusError::TooLarge`] when a name is too long.
    pub fn room(&self, place: &Place) -> Result<String, BusError> {
        self.of_room(place, ".*")
    }

    /// Made for every room message, so without a format and in one piece.
    fn of_room(&self, place: &Place, end: &str) -> Result<String, BusError> {
        const KIND: &str = "cluster.room.";
        let length = self.prefix.len() + KIND.len() + place.plugin.len() + 1 + place.room.len() + end.len();
        let mut subject = String::with_capacity(length);
        subject.push_str(&self.prefix);
        subject.push_str(KIND);
        push_token(&mut subject, &place.plugin)?;
        subject.push('.');
        push_token(&mut subject, &place.room)?;
        subject.push_str(end);
        Ok(subject)
    }

    /// All parcels that are kept, as patterns.
    pub fn kept(&self) -> [String; 2] {
        ["room.*.*.kept", "events.*"].map(|rest| format!("{}cluster.{rest}", self.prefix))
    }

    /// What is written down of a session.
    ///
    /// # Errors
    /// [`BusError::TooLarge`] when the name is too long.
    pub fn record(&self, session: &str) -> Result<String, BusError> {
        Ok(format!("{}cluster.session.{}", self.prefix, encode(session)?))
    }

    /// All that is written down of sessions, as a pattern.
    pub fn records(&self) -> String {
        format!("{}cluster.session.*", self.prefix)
    }

    /// A stream of this hub, as JetStream names it.
    pub fn stream(&self, name: &str) -> String {
        format!("{}{name}", self.prefix.replace('.', "_"))
    }

    /// The topic of a subject; `None` when it is not one of ours in the one form it has.
    pub fn topic(&self, subject: &str) -> Option<Topic> {
        let (kind, names) = subject.strip_prefix(&self.prefix)?.split_once('.')?;
        let names = names.split('.').map(decode).collect::<Option<Vec<_>>>()?;
        match (kind, <[String; 3]>::try_from(names)) {
            ("in", Ok([plugin, room, event])) => Some(Topic::In { plugin, room, event }),
            ("out", Ok([plugin, room, event])) => Some(Topic::Out { plugin, room, event }),
            ("rpc", Err(names)) => match <[String; 2]>::try_from(names) {
                Ok([service, method]) => Some(Topic::Rpc { service, method }),
                Err(_) => None,
            },
            ("dlq", Err(names)) => match <[String; 1]>::try_from(names) {
                Ok([plugin]) => Some(Topic::DeadLetter { plugin }),
                Err(_) => None,
            },
            _ => None,
        }
    }

    /// Whether an address that a request gave is one to answer at. An answer is sent with the hub's rights, so
    /// subjects of the system and of the hub itself are not.
    pub fn is_reply(&self, address: &str) -> bool {
        let whole = |token: &str| {
            !token.is_empty() && !matches!(token, "*" | ">") && token.bytes().all(|b| b.is_ascii_graphic())
        };
        address.len() <= MAX_REPLY
            && !address.starts_with('$')
            && !address.starts_with(&self.prefix)
            && address.split('.').all(whole)
    }

    fn join(&self, kind: &str, names: &[&String]) -> Result<String, BusError> {
        let mut subject = format!("{}{kind}", self.prefix);
        for name in names {
            subject.push('.');
            push_token(&mut subject, name)?;
        }
        Ok(subject)
    }
}

#[cfg(test)]
#[path = "subject_tests.rs"]
mod tests;
