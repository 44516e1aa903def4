//! `exedra.socket/1`: one connection.

use std::time::Duration;

use exedra_abi::{Conn, Done, Host, Message, OpId, RawResult, Slice, SocketExt, Status};
use exedra_hub::ConnId;

use super::{bytes, done, guarded, message, pending, scope_of, status_of};
use crate::{
    answer::{self, Answer},
    logbook,
};

/// Bytes of a plugin's notes about a connection.
const DATA: usize = 64 << 10;

pub(super) static TABLE: SocketExt = SocketExt {
    struct_size: size_of::<SocketExt>() as u32,
    reserved: 0,
    emit: Some(emit),
    request: Some(request),
    disconnect: Some(disconnect),
    set_data: Some(set_data),
    get_data: Some(get_data),
};

unsafe extern "C" fn emit(host: *const Host, conn: Conn, event: *const Message) -> Status {
    // SAFETY: the plugin passes its table and lends the message for the call.
    unsafe {
        guarded(host, "socket.emit", |instance| {
            logbook::used(instance, conn);
            let (message, class) = message(event, || scope_of(instance.id, ""))?;
            instance.declared.emit(&message.event);
            done(instance.hub.emit(instance.id, ConnId(conn), message, class))
        })
    }
}

unsafe extern "C" fn request(
    host: *const Host,
    conn: Conn,
    event: *const Message,
    timeout_ms: u64,
    done: Done,
    op: *mut OpId,
) -> Status {
    // SAFETY: as above; `done` and `op` are the plugin's for this operation.
    unsafe {
        guarded(host, "socket.request", |instance| {
            logbook::used(instance, conn);
            let (message, _) = message(event, String::new)?;
            instance.declared.emit(&message.event);
            let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms));
            let asked = instance.hub.request(instance.id, ConnId(conn), message, timeout);
            let work = Box::pin(async move {
                let (payload, attachments) = asked.await?;
                Ok(Answer { payload, attachments, ..Answer::default() })
            });
            pending::start(instance, work, done, op)
        })
    }
}

unsafe extern "C" fn disconnect(host: *const Host, conn: Conn) -> Status {
    // SAFETY: the plugin passes its table.
    unsafe {
        guarded(host, "socket.disconnect", |instance| done(instance.hub.kick(instance.id, ConnId(conn))))
    }
}

unsafe extern "C" fn set_data(host: *const Host, conn: Conn, data: Slice) -> Status {
    // SAFETY: the plugin passes its table and lends the data for the call.
    unsafe {
        guarded(host, "socket.set_data", |instance| {
            let data = bytes::Bytes::copy_from_slice(bytes(data, DATA)?);
            done(instance.hub.set_data(instance.id, ConnId(conn), data))
        })
    }
}

unsafe extern "C" fn get_data(host: *const Host, conn: Conn, out: *mut RawResult) -> Status {
    // SAFETY: the plugin passes its table and memory for the result.
    unsafe {
        guarded(host, "socket.get_data", |instance| {
            let data = instance.hub.get_data(instance.id, ConnId(conn)).map_err(|r| status_of(&r))?;
            answer::fill(out, Answer::payload(data))
        })
    }
}
