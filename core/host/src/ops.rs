//! What plugins may ask of the hub: one file per table. Every function is guarded: pointers and lengths are checked,
//! text must be UTF-8, nothing unwinds, nothing blocks. What takes time becomes an [`Operations`] entry, and its
//! `done` is called on an executor thread.
#![expect(unsafe_code, reason = "reads what plugins lend for the time of a call")]

mod bus;
mod kv;
mod metric;
mod pending;
mod room;
mod socket;
mod time;

use std::{borrow::Cow, ffi::c_void, ptr, sync::Arc};

use bytes::Bytes;
use exedra_abi::{Host, Slice, Status};
use exedra_hub::{Class, Code, Message, Refusal, port::PluginId};

pub(crate) use pending::Operations;

use crate::{
    answer::{MAX_ATTACHMENTS, MAX_BYTES},
    door,
    instance::Instance,
    logbook,
};

/// Bytes of a room, event, service or member name; the hub's own limit is lower.
const NAME: usize = 1 << 10;

/// The table of operations with this name; null when there is none.
pub(crate) fn table(name: &str) -> *const c_void {
    match name {
        exedra_abi::SOCKET => ptr::from_ref(&socket::TABLE).cast(),
        exedra_abi::ROOM => ptr::from_ref(&room::TABLE).cast(),
        exedra_abi::KV => ptr::from_ref(&kv::TABLE).cast(),
        exedra_abi::BUS => ptr::from_ref(&bus::TABLE).cast(),
        exedra_abi::TIME => ptr::from_ref(&time::TABLE).cast(),
        exedra_abi::METRIC => ptr::from_ref(&metric::TABLE).cast(),
        _ => ptr::null(),
    }
}

/// Finds the instance behind the table and runs `f`; nothing unwinds out of it. `function` is what the plugin calls,
/// in the words of the header.
///
/// # Safety
/// `host` must be null or the table that the plugin was given.
pub(crate) unsafe fn guarded(
    host: *const Host,
    function: &'static str,
    f: impl FnOnce(&Arc<Instance>) -> Result<Status, Status>,
) -> Status {
    door::contained(|| {
        // SAFETY: the caller vouches for the table.
        let instance = unsafe { door::behind(host) }.inspect_err(|_| logbook::lost(function))?;
        logbook::called(&instance, function);
        f(&instance).inspect_err(|status| logbook::refused(function, *status))
    })
}

/// Bytes that the plugin lends.
///
/// # Safety
/// Address and length must describe readable memory that stays for `'a`.
unsafe fn bytes<'a>(slice: Slice, limit: usize) -> Result<&'a [u8], Status> {
    match slice.len {
        0 => Ok(&[]),
        _ if slice.ptr.is_null() => Err(Status::INVALID),
        len if len > limit => Err(Status::TOO_LARGE),
        // SAFETY: checked for an address and a sane length; the caller vouches for the rest.
        _ => Ok(unsafe { slice.bytes() }),
    }
}

/// Text that the plugin lends.
///
/// # Safety
/// As `bytes`.
pub(crate) unsafe fn text<'a>(slice: Slice, limit: usize) -> Result<&'a str, Status> {
    // SAFETY: the caller vouches for it.
    std::str::from_utf8(unsafe { bytes(slice, limit) }?).map_err(|_| Status::INVALID)
}

/// A name, which is never empty.
///
/// # Safety
/// As `bytes`.
unsafe fn name<'a>(slice: Slice) -> Result<&'a str, Status> {
    // SAFETY: the caller vouches for it.
    let text = unsafe { text(slice, NAME) }?;
    if text.is_empty() { Err(Status::INVALID) } else { Ok(text) }
}

/// Text for people: too much of it is cut off, and what is not UTF-8 is replaced.
///
/// # Safety
/// As `bytes`.
pub(crate) unsafe fn text_cut<'a>(slice: Slice, limit: usize) -> Result<Cow<'a, str>, Status> {
    let cut = Slice { ptr: slice.ptr, len: slice.len.min(limit) };
    // SAFETY: the caller vouches for more than is read.
    unsafe { bytes(cut, limit) }.map(String::from_utf8_lossy)
}

