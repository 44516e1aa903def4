//! What other nodes need to go on with a session whose node is gone. Nodes of adjacent versions read each other's.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Session;
use crate::{cluster::NodeId, port::Place};

/// A session as it is kept for all nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// [`Session::mark`] of it.
    pub(crate) mark: String,
    /// The node that its client is, or was last, connected to.
    pub(crate) home: NodeId,
    /// The namespace as the client gave it.
    pub(crate) namespace: Arc<str>,
    /// The user, unless it is anonymous.
    #[serde(default)]
    pub(crate) user: Option<Arc<str>>,
    /// What clients know the connection by.
    pub(crate) public_id: Arc<str>,
    /// Its places in rooms.
    #[serde(default)]
    pub(crate) rooms: Vec<Kept>,
    /// Notes of plugins, by the plugin's name; as text, or as numbers where they are none.
    #[serde(default)]
    pub(crate) notes: Vec<(Arc<str>, Note)>,
    /// When its link was lost, in milliseconds since 1970; 0 while it has one.
    #[serde(default)]
    pub(crate) lost: u64,
}

/// A place in a room.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) plugin: Arc<str>,
    pub(crate) room: Arc<str>,
    pub(crate) user: Arc<str>,
    #[serde(default)]
    pub(crate) meta: Option<Box<RawValue>>,
    /// How far the line had come when it joined.
    #[serde(default)]
    pub(crate) since: Arc<str>,
}

impl Kept {
    /// The room, as nodes name it to each other.
    pub(crate) fn place(&self) -> Place {
        Place { plugin: self.plugin.clone(), room: self.room.clone() }
    }
}

/// Notes of a plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Note {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Bytes> for Note {
    fn from(bytes: &Bytes) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl From<Note> for Bytes {
    fn from(note: Note) -> Self {
        match note {
            Note::Text(text) => text.into(),
            Note::Bytes(bytes) => bytes.into(),
        }
    }
}

impl Record {
    /// As bytes.
    pub(crate) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).map(Bytes::from).unwrap_or_default() // strings and numbers always can
    }

    /// A record of another node; `None` when it is none, or empty: the session is over.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Whether a client may have it.
    pub(crate) fn is_for(
        &self,
        session: &Session,
        namespace: &str,
        user: Option<&str>,
    ) -> Result<(), super::Lost> {
        // The mark is a digest: how long the comparison takes says nothing about the secret.
        if self.mark != session.mark() {
            return Err(super::Lost::Unknown);
        }
        if *self.namespace != *namespace || self.user.as_deref() != user {
            return Err(super::Lost::Foreign);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ConnId,
        recovery::{Lost, Word},
    };

    fn record(session: &Session) -> Record {
        Record {
            mark: session.mark(),
            home: NodeId(7),
            namespace: "/".into(),
            user: Some("ann".into()),
            public_id: "x".into(),
            rooms: Vec::new(),
            notes: vec![
                ("p".into(), Note::from(&Bytes::from_static(b"{}"))),
                ("q".into(), Note::from(&Bytes::from_static(b"\xff\x00"))),
            ],
            lost: 0,
        }
    }

    #[test]
    fn records_arrive_as_written() {
        let session = Session::new(Word(1), ConnId(2));
        let read = Record::decode(&record(&session).encode()).unwrap();
        let notes: Vec<Bytes> = read.notes.iter().map(|(_, note)| note.clone().into()).collect();
        assert_eq!(notes, [&b"{}"[..], b"\xff\x00"]);
        assert!(Record::decode(b"").is_none());
    }

    #[test]
    fn secret_and_owner_must_fit() {
        let session = Session::new(Word(1), ConnId(2));
        let record = record(&session);
        assert_eq!(record.is_for(&session, "/", Some("ann")), Ok(()));
        assert_eq!(record.is_for(&Session::new(Word(1), ConnId(2)), "/", Some("ann")), Err(Lost::Unknown));
        assert_eq!(record.is_for(&session, "/", Some("bob")), Err(Lost::Foreign));
        assert_eq!(record.is_for(&session, "/x", Some("ann")), Err(Lost::Foreign));
        let secret = &session.pid()[10..];
        assert!(!String::from_utf8_lossy(&record.encode()).contains(secret));
    }
}
