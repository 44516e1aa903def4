//! From a token's text to an identity: form, key, algorithm, signature, claims, in this order, and nothing of the
//! later before the earlier has passed.

use std::{sync::Arc, time::SystemTime};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use exedra_hub::{
    Identity,
    port::{AuthFailure, Authenticator},
};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use crate::{
    AuthError, MAX_TOKEN,
    claims::Rules,
    config::{AuthConfig, KeySource},
    jwks::{JwksFile, RELOAD_INTERVAL, fit_for_kid},
    keys::{self, Key},
    strict_json,
};

/// The largest allowance for clocks that differ.
const MAX_LEEWAY: std::time::Duration = std::time::Duration::from_secs(300);

/// Checks tokens against the configured key.
#[derive(Debug)]
pub struct Verifier {
    keys: Keys,
    rules: Rules,
}

#[derive(Debug)]
enum Keys {
    /// One key; a key id in a token is of no use then.
    One(Arc<Key>),
    Set(JwksFile),
}

/// Reads the configured key and makes the verifier.
///
/// # Errors
/// What is wrong with the settings or the files that they name.
pub fn build(config: &AuthConfig) -> Result<Verifier, AuthError> {
    if config.claims.user_id.is_empty() {
        return Err(AuthError::NoUserClaim);
    }
    if config.leeway > MAX_LEEWAY {
        return Err(AuthError::Unsupported("leeway: more than 5 minutes would keep expired tokens alive"));
    }
    let allowed = allowed(config.algorithms.as_deref())?;
    let keys = match config.key_source()? {
        KeySource::Secret(secret) => Keys::One(Arc::new(narrowed(Key::shared(&secret)?, &allowed)?)),
        KeySource::PublicKey(path) => Keys::One(Arc::new(narrowed(Key::from_pem_file(path)?, &allowed)?)),
        KeySource::Jwks(path) => Keys::Set(JwksFile::open(path, allowed, RELOAD_INTERVAL)?),
    };
    Ok(Verifier { keys, rules: Rules::new(config) })
}

fn allowed(names: Option<&[String]>) -> Result<Vec<Algorithm>, AuthError> {
    let Some(names) = names else {
        return Ok(vec![Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
    };
    let by_name =
        |name: &String| keys::by_name(name).ok_or_else(|| AuthError::UnknownAlgorithm(name.clone()));
    names.iter().map(by_name).collect()
}

fn narrowed(key: Key, allowed: &[Algorithm]) -> Result<Key, AuthError> {
    if allowed.contains(&key.algorithm) {
        Ok(key)
    } else {
        Err(AuthError::ExcludedAlgorithm(keys::name(key.algorithm)))
    }
}

impl Authenticator for Verifier {
    fn verify(&self, token: &str) -> Result<Identity, AuthFailure> {
        let parts = Parts::of(token)?;
        let header = decoded(parts.header).ok_or(AuthFailure::Malformed)?;
        // An extension that we would have to understand and do not (RFC 7515, 4.1.11).
        if header.contains_key("crit") {
            return Err(AuthFailure::Malformed);
        }
        let key = self.key(&header)?;
        if header.get("alg").and_then(Value::as_str) != Some(keys::name(key.algorithm)) {
            return Err(AuthFailure::Algorithm);
        }
        if !key.signed(parts.message, parts.signature) {
            return Err(AuthFailure::Signature);
        }
        let claims = decoded(parts.claims).ok_or(AuthFailure::Claims)?;
        self.rules.check(claims, SystemTime::now())
    }
}

impl Verifier {
    /// The key that the token names. Of the header only `kid` is looked at: `jku`, `x5u` and `jwk` are the
    /// sender's own words.
    fn key(&self, header: &Map<String, Value>) -> Result<Arc<Key>, AuthFailure> {
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) if fit_for_kid(kid) => Some(kid.as_str()),
            Some(_) => return Err(AuthFailure::UnknownKey),
        };
        match &self.keys {
            Keys::One(key) => Ok(key.clone()),
            Keys::Set(file) => file.find(kid).ok_or(AuthFailure::UnknownKey),
        }
    }
}

/// The three parts of a token, still encoded.
struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
    /// Header and claims with the dot between them: what is signed.
    message: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Self, AuthFailure> {
        if token.is_empty() {
            return Err(AuthFailure::Missing);
        }
        if token.len() > MAX_TOKEN {
            return Err(AuthFailure::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(AuthFailure::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(AuthFailure::Malformed)?;
        if claims.contains('.') {
            return Err(AuthFailure::Malformed);
        }
        Ok(Self { header, claims, message, signature })
    }
}

fn decoded(part: &str) -> Option<Map<String, Value>> {
    strict_json::object(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?)
}
