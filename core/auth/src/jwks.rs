//! A JSON Web Key Set in a file: read again when it has changed, kept as it was when the new one is no good.
//!
//! The file is looked at no more than once per interval, whatever tokens ask for, so that made-up key ids cost
//! nothing.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use parking_lot::{Mutex, RwLock};

use crate::{
    AuthError,
    keys::{Key, read_bounded},
};

/// How long the file is left alone after it was looked at.
pub(crate) const RELOAD_INTERVAL: Duration = Duration::from_secs(10);
/// The largest file, in bytes, and the most keys in it.
const MAX_FILE: u64 = 256 * 1024;
const MAX_KEYS: usize = 100;
const SETTING: &str = "jwks_file";

/// The keys of a set, by their id.
#[derive(Debug, Default)]
struct Keys {
    by_id: HashMap<String, Arc<Key>>,
    /// Keys without an id: usable only while it is the one key there is.
    unnamed: Vec<Arc<Key>>,
}

impl Keys {
    fn find(&self, kid: Option<&str>) -> Option<Arc<Key>> {
        match kid {
            Some(kid) => self.by_id.get(kid).cloned(),
            None => match (self.by_id.len(), self.unnamed.as_slice()) {
                (0, [only]) => Some(only.clone()),
                (1, []) => self.by_id.values().next().cloned(),
                _ => None,
            },
        }
    }
}

/// A file's identity as far as a change shows in it.
type Stamp = Option<(SystemTime, u64)>;

#[derive(Debug)]
struct Seen {
    looked_at: Instant,
    read_at: Instant,
    stamp: Stamp,
}

/// The keys of one file.
#[derive(Debug)]
pub(crate) struct JwksFile {
    path: PathBuf,
    allowed: Vec<Algorithm>,
    interval: Duration,
    keys: RwLock<Keys>,
    /// When the file was last looked at and read, and what it was then. Held while it is read, so one thread reads.
    seen: Mutex<Seen>,
}

impl JwksFile {
    pub(crate) fn open(path: &Path, allowed: Vec<Algorithm>, interval: Duration) -> Result<Self, AuthError> {
        let stamp = stamp(path);
        let keys = read(path, &allowed)?;
        let now = Instant::now();
        let seen = Mutex::new(Seen { looked_at: now, read_at: now, stamp });
        Ok(Self { path: path.to_owned(), allowed, interval, keys: RwLock::new(keys), seen })
    }

    /// The key of exactly that id. Without an id there must be exactly one key.
    pub(crate) fn find(&self, kid: Option<&str>) -> Option<Arc<Key>> {
        self.refresh(false);
        let known = self.keys.read().find(kid);
        if known.is_some() {
            return known;
        }
        self.refresh(true);
        self.keys.read().find(kid)
    }

