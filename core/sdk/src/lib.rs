//! What a plugin author sees. A plugin is a struct, `#[plugin]` on its `impl`, and `export!`; everything unsafe about
//! being a shared library is in here.
//!
//! ```
//! use exedra_sdk::prelude::*;
//!
//! #[derive(Default, Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! pub struct Settings {
//!     greeting: String,
//! }
//!
//! pub struct Greeter {
//!     settings: Settings,
//!     hub: Hub,
//! }
//!
//! #[plugin(name = "greeter", description = "Says hello", namespace = "/greeter", auth = "optional")]
//! impl Greeter {
//!     fn new(settings: Settings, hub: Hub) -> Result<Self> {
//!         Ok(Self { settings, hub })
//!     }
//!
//!     /// Greets by name; the return value is the acknowledgement.
//!     #[event("greet")]
//!     async fn greet(&self, conn: Conn, Payload(name): Payload<String>) -> Result<String> {
//!         self.hub.room("lobby").emit_except(&conn, "greeted", &name)?;
//!         Ok(format!("{} {name}", self.settings.greeting))
//!     }
//! }
//!
//! exedra_sdk::export!(Greeter);
//! ```
//!
//! Handlers may be `async` or not, take any extractors in any order ([`FromCall`]), and return [`Result`]. They run on
//! the hub's executor: do not block in them, and wait with [`Hub::sleep`] instead of a runtime of your own.

mod alarms;
mod answer;
mod args;
mod border;
mod call;
mod conn;
mod delivery;
mod error;
mod extract;
mod http;
mod hub;
pub mod keys;
mod kv;
#[doc(hidden)]
pub mod log;
pub mod manifest;
mod message;
mod metric;
mod params;
mod plugin;
pub mod random;
mod rate;
mod room;
mod schema;
mod shelf;
mod span;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod time;
mod user;
pub mod value;

pub use alarms::Alarms;
pub use answer::{IntoAck, IntoAnswer, IntoReply};
pub use args::{Args, placeholder};
pub use bytes::Bytes;
pub use call::Call;
pub use conn::Conn;
pub use delivery::{Delivery, Mark};
pub use error::{Code, Error, Result};
pub use exedra_sdk_macros::plugin;
pub use extract::{EventName, FromCall, Member, Payload, Reason, RoomName};
pub use futures_util as futures;
pub use http::{Created, Headers, Json, NoContent, Path, Peer, Query, Reply, Request, WithHeader};
pub use hub::Hub;
pub use kv::{Entry, Kv, Versioned};
pub use manifest::Manifest;
pub use message::Message;
pub use metric::{Counter, Gauge, Histogram};
pub use plugin::Plugin;
pub use rate::{Budget, Rate};
pub use room::{Joined, Left, MemberOf, Room};
pub use schemars;
pub use serde;
pub use serde_json;
pub use shelf::Shelf;
pub use span::Span;
pub use user::User;

/// All that a plugin usually names.
pub mod prelude {
    pub use std::{net::IpAddr, sync::Arc, time::Duration};

    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use serde_json::{Value, json};

    pub use crate::{
        Args, Bytes, Code, Conn, Counter, Created, Delivery, Error, EventName, Gauge, Headers, Histogram,
        Hub, Joined, Json, Kv, Left, Manifest, Mark, Member, MemberOf, Message, NoContent, Path, Payload,
        Peer, Query, Reason, Reply, Request, Result, Room, RoomName, Span, User, Versioned, WithHeader,
        debug, error, info, placeholder, plugin, time::iso8601, trace, warn,
    };
}

/// Names for the macros of this crate; nothing here is a promise.
#[doc(hidden)]
pub mod __private {
    pub use std::{
        boxed::Box, option::Option, result::Result, string::String, sync::Arc, time::Duration, vec::Vec,
    };

    pub use exedra_abi::kind;

    pub use crate::{
        answer::{EventReturn, HttpReturn, Outcome, RpcReturn, UnitReturn},
        border::export::{Entry, entry_of},
        log::write as log,
        manifest,
        plugin::{Boxed, NoSettings, made},
        schema::{Probe, WithoutSchema, binary, read_schema, write_schema},
    };
}

/// Exports a plugin: the one symbol that the hub looks for, and `entry()` for linking it statically. Once per crate,
/// at its root.
///
/// When several plugins are linked into one binary, give each a cargo feature `static` and enable it there: their
/// symbols of the same name stay out then.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a plugin must be built with panic = \"unwind\", so that its panics end at its border"
        );

        /// The plugin's entry, for linking it statically.
        pub fn entry() -> &'static $crate::__private::Entry {
            static ENTRY: $crate::__private::Entry =
                $crate::__private::entry_of::<$plugin>(env!("CARGO_PKG_VERSION"));
            &ENTRY
        }

        #[allow(unexpected_cfgs)] // the feature is the plugin's to offer
        const _: () = {
            #[cfg(not(feature = "static"))]
            #[allow(unsafe_code, non_upper_case_globals, unreachable_pub, missing_docs)]
            #[unsafe(no_mangle)]
            pub static exedra_plugin_v1: $crate::__private::Entry =
                $crate::__private::entry_of::<$plugin>(env!("CARGO_PKG_VERSION"));
        };
    };
}
