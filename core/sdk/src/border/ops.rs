//! Every function of the hub's tables, once, as safe Rust. Names follow the header.

use std::{ptr, sync::Arc};

use bytes::Bytes;
use exedra_abi::{self as abi, RawResult, Slice, Status};

use super::{
    given::Given,
    link::{Door, Link, offered},
    op::Op,
};
use crate::{Error, Result};

/// An event on its way out.
pub(crate) struct Outgoing<'a> {
    pub(crate) name: &'a str,
    pub(crate) args: &'a [u8],
    pub(crate) attachments: &'a [Bytes],
    pub(crate) delivery: u32,
    pub(crate) key: &'a str,
}

impl Outgoing<'_> {
    fn lend<R>(&self, use_it: impl FnOnce(*const abi::Message) -> R) -> R {
        let slices: Vec<Slice> = self.attachments.iter().map(|bytes| Slice::new(bytes)).collect();
        let message = abi::Message {
            struct_size: size_of::<abi::Message>() as u32,
            delivery: self.delivery,
            key: Slice::text(self.key),
            name: Slice::text(self.name),
            args: Slice::new(self.args),
            attachments: if slices.is_empty() { ptr::null() } else { slices.as_ptr() },
            n_attachments: slices.len(),
        };
        use_it(&raw const message)
    }
}

fn ended(status: Status) -> Result<()> {
    if status == Status::OK { Ok(()) } else { Err(Error::from_hub(status, b"")) }
}

/// An operation that answers at once.
fn at_once(door: &Door, call: impl FnOnce(&Link, *mut RawResult) -> Result<Status>) -> Result<Given> {
    let mut out = RawResult::EMPTY;
    let status = door.with(|link| call(link, &raw mut out));
    // SAFETY: `out` is ours, and whatever the hub has put into it was given to us.
    let given = unsafe { Given::take(&raw const out) };
    given.check(status?)
}

// What holds for every block below: the function comes from the table that belongs to `link.host`; slices borrow from
// arguments that live until the call returns; out-parameters are locals of the caller.

pub(crate) fn emit(door: &Door, conn: u64, message: &Outgoing<'_>) -> Result<()> {
    door.with(|link| {
        let emit = offered(link.socket.emit, "emit")?;
        // SAFETY: see above.
        ended(message.lend(|message| unsafe { emit(link.host, conn, message) }))
    })
}

pub(crate) fn request(door: &Arc<Door>, conn: u64, message: &Outgoing<'_>, timeout_ms: u64) -> Result<Op> {
    Op::start(door, |link, _, done, id| {
        let request = offered(link.socket.request, "requests to clients")?;
        // SAFETY: see above.
        Ok(message.lend(|message| unsafe { request(link.host, conn, message, timeout_ms, done, id) }))
    })
}

pub(crate) fn disconnect(door: &Door, conn: u64) -> Result<()> {
    door.with(|link| {
        let disconnect = offered(link.socket.disconnect, "disconnect")?;
        // SAFETY: see above.
        ended(unsafe { disconnect(link.host, conn) })
    })
}

pub(crate) fn set_data(door: &Door, conn: u64, data: &[u8]) -> Result<()> {
    door.with(|link| {
        let set_data = offered(link.socket.set_data, "data of connections")?;
        // SAFETY: see above.
        ended(unsafe { set_data(link.host, conn, Slice::new(data)) })
    })
}

pub(crate) fn get_data(door: &Door, conn: u64) -> Result<Given> {
    at_once(door, |link, out| {
        let get_data = offered(link.socket.get_data, "data of connections")?;
        // SAFETY: see above.
        Ok(unsafe { get_data(link.host, conn, out) })
    })
}

pub(crate) fn broadcast(door: &Door, room: &str, message: &Outgoing<'_>, except: u64) -> Result<()> {
    door.with(|link| {
        let broadcast = offered(link.room.broadcast, "rooms")?;
        // SAFETY: see above.
        ended(message.lend(|message| unsafe { broadcast(link.host, Slice::text(room), message, except) }))
    })
}

pub(crate) fn join(door: &Door, conn: u64, room: &str, meta: &[u8], max: u64) -> Result<Given> {
    at_once(door, |link, out| {
        let join = offered(link.room.join, "rooms")?;
        // SAFETY: see above.
        Ok(unsafe { join(link.host, conn, Slice::text(room), Slice::new(meta), max, out) })
    })
}

pub(crate) fn join_as(
    door: &Door,
    conn: u64,
    room: &str,
    user: &str,
    meta: &[u8],
    max: u64,
) -> Result<Given> {
    at_once(door, |link, out| {
        let join = offered(link.room.join_as, "members of the plugin's own naming")?;
        let (room, user, meta) = (Slice::text(room), Slice::text(user), Slice::new(meta));
        // SAFETY: see above.
        Ok(unsafe { join(link.host, conn, room, user, meta, max, out) })
    })
}

