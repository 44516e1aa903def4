//! The `[auth]` settings: where the key comes from and which claims make an identity.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::AuthError;

/// How tokens are checked. Exactly one of `secret`, `secret_file`, `public_key_file` and `jwks_file` gives the key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Shared secret for HS256, at least 32 bytes. For development; prefer `secret_file`.
    #[schemars(with = "Option<String>")]
    pub secret: Option<SecretString>,
    /// File with the shared secret; white space at its end does not count.
    pub secret_file: Option<PathBuf>,
    /// PEM file with one public key: RSA (RS256), EC P-256 (ES256) or Ed25519 (EdDSA).
    pub public_key_file: Option<PathBuf>,
    /// JSON Web Key Set; read again when it changes.
    pub jwks_file: Option<PathBuf>,
    /// Not supported by this build; use `jwks_file`.
    pub jwks_url: Option<String>,
    /// Narrows the algorithms: any of HS256, RS256, ES256, EdDSA. Without it the key alone decides.
    pub algorithms: Option<Vec<String>>,
    /// The `iss` that a token must have; unchecked when absent.
    pub issuer: Option<String>,
    /// The `aud` that a token must have or list; unchecked when absent.
    pub audience: Option<String>,
    /// How far clocks may differ when `exp` and `nbf` are checked.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub leeway: Duration,
    /// Which claims make an identity.
    pub claims: ClaimNames,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            secret: None,
            secret_file: None,
            public_key_file: None,
            jwks_file: None,
            jwks_url: None,
            algorithms: None,
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(5),
            claims: ClaimNames::default(),
        }
    }
}

/// Names of claims; of each list the first that a token has is taken.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimNames {
    /// The user's id; required in every token.
    pub user_id: Vec<String>,
    /// The full name.
    pub name: Vec<String>,
    /// The e-mail address.
    pub email: Vec<String>,
    /// Roles: a list of strings, or one string separated by spaces.
    pub roles: Vec<String>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Self {
            user_id: names(&["userId", "sub", "id"]),
            name: names(&["fullName", "name"]),
            email: names(&["email"]),
            roles: names(&["roles"]),
        }
    }
}

/// The one configured source of keys.
#[derive(Debug)]
pub(crate) enum KeySource<'a> {
    Secret(SecretString),
    PublicKey(&'a Path),
    Jwks(&'a Path),
}

impl AuthConfig {
    /// The shared secret, from `secret` or `secret_file`, for those who mint tokens; `None` when the key is another.
    ///
    /// # Errors
    /// When the file cannot be read or the secret is too short.
    pub fn shared_secret(&self) -> Result<Option<SecretString>, AuthError> {
        let secret = match (&self.secret, &self.secret_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(path)) => read_secret(path)?,
            (None, None) => return Ok(None),
        };
        crate::keys::check_secret(&secret)?;
        Ok(Some(secret))
    }

    /// Finds the one source of keys.
    pub(crate) fn key_source(&self) -> Result<KeySource<'_>, AuthError> {
        let given = [
            ("secret", self.secret.is_some()),
            ("secret_file", self.secret_file.is_some()),
            ("public_key_file", self.public_key_file.is_some()),
            ("jwks_file", self.jwks_file.is_some()),
            ("jwks_url", self.jwks_url.is_some()),
        ];
        let given: Vec<&'static str> =
            given.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
        if given.len() > 1 {
            return Err(AuthError::TooManyKeys(given));
        }
        if self.jwks_url.is_some() {
            return Err(AuthError::Unsupported("jwks_url is not supported by this build; use jwks_file"));
        }
        if let Some(path) = &self.public_key_file {
            return Ok(KeySource::PublicKey(path));
        }
        if let Some(path) = &self.jwks_file {
            return Ok(KeySource::Jwks(path));
        }
        self.shared_secret()?.map(KeySource::Secret).ok_or(AuthError::NoKey)
    }
}

fn read_secret(path: &Path) -> Result<SecretString, AuthError> {
    let text = fs::read_to_string(path).map_err(|source| AuthError::Unreadable {
        setting: "secret_file",
        path: path.to_owned(),
        source,
    })?;
    let text = SecretString::from(text);
    Ok(SecretString::from(text.expose_secret().trim_end()))
}
