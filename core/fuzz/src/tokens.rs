//! Tokens. The input is a token as a client sends it, and claims that get a good signature.

use std::sync::OnceLock;

use exedra_auth::{AuthConfig, Verifier, build, mint};
use exedra_hub::port::{AuthFailure, Authenticator};
use secrecy::SecretString;
use serde_json::{Map, Value};

/// No text is a token that was signed with the secret; of claims that were, only sound ones make an identity.
///
/// # Panics
/// When that does not hold.
pub fn tokens(input: &str) {
    let verifier = verifier();
    if let Ok(identity) = verifier.verify(input) {
        panic!("a token was made up for {:?}", identity.user_id);
    }
    let Ok(Value::Object(claims)) = serde_json::from_str(input) else { return };
    let mut verdicts = vec![verify(&claims)];
    // Most inputs have ended long ago; the same with a date far ahead.
    let mut later = claims;
    later.insert("exp".to_owned(), Value::from(253_402_300_799_u64));
    verdicts.push(verify(&later));
    for verdict in verdicts {
        assert!(
            !matches!(
                verdict,
                Err(AuthFailure::Signature | AuthFailure::Algorithm | AuthFailure::UnknownKey)
            ),
            "a good signature was refused: {verdict:?}"
        );
    }
}

fn verify(claims: &Map<String, Value>) -> Result<(), AuthFailure> {
    let token = match mint(&secret(), claims.clone()) {
        Ok(token) => token,
        Err(error) => panic!("cannot sign: {error}"),
    };
    let identity = verifier().verify(&token)?;
    assert!(!identity.user_id.is_empty() && identity.user_id.len() <= 256, "{:?}", identity.user_id);
    assert!(identity.expires_at.is_some(), "a token without an end");
    assert!(identity.name.is_none_or(|name| name.len() <= 1024));
    Ok(())
}

fn secret() -> SecretString {
    SecretString::from("the secret of the fuzz targets alone")
}

fn verifier() -> &'static Verifier {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    VERIFIER.get_or_init(|| {
        let config = AuthConfig { secret: Some(secret()), ..AuthConfig::default() };
        build(&config).unwrap_or_else(|error| panic!("{error}"))
    })
}
