//! One marked function of the `impl` block: its mark, what it takes and what it gives.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, Ident, ImplItemFn, Lit, LitStr, Meta, Result, ReturnType, Token,
    Type, TypeTuple,
    parse::{ParseStream, Parser},
    spanned::Spanned,
};

use crate::{
    header::{auth_mode, items, path},
    route::{Header, Route},
};

/// A function that the hub calls.
pub(crate) struct Handler {
    pub(crate) mark: Mark,
    pub(crate) name: Ident,
    pub(crate) is_async: bool,
    /// The types of the arguments after `&self`.
    pub(crate) takes: Vec<Type>,
    /// `T` of `Result<T>`, unless it is `()`.
    pub(crate) gives: Option<Type>,
    /// The first paragraph of the doc comment.
    pub(crate) description: String,
}

/// What the attribute says.
pub(crate) enum Mark {
    Connect,
    Event { name: LitStr, timeout: Option<Duration>, args: Option<Vec<Type>> },
    Http(Box<Route>),
    Inject { name: LitStr, headers: Vec<Header>, body_type: Option<LitStr> },
    Rpc(LitStr),
    Every(Duration),
    State { name: LitStr, window: Duration },
    Leave,
    Disconnect,
    Start,
    Reject,
    Manifest,
}

/// A duration: known now, or taken from the settings.
pub(crate) enum Duration {
    Ms(u64),
    Settings(Box<Expr>),
}

impl Duration {
    /// Milliseconds, where `settings` is in scope.
    pub(crate) fn ms(&self) -> TokenStream {
        match self {
            Self::Ms(ms) => quote!(#ms),
            Self::Settings(from) => quote! {{
                let from: fn(&Self::Settings) -> ::exedra_sdk::__private::Duration = #from;
                from(settings).as_millis() as u64
            }},
        }
    }
}

/// Takes the mark off a function, if it has one.
pub(crate) fn take(function: &mut ImplItemFn) -> Result<Option<Handler>> {
    let mut marked: Option<(Mark, Span)> = None;
    let mut kept = Vec::new();
    for attribute in std::mem::take(&mut function.attrs) {
        match mark(&attribute)? {
            None => kept.push(attribute),
            Some(_) if marked.is_some() => {
                return Err(Error::new(attribute.span(), "a function has one mark; write a second function"));
            }
            Some(mark) => marked = Some((mark, attribute.span())),
        }
    }
    function.attrs = kept;
    let Some((mark, span)) = marked else { return Ok(None) };
    if !matches!(mark, Mark::Manifest) && function.sig.receiver().is_none() {
        return Err(Error::new(span, "a handler takes `&self`"));
    }
    if let Some(receiver) = function.sig.receiver()
        && (receiver.reference.is_none() || receiver.mutability.is_some())
    {
        return Err(Error::new(receiver.span(), "a handler takes `&self`: calls run at the same time"));
    }
    let takes = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some((*argument.ty).clone()),
        FnArg::Receiver(_) => None,
    });
    Ok(Some(Handler {
        mark,
        name: function.sig.ident.clone(),
        is_async: function.sig.asyncness.is_some(),
        takes: takes.collect(),
        gives: inside_result(&function.sig.output),
        description: first_paragraph(&function.attrs),
    }))
}

fn mark(attribute: &Attribute) -> Result<Option<Mark>> {
    let Some(word) = attribute.path().get_ident() else { return Ok(None) };
    let plain = |mark: Mark| match &attribute.meta {
        Meta::Path(_) => Ok(Some(mark)),
        other => Err(Error::new(other.span(), "this mark takes no arguments")),
    };
    let with = |parser: fn(ParseStream<'_>) -> Result<Mark>| -> Result<Option<Mark>> {
        let tokens = match &attribute.meta {
            Meta::List(list) => list.tokens.clone(),
            other => return Err(Error::new(other.span(), format!("write `#[{word}(...)]`"))),
        };
        parser.parse2(tokens).map(Some)
    };
    match word.to_string().as_str() {
        "connect" => plain(Mark::Connect),
        "leave" => plain(Mark::Leave),
        "disconnect" => plain(Mark::Disconnect),
        "start" => plain(Mark::Start),
        "reject" => plain(Mark::Reject),
        "manifest" => plain(Mark::Manifest),
        "event" => with(event),
        "http" => with(http),
        "inject" => with(inject),
        "rpc" => with(|input| input.parse().map(Mark::Rpc)),
        "every" => with(|input| duration(input).map(Mark::Every)),
        "state" => with(state),
        _ => Ok(None),
    }
}

