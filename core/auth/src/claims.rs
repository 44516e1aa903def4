//! From the claims of a token whose signature fits to an identity. Plain data in, plain data out; every type is
//! checked here, whatever a library made of it before.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use exedra_hub::{Claims, Identity, port::AuthFailure};
use serde_json::{Map, Value};

use crate::config::{AuthConfig, ClaimNames};

/// The longest user id, in bytes.
const MAX_USER_ID: usize = 256;
/// The longest name, e-mail address or role that is taken over, in bytes; a longer one is as if it were absent.
const MAX_TEXT: usize = 1024;
/// The end of the year 9999: a date beyond it is a mistake or an attempt to overflow.
const MAX_DATE: u64 = 253_402_300_799;

/// What the claims must say.
#[derive(Debug)]
pub(crate) struct Rules {
    issuer: Option<String>,
    audience: Option<String>,
    leeway: Duration,
    names: ClaimNames,
}

impl Rules {
    pub(crate) fn new(config: &AuthConfig) -> Self {
        Self {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway: config.leeway,
            names: config.claims.clone(),
        }
    }

    /// The identity, when all claims are as they must be at `now`.
    pub(crate) fn check(&self, claims: Map<String, Value>, now: SystemTime) -> Result<Identity, AuthFailure> {
        let exp = date(&claims, "exp")?.ok_or(AuthFailure::Claims)?;
        if now >= exp + self.leeway {
            return Err(AuthFailure::Expired);
        }
        // Leeway forgives clocks that differ when a token is shown. A connection that lives on it ends at `exp`.
        let ends = if now < exp { exp } else { exp + self.leeway };
        if date(&claims, "nbf")?.is_some_and(|begins| now + self.leeway < begins) {
            return Err(AuthFailure::NotYetValid);
        }
        self.check_parties(&claims)?;
        Ok(Identity {
            user_id: user_id(&claims, &self.names.user_id)?,
            name: text(&claims, &self.names.name),
            email: text(&claims, &self.names.email),
            roles: roles(&claims, &self.names.roles),
            expires_at: Some(ends),
            claims: Claims::from(&claims),
        })
    }

    fn check_parties(&self, claims: &Map<String, Value>) -> Result<(), AuthFailure> {
        let issuer_fits = match &self.issuer {
            Some(issuer) => claims.get("iss").and_then(Value::as_str) == Some(issuer),
            None => true,
        };
        let audience_fits = match &self.audience {
            Some(audience) => names_audience(claims.get("aud"), audience),
            None => true,
        };
        if issuer_fits && audience_fits { Ok(()) } else { Err(AuthFailure::Claims) }
    }
}

fn names_audience(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(list)) => {
            list.iter().all(Value::is_string) && list.iter().any(|one| one.as_str() == Some(audience))
        }
        _ => false,
    }
}

/// A date claim: whole seconds, not negative, of this age of the world; anything else there is a refusal.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<SystemTime>, AuthFailure> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(seconds) if seconds <= MAX_DATE => Ok(Some(UNIX_EPOCH + Duration::from_secs(seconds))),
            _ => Err(AuthFailure::Claims),
        },
    }
}

/// The first of the claims that is there and not null.
fn first<'a>(claims: &'a Map<String, Value>, names: &[String]) -> Option<&'a Value> {
    names.iter().filter_map(|name| claims.get(name)).find(|value| !value.is_null())
}

fn user_id(claims: &Map<String, Value>, names: &[String]) -> Result<Arc<str>, AuthFailure> {
    let id = match first(claims, names) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        _ => return Err(AuthFailure::Claims),
    };
    if id.is_empty() || id.len() > MAX_USER_ID { Err(AuthFailure::Claims) } else { Ok(id.into()) }
}

fn text(claims: &Map<String, Value>, names: &[String]) -> Option<String> {
    let text = first(claims, names)?.as_str()?;
    (!text.is_empty() && text.len() <= MAX_TEXT).then(|| text.to_owned())
}

fn roles(claims: &Map<String, Value>, names: &[String]) -> Vec<String> {
    let fits = |role: &&str| !role.is_empty() && role.len() <= MAX_TEXT;
    match first(claims, names) {
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).filter(fits).map(str::to_owned).collect()
        }
        Some(Value::String(list)) => list.split_whitespace().filter(fits).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
