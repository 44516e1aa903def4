//! Development tokens: made with and checked against the configured shared secret or key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use exedra_auth::AuthConfig;
use exedra_hub::port::Authenticator;
use serde_json::{Map, Value, json};

/// The longest life of a minted token: a year.
const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3600);

/// Who a token is for.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The user's id.
    pub id: String,
    /// The full name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// More claims, as they are; they win over all others.
    pub claims: Vec<(String, Value)>,
}

impl Subject {
    /// A user with an id, and a name made of it.
    pub fn named(id: &str) -> Self {
        let mut letters = id.chars();
        let name = letters.next().map(|first| first.to_uppercase().chain(letters).collect());
        Self { id: id.to_owned(), name, ..Self::default() }
    }
}

/// A signed token.
///
/// # Errors
/// A sentence, when the configured key is not a shared secret or the time is unreasonable.
pub fn mint(config: &AuthConfig, subject: &Subject, ttl: Duration) -> Result<String, String> {
    let secret = config.shared_secret().map_err(|e| e.to_string())?;
    let secret =
        secret.ok_or("tokens can be minted only with a shared secret (auth.secret or auth.secret_file)")?;
    if ttl > MAX_TTL {
        return Err("a token may live for a year at most".to_owned());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
    let mut claims = Map::new();
    claims.insert(first_of(&config.claims.user_id, "sub"), json!(subject.id));
    if let Some(name) = &subject.name {
        claims.insert(first_of(&config.claims.name, "name"), json!(name));
    }
    if let Some(email) = &subject.email {
        claims.insert(first_of(&config.claims.email, "email"), json!(email));
    }
    for (claim, value) in [("iss", &config.issuer), ("aud", &config.audience)] {
        if let Some(value) = value {
            claims.insert(claim.to_owned(), json!(value));
        }
    }
    claims.insert("iat".to_owned(), json!(now.as_secs()));
    claims.insert("exp".to_owned(), json!((now + ttl).as_secs()));
    claims.extend(subject.claims.iter().cloned());
    exedra_auth::mint(&secret, claims).map_err(|e| e.to_string())
}

/// The registered claim when it is one that is looked at, else the first that is.
fn first_of(names: &[String], registered: &str) -> String {
    let known = names.iter().any(|name| name == registered);
    names.first().filter(|_| !known).cloned().unwrap_or_else(|| registered.to_owned())
}

/// Who a token proves, as JSON.
///
/// # Errors
/// A sentence: no key, or why the token is refused.
pub fn check(config: &AuthConfig, token: &str) -> Result<Value, String> {
    let verifier = exedra_auth::build(config).map_err(|e| e.to_string())?;
    let identity = verifier.verify(token.trim()).map_err(|e| e.to_string())?;
    let ends = identity.expires_at.map(|at| humantime::format_rfc3339_seconds(at).to_string());
    Ok(json!({
        "user_id": identity.user_id,
        "name": identity.name,
        "email": identity.email,
        "roles": identity.roles,
        "valid_until": ends,
        "claims": identity.claims,
    }))
}

/// `K=JSON`; what is no JSON is a string.
///
/// # Errors
/// A sentence, when there is no `=`.
pub fn parse_claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write K=JSON, for example roles='[\"detector\"]'")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> AuthConfig {
        AuthConfig { secret: Some("a secret of at least thirty-two bytes".into()), ..AuthConfig::default() }
    }

    #[test]
    fn minted_token_is_accepted() {
        let subject =
            Subject { claims: vec![("roles".into(), json!(["detector"]))], ..Subject::named("ann") };
        let token = mint(&config(), &subject, Duration::from_secs(60)).unwrap();
        let said = check(&config(), &token).unwrap();
        assert_eq!(
            (&said["user_id"], &said["name"], &said["roles"][0]),
            (&json!("ann"), &json!("Ann"), &json!("detector"))
        );
    }

    #[test]
    fn issuer_and_audience_are_put_in() {
        let config = AuthConfig { issuer: Some("me".into()), audience: Some("you".into()), ..config() };
        let token = mint(&config, &Subject::named("ann"), Duration::from_secs(60)).unwrap();
        assert!(check(&config, &token).is_ok());
    }

    #[test]
    fn expired_token_is_refused() {
        let subject = Subject { claims: vec![("exp".into(), json!(1))], ..Subject::named("ann") };
        let token = mint(&config(), &subject, Duration::from_secs(60)).unwrap();
        assert!(check(&config(), &token).unwrap_err().contains("expired"));
    }
}
