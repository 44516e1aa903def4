//! Events as AsyncAPI 3: what goes over Socket.IO, plain WebSocket and NATS. The application that the document speaks
//! of is the hub: it receives what clients and services send. `x-socketio` says what AsyncAPI has no words for.

mod nats;
mod pen;
mod sockets;

use serde_json::{Map, Value, json};

use crate::{
    Facts,
    bundle::{placed, reachable},
    catalog::Catalog,
    words::summary,
};
use pen::Pen;

pub(crate) use sockets::framed;

pub(crate) fn document(facts: &Facts, catalog: Catalog) -> Value {
    let mut pen = Pen::default();
    for space in catalog.namespaces() {
        sockets::namespace(&mut pen, facts, &space);
    }
    for space in catalog.endpoints() {
        sockets::endpoint(&mut pen, &catalog, &space);
    }
    for plugin in &catalog.plugins {
        nats::subjects(&mut pen, facts, &plugin.manifest);
    }
    let Pen { channels, operations, .. } = pen;
    let tags: Vec<_> = catalog
        .plugins
        .iter()
        .map(|plugin| &plugin.manifest)
        .map(|manifest| json!({"name": manifest.name, "description": summary(&manifest.description, &manifest.name)}))
        .collect();
    let schemas = reachable(&json!(channels), &catalog.defs);
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Exedra",
            "version": facts.version,
            "description": "The events of this hub's plugins. Routes over HTTP are in `/openapi.json`.",
            "tags": tags,
        },
        "defaultContentType": "application/json",
        "servers": servers(facts, &catalog),
        "channels": channels,
        "operations": operations,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "`auth.token` of the Socket.IO handshake; on a WebSocket the header or `token` in the query.",
                },
            },
        },
    });
    placed(document, "#/components/schemas/")
}

fn servers(facts: &Facts, catalog: &Catalog) -> Value {
    let mut servers = Map::new();
    if !catalog.namespaces().is_empty() {
        let server = json!({
            "host": facts.public,
            "pathname": facts.socketio_path,
            "protocol": "socketio",
            "protocolVersion": "5",
            "description": "Socket.IO over WebSocket and long polling (Engine.IO 4).",
        });
        servers.insert("socketio".into(), server);
    }
    if !catalog.endpoints().is_empty() {
        let server = json!({"host": facts.public, "protocol": "ws", "description": "Plain WebSocket, JSON in text frames."});
        servers.insert("websocket".into(), server);
    }
    if facts.nats.is_empty() {
        let server = json!({
            "host": "127.0.0.1:4222",
            "protocol": "nats",
            "description": "For outside services, once `nats.url` is set: at present the bus is inside the hub.",
        });
        servers.insert("nats".into(), server);
    }
    for (host, at) in facts.nats.iter().zip(1..) {
        let name = if at == 1 { "nats".to_owned() } else { format!("nats{at}") };
        servers
            .insert(name, json!({"host": host, "protocol": "nats", "description": "For outside services."}));
    }
    Value::Object(servers)
}
