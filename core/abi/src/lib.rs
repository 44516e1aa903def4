//! The C contract between the hub and its plugins, as Rust sees it.
//!
//! `include/exedra.h` is the specification: what each function may be called from, who owns what and what a
//! status means is written there. This crate only mirrors layouts and constants; it has no dependencies, makes no
//! calls and needs no standard library. The asserts below repeat the header's, and a test compiles the header.
#![no_std]

mod host;
mod plugin;
mod value;

pub use host::*;
pub use plugin::*;
pub use value::*;

/// The major version: part of the exported symbol's name.
pub const ABI_MAJOR: u16 = 1;
/// The minor version; minors only add.
pub const ABI_MINOR: u16 = 0;
/// The one symbol that a plugin exports.
pub const ENTRY_SYMBOL: &str = "exedra_plugin_v1";

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Slice>() == 16);
    assert!(size_of::<RawResult>() == 80);
    assert!(offset_of!(RawResult, payload) == 16);
    assert!(offset_of!(RawResult, attachments) == 48);
    assert!(offset_of!(RawResult, release) == 72);
    assert!(size_of::<Event>() == 128);
    assert!(offset_of!(Event, handler) == 24);
    assert!(offset_of!(Event, name) == 32);
    assert!(offset_of!(Event, attachments) == 96);
    assert!(offset_of!(Event, problem) == 112);
    assert!(size_of::<Plugin>() == 64);
    assert!(size_of::<Entry>() == 96);
    assert!(offset_of!(Entry, id) == 16);
    assert!(offset_of!(Entry, describe) == 80);
    assert!(size_of::<Done>() == 16);
    assert!(size_of::<Task>() == 32);
    assert!(size_of::<Host>() == 88);
    assert!(offset_of!(Host, instance) == 8);
    assert!(size_of::<Message>() == 72);
    assert!(offset_of!(Message, args) == 40);
    assert!(size_of::<SocketExt>() == 48);
    assert!(size_of::<RoomExt>() == 88);
    assert!(size_of::<KvExt>() == 40);
    assert!(size_of::<BusExt>() == 24);
    assert!(size_of::<TimeExt>() == 24);
    assert!(size_of::<MetricExt>() == 16);
};
