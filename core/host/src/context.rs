//! The `context` of events: a JSON object, rendered once per connection and kept while the connection is busy.

use std::{collections::HashMap, sync::Arc, time::UNIX_EPOCH};

use bytes::Bytes;
use exedra_hub::{
    Claims, ConnId, Identity,
    port::{ConnFacts, HttpRequest},
    recovery::Beginning,
};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;

const SHARDS: usize = 16;
/// Contexts per shard and age; a busier hub renders some again, which takes a microsecond. Few, because a context is
/// as large as the rest of what the hub keeps of a connection.
const KEPT: usize = 64;

/// Rendered contexts of connections that were active lately. Bounded: when the young ones are many they become the
/// old ones, and the old ones that nobody asked for are forgotten.
#[derive(Default)]
pub(crate) struct Contexts([Mutex<Ages>; SHARDS]);

#[derive(Default)]
struct Ages {
    young: HashMap<ConnId, Bytes>,
    old: HashMap<ConnId, Bytes>,
}

impl Contexts {
    /// The context of a connection.
    pub(crate) fn of(&self, conn: &Arc<ConnFacts>) -> Bytes {
        let shard = &self.0[conn.id.0 as usize % SHARDS];
        let mut ages = shard.lock();
        if let Some(context) = ages.young.get(&conn.id) {
            return context.clone();
        }
        let context = match ages.old.remove(&conn.id) {
            Some(context) => context,
            None => {
                drop(ages);
                let context = connection(conn);
                ages = shard.lock();
                context
            }
        };
        if ages.young.len() >= KEPT {
            ages.old = std::mem::take(&mut ages.young);
        }
        ages.young.insert(conn.id, context.clone());
        context
    }

    /// The connection has ended.
    pub(crate) fn forget(&self, conn: ConnId) {
        let mut ages = self.0[conn.0 as usize % SHARDS].lock();
        ages.young.remove(&conn);
        ages.old.remove(&conn);
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Who<'a> {
    user_id: &'a str,
    name: Option<&'a str>,
    email: Option<&'a str>,
    roles: &'a [String],
    claims: &'a Claims,
    expires_at: Option<u64>,
}

impl<'a> From<&'a Identity> for Who<'a> {
    fn from(identity: &'a Identity) -> Self {
        Self {
            user_id: &identity.user_id,
            name: identity.name.as_deref(),
            email: identity.email.as_deref(),
            roles: &identity.roles,
            claims: &identity.claims,
            expires_at: identity
                .expires_at
                .and_then(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs())),
        }
    }
}

/// Pairs as a JSON object; of a name that comes twice, the last counts.
struct Pairs<'a>(&'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let last =
            |(i, (name, _)): &(usize, &(String, String))| !self.0[i + 1..].iter().any(|(n, _)| n == name);
        serializer.collect_map(self.0.iter().enumerate().filter(last).map(|(_, (name, value))| (name, value)))
    }
}

#[derive(Serialize)]
struct Connection<'a> {
    id: &'a str,
    namespace: &'a str,
    params: Pairs<'a>,
    query: Pairs<'a>,
    auth: Option<&'a RawValue>,
    peer: String,
    identity: Option<Who<'a>>,
    recovered: bool,
    /// Why the session that the client wanted back could not be had.
    lost: Option<&'static str>,
}

fn connection(facts: &ConnFacts) -> Bytes {
    json(&Connection {
        id: &facts.public_id,
        namespace: &facts.namespace,
        params: Pairs(&facts.params),
        query: Pairs(&facts.query),
        auth: serde_json::from_slice(&facts.auth).or_else(|_| serde_json::from_str("{}")).ok(),
        peer: facts.peer.to_string(),
        identity: facts.identity.as_deref().map(Who::from),
        recovered: facts.beginning == Beginning::Recovered,
        lost: match facts.beginning {
            Beginning::Lost(lost) => Some(lost.label()),
            Beginning::New | Beginning::Recovered => None,
        },
    })
}

#[derive(Serialize)]
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    params: Pairs<'a>,
    query: Pairs<'a>,
    headers: Pairs<'a>,
    peer: String,
    identity: Option<Who<'a>>,
}

/// The context of an HTTP request to a declared route.
pub(crate) fn request(method: &str, path: &str, request: &HttpRequest) -> Bytes {
    json(&Request {
        method,
        path,
        params: Pairs(&request.params),
        query: Pairs(&request.query),
        headers: Pairs(&request.headers),
        peer: request.peer.to_string(),
        identity: request.identity.as_deref().map(Who::from),
    })
}

/// The context of an injected event.
pub(crate) fn injected(headers: &[(String, String)]) -> Bytes {
    #[derive(Serialize)]
    struct Injected<'a> {
        headers: Pairs<'a>,
    }
    json(&Injected { headers: Pairs(headers) })
}

/// Serializing these cannot fail: all keys are text.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .map(|text| Bytes::from(text.into_boxed_slice()))
        .unwrap_or_else(|_| Bytes::from_static(b"{}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(id: u64) -> Arc<ConnFacts> {
        Arc::new(ConnFacts {
            id: ConnId(id),
            public_id: "abc".into(),
            identity: None,
            namespace: "/".into(),
            params: vec![],
            peer: [127, 0, 0, 1].into(),
            query: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
            auth: Bytes::from_static(b"{}"),
            beginning: Beginning::New,
        })
    }

    #[test]
    fn context_is_rendered_once() {
        let (contexts, facts) = (Contexts::default(), facts(1));
        let first = contexts.of(&facts);
        assert_eq!(
            first,
            r#"{"id":"abc","namespace":"/","params":{},"query":{"a":"2"},"auth":{},"peer":"127.0.0.1","identity":null,"recovered":false,"lost":null}"#
        );
        assert_eq!(first.as_ptr(), contexts.of(&facts).as_ptr());
    }

    #[test]
    fn cache_stays_bounded() {
        let contexts = Contexts::default();
        for id in 0..(SHARDS * KEPT * 4) as u64 {
            contexts.of(&facts(id));
        }
        let size = |ages: &Ages| ages.young.len() + ages.old.len();
        let kept: usize = contexts.0.iter().map(|shard| size(&shard.lock())).sum();
        assert!(kept <= SHARDS * KEPT * 2);
    }
}
