//! One call of the hub into the plugin, seen by extractors: borrowed, and read only as far as somebody asks.

use std::{cell::OnceCell, net::IpAddr, sync::Arc};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, Hub, Result, User};

/// What happened, while `dispatch` runs. Handlers see it through their arguments.
pub struct Call<'a> {
    pub(crate) kind: u32,
    pub(crate) handler: u32,
    pub(crate) conn: u64,
    pub(crate) wants_ack: bool,
    pub(crate) name: &'a str,
    pub(crate) room: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) context_json: &'a [u8],
    pub(crate) attachments: Vec<&'a [u8]>,
    /// What is wrong with the payload by its JSON Schema.
    pub(crate) problem: &'a str,
    pub(crate) hub: &'a Hub,
    pub(crate) context: OnceCell<Arc<Context>>,
}

impl Call<'_> {
    /// The kind, one of [`exedra_abi::kind`].
    #[doc(hidden)]
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// The index in the manifest's list of the kind.
    #[doc(hidden)]
    pub fn handler(&self) -> u32 {
        self.handler
    }

    /// Whether somebody waits for an acknowledgement.
    pub fn wants_ack(&self) -> bool {
        self.wants_ack
    }

    /// Event, member, method or reason.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The room's name, where there is one.
    pub fn room(&self) -> &str {
        self.room
    }

    /// The payload as it came.
    pub fn payload(&self) -> &[u8] {
        self.payload
    }

    /// Copies of the binary attachments.
    pub fn attachments(&self) -> Vec<Bytes> {
        self.attachments.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect()
    }

    /// Refuses a payload that does not fit its JSON Schema.
    ///
    /// # Errors
    /// What the hub found wrong with it.
    pub(crate) fn check(&self) -> Result<()> {
        if self.problem.is_empty() { Ok(()) } else { Err(Error::invalid(self.problem)) }
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        self.hub
    }

    /// The context, parsed at most once per call.
    ///
    /// # Errors
    /// When the hub sent something that this version cannot read.
    pub(crate) fn context(&self) -> Result<&Arc<Context>> {
        if let Some(context) = self.context.get() {
            return Ok(context);
        }
        let context = if self.context_json.is_empty() {
            Context::default()
        } else {
            serde_json::from_slice(self.context_json)
                .map_err(|error| Error::internal(format_args!("the call's context: {error}")))?
        };
        Ok(self.context.get_or_init(|| Arc::new(context)))
    }
}

/// All fields that a context of any kind may have.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Context {
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) params: Map<String, Value>,
    pub(crate) query: Map<String, Value>,
    pub(crate) headers: Map<String, Value>,
    pub(crate) auth: Value,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) identity: Option<User>,
    pub(crate) recovered: bool,
    pub(crate) lost: Option<String>,
}
