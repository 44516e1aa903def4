//! Who a connection or a request speaks for, as a checked token said.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A proven identity. As a handler's argument it makes a token necessary; `Option<User>` does not.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user's id; never empty.
    pub user_id: String,
    /// The full name, when the token has one.
    #[serde(default)]
    pub name: Option<String>,
    /// The e-mail address, when the token has one.
    #[serde(default)]
    pub email: Option<String>,
    /// Roles; empty when the token names none.
    #[serde(default)]
    pub roles: Vec<String>,
    /// All claims of the token.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// When the token ends, in seconds since 1970.
    #[serde(default)]
    pub expires_at: Option<u64>,
}

impl User {
    /// Whether the token names the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }

    /// A user with nothing but an id. For tests; a real one comes with the connection.
    pub fn named(id: impl Into<String>) -> Self {
        Self {
            user_id: id.into(),
            name: None,
            email: None,
            roles: Vec::new(),
            claims: Map::new(),
            expires_at: None,
        }
    }

    /// The same user with a full name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same user with an e-mail address.
    #[must_use]
    pub fn with_email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// The same user with one more role.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// The same user with one more claim.
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }
}

impl From<&str> for User {
    fn from(id: &str) -> Self {
        Self::named(id)
    }
}

impl fmt::Debug for User {
    /// Claims stay out: they are the user's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("user_id", &self.user_id)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}
