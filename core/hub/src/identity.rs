//! Who a connection or a request speaks for, as a token proved it.

use std::{sync::Arc, time::SystemTime};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, value::RawValue};

/// A proven identity. Everything in it comes from a verified token, nothing from the client's own words.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The user's id; never empty. Shared with the rooms that the user is in.
    pub user_id: Arc<str>,
    /// The full name, when the token has one.
    pub name: Option<String>,
    /// The e-mail address, when the token has one.
    pub email: Option<String>,
    /// Roles, empty when the token names none.
    pub roles: Vec<String>,
    /// All claims of the token.
    pub claims: Claims,
    /// When the identity ends; connections that live on it are closed then.
    pub expires_at: Option<SystemTime>,
}

impl Identity {
    /// Whether the token names the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }
}

/// The claims of a token as the text of a JSON object. The hub hands them on and looks at none, and there is one of
/// these per connection: as text they take a fifth of the memory that they take as a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims(Box<str>);

impl Claims {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Claims {
    fn default() -> Self {
        Self("{}".into())
    }
}

impl From<&Map<String, Value>> for Claims {
    fn from(claims: &Map<String, Value>) -> Self {
        // Cannot fail: all names are text.
        serde_json::to_string(claims).map_or_else(|_| Self::default(), |text| Self(text.into()))
    }
}

impl Serialize for Claims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}
