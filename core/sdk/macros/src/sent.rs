//! What a plugin sends, as entries of its manifest, and the schemas of types.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Type;

use crate::header::Sent;

pub(crate) fn emit(sent: &Sent) -> TokenStream {
    let m = quote!(::exedra_sdk::manifest);
    let Sent { name, payload, answer, description } = sent;
    let written = quote!(write_schema);
    let (schema, args) = match payload {
        Some(Type::Tuple(several)) => {
            let args = several.elems.iter().map(|arg| schema_of(arg, &written));
            (quote!(Option::None), quote!(Option::Some(Vec::from([#(#args),*]))))
        }
        Some(any) if is_called(any, "Args") => (quote!(Option::None), quote!(Option::None)),
        Some(one) => {
            let schema = schema_of(one, &written);
            (quote!(Option::Some(#schema)), quote!(Option::None))
        }
        None => (quote!(Option::None), quote!(Option::None)),
    };
    let answer = match answer {
        Some(any) if is_called(any, "Args") => quote!(Option::Some(true.into())),
        answer => schema_if(answer.as_ref(), &quote!(read_schema)),
    };
    quote!(#m::Emit {
        name: #name.into(), schema: #schema, args: #args, answer: #answer, description: #description.into(),
    })
}

pub(crate) fn out(sent: &Sent) -> TokenStream {
    let m = quote!(::exedra_sdk::manifest);
    let (name, description) = (&sent.name, &sent.description);
    let schema = schema_if(sent.payload.as_ref(), &quote!(write_schema));
    quote!(#m::Out { event: #name.into(), schema: #schema, description: #description.into() })
}

pub(crate) fn ask(sent: &Sent) -> TokenStream {
    let m = quote!(::exedra_sdk::manifest);
    let (name, description) = (sent.name.value(), &sent.description);
    let (service, method) = name.split_once('.').unwrap_or((&name, ""));
    let schema = schema_if(sent.payload.as_ref(), &quote!(write_schema));
    let answer = schema_if(sent.answer.as_ref(), &quote!(read_schema));
    quote!(#m::Ask {
        service: #service.into(), method: #method.into(), schema: #schema, answer: #answer,
        description: #description.into(),
    })
}

fn schema_if(of: Option<&Type>, way: &TokenStream) -> TokenStream {
    of.map_or_else(
        || quote!(Option::None),
        |of| {
            let schema = schema_of(of, way);
            quote!(Option::Some(#schema))
        },
    )
}

/// The schema of a type, read or written; bytes are no JSON.
pub(crate) fn schema_of(of: &Type, way: &TokenStream) -> TokenStream {
    if is_called(of, "Bytes") {
        quote!(::exedra_sdk::__private::binary())
    } else {
        quote!(::exedra_sdk::__private::#way::<#of>())
    }
}

pub(crate) fn is_called(of: &Type, name: &str) -> bool {
    matches!(of, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}