    /// Reads the file if it has changed, or in any case when `anyway`; looks and reads at most once per interval.
    fn refresh(&self, anyway: bool) {
        let Some(mut seen) = self.seen.try_lock() else { return };
        let last = if anyway { seen.read_at } else { seen.looked_at };
        if last.elapsed() < self.interval {
            return;
        }
        let stamp = stamp(&self.path);
        seen.looked_at = Instant::now();
        if stamp == seen.stamp && !anyway {
            return;
        }
        seen.read_at = seen.looked_at;
        seen.stamp = stamp;
        match read(&self.path, &self.allowed) {
            Ok(keys) => *self.keys.write() = keys,
            Err(error) => tracing::warn!(%error, "the key set is no good; the keys before it stay in force"),
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn read(path: &Path, allowed: &[Algorithm]) -> Result<Keys, AuthError> {
    let bytes = read_bounded(SETTING, path, MAX_FILE)?;
    parse(&bytes, allowed).map_err(|problem| AuthError::BadKey {
        setting: SETTING,
        path: path.to_owned(),
        problem,
    })
}

fn parse(bytes: &[u8], allowed: &[Algorithm]) -> Result<Keys, String> {
    let set: JwkSet = serde_json::from_slice(bytes).map_err(|_| "is not a JSON Web Key Set".to_owned())?;
    if set.keys.len() > MAX_KEYS {
        return Err(format!("has more than {MAX_KEYS} keys"));
    }
    let mut keys = Keys::default();
    for jwk in &set.keys {
        let Some(key) = usable(jwk, allowed)? else { continue };
        match &jwk.common.key_id {
            None => keys.unnamed.push(Arc::new(key)),
            Some(kid) if !fit_for_kid(kid) => return Err("has a key id that is not allowed".to_owned()),
            Some(kid) => {
                if keys.by_id.insert(kid.clone(), Arc::new(key)).is_some() {
                    return Err(format!("has two keys with the id {kid}"));
                }
            }
        }
    }
    if keys.by_id.is_empty() && keys.unnamed.is_empty() {
        return Err("has no RSA, EC P-256 or Ed25519 key for signatures".to_owned());
    }
    Ok(keys)
}

/// The key, or none when it is for something else (encryption, another algorithm, a shared secret): sets hold
/// such keys next to ours.
fn usable(jwk: &Jwk, allowed: &[Algorithm]) -> Result<Option<Key>, String> {
    let common = &jwk.common;
    let for_signatures = common.public_key_use.as_ref().is_none_or(|u| *u == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
    let (algorithm, own_name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return Ok(None),
    };
    let same_algorithm = common.key_algorithm.is_none_or(|named| named == own_name);
    if !for_signatures || !same_algorithm || !allowed.contains(&algorithm) {
        return Ok(None);
    }
    let decoding = DecodingKey::from_jwk(jwk).map_err(|_| "has a key that cannot be read".to_owned())?;
    Key::new(algorithm, decoding).map(Some).map_err(str::to_owned)
}

/// Whether a key id is one that Exedra looks up: short and of plain characters.
pub(crate) fn fit_for_kid(kid: &str) -> bool {
    (1..=64).contains(&kid.len()) && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    // The public key of RFC 8037, appendix A.2.
    const ED: &str =
        r#"{"kty":"OKP","crv":"Ed25519","kid":"ID","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn set(keys: &[String]) -> Vec<u8> {
        format!(r#"{{"keys":[{}]}}"#, keys.join(",")).into_bytes()
    }

    fn ed(kid: &str) -> String {
        ED.replace("ID", kid)
    }

    #[test]
    fn finds_exact_ids_only() {
        let keys = parse(&set(&[ed("a"), ed("b")]), &ALL).unwrap();
        assert!(keys.find(Some("a")).is_some());
        assert!(keys.find(Some("A")).is_none());
        assert!(keys.find(Some("")).is_none());
        assert!(keys.find(None).is_none());
    }

    #[test]
    fn one_key_needs_no_id() {
        assert!(parse(&set(&[ed("a")]), &ALL).unwrap().find(None).is_some());
        let unnamed = ED.replace(r#""kid":"ID","#, "");
        let keys = parse(&set(std::slice::from_ref(&unnamed)), &ALL).unwrap();
        assert!(keys.find(None).is_some());
        assert!(keys.find(Some("a")).is_none());
        assert!(parse(&set(&[unnamed, ed("a")]), &ALL).unwrap().find(None).is_none());
    }

    #[test]
    fn refuses_broken_sets() {
        let weak = r#"{"kty":"RSA","kid":"w","n":"AQAB","e":"AQAB"}"#.to_owned();
        for keys in
            [vec![], vec![ed("a"), ed("a")], vec![ed("../x")], vec![weak], vec![ed("a"); MAX_KEYS + 1]]
        {
            assert!(parse(&set(&keys), &ALL).is_err(), "{keys:?}");
        }
        assert!(parse(b"not json", &ALL).is_err());
    }

    #[test]
    fn passes_over_foreign_keys() {
        let foreign = [
            r#"{"kty":"oct","kid":"s","k":"c2VjcmV0"}"#.to_owned(),
            ED.replace("ID", "enc").replace(r#""crv""#, r#""use":"enc","crv""#),
            ED.replace("ID", "alg").replace(r#""crv""#, r#""alg":"ES256","crv""#),
            r#"{"kty":"new","kid":"n"}"#.to_owned(),
        ];
        let mut keys = foreign.to_vec();
        keys.push(ed("good"));
        let keys = parse(&set(&keys), &ALL).unwrap();
        assert_eq!(keys.by_id.len(), 1);
        assert!(keys.find(Some("good")).is_some());
    }

    #[test]
    fn narrowed_algorithms_drop_keys() {
        assert!(parse(&set(&[ed("a")]), &[Algorithm::ES256]).is_err());
    }

    fn file_with(keys: &[String]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwks.json");
        fs::write(&path, set(keys)).unwrap();
        (dir, path)
    }

    #[test]
    fn unknown_ids_wait_out_the_interval() {
        let (_dir, path) = file_with(&[ed("a")]);
        let file = JwksFile::open(&path, ALL.to_vec(), Duration::from_secs(3600)).unwrap();
        fs::write(&path, set(&[ed("b")])).unwrap();
        for _ in 0..1000 {
            assert!(file.find(Some("b")).is_none());
        }
        assert!(file.find(Some("a")).is_some());
    }

    #[test]
    fn picks_up_rotated_keys() {
        let (_dir, path) = file_with(&[ed("a")]);
        let file = JwksFile::open(&path, ALL.to_vec(), Duration::ZERO).unwrap();
        fs::write(&path, set(&[ed("bb")])).unwrap();
        assert!(file.find(Some("bb")).is_some());
        assert!(file.find(Some("a")).is_none());
    }

    #[test]
    fn keeps_keys_over_a_bad_file() {
        let (_dir, path) = file_with(&[ed("a")]);
        let file = JwksFile::open(&path, ALL.to_vec(), Duration::ZERO).unwrap();
        fs::write(&path, "{").unwrap();
        assert!(file.find(Some("a")).is_some());
        fs::remove_file(&path).unwrap();
        assert!(file.find(Some("a")).is_some());
    }
}
