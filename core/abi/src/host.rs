//! What the hub offers to a plugin: the host table and the tables of operations.
#![expect(missing_docs, reason = "the header says what each field means")]

use core::ffi::c_void;

use crate::{CallId, Conn, OpId, RawResult, Slice, Status};

/// How an operation that takes time ends.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Done {
    pub call: Option<unsafe extern "C" fn(user: *mut c_void, status: Status, result: *mut RawResult)>,
    pub user: *mut c_void,
}

/// The hub's waker; only its address is known here.
#[repr(C)]
#[derive(Debug)]
pub struct Waker {
    _opaque: [u8; 0],
}

/// Work that the hub drives.
#[repr(C)]
#[derive(Debug)]
pub struct Task {
    pub struct_size: u32,
    pub reserved: u32,
    pub data: *mut c_void,
    pub poll: Option<unsafe extern "C" fn(data: *mut c_void, waker: *const Waker) -> Status>,
    pub drop: Option<unsafe extern "C" fn(data: *mut c_void)>,
}

/// What `create` is given.
#[repr(C)]
#[derive(Debug)]
pub struct Host {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub instance: *mut c_void,
    pub get_extension: Option<unsafe extern "C" fn(host: *const Host, id: Slice) -> *const c_void>,
    pub complete: Option<
        unsafe extern "C" fn(
            host: *const Host,
            call: CallId,
            status: Status,
            result: *mut RawResult,
        ) -> Status,
    >,
    pub spawn: Option<unsafe extern "C" fn(host: *const Host, task: *const Task, owner: CallId) -> Status>,
    pub waker_clone: Option<unsafe extern "C" fn(waker: *const Waker) -> *const Waker>,
    pub waker_wake: Option<unsafe extern "C" fn(waker: *const Waker)>,
    pub waker_drop: Option<unsafe extern "C" fn(waker: *const Waker)>,
    pub cancel: Option<unsafe extern "C" fn(host: *const Host, op: OpId)>,
    pub log: Option<
        unsafe extern "C" fn(host: *const Host, level: u32, target: Slice, message: Slice, fields: Slice),
    >,
    pub max_log_level: *const u32,
}

/// In order; a link that cannot keep up is closed.
pub const RELIABLE: u32 = 0;
/// Only the newest of the key waits.
pub const LATEST: u32 = 1;
/// Dropped when the link is busy.
pub const VOLATILE: u32 = 2;

/// An event on its way to clients.
#[repr(C)]
#[derive(Debug)]
pub struct Message {
    pub struct_size: u32,
    pub delivery: u32,
    pub key: Slice,
    pub name: Slice,
    pub args: Slice,
    pub attachments: *const Slice,
    pub n_attachments: usize,
}

/// Name of [`SocketExt`].
pub const SOCKET: &str = "exedra.socket/1";
/// Operations on one connection.
#[repr(C)]
#[derive(Debug)]
pub struct SocketExt {
    pub struct_size: u32,
    pub reserved: u32,
    pub emit: Option<unsafe extern "C" fn(host: *const Host, conn: Conn, message: *const Message) -> Status>,
    pub request: Option<
        unsafe extern "C" fn(
            host: *const Host,
            conn: Conn,
            message: *const Message,
            timeout_ms: u64,
            done: Done,
            op: *mut OpId,
        ) -> Status,
    >,
    pub disconnect: Option<unsafe extern "C" fn(host: *const Host, conn: Conn) -> Status>,
    pub set_data: Option<unsafe extern "C" fn(host: *const Host, conn: Conn, data: Slice) -> Status>,
    pub get_data: Option<unsafe extern "C" fn(host: *const Host, conn: Conn, out: *mut RawResult) -> Status>,
}

