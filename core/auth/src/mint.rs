//! Makes tokens for development: HS256 with the configured shared secret.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::{AuthError, keys::check_secret};

/// Signs the claims as they are; `exp` is the caller's to set.
///
/// # Errors
/// When the secret is too short.
pub fn mint(secret: &SecretString, claims: Map<String, Value>) -> Result<String, AuthError> {
    check_secret(secret)?;
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|e| AuthError::Mint(e.to_string()))
}
