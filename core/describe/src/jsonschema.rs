//! Every payload as JSON Schema: definitions, and an index of what is what.

use serde_json::{Map, Value, json};

use crate::{
    Facts,
    catalog::Catalog,
    words::{Arguments, acknowledgements, auth_word, one_of},
};

pub(crate) fn document(facts: &Facts, catalog: Catalog) -> Value {
    let index: Map<String, Value> = catalog
        .plugins
        .iter()
        .map(|plugin| {
            let manifest = &plugin.manifest;
            let places = |spaces: Vec<(&str, _)>| -> Value {
                spaces.into_iter().map(|(path, auth)| json!({"path": path, "auth": auth_word(auth)})).collect()
            };
            let events: Map<_, _> = manifest
                .events
                .iter()
                .map(|event| {
                    let acks = acknowledgements(event).into_iter().flatten().collect();
                    (event.name.clone(), json!({"arguments": list(&Arguments::of_event(event)), "acknowledgement": one_of(acks)}))
                })
                .collect();
            let emits: Map<_, _> = manifest
                .emits
                .iter()
                .map(|emit| (emit.name.clone(), json!({"arguments": list(&Arguments::of_emit(emit))})))
                .collect();
            let routes: Map<_, _> = manifest
                .routes
                .iter()
                .map(|route| {
                    let name = format!("{} {}", route.method, route.path);
                    (name, json!({"query": route.query, "body": route.schema, "answer": route.response}))
                })
                .collect();
            let injects: Map<_, _> =
                manifest.injects.iter().map(|one| (one.event.clone(), json!({"body": one.schema}))).collect();
            let outs: Map<_, _> =
                manifest.outs.iter().map(|one| (one.event.clone(), json!({"body": one.schema}))).collect();
            let rpcs: Map<_, _> = manifest
                .rpcs
                .iter()
                .map(|one| (one.method.clone(), json!({"body": one.schema, "answer": one.answer})))
                .collect();
            let entry = json!({
                "version": manifest.version,
                "description": manifest.description,
                "namespaces": places(plugin.namespaces()),
                "endpoints": places(plugin.endpoints()),
                "events": events,
                "emits": emits,
                "routes": routes,
                "injects": injects,
                "outs": outs,
                "rpcs": rpcs,
            });
            (manifest.name.clone(), entry)
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Exedra",
        "description": format!("Every payload of this hub (version {}). `x-plugins` says which is which.", facts.version),
        "x-plugins": index,
        "$defs": catalog.defs,
    })
}

fn list(arguments: &Arguments) -> Value {
    match arguments {
        Arguments::Any => json!("any"),
        Arguments::These(these) => json!(these),
    }
}