/// JSON of some kind, or nothing. Only looked at from outside: a whole parse would cost every event dearly.
///
/// # Safety
/// As `bytes`.
unsafe fn json(slice: Slice) -> Result<Bytes, Status> {
    // SAFETY: the caller vouches for it.
    Ok(Bytes::copy_from_slice(unsafe { text(slice, MAX_BYTES) }?.as_bytes()))
}

/// An event on its way out, and how much it matters. `scope` tells keys of different receivers apart.
///
/// # Safety
/// `message` must be null or point to a message that starts with its size.
unsafe fn message(
    message: *const exedra_abi::Message,
    scope: impl FnOnce() -> String,
) -> Result<(Message, Class), Status> {
    if message.is_null() || !message.is_aligned() {
        return Err(Status::INVALID);
    }
    // SAFETY: every message starts with its size.
    let size = unsafe { message.cast::<u32>().read() } as usize;
    if size < size_of::<exedra_abi::Message>() {
        return Err(Status::INVALID);
    }
    // SAFETY: it is at least as large as ours, and what it points to is lent for the call.
    unsafe {
        let message = &*message;
        let event = name(message.name)?;
        let args = text(message.args, MAX_BYTES)?;
        let args = if args.is_empty() { "[]" } else { args };
        if !is_array(args) {
            return Err(Status::INVALID);
        }
        let class = match message.delivery {
            exedra_abi::RELIABLE => Class::Reliable,
            exedra_abi::LATEST => Class::latest(&scope(), event, text(message.key, NAME)?),
            exedra_abi::VOLATILE => Class::Volatile,
            _ => return Err(Status::INVALID),
        };
        let mut made = Message::new(event, Bytes::copy_from_slice(args.as_bytes()));
        made.attachments = attachments(message.attachments, message.n_attachments)?;
        Ok((made, class))
    }
}

/// # Safety
/// `list` must be null or point to `count` slices that are lent for the call.
unsafe fn attachments(list: *const Slice, count: usize) -> Result<Vec<Bytes>, Status> {
    if count > MAX_ATTACHMENTS {
        return Err(Status::TOO_LARGE);
    }
    // SAFETY: the caller vouches for the list.
    let list = unsafe { crate::answer::slices(list, count) }.map_err(|_| Status::INVALID)?;
    let mut left = MAX_BYTES;
    let mut copied = Vec::with_capacity(count);
    for slice in list {
        // SAFETY: the same.
        let attachment = unsafe { bytes(*slice, left) }?;
        left -= attachment.len();
        copied.push(Bytes::copy_from_slice(attachment));
    }
    Ok(copied)
}

/// Whether the text has the shape of a JSON array: a cheap look that keeps frames whole when a plugin mixes up
/// arguments and a single argument.
pub(crate) fn is_array(text: &str) -> bool {
    let text = text.trim_ascii();
    text.len() >= 2 && text.starts_with('[') && text.ends_with(']')
}

/// Tells equal keys of different plugins apart, because they may share a namespace.
fn scope_of(plugin: PluginId, room: &str) -> String {
    format!("{}\n{room}", plugin.0)
}

/// What a refusal is as a status.
pub(crate) fn status_of(refusal: &Refusal) -> Status {
    match refusal.code {
        Code::Invalid => Status::INVALID,
        Code::Unauthorized => Status::UNAUTHORIZED,
        Code::Forbidden => Status::FORBIDDEN,
        Code::NotFound => Status::NOT_FOUND,
        Code::Conflict => Status::CONFLICT,
        Code::TooLarge => Status::TOO_LARGE,
        Code::RateLimited => Status::RATE_LIMITED,
        Code::Busy => Status::BUSY,
        Code::Timeout => Status::TIMEOUT,
        Code::Gone => Status::GONE,
        Code::Unavailable => Status::UNAVAILABLE,
        Code::ShuttingDown => Status::SHUTTING_DOWN,
        Code::Unsupported => Status::UNSUPPORTED,
        Code::Internal => Status::INTERNAL,
    }
}

/// The hub's answer to an operation without a result.
fn done<T>(result: Result<T, Refusal>) -> Result<Status, Status> {
    result.map(|_| Status::OK).map_err(|refusal| status_of(&refusal))
}
