//! What stands in the brackets of `#[http(...)]` beside method and path: what documents say of a route, as far as the
//! types of its handler do not.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, Ident, LitBool, LitInt, LitStr, Result, Token, Type, parenthesized,
    parse::{Parse, ParseStream},
    token::Bracket,
};

use crate::header::items;

/// A route.
pub(crate) struct Route {
    pub(crate) method: Ident,
    pub(crate) path: LitStr,
    pub(crate) auth: Option<Ident>,
    pub(crate) body_limit: Option<LitInt>,
    pub(crate) body_type: Option<LitStr>,
    pub(crate) headers: Vec<Header>,
    pub(crate) statuses: Vec<LitInt>,
    /// What a `Reply` has for a body.
    pub(crate) gives: Option<Type>,
    pub(crate) response_type: Option<LitStr>,
    pub(crate) errors: Vec<RouteError>,
    pub(crate) deprecated: bool,
}

/// `required("Name", "One sentence.")` or `optional("Name", "One sentence.", json Type)`
pub(crate) struct Header {
    name: LitStr,
    required: bool,
    description: LitStr,
    json: Option<Type>,
}

/// `404` or `409 "MEETING_ENDED"`
pub(crate) struct RouteError {
    status: LitInt,
    code: Option<LitStr>,
}

impl Route {
    pub(crate) fn new(method: Ident, path: LitStr) -> Self {
        Self {
            method,
            path,
            auth: None,
            body_limit: None,
            body_type: None,
            headers: Vec::new(),
            statuses: Vec::new(),
            gives: None,
            response_type: None,
            errors: Vec::new(),
            deprecated: false,
        }
    }

    /// Reads the value of an option.
    pub(crate) fn option(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        match key.to_string().as_str() {
            "body_limit" => self.body_limit = Some(input.parse()?),
            "body_type" => self.body_type = Some(input.parse()?),
            "headers" => self.headers = items(input)?,
            "status" if input.peek(Bracket) => self.statuses = items(input)?,
            "status" => self.statuses = vec![input.parse()?],
            "gives" => self.gives = Some(input.parse()?),
            "response_type" => self.response_type = Some(input.parse()?),
            "errors" => self.errors = items(input)?,
            "deprecated" => self.deprecated = input.parse::<LitBool>()?.value,
            _ => {
                let known = "expected auth, body_limit, body_type, headers, status, gives, response_type, errors or \
                             deprecated";
                return Err(Error::new(key.span(), known));
            }
        }
        Ok(())
    }
}

impl Parse for Header {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let word: Ident = input.parse()?;
        let required = match word.to_string().as_str() {
            "required" => true,
            "optional" => false,
            _ => return Err(Error::new(word.span(), "expected `required` or `optional`")),
        };
        let inner;
        parenthesized!(inner in input);
        let name = inner.parse()?;
        inner.parse::<Token![,]>()?;
        let description = inner.parse()?;
        let mut json = None;
        if inner.parse::<Option<Token![,]>>()?.is_some() && !inner.is_empty() {
            let word: Ident = inner.parse()?;
            if word != "json" {
                return Err(Error::new(word.span(), "expected `json Type`"));
            }
            json = Some(inner.parse()?);
        }
        Ok(Self { name, required, description, json })
    }
}

impl Header {
    /// The entry of the manifest.
    pub(crate) fn entry(&self) -> TokenStream {
        let Self { name, required, description, json } = self;
        let schema = json.as_ref().map_or_else(
            || quote!(Option::None),
            |json| quote!(Option::Some(::exedra_sdk::__private::read_schema::<#json>())),
        );
        quote!(::exedra_sdk::manifest::Header {
            name: #name.into(), required: #required, schema: #schema, description: #description.into(),
        })
    }
}

impl Parse for RouteError {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let status = input.parse()?;
        let code = if input.peek(LitStr) { Some(input.parse()?) } else { None };
        Ok(Self { status, code })
    }
}

impl RouteError {
    /// The entry of the manifest.
    pub(crate) fn entry(&self) -> TokenStream {
        let status = &self.status;
        let code = self
            .code
            .as_ref()
            .map_or_else(|| quote!(Option::None), |code| quote!(Option::Some(#code.into())));
        quote!(::exedra_sdk::manifest::RouteError { status: #status, code: #code })
    }
}
