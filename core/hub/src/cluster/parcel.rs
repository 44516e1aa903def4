//! A room message on its way to other nodes, as bytes. Nobody parses what the message says; attachments stay apart.
//!
//! ```text
//! version u8 · class u8 · latest key u64 · sender u32 · number u64 · before u64 · except u32, u64
//! event: length u16, bytes · args: length u32, bytes · attachments: count u16, each length u32, bytes · time u64
//! ```
//! All numbers are little endian. What follows is for later versions and is passed over; another version is refused.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    Class, ConnId, Message,
    recovery::{Origin, Word},
};

const VERSION: u8 = 1;

/// A room message between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parcel {
    /// Who sent it.
    pub(crate) sender: Word,
    /// Its number among the sender's recoverable events; 0 for one that cannot be recovered.
    pub(crate) number: u64,
    /// The number of the sender's last recoverable event before it in the same place; 0 for none of late.
    pub(crate) before: u64,
    /// The session that it is not for; of a connection without one, the connection.
    pub(crate) except: Option<Origin>,
    /// How much it matters to slow links.
    pub(crate) class: Class,
    /// When it was sent, on the nodes' common clock: later than all that its sender had sent and heard before. 0 of nodes
    /// that have no such clock.
    pub(crate) time: u64,
    /// What is sent.
    pub(crate) message: Message,
}

impl Parcel {
    /// As bytes; `None` when a part is longer than its length can say.
    pub(crate) fn encode(&self) -> Option<Bytes> {
        let Message { event, args, attachments } = &self.message;
        let mut to = BytesMut::with_capacity(56 + self.message.size() + 4 * attachments.len());
        let (class, key) = match self.class {
            Class::Reliable => (0, 0),
            Class::Latest(key) => (1, key),
            Class::Volatile => (2, 0),
        };
        to.put_u8(VERSION);
        to.put_u8(class);
        let (word, conn) = self.except.map_or((0, 0), |except| (except.word.0, except.conn.0));
        to.put_u64_le(key);
        to.put_u32_le(self.sender.0);
        to.put_u64_le(self.number);
        to.put_u64_le(self.before);
        to.put_u32_le(word);
        to.put_u64_le(conn);
        to.put_u16_le(event.len().try_into().ok()?);
        to.put_slice(event.as_bytes());
        put(&mut to, args)?;
        to.put_u16_le(attachments.len().try_into().ok()?);
        for attachment in attachments {
            put(&mut to, attachment)?;
        }
        to.put_u64_le(self.time);
        Some(to.freeze())
    }

    /// The parcel in bytes of another node; `None` when they are none. Arguments and attachments share the bytes.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let mut from = Cursor { bytes, at: 0 };
        if from.u8()? != VERSION {
            return None;
        }
        let class = from.u8()?;
        let key = from.u64()?;
        let (sender, number, before) = (Word(from.u32()?), from.u64()?, from.u64()?);
        let except = Origin { word: Word(from.u32()?), conn: ConnId(from.u64()?) };
        let except = (except.conn != ConnId(0)).then_some(except); // handles begin at 1
        let class = match class {
            0 => Class::Reliable,
            1 => Class::Latest(key),
            2 => Class::Volatile,
            _ => return None,
        };
        let event = from.u16()?.into();
        let event = std::str::from_utf8(from.take(event)?).ok()?.into();
        let args = from.shared()?;
        std::str::from_utf8(&args).ok()?;
        let count = from.u16()?;
        let attachments = (0..count).map(|_| from.shared()).collect::<Option<Vec<_>>>()?;
        let time = from.u64().unwrap_or_default();
        let message = Message { event, args, attachments };
        Some(Self { sender, number, before, except, class, time, message })
    }
}

fn put(to: &mut BytesMut, bytes: &Bytes) -> Option<()> {
    to.put_u32_le(bytes.len().try_into().ok()?);
    to.put_slice(bytes);
    Some(())
}

struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn shared(&mut self) -> Option<Bytes> {
        let length = self.u32()? as usize;
        let from = self.at;
        self.take(length)?;
        Some(self.bytes.slice(from..self.at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parcel() -> impl Strategy<Value = Parcel> {
        let class =
            prop_oneof![Just(Class::Reliable), Just(Class::Volatile), any::<u64>().prop_map(Class::Latest)];
        let blob = || proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let message = (".{0,20}", ".{0,40}", proptest::collection::vec(blob(), 0..3));
        let except = proptest::option::of((any::<u32>(), 1..u64::MAX));
        (any::<(u32, u64, u64, u64)>(), except, class, message).prop_map(
            |((sender, number, before, time), except, class, (event, args, attachments))| {
                let message = Message { event: event.into(), args: args.into(), attachments };
                let except = except.map(|(word, conn)| Origin { word: Word(word), conn: ConnId(conn) });
                Parcel { sender: Word(sender), number, before, except, class, time, message }
            },
        )
    }

    proptest! {
        #[test]
        fn parcels_arrive_as_sent(parcel in parcel()) {
            let bytes = parcel.encode().unwrap();
            prop_assert_eq!(Parcel::decode(&bytes), Some(parcel.clone()));
            let longer = Bytes::from([&bytes[..], b"later"].concat());
            prop_assert_eq!(Parcel::decode(&longer), Some(parcel));
        }

        #[test]
        fn cut_parcels_are_none(parcel in parcel(), part in 0.0..1.0_f64) {
            let bytes = parcel.encode().unwrap();
            let cut = ((bytes.len() - size_of::<u64>()) as f64 * part) as usize;
            prop_assert_eq!(Parcel::decode(&bytes.slice(..cut)), None);
        }

        #[test]
        fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Parcel::decode(&bytes.into());
        }
    }

    fn plain() -> Parcel {
        let (class, message) = (Class::Reliable, Message::new("e", "[]"));
        Parcel { sender: Word(1), number: 0, before: 0, except: None, class, time: 7, message }
    }

    #[test]
    fn parcels_without_a_time_are_taken() {
        let bytes = plain().encode().unwrap();
        let older = bytes.slice(..bytes.len() - size_of::<u64>());
        assert_eq!(Parcel::decode(&older), Some(Parcel { time: 0, ..plain() }));
    }

    #[test]
    fn other_versions_are_refused() {
        let mut bytes = plain().encode().unwrap().to_vec();
        bytes[0] = 2;
        assert_eq!(Parcel::decode(&bytes.into()), None);
    }
}
