//! The plugins of a hub with their schemas under one roof: what every document is written from.

use std::{collections::BTreeMap, sync::Arc};

use exedra_hub::{
    hub::Install,
    manifest::{AuthMode, Header, Manifest},
};
use serde_json::{Value, json};

use crate::bundle::{Bundle, Way};

/// Names in TypeScript that are not those of payloads.
const RESERVED: [&str; 9] = [
    "Acknowledged",
    "Binary",
    "ClientToServerEvents",
    "Injected",
    "Methods",
    "Namespaces",
    "Routes",
    "ServerToClientEvents",
    "Told",
];

/// The plugins, and the definitions that their schemas refer to as `#/$defs/NAME`.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) plugins: Vec<Install>,
    pub(crate) defs: BTreeMap<String, Value>,
}

/// A namespace or an endpoint, and who serves it.
#[derive(Debug)]
pub(crate) struct Space<'a> {
    pub(crate) path: &'a str,
    pub(crate) auth: AuthMode,
    pub(crate) plugins: Vec<&'a Manifest>,
}

impl Catalog {
    /// Takes every schema of every plugin in.
    pub(crate) fn of(plugins: &[Install]) -> Self {
        let mut bundle = Bundle::default();
        bundle.reserve(&RESERVED);
        bundle.add("Refused", refused());
        bundle.add("Problem", problem());
        bundle.add("Taken", taken());
        let mut plugins = plugins.to_vec();
        for plugin in &mut plugins {
            take(&mut bundle, Arc::make_mut(&mut plugin.manifest));
        }
        Self { plugins, defs: bundle.defs }
    }

    /// Socket.IO namespaces, in the order in which plugins name them.
    pub(crate) fn namespaces(&self) -> Vec<Space<'_>> {
        self.spaces(Install::namespaces)
    }

    /// Plain WebSocket endpoints.
    pub(crate) fn endpoints(&self) -> Vec<Space<'_>> {
        self.spaces(Install::endpoints)
    }

    fn spaces<'a>(&'a self, of: impl Fn(&'a Install) -> Vec<(&'a str, AuthMode)>) -> Vec<Space<'a>> {
        let mut spaces: Vec<Space<'a>> = Vec::new();
        for plugin in &self.plugins {
            for (path, auth) in of(plugin) {
                match spaces.iter_mut().find(|space| space.path == path) {
                    // The strictest of those that share one holds.
                    Some(space) => {
                        space.auth = space.auth.max(auth);
                        space.plugins.push(&plugin.manifest);
                    }
                    None => spaces.push(Space { path, auth, plugins: vec![&plugin.manifest] }),
                }
            }
        }
        spaces
    }
}

fn take(bundle: &mut Bundle, manifest: &mut Manifest) {
    let plugin = manifest.name.clone();
    let mut one = |way, hint: &str, schema: &mut Option<Value>| {
        if let Some(schema) = schema {
            *schema = bundle.take(&plugin, way, hint, schema);
        }
    };
    for event in &mut manifest.events {
        one(Way::In, &event.name, &mut event.schema);
        one(Way::Out, &format!("{} ack", event.name), &mut event.ack);
        one(Way::Out, &format!("{} refusal", event.name), &mut event.refusal);
    }
    for emit in &mut manifest.emits {
        one(Way::Out, &emit.name, &mut emit.schema);
        one(Way::In, &format!("{} answer", emit.name), &mut emit.answer);
    }
    for route in &mut manifest.routes {
        let hint = format!("{} {}", route.method.to_lowercase(), route.path);
        one(Way::In, &hint, &mut route.schema);
        one(Way::Out, &format!("{hint} answer"), &mut route.response);
    }
    for inject in &mut manifest.injects {
        one(Way::In, &format!("in {}", inject.event), &mut inject.schema);
    }
    for rpc in &mut manifest.rpcs {
        one(Way::In, &rpc.method, &mut rpc.schema);
        one(Way::Out, &format!("{} answer", rpc.method), &mut rpc.answer);
    }
    for out in &mut manifest.outs {
        one(Way::Out, &format!("out {}", out.event), &mut out.schema);
    }
    for ask in &mut manifest.asks {
        one(Way::Out, &format!("{} {}", ask.service, ask.method), &mut ask.schema);
        one(Way::In, &format!("{} {} answer", ask.service, ask.method), &mut ask.answer);
    }
    take_parts(bundle, manifest);
}

/// Arguments, queries and headers: several schemas to an entry, or one that is taken apart.
fn take_parts(bundle: &mut Bundle, manifest: &mut Manifest) {
    let plugin = manifest.name.clone();
    let mut all = |way, hint: &str, args: &mut Option<Vec<Value>>| {
        for schema in args.iter_mut().flatten() {
            *schema = bundle.take(&plugin, way, hint, schema);
        }
    };
    for event in &mut manifest.events {
        all(Way::In, &event.name, &mut event.args);
    }
    for emit in &mut manifest.emits {
        all(Way::Out, &emit.name, &mut emit.args);
    }
    let mut headers = |headers: &mut Vec<Header>| {
        for header in headers {
            if let Some(schema) = &mut header.schema {
                *schema = bundle.take(&plugin, Way::In, &header.name, schema);
            }
        }
    };
    for inject in &mut manifest.injects {
        headers(&mut inject.headers);
    }
    for route in &mut manifest.routes {
        headers(&mut route.headers);
    }
    for query in manifest.routes.iter_mut().filter_map(|route| route.query.as_mut()) {
        *query = bundle.open(&plugin, Way::In, query);
    }
}

/// The acknowledgement of an event, or the answer to a request, that the hub or a plugin refuses.
fn refused() -> Value {
    json!({
        "type": "object",
        "description": "Refused, by the hub or by a plugin that has no words of its own for it.",
        "properties": {
            "error": {
                "type": "object",
                "description": "Why.",
                "properties": {
                    "code": {"type": "string", "description": "For programs."},
                    "message": {"type": "string", "description": "For people."},
                    "retryable": {"type": "boolean", "description": "Whether the same may work later."},
                },
                "required": ["code", "message", "retryable"],
            },
        },
        "required": ["error"],
    })
}

/// RFC 9457.
fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A refusal over HTTP.",
        "properties": {
            "type": {"type": "string", "description": "Always `about:blank`: `code` says more."},
            "title": {"type": "string", "description": "What the status is called."},
            "status": {"type": "integer", "description": "The status."},
            "detail": {"type": "string", "description": "For people."},
            "code": {"type": "string", "description": "For programs."},
        },
        "required": ["type", "title", "status", "detail", "code"],
    })
}

/// The answer to an injected event that was sent as a request.
fn taken() -> Value {
    json!({
        "type": "object",
        "description": "The event was taken and handled.",
        "properties": {"ok": {"const": true}},
        "required": ["ok"],
    })
}
