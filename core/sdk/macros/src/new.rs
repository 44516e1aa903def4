//! `fn new`: how a plugin's instance is made.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, ImplItemFn, Result, ReturnType, Type};

/// `fn new`, whichever of settings and hub it takes.
pub(crate) struct New {
    pub(crate) settings: Option<Type>,
    /// In order; `true` is the hub.
    takes: Vec<(bool, bool)>,
    fallible: bool,
}

impl New {
    pub(crate) fn read(function: &ImplItemFn) -> Result<Self> {
        let (mut settings, mut takes) = (None, Vec::new());
        for input in &function.sig.inputs {
            let FnArg::Typed(argument) = input else {
                return Err(Error::new_spanned(input, "`new` makes the plugin; it takes no `self`"));
            };
            let (inner, borrowed) = match &*argument.ty {
                Type::Reference(reference) => (&*reference.elem, true),
                other => (other, false),
            };
            let is_hub = matches!(inner, Type::Path(path)
                if path.path.segments.last().is_some_and(|segment| segment.ident == "Hub"));
            if !is_hub && settings.replace(inner.clone()).is_some() {
                return Err(Error::new_spanned(
                    argument,
                    "`new` takes the settings and the hub, nothing else",
                ));
            }
            takes.push((is_hub, borrowed));
        }
        if let Some(word) = &function.sig.asyncness {
            return Err(Error::new_spanned(word, "`new` is not async; do what takes time in `#[start]`"));
        }
        let fallible = matches!(&function.sig.output, ReturnType::Type(_, output) if matches!(&**output,
            Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == "Result")));
        Ok(Self { settings, takes, fallible })
    }

    /// The expression that calls it, where `settings` and `hub` are in scope.
    pub(crate) fn call(&self) -> TokenStream {
        let arguments = self.takes.iter().map(|(is_hub, borrowed)| {
            let borrow = borrowed.then(|| quote!(&));
            if *is_hub { quote!(#borrow hub) } else { quote!(#borrow settings) }
        });
        let call = quote!(Self::new(#(#arguments),*));
        if self.fallible { quote!(::exedra_sdk::__private::made(#call)) } else { quote!(Result::Ok(#call)) }
    }
}
