//! The border to the hub: the only folder of this crate with `unsafe` in it. Everything outside works on safe types;
//! everything in here keeps the rules of `exedra.h` and says per block how.
#![allow(unsafe_code, reason = "this is where the C contract is spoken; each block says why it holds")]

pub(crate) mod export;
pub(crate) mod give;
pub(crate) mod given;
pub(crate) mod guard;
pub(crate) mod link;
pub(crate) mod op;
pub(crate) mod ops;
pub(crate) mod shim;
pub(crate) mod task;
#[cfg(test)]
mod tests;
