//! The `#[plugin]` attribute of `exedra-sdk`. It reads an `impl` block and writes the `Plugin` trait for it: the
//! manifest from the attributes of the handlers, and a `match` that calls them. It decides nothing at run time.

mod handler;
mod header;
mod manifest;
mod new;
mod route;
mod sent;
mod write;

use proc_macro::TokenStream;

/// Makes a plugin of an `impl` block.
///
/// `name` and `description` are needed; `namespace = "/"` (or `namespaces = ["/", "/custom"]`), `auth = "required"`,
/// `endpoint = "/ws/rooms"` and `metrics = [counter("votes_total", "Votes cast", label "kind" in ["a", "b"]), gauge(..),
/// histogram(..)]` may be left out.
///
/// What a plugin sends is declared too, each with a doc comment as its description: `emits = ["phase": Phase, "ping": (),
/// "frame": (Bytes, Meta), "question": Asked => Answer, "any": Args]` to clients, `outs = ["joined": Seen]` to outside
/// services, `asks = ["directory.meeting": Which => Meeting]` of them. `refusal = Refused` says what a refused event is
/// acknowledged with, if it is not the hub's `{"error": {..}}`.
///
/// Inside, `fn new` makes the instance and attributes mark handlers: `#[connect]`, `#[event("name", timeout = "5s")]`,
/// `#[http(POST, "/things", auth = "optional", body_limit = 65536, errors = [404, 409 "TAKEN"])]`, `#[inject("name")]`, `#[rpc("name")]`,
/// `#[every("30s")]`, `#[state("name", window = "100ms")]`, `#[leave]`, `#[disconnect]`, `#[start]`, `#[reject]` and
/// `#[manifest]`. Where a duration stands, `|s| s.interval` takes it from the settings.
///
/// Types say what goes in and out; where they do not, options do: `args = (Bytes, Meta)` of an event; `gives = Thing`,
/// `status = [201, 200]`, `response_type`, `body_type`, `headers = [optional("If-Match", "One sentence.")]` and
/// `deprecated = true` of a route.
#[proc_macro_attribute]
pub fn plugin(attributes: TokenStream, block: TokenStream) -> TokenStream {
    let header = syn::parse_macro_input!(attributes as header::Header);
    let block = syn::parse_macro_input!(block as syn::ItemImpl);
    match write::plugin(&header, block) {
        Ok(tokens) => tokens.into(),
        Err(error) => error.to_compile_error().into(),
    }
}