/// Name of [`RoomExt`].
pub const ROOM: &str = "exedra.room/1";
/// Operations on rooms.
#[repr(C)]
#[derive(Debug)]
pub struct RoomExt {
    pub struct_size: u32,
    pub reserved: u32,
    pub broadcast: Option<
        unsafe extern "C" fn(host: *const Host, room: Slice, message: *const Message, except: Conn) -> Status,
    >,
    pub join: Option<
        unsafe extern "C" fn(
            host: *const Host,
            conn: Conn,
            room: Slice,
            meta: Slice,
            max_members: u64,
            out: *mut RawResult,
        ) -> Status,
    >,
    pub leave: Option<
        unsafe extern "C" fn(host: *const Host, conn: Conn, room: Slice, out: *mut RawResult) -> Status,
    >,
    pub join_user: Option<
        unsafe extern "C" fn(
            host: *const Host,
            room: Slice,
            user: Slice,
            meta: Slice,
            ttl_ms: u64,
            max_members: u64,
            out: *mut RawResult,
        ) -> Status,
    >,
    pub leave_user: Option<
        unsafe extern "C" fn(host: *const Host, room: Slice, user: Slice, out: *mut RawResult) -> Status,
    >,
    pub members: Option<unsafe extern "C" fn(host: *const Host, room: Slice, out: *mut RawResult) -> Status>,
    pub count: Option<unsafe extern "C" fn(host: *const Host, room: Slice, out: *mut RawResult) -> Status>,
    pub refresh: Option<unsafe extern "C" fn(host: *const Host, state: u32, room: Slice) -> Status>,
    pub join_as: Option<
        unsafe extern "C" fn(
            host: *const Host,
            conn: Conn,
            room: Slice,
            user: Slice,
            meta: Slice,
            max_members: u64,
            out: *mut RawResult,
        ) -> Status,
    >,
    pub claim: Option<
        unsafe extern "C" fn(
            host: *const Host,
            conn: Conn,
            room: Slice,
            user: Slice,
            meta: Slice,
            ttl_ms: u64,
            max_members: u64,
            out: *mut RawResult,
            done: Done,
            op: *mut OpId,
        ) -> Status,
    >,
}

/// `expected` of [`KvExt`]: whatever the revision.
pub const ANY_REVISION: u64 = u64::MAX;
/// Name of [`KvExt`].
pub const KV: &str = "exedra.kv/1";
/// Durable values.
#[repr(C)]
#[derive(Debug)]
pub struct KvExt {
    pub struct_size: u32,
    pub reserved: u32,
    pub get: Option<
        unsafe extern "C" fn(
            host: *const Host,
            key: Slice,
            out: *mut RawResult,
            done: Done,
            op: *mut OpId,
        ) -> Status,
    >,
    pub put: Option<
        unsafe extern "C" fn(
            host: *const Host,
            key: Slice,
            value: Slice,
            expected: u64,
            out: *mut RawResult,
            done: Done,
            op: *mut OpId,
        ) -> Status,
    >,
    pub remove: Option<
        unsafe extern "C" fn(
            host: *const Host,
            key: Slice,
            expected: u64,
            out: *mut RawResult,
            done: Done,
            op: *mut OpId,
        ) -> Status,
    >,
    pub list: Option<
        unsafe extern "C" fn(
            host: *const Host,
            prefix: Slice,
            after: Slice,
            limit: u32,
            out: *mut RawResult,
            done: Done,
            op: *mut OpId,
        ) -> Status,
    >,
}

/// Name of [`BusExt`].
pub const BUS: &str = "exedra.bus/1";
/// Outside services.
#[repr(C)]
#[derive(Debug)]
pub struct BusExt {
    pub struct_size: u32,
    pub reserved: u32,
    pub publish:
        Option<unsafe extern "C" fn(host: *const Host, room: Slice, event: Slice, payload: Slice) -> Status>,
    pub request: Option<
        unsafe extern "C" fn(
            host: *const Host,
            service: Slice,
            method: Slice,
            payload: Slice,
            timeout_ms: u64,
            done: Done,
            op: *mut OpId,
        ) -> Status,
    >,
}

/// Name of [`TimeExt`].
pub const TIME: &str = "exedra.time/1";
/// Time.
#[repr(C)]
#[derive(Debug)]
pub struct TimeExt {
    pub struct_size: u32,
    pub reserved: u32,
    pub now_ms: Option<unsafe extern "C" fn(host: *const Host) -> u64>,
    pub sleep: Option<unsafe extern "C" fn(host: *const Host, ms: u64, done: Done, op: *mut OpId) -> Status>,
}

/// Name of [`MetricExt`].
pub const METRIC: &str = "exedra.metric/1";
/// Metrics of the manifest.
#[repr(C)]
#[derive(Debug)]
pub struct MetricExt {
    pub struct_size: u32,
    pub reserved: u32,
    pub record: Option<
        unsafe extern "C" fn(
            host: *const Host,
            metric: u32,
            label: Slice,
            value: f64,
            relative: u32,
        ) -> Status,
    >,
}
