//! What a plugin exports and what it is told.
#![expect(missing_docs, reason = "the header says what each field means")]

use core::ffi::c_void;

use crate::{CallId, Conn, Host, RawResult, Slice, Status};

/// The kinds of events.
pub mod kind {
    pub const CONNECT: u32 = 1;
    pub const EVENT: u32 = 2;
    pub const DISCONNECT: u32 = 3;
    pub const LEAVE: u32 = 4;
    pub const HTTP: u32 = 5;
    pub const INJECT: u32 = 6;
    pub const RPC: u32 = 7;
    pub const TIMER: u32 = 8;
    pub const REFRESH: u32 = 9;
}

/// Flag of an event: somebody waits for the result's payload.
pub const WANTS_ACK: u32 = 1;

/// One thing that happened.
#[repr(C)]
#[derive(Debug)]
pub struct Event {
    pub struct_size: u32,
    pub kind: u32,
    pub call: CallId,
    pub conn: Conn,
    pub handler: u32,
    pub flags: u32,
    pub name: Slice,
    pub room: Slice,
    pub payload: Slice,
    pub context: Slice,
    pub attachments: *const Slice,
    pub n_attachments: usize,
    pub problem: Slice,
}

/// A plugin's instance.
#[repr(C)]
#[derive(Debug)]
pub struct Plugin {
    pub struct_size: u32,
    pub reserved: u32,
    pub this: *mut c_void,
    pub start: Option<unsafe extern "C" fn(this: *mut c_void) -> Status>,
    pub dispatch:
        Option<unsafe extern "C" fn(this: *mut c_void, event: *const Event, out: *mut RawResult) -> Status>,
    pub cancel: Option<unsafe extern "C" fn(this: *mut c_void, call: CallId)>,
    pub quiesce: Option<unsafe extern "C" fn(this: *mut c_void)>,
    pub destroy: Option<unsafe extern "C" fn(this: *mut c_void)>,
    pub get_extension: Option<unsafe extern "C" fn(this: *mut c_void, id: Slice) -> *const c_void>,
}

/// What a plugin file exports under [`crate::ENTRY_SYMBOL`].
#[repr(C)]
#[derive(Debug)]
pub struct Entry {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub min_host_minor: u16,
    pub reserved: u16,
    pub flags: u32,
    pub id: Slice,
    pub version: Slice,
    pub sdk: Slice,
    pub required_extensions: *const Slice,
    pub n_required_extensions: usize,
    pub describe: Option<unsafe extern "C" fn(settings_json: Slice, out: *mut RawResult) -> Status>,
    pub create: Option<
        unsafe extern "C" fn(
            host: *const Host,
            settings_json: Slice,
            plugin: *mut Plugin,
            out: *mut RawResult,
        ) -> Status,
    >,
}

// SAFETY: an entry is constant data: addresses of functions and of static text.
#[expect(unsafe_code, reason = "a plugin exports it as a static")]
unsafe impl Sync for Entry {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "as above")]
unsafe impl Send for Entry {}
