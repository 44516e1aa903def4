//! Names: of rooms in the hub, of values in the store, and what people may call things.

use exedra_sdk::{keys, prelude::*, text};

use crate::{address::Address, trouble::Trouble};

/// Longest id.
const MAX_ID: usize = 64;

/// Everybody who is connected to a room's namespace: who hears what is said in it.
pub(crate) fn audience(room: &str) -> String {
    format!("room/{room}")
}

/// The people who have joined a room; members are users.
pub(crate) fn occupants(room: &str) -> String {
    format!("in/{room}")
}

/// The room that a name of [`occupants`] belongs to.
pub(crate) fn room_of(name: &str) -> Option<&str> {
    name.strip_prefix("in/")
}

/// The connections of one user in a room.
pub(crate) fn links(room: &str, user: &str) -> String {
    format!("to/{room}/{user}")
}

/// The connections of an address.
pub(crate) fn connections(of: &Address) -> String {
    format!("ip/{}", of.as_str())
}

/// The refusals of an address, lately.
pub(crate) fn refusals(of: &Address) -> String {
    format!("refused/{}", of.as_str())
}

/// What an address has made of a kind in the last hour.
pub(crate) fn made(kind: &str, of: &Address) -> String {
    format!("made/{kind}/{}", of.as_str())
}

pub(crate) const USERS: &str = "users/";
pub(crate) const ROOMS: &str = "rooms/";

/// Where a user is stored.
pub(crate) fn user_key(user: &str) -> String {
    keys::key(&["users", user])
}

/// Where a room is stored.
pub(crate) fn room_key(room: &str) -> String {
    keys::key(&["rooms", room])
}

/// Refuses what cannot be the id of a room or user.
pub(crate) fn check_id(id: &str, what: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if id.is_empty() {
        return Err(Trouble::InvalidRequest.because(format!("{what} is required")));
    }
    if id.len() > MAX_ID || !id.chars().all(plain) {
        return Err(Trouble::InvalidRequest.because(format!("{what} is 1 to {MAX_ID} of A-Z a-z 0-9 - _")));
    }
    Ok(())
}

/// What people call something.
pub(crate) fn checked_name(name: &str, what: &str, most: usize) -> Result<String> {
    text::label(what, name, most).map_err(|error| Trouble::InvalidRequest.because(error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain() {
        assert!(check_id("abc-123-def_456", "roomId").is_ok());
        for bad in ["", "a/b", "ä", "a b", "a\n", &"x".repeat(65)] {
            assert_eq!(check_id(bad, "roomId").unwrap_err().code_str(), "INVALID_REQUEST", "{bad:?}");
        }
    }

    #[test]
    fn occupants_name_their_room() {
        assert_eq!(room_of(&occupants("lobby")), Some("lobby"));
        assert_eq!(room_of(&audience("lobby")), None);
        assert_eq!(room_of(&links("lobby", "ann")), None);
    }
}
