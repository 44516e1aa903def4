//! The manifest: everything that the attributes say, as an expression.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Ident, LitStr, Type};

use crate::{
    handler::{Duration, Handler, Mark},
    header::Header as Plugin,
    route::{Header, Route},
    sent::{ask, emit, is_called, out, schema_of},
};

/// The body of `Plugin::manifest`, where `settings` is in scope.
pub(crate) fn manifest(header: &Plugin, handlers: &[Handler]) -> TokenStream {
    let m = quote!(::exedra_sdk::manifest);
    let (name, description, auth) = (&header.name, &header.description, &header.auth);
    let mut namespaces = header.namespaces.clone();
    let takes_connections = |handler: &Handler| matches!(handler.mark, Mark::Event { .. } | Mark::Connect);
    if namespaces.is_empty() && header.endpoints.is_empty() && handlers.iter().any(takes_connections) {
        namespaces.push(LitStr::new("/", Span::call_site()));
    }
    let endpoints = &header.endpoints;
    let emits = header.emits.iter().map(emit);
    let outs = header.outs.iter().map(out);
    let asks = header.asks.iter().map(ask);
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
            outs: Vec::from([#(#outs),*]),
            asks: Vec::from([#(#asks),*]),
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
fn entry(handler: &Handler, header: &Plugin) -> Option<(usize, TokenStream)> {
    let m = quote!(::exedra_sdk::manifest);
    let description = &handler.description;
    let schema = taken(handler);
    let gives = handler.gives.as_ref().map_or_else(|| quote!(Option::None), probe);
    Some(match &handler.mark {
        Mark::Event { name, timeout, args } => {
            (0, event(handler, header, name, timeout.as_ref(), args.as_deref()))
        }
        Mark::Http(route) => (1, http(handler, header, route)),
        Mark::Inject { name, headers, body_type } => {
            let headers = headers.iter().map(Header::entry);
            let body_type = text(body_type.as_ref());
            (
                2,
                quote!(#m::Inject {
                    event: #name.into(), schema: #schema, headers: Vec::from([#(#headers),*]), body_type: #body_type,
                    description: #description.into(),
                }),
            )
        }
        Mark::Rpc(method) => (
            3,
            quote!(#m::Rpc {
                method: #method.into(), schema: #schema, answer: #gives, description: #description.into(),
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

fn event(
    handler: &Handler,
    plugin: &Plugin,
    name: &LitStr,
    timeout: Option<&Duration>,
    args: Option<&[Type]>,
) -> TokenStream {
    let m = quote!(::exedra_sdk::manifest);
    let (takes, description, schema) = (&handler.takes, &handler.description, taken(handler));
    let args = match args {
        Some(args) => {
            let args = args.iter().map(|arg| schema_of(arg, &quote!(read_schema)));
            quote!(Option::Some(Vec::from([#(#args),*])))
        }
        None if name.value() == "*" => quote!(Option::None),
        None => quote! {{
            let any = false #(|| <#takes as ::exedra_sdk::FromCall>::any_arguments())*;
            let one = false #(|| <#takes as ::exedra_sdk::FromCall>::schema().is_some())*;
            if any || one { Option::None } else { Option::Some(Vec::new()) }
        }},
    };
    let ack = match &handler.gives {
        Some(gives) if is_called(gives, "Args") => quote!(Option::Some(true.into())),
        Some(gives) => probe(gives),
        None => quote!(Option::None),
    };
    let refusal = plugin.refusal.as_ref().map_or_else(
        || quote!(Option::None),
        |refusal| quote!(Option::Some(::exedra_sdk::__private::write_schema::<#refusal>())),
    );
    let timeout = timeout.map_or_else(
        || quote!(Option::None),
        |timeout| {
            let ms = timeout.ms();
            quote!(Option::Some(#ms))
        },
    );
    quote!(#m::Event {
        name: #name.into(), schema: #schema, args: #args, ack: #ack, refusal: #refusal,
        description: #description.into(), timeout_ms: #timeout,
    })
}

fn http(handler: &Handler, plugin: &Plugin, route: &Route) -> TokenStream {
    let m = quote!(::exedra_sdk::manifest);
    let (takes, description, schema) = (&handler.takes, &handler.description, taken(handler));
    let Route { path, deprecated, .. } = route;
    let method = route.method.to_string();
    let auth = route.auth.as_ref().unwrap_or(&plugin.auth);
    let limit =
        route.body_limit.as_ref().map_or_else(|| quote!(Option::None), |limit| quote!(Option::Some(#limit)));
    let response = match (&route.gives, &handler.gives) {
        (Some(gives), _) => quote!(Option::Some(::exedra_sdk::__private::write_schema::<#gives>())),
        (None, Some(gives)) => probe(gives),
        (None, None) => quote!(Option::None),
    };
    let unit = syn::parse_quote!(());
    let gives = handler.gives.as_ref().unwrap_or(&unit);
    let statuses = match &*route.statuses {
        [] => quote!([<#gives as ::exedra_sdk::IntoReply>::status()]),
        statuses => quote!([#(#statuses),*]),
    };
    let headers = route.headers.iter().map(Header::entry);
    let errors = route.errors.iter().map(crate::route::RouteError::entry);
    let (body_type, response_type) = (text(route.body_type.as_ref()), text(route.response_type.as_ref()));
    quote!(#m::Route {
        method: #method.into(), path: #path.into(), auth: #m::AuthMode::#auth, body_limit: #limit,
        schema: #schema, response: #response,
        query: Option::None #(.or_else(<#takes as ::exedra_sdk::FromCall>::query))*,
        headers: Vec::from([#(#headers),*]), body_type: #body_type, statuses: Vec::from(#statuses),
        response_type: #response_type, errors: Vec::from([#(#errors),*]), deprecated: #deprecated,
        description: #description.into(),
    })
}

/// The schema of the argument that reads the payload.
fn taken(handler: &Handler) -> TokenStream {
    let takes = &handler.takes;
    quote!(Option::None #(.or_else(<#takes as ::exedra_sdk::FromCall>::schema))*)
}

fn text(of: Option<&LitStr>) -> TokenStream {
    of.map_or_else(|| quote!(Option::None), |text| quote!(Option::Some(#text.into())))
}

fn probe(of: &Type) -> TokenStream {
    quote!(::exedra_sdk::__private::Probe::<#of>::new().written())
}
