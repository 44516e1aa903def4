//! Events as they travel: a name, arguments as JSON text that nobody parses on the way, and attachments.

use bytes::Bytes;

/// An event with its arguments. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event's name.
    pub event: Box<str>,
    /// The arguments: a JSON array, `[]` for none. Binary arguments are placeholders as in Socket.IO
    /// (`{"_placeholder":true,"num":0}`) into `attachments`.
    pub args: Bytes,
    /// Binary attachments.
    pub attachments: Vec<Bytes>,
}

impl Message {
    /// An event without attachments. `args` must be a JSON array.
    pub fn new(event: impl Into<Box<str>>, args: impl Into<Bytes>) -> Self {
        Self { event: event.into(), args: args.into(), attachments: Vec::new() }
    }

    /// Name, arguments and attachments in bytes, as limits and metrics count them.
    pub fn size(&self) -> usize {
        self.event.len() + self.args.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }
}

/// An event as a client sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The event.
    pub message: Message,
    /// The number under which the client waits for an acknowledgement.
    pub ack: Option<u64>,
}

/// How much a message matters when the link is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Class {
    /// In order, never dropped: a link whose byte budget is spent is closed as a slow consumer.
    #[default]
    Reliable,
    /// Only the newest of a key waits; the key is a hash made by [`Class::latest`].
    Latest(u64),
    /// Dropped when anything else waits for the link.
    Volatile,
}

/// How far a room message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// To everybody in the room, on whatever node.
    #[default]
    Everywhere,
    /// To those who are connected here: every node sends its own.
    Here,
}

impl Class {
    /// The `latest` class for a key within a room or a connection.
    pub fn latest(scope: &str, event: &str, key: &str) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (scope, event, key).hash(&mut hasher);
        Self::Latest(hasher.finish())
    }
}
