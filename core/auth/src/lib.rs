//! Checks tokens. In comes a JWT as a client gave it, out comes an [`Identity`](exedra_hub::Identity) or the
//! reason for a refusal. The key that was configured decides the algorithm; nothing in a token can.
//!
//! The only crate that names `jsonwebtoken`. It opens no connection and never logs, prints or returns a token
//! or a secret.

mod claims;
mod config;
mod jwks;
mod keys;
mod mint;
mod strict_json;
mod verifier;

pub use config::{AuthConfig, ClaimNames};
pub use mint::mint;
pub use verifier::{Verifier, build};

use std::path::PathBuf;

/// The shortest shared secret that is accepted, in bytes.
pub const MIN_SECRET: usize = 32;
/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;

/// Why the configured keys cannot be used. Names files and settings, never what is in them.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// None of the settings that give a key is there.
    #[error("no key is configured: set one of secret, secret_file, public_key_file, jwks_file")]
    NoKey,
    /// More than one setting gives a key.
    #[error("{} give a key each: keep one of them", .0.join(" and "))]
    TooManyKeys(Vec<&'static str>),
    /// The shared secret is too short to resist guessing.
    #[error("the shared secret has {0} bytes, at least {MIN_SECRET} are required")]
    ShortSecret(usize),
    /// A setting that this build knows but does not support.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A file cannot be read.
    #[error("{setting}: cannot read {}", path.display())]
    Unreadable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds no key that can be used.
    #[error("{setting}: {} {problem}", path.display())]
    BadKey {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// `algorithms` names something that is not supported.
    #[error("algorithms: {0:?} is not one of HS256, RS256, ES256, EdDSA")]
    UnknownAlgorithm(String),
    /// `algorithms` leaves the configured key without its algorithm.
    #[error("algorithms: the configured key is for {0}, which the list leaves out")]
    ExcludedAlgorithm(&'static str),
    /// A list of claim names is empty.
    #[error("claims.user_id: at least one claim name is required")]
    NoUserClaim,
    /// A token could not be made.
    #[error("the token could not be made: {0}")]
    Mint(String),
}
