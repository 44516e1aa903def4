//! Who is this: the port behind which tokens are checked.

use crate::Identity;

/// Checks tokens. Never blocks and never logs a token.
pub trait Authenticator: Send + Sync + 'static {
    /// The identity a token proves.
    ///
    /// # Errors
    /// The reason is for logs and metrics; the client always sees the same refusal.
    fn verify(&self, token: &str) -> Result<Identity, AuthFailure>;
}

/// Why a token was refused. A closed set: it labels `exedra_auth_failures_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthFailure {
    /// No token where one is required.
    #[error("no token was given")]
    Missing,
    /// Not a JWT, too large, or a header that cannot be read.
    #[error("the token is malformed")]
    Malformed,
    /// The algorithm is not the one of the configured key.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// The key id names no configured key.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature does not match")]
    Signature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iss`, `aud` or the user id is missing or wrong, or a claim has the wrong type.
    #[error("a claim of the token is missing or wrong")]
    Claims,
}

impl AuthFailure {
    /// Every value, so that the metric exists at 0 from the start.
    pub const ALL: [Self; 8] = [
        Self::Missing,
        Self::Malformed,
        Self::Algorithm,
        Self::UnknownKey,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Claims,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Claims => "claims",
        }
    }
}