fn event(input: ParseStream<'_>) -> Result<Mark> {
    let name = input.parse()?;
    let (mut timeout, mut args) = (None, None);
    options(input, |key, input| {
        match key.to_string().as_str() {
            "timeout" => timeout = Some(duration(input)?),
            "args" => args = Some(input.parse::<TypeTuple>()?.elems.into_iter().collect()),
            _ => return Err(Error::new(key.span(), "expected `timeout` or `args`")),
        }
        Ok(())
    })?;
    Ok(Mark::Event { name, timeout, args })
}

fn http(input: ParseStream<'_>) -> Result<Mark> {
    let method: Ident = input.parse()?;
    if !["GET", "POST", "PUT", "PATCH", "DELETE"].iter().any(|known| method == known) {
        return Err(Error::new(method.span(), "expected GET, POST, PUT, PATCH or DELETE"));
    }
    input.parse::<Token![,]>()?;
    let mut route = Route::new(method, path(input.parse()?)?);
    options(input, |key, input| match key.to_string().as_str() {
        "auth" => {
            route.auth = Some(auth_mode(&input.parse()?)?);
            Ok(())
        }
        _ => route.option(key, input),
    })?;
    Ok(Mark::Http(Box::new(route)))
}

fn inject(input: ParseStream<'_>) -> Result<Mark> {
    let name = input.parse()?;
    let (mut headers, mut body_type) = (Vec::new(), None);
    options(input, |key, input| {
        match key.to_string().as_str() {
            "headers" => headers = items(input)?,
            "body_type" => body_type = Some(input.parse()?),
            _ => return Err(Error::new(key.span(), "expected `headers` or `body_type`")),
        }
        Ok(())
    })?;
    Ok(Mark::Inject { name, headers, body_type })
}

fn state(input: ParseStream<'_>) -> Result<Mark> {
    let name = input.parse()?;
    let mut window = Duration::Ms(100);
    options(input, |key, input| match key.to_string().as_str() {
        "window" => {
            window = duration(input)?;
            Ok(())
        }
        _ => Err(Error::new(key.span(), "expected `window`")),
    })?;
    Ok(Mark::State { name, window })
}

/// `, key = value` as often as there is one.
fn options(
    input: ParseStream<'_>,
    mut take: impl FnMut(&Ident, ParseStream<'_>) -> Result<()>,
) -> Result<()> {
    while !input.is_empty() {
        input.parse::<Token![,]>()?;
        if input.is_empty() {
            break;
        }
        let key: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        take(&key, input)?;
    }
    Ok(())
}

/// `"30s"`, or a closure from the settings to a duration.
fn duration(input: ParseStream<'_>) -> Result<Duration> {
    let from: Expr = input.parse()?;
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &from else {
        return Ok(Duration::Settings(Box::new(from)));
    };
    let value = text.value();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let one = match &value[digits..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let ms = one.and_then(|one| value[..digits].parse::<u64>().ok()?.checked_mul(one)).filter(|ms| *ms > 0);
    ms.map(Duration::Ms)
        .ok_or_else(|| Error::new(text.span(), "write a duration like \"100ms\", \"30s\" or \"5m\""))
}

/// `T` of `Result<T>` or `Result<T, E>`.
fn inside_result(output: &ReturnType) -> Option<Type> {
    let ReturnType::Type(_, output) = output else { return None };
    let Type::Path(path) = &**output else { return None };
    let last = path.path.segments.last().filter(|segment| segment.ident == "Result")?;
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        syn::GenericArgument::Type(Type::Tuple(tuple)) if tuple.elems.is_empty() => None,
        syn::GenericArgument::Type(inside) => Some(inside.clone()),
        _ => None,
    }
}

/// The first paragraph of a doc comment.
pub(crate) fn first_paragraph(attributes: &[Attribute]) -> String {
    let mut words = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value else { continue };
        let line = line.value();
        if line.trim().is_empty() && !words.is_empty() {
            break;
        }
        words.extend(line.split_whitespace().map(str::to_owned));
    }
    words.join(" ")
}
