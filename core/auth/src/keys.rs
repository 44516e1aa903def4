//! Keys, each bound to the one algorithm that it may check. What a key is decides; a token has no say.

use std::{fs, path::Path};

use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret, SecretString};

use crate::{AuthError, MIN_SECRET};

/// The smallest RSA modulus, in bytes; an encoded public key is never shorter than its modulus.
const MIN_RSA: usize = 256;
/// An uncompressed point of P-256: a marker and two coordinates.
const P256_POINT: usize = 65;
const ED25519_KEY: usize = 32;
/// The largest PEM file that is read: a key takes a few hundred bytes.
const MAX_PEM: u64 = 64 * 1024;

/// A key and its algorithm.
pub(crate) struct Key {
    pub(crate) algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    /// A key of checked strength; the sentence says what is wrong with it.
    pub(crate) fn new(algorithm: Algorithm, decoding: DecodingKey) -> Result<Self, &'static str> {
        let length = decoding.try_get_as_bytes().map(<[u8]>::len).unwrap_or(0);
        let problem = match algorithm {
            Algorithm::ES256 if length != P256_POINT => "is not a key on the curve P-256",
            Algorithm::EdDSA if length != ED25519_KEY => "is not an Ed25519 key",
            Algorithm::RS256 if modulus_bytes(&decoding) < MIN_RSA => "has an RSA key of less than 2048 bits",
            _ => return Ok(Self { algorithm, decoding }),
        };
        Err(problem)
    }

    /// The key for HS256.
    pub(crate) fn shared(secret: &SecretString) -> Result<Self, AuthError> {
        check_secret(secret)?;
        let decoding = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Ok(Self { algorithm: Algorithm::HS256, decoding })
    }

    /// The public key in a PEM file.
    pub(crate) fn from_pem_file(path: &Path) -> Result<Self, AuthError> {
        let setting = "public_key_file";
        let pem = read_bounded(setting, path, MAX_PEM)?;
        public_key(&pem).map_err(|problem| AuthError::BadKey {
            setting,
            path: path.to_owned(),
            problem: problem.to_owned(),
        })
    }

    /// Whether `signature` (the third part of a token) is this key's over `message` (the first two).
    pub(crate) fn signed(&self, message: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.decoding, self.algorithm)
            .unwrap_or(false)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

fn modulus_bytes(key: &DecodingKey) -> usize {
    match key.kind() {
        jsonwebtoken::DecodingKeyKind::SecretOrDer(der) => der.len(),
        jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } => {
            n.iter().skip_while(|b| **b == 0).count()
        }
    }
}

fn public_key(pem: &[u8]) -> Result<Key, &'static str> {
    let text = std::str::from_utf8(pem).map_err(|_| "is not a PEM file")?;
    if text.contains("PRIVATE KEY") {
        return Err("holds a private key; give the public one");
    }
    if !text.contains("PUBLIC KEY") {
        return Err("is not a PEM file with a public key");
    }
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        return Key::new(Algorithm::ES256, key);
    }
    if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        return Key::new(Algorithm::EdDSA, key);
    }
    match DecodingKey::from_rsa_pem(pem) {
        Ok(key) => Key::new(Algorithm::RS256, key),
        Err(_) => Err("holds no RSA, EC P-256 or Ed25519 public key"),
    }
}

/// Refuses a shared secret that could be guessed.
pub(crate) fn check_secret(secret: &SecretString) -> Result<(), AuthError> {
    match secret.expose_secret().len() {
        length if length < MIN_SECRET => Err(AuthError::ShortSecret(length)),
        _ => Ok(()),
    }
}

/// Reads a file of a setting, but never more than `limit` bytes of it.
pub(crate) fn read_bounded(setting: &'static str, path: &Path, limit: u64) -> Result<Vec<u8>, AuthError> {
    use std::io::Read;
    let unreadable = |source| AuthError::Unreadable { setting, path: path.to_owned(), source };
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(unreadable)?.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        let problem = format!("is larger than {limit} bytes");
        return Err(AuthError::BadKey { setting, path: path.to_owned(), problem });
    }
    Ok(bytes)
}

/// The name of an algorithm that Exedra supports, as tokens write it.
pub(crate) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        _ => "another algorithm",
    }
}

/// The algorithm of a name; exact, as RFC 7515 wants it.
pub(crate) fn by_name(name: &str) -> Option<Algorithm> {
    match name {
        "HS256" => Some(Algorithm::HS256),
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}
