//! A room message on its way to other nodes, as bytes. Nobody parses what the message says; attachments stay apart.
//!
//! ```text
//! version u8 · class u8 · latest key u64 · sender u64 · number u64 · except u64
//! event: length u16, bytes · args: length u32, bytes · attachments: count u16, each length u32, bytes
//! ```
//! All numbers are little endian. What follows is for later versions and is passed over; another version is refused.

use bytes::{BufMut, Bytes, BytesMut};

use super::NodeId;
use crate::{Class, Message};

const VERSION: u8 = 1;

/// A room message between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Whose plugin sent it.
    pub sender: NodeId,
    /// Its number among the sender's recoverable events; 0 for one that cannot be recovered.
    pub number: u64,
    /// The sender's connection whose session it is not for; 0 for none.
    pub except: u64,
    /// How much it matters to slow links.
    pub class: Class,
    /// What is sent.
    pub message: Message,
}

impl Parcel {
    /// As bytes; `None` when a part is longer than its length can say.
    pub fn encode(&self) -> Option<Bytes> {
        let Message { event, args, attachments } = &self.message;
        let mut to = BytesMut::with_capacity(48 + self.message.size() + 4 * attachments.len());
        let (class, key) = match self.class {
            Class::Reliable => (0, 0),
            Class::Latest(key) => (1, key),
            Class::Volatile => (2, 0),
        };
        to.put_u8(VERSION);
        to.put_u8(class);
        for number in [key, self.sender.0, self.number, self.except] {
            to.put_u64_le(number);
        }
        to.put_u16_le(event.len().try_into().ok()?);
        to.put_slice(event.as_bytes());
        put(&mut to, args)?;
        to.put_u16_le(attachments.len().try_into().ok()?);
        for attachment in attachments {
            put(&mut to, attachment)?;
        }
        Some(to.freeze())
    }

    /// The parcel in bytes of another node; `None` when they are none. Arguments and attachments share the bytes.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let mut from = Cursor { bytes, at: 0 };
        if from.u8()? != VERSION {
            return None;
        }
        let class = from.u8()?;
        let key = from.u64()?;
        let (sender, number, except) = (NodeId(from.u64()?), from.u64()?, from.u64()?);
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
        Some(Self { sender, number, except, class, message: Message { event, args, attachments } })
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

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn shared(&mut self) -> Option<Bytes> {
        let length = u32::from_le_bytes(self.array()?) as usize;
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
        (any::<[u64; 3]>(), class, message).prop_map(
            |([sender, number, except], class, (event, args, attachments))| {
                let message = Message { event: event.into(), args: args.into(), attachments };
                Parcel { sender: NodeId(sender), number, except, class, message }
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
            let cut = (bytes.len() as f64 * part) as usize;
            prop_assert_eq!(Parcel::decode(&bytes.slice(..cut)), None);
        }

        #[test]
        fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Parcel::decode(&bytes.into());
        }
    }

    #[test]
    fn other_versions_are_refused() {
        let message = Message::new("e", "[]");
        let parcel = Parcel { sender: NodeId(1), number: 0, except: 0, class: Class::Reliable, message };
        let mut bytes = parcel.encode().unwrap().to_vec();
        bytes[0] = 2;
        assert_eq!(Parcel::decode(&bytes.into()), None);
    }
}
