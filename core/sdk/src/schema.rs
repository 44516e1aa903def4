//! JSON Schemas of what goes in and out, for the manifest.

use std::marker::PhantomData;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// The schema of what is read.
#[doc(hidden)]
pub fn read_schema<T: JsonSchema + ?Sized>() -> Value {
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of what is written.
#[doc(hidden)]
pub fn write_schema<T: JsonSchema + ?Sized>() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of an argument that is bytes and not JSON.
#[doc(hidden)]
pub fn binary() -> Value {
    serde_json::json!({ "type": "string", "format": "binary" })
}

/// Asks a type for its schema if it has one: `Probe::<T>::new().written()` finds the method of the type itself when
/// `T: JsonSchema`, else the one of the trait.
#[doc(hidden)]
pub struct Probe<T>(PhantomData<T>);

impl<T> Probe<T> {
    #[expect(clippy::new_without_default, reason = "written by the macro only")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: JsonSchema> Probe<T> {
    pub fn written(&self) -> Option<Value> {
        Some(write_schema::<T>())
    }
}

#[doc(hidden)]
pub trait WithoutSchema {
    fn written(&self) -> Option<Value> {
        None
    }
}

impl<T> WithoutSchema for Probe<T> {}