/// Who wants one of a bounded number of places.
pub(crate) enum Claimant<'a> {
    Connection(u64),
    Member(u64, &'a str),
    User(&'a str, u64),
}

pub(crate) fn claim(door: &Arc<Door>, room: &str, who: &Claimant<'_>, meta: &[u8], max: u64) -> Result<Op> {
    let (conn, user, ttl_ms) = match *who {
        Claimant::Connection(conn) => (conn, "", 0),
        Claimant::Member(conn, user) => (conn, user, 0),
        Claimant::User(user, ttl_ms) => (0, user, ttl_ms),
    };
    Op::start(door, |link, out, done, id| {
        let claim = offered(link.room.claim, "places that hold on all nodes")?;
        let (room, user, meta) = (Slice::text(room), Slice::text(user), Slice::new(meta));
        // SAFETY: see above.
        Ok(unsafe { claim(link.host, conn, room, user, meta, ttl_ms, max, out, done, id) })
    })
}

pub(crate) fn leave(door: &Door, conn: u64, room: &str) -> Result<Given> {
    at_once(door, |link, out| {
        let leave = offered(link.room.leave, "rooms")?;
        // SAFETY: see above.
        Ok(unsafe { leave(link.host, conn, Slice::text(room), out) })
    })
}

pub(crate) fn join_user(
    door: &Door,
    room: &str,
    user: &str,
    meta: &[u8],
    ttl_ms: u64,
    max: u64,
) -> Result<Given> {
    at_once(door, |link, out| {
        let join = offered(link.room.join_user, "rooms")?;
        let (room, user, meta) = (Slice::text(room), Slice::text(user), Slice::new(meta));
        // SAFETY: see above.
        Ok(unsafe { join(link.host, room, user, meta, ttl_ms, max, out) })
    })
}

pub(crate) fn leave_user(door: &Door, room: &str, user: &str) -> Result<Given> {
    at_once(door, |link, out| {
        let leave = offered(link.room.leave_user, "rooms")?;
        // SAFETY: see above.
        Ok(unsafe { leave(link.host, Slice::text(room), Slice::text(user), out) })
    })
}

pub(crate) fn members(door: &Door, room: &str) -> Result<Given> {
    at_once(door, |link, out| {
        let members = offered(link.room.members, "rooms")?;
        // SAFETY: see above.
        Ok(unsafe { members(link.host, Slice::text(room), out) })
    })
}

pub(crate) fn count(door: &Door, room: &str) -> Result<u64> {
    at_once(door, |link, out| {
        let count = offered(link.room.count, "rooms")?;
        // SAFETY: see above.
        Ok(unsafe { count(link.host, Slice::text(room), out) })
    })
    .map(|given| given.code())
}

pub(crate) fn refresh(door: &Door, state: u32, room: &str) -> Result<()> {
    door.with(|link| {
        let refresh = offered(link.room.refresh, "room states")?;
        // SAFETY: see above.
        ended(unsafe { refresh(link.host, state, Slice::text(room)) })
    })
}

pub(crate) fn kv_get(door: &Arc<Door>, key: &str) -> Result<Op> {
    Op::start(door, |link, out, done, id| {
        let get = offered(link.kv.get, "stored values")?;
        // SAFETY: see above.
        Ok(unsafe { get(link.host, Slice::text(key), out, done, id) })
    })
}

pub(crate) fn kv_put(door: &Arc<Door>, key: &str, value: &[u8], expected: u64) -> Result<Op> {
    Op::start(door, |link, out, done, id| {
        let put = offered(link.kv.put, "stored values")?;
        // SAFETY: see above.
        Ok(unsafe { put(link.host, Slice::text(key), Slice::new(value), expected, out, done, id) })
    })
}

pub(crate) fn kv_remove(door: &Arc<Door>, key: &str, expected: u64) -> Result<Op> {
    Op::start(door, |link, out, done, id| {
        let remove = offered(link.kv.remove, "stored values")?;
        // SAFETY: see above.
        Ok(unsafe { remove(link.host, Slice::text(key), expected, out, done, id) })
    })
}

pub(crate) fn kv_list(door: &Arc<Door>, prefix: &str, after: &str, limit: u32) -> Result<Op> {
    Op::start(door, |link, out, done, id| {
        let list = offered(link.kv.list, "stored values")?;
        // SAFETY: see above.
        Ok(unsafe { list(link.host, Slice::text(prefix), Slice::text(after), limit, out, done, id) })
    })
}

pub(crate) fn publish(door: &Door, room: &str, event: &str, payload: &[u8]) -> Result<()> {
    door.with(|link| {
        let publish = offered(link.bus.publish, "the bus")?;
        // SAFETY: see above.
        ended(unsafe { publish(link.host, Slice::text(room), Slice::text(event), Slice::new(payload)) })
    })
}

pub(crate) fn ask(
    door: &Arc<Door>,
    service: &str,
    method: &str,
    payload: &[u8],
    timeout_ms: u64,
) -> Result<Op> {
    Op::start(door, |link, _, done, id| {
        let request = offered(link.bus.request, "the bus")?;
        let (service, method) = (Slice::text(service), Slice::text(method));
        // SAFETY: see above.
        Ok(unsafe { request(link.host, service, method, Slice::new(payload), timeout_ms, done, id) })
    })
}

pub(crate) fn now_ms(door: &Door) -> Result<u64> {
    door.with(|link| {
        let now = offered(link.time.now_ms, "time")?;
        // SAFETY: see above.
        Ok(unsafe { now(link.host) })
    })
}

pub(crate) fn sleep(door: &Arc<Door>, ms: u64) -> Result<Op> {
    Op::start(door, |link, _, done, id| {
        let sleep = offered(link.time.sleep, "time")?;
        // SAFETY: see above.
        Ok(unsafe { sleep(link.host, ms, done, id) })
    })
}

pub(crate) fn record(door: &Door, metric: u32, label: &str, value: f64, relative: bool) -> Result<()> {
    door.with(|link| {
        let record = offered(link.metric.record, "metrics")?;
        // SAFETY: see above.
        ended(unsafe { record(link.host, metric, Slice::text(label), value, relative.into()) })
    })
}
