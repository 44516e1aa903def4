//! The manifest: everything that the attributes say, as an expression.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Ident, LitStr, Type};

use crate::{
    handler::{Handler, Mark},
    header::Header,
};

/// The body of `Plugin::manifest`, where `settings` is in scope.
pub(crate) fn manifest(header: &Header, handlers: &[Handler]) -> TokenStream {
    let m = quote!(::exedra_sdk::manifest);
    let (name, description, auth) = (&header.name, &header.description, &header.auth);
    let mut namespaces = header.namespaces.clone();
    let takes_connections = |handler: &Handler| matches!(handler.mark, Mark::Event { .. } | Mark::Connect);
    if namespaces.is_empty() && header.endpoints.is_empty() && handlers.iter().any(takes_connections) {
        namespaces.push(LitStr::new("/", Span::call_site()));
    }
    let endpoints = &header.endpoints;
    let emits = header.emits.iter().map(|emit| {
        let name = &emit.name;
        let schema = emit.payload.as_ref().map_or_else(|| quote!(Option::None), probe);
        quote!(#m::Emit { name: #name.into(), schema: #schema })
    });
    let metrics = header.metrics.iter().map(|metric| {
        let (kind, name, help) = (&metric.kind, &metric.name, &metric.help);
        let label = metric.label.as_ref().map(|(label, values)| quote!(.labelled(#label, #values)));
        quote!(#m::Metric::new(#m::MetricKind::#kind, #name, #help)#label)
    });
    let mut lists: [(Ident, Vec<TokenStream>); 6] =
        ["events", "routes", "injects", "rpcs", "timers", "states"]
            .map(|list| (format_ident!("{list}"), Vec::new()));
    for handler in handlers {
        if let Some((list, entry)) = entry(handler, header) {
            lists[list].1.push(entry);
        }
    }
    let lists = lists.iter().map(|(list, entries)| quote!(#list: Vec::from([#(#entries),*])));
    let has = |wanted: fn(&Mark) -> bool| handlers.iter().any(|handler| wanted(&handler.mark));
    let on_connect = has(|mark| matches!(mark, Mark::Connect));
    let on_disconnect = has(|mark| matches!(mark, Mark::Disconnect));
    let on_leave = has(|mark| matches!(mark, Mark::Leave));
    let hook = handlers.iter().find(|handler| matches!(handler.mark, Mark::Manifest)).map(|handler| {
        let name = &handler.name;
        quote!(Self::#name(settings, &mut manifest);)
    });
    quote! {
        #[allow(unused_mut)]
        let mut manifest = ::exedra_sdk::Manifest {
            name: #name.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: #description.into(),
            namespaces: Vec::from([
                #(#m::Namespace { path: #namespaces.into(), auth: #m::AuthMode::#auth }),*
            ]),
            emits: Vec::from([#(#emits),*]),
            endpoints: Vec::from([
                #(#m::Endpoint { path: #endpoints.into(), auth: #m::AuthMode::#auth }),*
            ]),
            metrics: Vec::from([#(#metrics),*]),
            #(#lists,)*
            settings: Option::None,
            validate: #m::Validate::Report,
            on_connect: #on_connect,
            on_disconnect: #on_disconnect,
            on_leave: #on_leave,
        };
        #hook
        manifest
    }
}

/// Which list a handler stands in, and its entry.
fn entry(handler: &Handler, header: &Header) -> Option<(usize, TokenStream)> {
    let m = quote!(::exedra_sdk::manifest);
    let description = &handler.description;
    let takes = &handler.takes;
    let schema = quote! {
        Option::None #(.or_else(<#takes as ::exedra_sdk::FromCall>::schema))*
    };
    let gives = handler.gives.as_ref().map_or_else(|| quote!(Option::None), probe);
    Some(match &handler.mark {
        Mark::Event { name, timeout } => {
            let timeout = timeout.as_ref().map_or_else(
                || quote!(Option::None),
                |timeout| {
                    let ms = timeout.ms();
                    quote!(Option::Some(#ms))
                },
            );
            (
                0,
                quote!(#m::Event {
                    name: #name.into(), schema: #schema, ack: #gives, description: #description.into(),
                    timeout_ms: #timeout,
                }),
            )
        }
        Mark::Http { method, path, auth, body_limit } => {
            let method = method.to_string();
            let auth = auth.as_ref().unwrap_or(&header.auth);
            let limit = body_limit
                .as_ref()
                .map_or_else(|| quote!(Option::None), |limit| quote!(Option::Some(#limit)));
            (
                1,
                quote!(#m::Route {
                    method: #method.into(), path: #path.into(), auth: #m::AuthMode::#auth, body_limit: #limit,
                    schema: #schema, response: #gives, description: #description.into(),
                }),
            )
        }
        Mark::Inject(event) => (
            2,
            quote!(#m::Inject {
                event: #event.into(), schema: #schema, description: #description.into(),
            }),
        ),
        Mark::Rpc(method) => (
            3,
            quote!(#m::Rpc {
                method: #method.into(), schema: #schema, description: #description.into(),
            }),
        ),
        Mark::Every(every) => {
            let ms = every.ms();
            (4, quote!(#m::Timer { every_ms: #ms }))
        }
        Mark::State { name, window } => {
            let ms = window.ms();
            (5, quote!(#m::State { name: #name.into(), window_ms: #ms }))
        }
        _ => return None,
    })
}

fn probe(of: &Type) -> TokenStream {
    quote!(::exedra_sdk::__private::Probe::<#of>::new().written())
}
