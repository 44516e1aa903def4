//! What stands in the brackets of `#[plugin(...)]`.

use proc_macro2::Span;
use syn::{
    Attribute, Error, Expr, Ident, LitStr, Result, Token, Type, bracketed, parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

use crate::handler::first_paragraph;

/// The attribute's arguments, checked as far as text can be.
pub(crate) struct Header {
    pub(crate) name: LitStr,
    pub(crate) description: LitStr,
    pub(crate) namespaces: Vec<LitStr>,
    pub(crate) endpoints: Vec<LitStr>,
    pub(crate) auth: Ident,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) emits: Vec<Sent>,
    pub(crate) outs: Vec<Sent>,
    pub(crate) asks: Vec<Sent>,
    /// What the acknowledgement of a refused event is.
    pub(crate) refusal: Option<Type>,
}

/// `counter("name", "help", label "kind" in ["a", "b"])`
pub(crate) struct Metric {
    pub(crate) kind: Ident,
    pub(crate) name: LitStr,
    pub(crate) help: LitStr,
    pub(crate) label: Option<(LitStr, Expr)>,
}

/// `"name"`, `"name": Type` or `"name": Type => Answer`, with a doc comment above.
pub(crate) struct Sent {
    pub(crate) name: LitStr,
    pub(crate) payload: Option<Type>,
    pub(crate) answer: Option<Type>,
    pub(crate) description: String,
}

impl Parse for Header {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (mut name, mut description) = (None, None);
        let mut header = Self {
            name: LitStr::new("", Span::call_site()),
            description: LitStr::new("", Span::call_site()),
            namespaces: Vec::new(),
            endpoints: Vec::new(),
            auth: Ident::new("Required", Span::call_site()),
            metrics: Vec::new(),
            emits: Vec::new(),
            outs: Vec::new(),
            asks: Vec::new(),
            refusal: None,
        };
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            match key.to_string().as_str() {
                "name" => name = Some(plugin_name(input.parse()?)?),
                "description" => description = Some(input.parse()?),
                "namespace" => header.namespaces.push(path(input.parse()?)?),
                "namespaces" => header.namespaces = list(input)?,
                "endpoint" => header.endpoints.push(path(input.parse()?)?),
                "endpoints" => header.endpoints = list(input)?,
                "auth" => header.auth = auth_mode(&input.parse()?)?,
                "metrics" => header.metrics = items(input)?,
                "emits" => header.emits = items(input)?,
                "outs" => header.outs = items(input)?,
                "asks" => header.asks = asks(input)?,
                "refusal" => header.refusal = Some(input.parse()?),
                other => {
                    let known = "name, description, namespace, namespaces, endpoint, endpoints, auth, metrics, \
                                 emits, outs, asks, refusal";
                    return Err(Error::new(key.span(), format!("unknown key `{other}`; known are {known}")));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        header.name = name.ok_or_else(|| input.error("`name = \"...\"` is missing"))?;
        header.description = description.ok_or_else(|| input.error("`description = \"...\"` is missing"))?;
        Ok(header)
    }
}

impl Parse for Metric {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let word: Ident = input.parse()?;
        let kind = match word.to_string().as_str() {
            "counter" => "Counter",
            "gauge" => "Gauge",
            "histogram" => "Histogram",
            _ => return Err(Error::new(word.span(), "expected `counter`, `gauge` or `histogram`")),
        };
        let kind = Ident::new(kind, word.span());
        let inner;
        parenthesized!(inner in input);
        let name: LitStr = inner.parse()?;
        if kind == "Counter" && !name.value().ends_with("_total") {
            return Err(Error::new(name.span(), "the name of a counter ends in `_total`"));
        }
        inner.parse::<Token![,]>()?;
        let help = inner.parse()?;
        let mut label = None;
        if inner.peek(Token![,]) {
            inner.parse::<Token![,]>()?;
            if !inner.is_empty() {
                let word: Ident = inner.parse()?;
                if word != "label" {
                    return Err(Error::new(word.span(), "expected `label \"name\" in [\"value\", ...]`"));
                }
                let label_name = inner.parse()?;
                inner.parse::<Token![in]>()?;
                label = Some((label_name, inner.parse()?));
                let _trailing: Option<Token![,]> = inner.parse()?;
            }
        }
        Ok(Self { kind, name, help, label })
    }
}

impl Parse for Sent {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let description = first_paragraph(&input.call(Attribute::parse_outer)?);
        let name = input.parse()?;
        let payload = input.parse::<Option<Token![:]>>()?.map(|_| input.parse()).transpose()?;
        let answer = input.parse::<Option<Token![=>]>>()?.map(|_| input.parse()).transpose()?;
        Ok(Self { name, payload, answer, description })
    }
}

/// Each is called `service.method`.
fn asks(input: ParseStream<'_>) -> Result<Vec<Sent>> {
    let asks: Vec<Sent> = items(input)?;
    match asks.iter().find(|ask| !ask.name.value().contains('.')) {
        Some(ask) => Err(Error::new(ask.name.span(), "write `\"service.method\": Body => Answer`")),
        None => Ok(asks),
    }
}

pub(crate) fn items<T: Parse>(input: ParseStream<'_>) -> Result<Vec<T>> {
    let inner;
    bracketed!(inner in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&inner)?.into_iter().collect())
}

fn list(input: ParseStream<'_>) -> Result<Vec<LitStr>> {
    items::<LitStr>(input)?.into_iter().map(path).collect()
}

fn plugin_name(name: LitStr) -> Result<LitStr> {
    let text = name.value();
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 32 || !text.chars().all(fine) {
        return Err(Error::new(name.span(), "a plugin's name is 1 to 32 of a-z, 0-9 and -"));
    }
    Ok(name)
}

/// A path starts with a slash.
pub(crate) fn path(path: LitStr) -> Result<LitStr> {
    if path.value().starts_with('/') {
        Ok(path)
    } else {
        Err(Error::new(path.span(), "a path starts with `/`"))
    }
}

/// The variant of `AuthMode`.
pub(crate) fn auth_mode(word: &LitStr) -> Result<Ident> {
    let variant = match word.value().as_str() {
        "none" => "None",
        "optional" => "Optional",
        "required" => "Required",
        _ => return Err(Error::new(word.span(), "expected \"none\", \"optional\" or \"required\"")),
    };
    Ok(Ident::new(variant, word.span()))
}
