//! Who a connection or a request speaks for, as a token proved it.

use std::time::SystemTime;

use serde_json::{Map, Value};

/// A proven identity. Everything in it comes from a verified token, nothing from the client's own words.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The user's id; never empty.
    pub user_id: String,
    /// The full name, when the token has one.
    pub name: Option<String>,
    /// The e-mail address, when the token has one.
    pub email: Option<String>,
    /// Roles, empty when the token names none.
    pub roles: Vec<String>,
    /// All claims of the token.
    pub claims: Map<String, Value>,
    /// When the identity ends; connections that live on it are closed then.
    pub expires_at: Option<SystemTime>,
}

impl Identity {
    /// Whether the token names the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }
}
