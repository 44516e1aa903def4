//! Packet types.

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server opens a session.
    Open,
    /// The session ends.
    Close,
    /// The server asks whether the client is there (or a client probes an upgrade).
    Ping,
    /// The answer.
    Pong,
    /// A text message.
    Message,
    /// The client moves to the probed transport.
    Upgrade,
    /// Nothing; ends a pending poll.
    Noop,
}

/// Input that is no Engine.IO packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed packet")]
pub struct Malformed;

impl Kind {
    /// The character that stands for it.
    pub fn as_char(self) -> char {
        match self {
            Self::Open => '0',
            Self::Close => '1',
            Self::Ping => '2',
            Self::Pong => '3',
            Self::Message => '4',
            Self::Upgrade => '5',
            Self::Noop => '6',
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b'0' => Self::Open,
            b'1' => Self::Close,
            b'2' => Self::Ping,
            b'3' => Self::Pong,
            b'4' => Self::Message,
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            _ => return None,
        })
    }
}

/// Splits a text packet into its type and its content.
///
/// # Errors
/// An empty packet or an unknown type.
pub fn split(packet: &str) -> Result<(Kind, &str), Malformed> {
    let first = packet.bytes().next().ok_or(Malformed)?;
    let kind = Kind::from_byte(first).ok_or(Malformed)?;
    Ok((kind, &packet[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_round_trip() {
        for kind in
            [Kind::Open, Kind::Close, Kind::Ping, Kind::Pong, Kind::Message, Kind::Upgrade, Kind::Noop]
        {
            assert_eq!(split(&format!("{}content", kind.as_char())), Ok((kind, "content")));
        }
    }

    #[test]
    fn unknown_kinds_are_malformed() {
        for packet in ["", "7", "abc", "é", " 4"] {
            assert_eq!(split(packet), Err(Malformed), "{packet:?}");
        }
    }
}
