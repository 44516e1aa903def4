//! The arguments of an event as they came: JSON text that nobody parses on the way, and binary attachments.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};

use crate::{Error, Result, answer::one_argument};

/// All arguments of an event. Returned from a handler they become the acknowledgement, untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// A JSON array. Binary arguments are placeholders `{"_placeholder": true, "num": 0}` into `attachments`.
    pub json: Bytes,
    /// The binary arguments.
    pub attachments: Vec<Bytes>,
}

impl Args {
    /// No arguments.
    pub fn none() -> Self {
        Self { json: Bytes::from_static(b"[]"), attachments: Vec::new() }
    }

    /// One argument; none for `()`.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn one(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        Ok(Self { json: one_argument(value)?.into(), attachments: Vec::new() })
    }

    /// Several arguments: a tuple, a slice or a `Vec`.
    ///
    /// # Errors
    /// [`Code::Invalid`](crate::Code::Invalid) when `values` is no list.
    pub fn list(values: &(impl Serialize + ?Sized)) -> Result<Self> {
        let json = serde_json::to_vec(values)?;
        if json.first() != Some(&b'[') {
            return Err(Error::invalid("arguments must be a list"));
        }
        Ok(Self { json: json.into(), attachments: Vec::new() })
    }

    /// The arguments as JSON values; placeholders stay placeholders.
    ///
    /// # Errors
    /// [`Code::Invalid`](crate::Code::Invalid) when they are no JSON array.
    pub fn values(&self) -> Result<Vec<Value>> {
        serde_json::from_slice(&self.json).map_err(|error| Error::invalid(format!("arguments: {error}")))
    }

    /// The first argument, read as `T`. A missing one is read like `null`.
    ///
    /// # Errors
    /// [`Code::Invalid`](crate::Code::Invalid) when it is no `T`.
    pub fn first<T: DeserializeOwned>(&self) -> Result<T> {
        parse_first(&self.json)
    }

    /// The attachment that a placeholder names.
    pub fn binary(&self, placeholder: &Value) -> Option<&Bytes> {
        let object = placeholder.as_object()?;
        if object.get("_placeholder") != Some(&Value::Bool(true)) {
            return None;
        }
        self.attachments.get(usize::try_from(object.get("num")?.as_u64()?).ok()?)
    }
}

/// What stands for the attachment number `n` inside of an argument.
pub fn placeholder(n: usize) -> Value {
    json!({ "_placeholder": true, "num": n })
}

pub(crate) fn parse_first<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    // Raw values: only the first argument is read.
    let arguments: Vec<&RawValue> = if json.is_empty() {
        Vec::new()
    } else {
        serde_json::from_slice(json).map_err(|error| Error::invalid(format!("arguments: {error}")))?
    };
    let first = arguments.first().map_or("null", |raw| raw.get());
    serde_json::from_str(first).map_err(|error| Error::invalid(without_place(&error)))
}

/// A JSON error for people who do not see our text: without line and column when it is about the data.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) if error.is_data() => text[..at].to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_argument_is_read_alone() {
        let args = Args { json: Bytes::from_static(br#"[7,{"deep":[1,2]},"x"]"#), attachments: Vec::new() };
        assert_eq!(args.first::<u8>().unwrap(), 7);
        assert_eq!(Args::none().first::<Option<u8>>().unwrap(), None);
        assert!(Args::none().first::<u8>().is_err());
    }

    #[test]
    fn placeholders_name_attachments() {
        let args = Args { json: Bytes::from_static(b"[]"), attachments: vec![Bytes::from_static(b"abc")] };
        assert_eq!(args.binary(&placeholder(0)).unwrap(), &b"abc"[..]);
        assert_eq!(args.binary(&placeholder(1)), None);
        assert_eq!(args.binary(&json!({"num": 0})), None);
    }

    #[test]
    fn lists_become_arguments() {
        assert_eq!(&Args::list(&(1, "a")).unwrap().json[..], b"[1,\"a\"]");
        assert!(Args::list(&1).is_err());
    }
}
