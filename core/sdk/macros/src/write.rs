//! Writes the `Plugin` trait of an `impl` block.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, Ident, ImplItem, ItemImpl, Result};

use crate::{
    handler::{self, Handler, Mark},
    header::Header,
    manifest::manifest,
    new::New,
};

/// The block without its marks, and the trait.
pub(crate) fn plugin(header: &Header, mut block: ItemImpl) -> Result<TokenStream> {
    if let Some((_, path, _)) = &block.trait_ {
        return Err(Error::new_spanned(path, "put `#[plugin]` on the plugin's own `impl` block"));
    }
    let mut handlers = Vec::new();
    let mut new = None;
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else { continue };
        if let Some(handler) = handler::take(function)? {
            handlers.push(handler);
        } else if function.sig.ident == "new" {
            new = Some(New::read(function)?);
        }
    }
    let new = new.ok_or_else(|| {
        Error::new_spanned(
            &block.self_ty,
            "a plugin needs `fn new(settings: Settings, hub: Hub) -> Result<Self>`",
        )
    })?;
    refuse_twice(&handlers)?;

    let this = &block.self_ty;
    let name = &header.name;
    let settings = new
        .settings
        .as_ref()
        .map_or_else(|| quote!(::exedra_sdk::__private::NoSettings), |settings| quote!(#settings));
    let create = new.call();
    let manifest = manifest(header, &handlers);
    let arms = arms(&handlers);
    let start = start(&handlers);
    let reject = reject(&handlers);
    Ok(quote! {
        #block

        const _: () = {
            use ::exedra_sdk::__private::{
                Arc, Boxed, Box, EventReturn, HttpReturn, Option, Outcome, Result, RpcReturn, String, UnitReturn, Vec,
                WithoutSchema as _, kind,
            };

            impl ::exedra_sdk::Plugin for #this {
                const NAME: &'static str = #name;
                type Settings = #settings;

                #[allow(unused_variables, clippy::redundant_closure_call)]
                fn manifest(settings: &Self::Settings) -> ::exedra_sdk::Manifest {
                    #manifest
                }

                #[allow(unused_variables)]
                fn create(settings: Self::Settings, hub: ::exedra_sdk::Hub) -> ::exedra_sdk::Result<Self> {
                    #create
                }

                #[allow(unused_variables)]
                fn call(
                    this: &Arc<Self>,
                    call: &::exedra_sdk::Call<'_>,
                ) -> ::exedra_sdk::Result<Boxed<Outcome>> {
                    match (call.kind(), call.handler()) {
                        #arms
                        _ => Result::Err(::exedra_sdk::Error::unsupported("the plugin has no such handler")),
                    }
                }

                #start
                #reject
            }
        };
    })
}

/// Two handlers for the same thing are a mistake that a manifest cannot say.
fn refuse_twice(handlers: &[Handler]) -> Result<()> {
    let mut seen: Vec<(String, &Ident)> = Vec::new();
    for handler in handlers {
        let what = match &handler.mark {
            Mark::Connect => "#[connect]".to_owned(),
            Mark::Event { name, .. } => format!("the event `{}`", name.value()),
            Mark::Http(route) => format!("{} {}", route.method, route.path.value()),
            Mark::Inject { name, .. } => format!("the injected event `{}`", name.value()),
            Mark::Rpc(name) => format!("the rpc `{}`", name.value()),
            Mark::State { name, .. } => format!("the state `{}`", name.value()),
            Mark::Leave => "#[leave]".to_owned(),
            Mark::Disconnect => "#[disconnect]".to_owned(),
            Mark::Start => "#[start]".to_owned(),
            Mark::Reject => "#[reject]".to_owned(),
            Mark::Manifest => "#[manifest]".to_owned(),
            Mark::Every(_) => continue,
        };
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == what) {
            return Err(Error::new(handler.name.span(), format!("`{first}` takes {what} already")));
        }
        seen.push((what, &handler.name));
    }
    Ok(())
}

/// The `match` arms of `call`. The order within each kind is the order in the manifest.
fn arms(handlers: &[Handler]) -> TokenStream {
    let mut counts = [0_u32; 6];
    let mut arms = TokenStream::new();
    for handler in handlers {
        let mut next = |list: usize| {
            counts[list] += 1;
            counts[list] - 1
        };
        let (pattern, end) = match &handler.mark {
            Mark::Connect => (quote!((kind::CONNECT, _)), quote!(UnitReturn::finish(value))),
            Mark::Disconnect => (quote!((kind::DISCONNECT, _)), quote!(UnitReturn::finish(value))),
            Mark::Leave => (quote!((kind::LEAVE, _)), quote!(UnitReturn::finish(value))),
            Mark::Event { .. } => {
                let at = next(0);
                (quote!((kind::EVENT, #at)), quote!(EventReturn::finish(value, wants_ack)))
            }
            Mark::Http(_) => {
                let at = next(1);
                (quote!((kind::HTTP, #at)), quote!(HttpReturn::finish(value)))
            }
            Mark::Inject { .. } => {
                let at = next(2);
                (quote!((kind::INJECT, #at)), quote!(UnitReturn::finish(value)))
            }
            Mark::Rpc(_) => {
                let at = next(3);
                (quote!((kind::RPC, #at)), quote!(RpcReturn::finish(value)))
            }
            Mark::Every(_) => {
                let at = next(4);
                (quote!((kind::TIMER, #at)), quote!(UnitReturn::finish(value)))
            }
            Mark::State { .. } => {
                let at = next(5);
                (quote!((kind::REFRESH, #at)), quote!(UnitReturn::finish(value)))
            }
            Mark::Start | Mark::Reject | Mark::Manifest => continue,
        };
        arms.extend(arm(handler, &pattern, &end));
    }
    arms
}

fn arm(handler: &Handler, pattern: &TokenStream, end: &TokenStream) -> TokenStream {
    let (name, takes) = (&handler.name, &handler.takes);
    let arguments: Vec<Ident> = (0..takes.len()).map(|at| format_ident!("argument_{at}")).collect();
    let wait = handler.is_async.then(|| quote!(.await));
    let extract = arguments
        .iter()
        .zip(takes)
        .map(|(argument, ty)| quote!(let #argument = <#ty as ::exedra_sdk::FromCall>::from_call(call)?;));
    quote_spanned! { name.span() =>
        #pattern => {
            #(#extract)*
            let wants_ack = call.wants_ack();
            let this = Arc::clone(this);
            Result::Ok(Box::pin(async move {
                #[allow(clippy::let_unit_value)]
                let value = this.#name(#(#arguments),*)#wait;
                #end
            }))
        }
    }
}

fn start(handlers: &[Handler]) -> Option<TokenStream> {
    let handler = handlers.iter().find(|handler| matches!(handler.mark, Mark::Start))?;
    let (name, wait) = (&handler.name, handler.is_async.then(|| quote!(.await)));
    Some(quote! {
        fn start(this: &Arc<Self>) -> Boxed<::exedra_sdk::Result<()>> {
            let this = Arc::clone(this);
            Box::pin(async move {
                #[allow(clippy::let_unit_value)]
                let value = this.#name()#wait;
                UnitReturn::finish(value).map(|_| ())
            })
        }
    })
}

fn reject(handlers: &[Handler]) -> Option<TokenStream> {
    let handler = handlers.iter().find(|handler| matches!(handler.mark, Mark::Reject))?;
    let name = &handler.name;
    Some(quote! {
        const SHAPES: bool = true;
        fn reject(&self, event: &str, error: &::exedra_sdk::Error) -> Option<::exedra_sdk::serde_json::Value> {
            self.#name(event, error)
        }
    })
}
