//! What the plugins of a hub accept and emit, as documents for those who talk to it: AsyncAPI 3 (sockets and NATS),
//! OpenAPI 3.1 (REST), TypeScript (typed stock clients) and JSON Schema. Everything comes from the plugins' manifests,
//! so a plugin in C is described like one in Rust. No IO; what a manifest says is taken as a stranger's words: it may
//! make a document useless, never invalid.

mod asyncapi;
mod bundle;
mod catalog;
mod jsonschema;
mod names;
mod openapi;
mod typescript;
mod words;

#[cfg(test)]
mod tests;

use exedra_hub::hub::Install;

/// What is known of a hub beside its plugins.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The hub's version.
    pub version: String,
    /// Host and port of the public listener.
    pub public: String,
    /// The path of Socket.IO.
    pub socketio_path: String,
    /// Hosts and ports of NATS; empty when the bus is inside the hub.
    pub nats: Vec<String>,
    /// The first part of every NATS subject.
    pub prefix: String,
}

/// The documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Events over Socket.IO, WebSocket and NATS.
    AsyncApi,
    /// Routes over HTTP.
    OpenApi,
    /// Types for clients.
    TypeScript,
    /// Every payload.
    JsonSchema,
}

/// One document about these plugins.
pub fn document(format: Format, facts: &Facts, plugins: &[Install]) -> String {
    let catalog = catalog::Catalog::of(plugins);
    let value = match format {
        Format::AsyncApi => asyncapi::document(facts, catalog),
        Format::OpenApi => openapi::document(facts, catalog),
        Format::JsonSchema => jsonschema::document(facts, catalog),
        Format::TypeScript => return typescript::document(facts, &catalog),
    };
    format!("{value:#}\n")
}
