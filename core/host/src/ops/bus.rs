//! `exedra.bus/1`: outside services.

use std::time::Duration;

use bytes::Bytes;
use exedra_abi::{BusExt, Done, Host, OpId, Slice, Status};

use super::{bytes, done, guarded, name, pending};
use crate::answer::{Answer, MAX_BYTES};

/// How long a service may take when the plugin gives no time of its own.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

pub(super) static TABLE: BusExt = BusExt {
    struct_size: size_of::<BusExt>() as u32,
    reserved: 0,
    publish: Some(publish),
    request: Some(request),
};

unsafe extern "C" fn publish(host: *const Host, room: Slice, event: Slice, payload: Slice) -> Status {
    // SAFETY: the plugin passes its table and lends the slices for the call.
    unsafe {
        guarded(host, "bus.publish", |instance| {
            let payload = Bytes::copy_from_slice(bytes(payload, MAX_BYTES)?);
            let event = name(event)?;
            instance.declared.out(event);
            done(instance.hub.publish(instance.id, name(room)?, event, payload))
        })
    }
}

unsafe extern "C" fn request(
    host: *const Host,
    service: Slice,
    method: Slice,
    payload: Slice,
    timeout_ms: u64,
    done: Done,
    op: *mut OpId,
) -> Status {
    // SAFETY: as above; `done` and `op` are the plugin's for this operation.
    unsafe {
        guarded(host, "bus.request", |instance| {
            let payload = Bytes::copy_from_slice(bytes(payload, MAX_BYTES)?);
            let timeout = if timeout_ms == 0 { ANSWER_WITHIN } else { Duration::from_millis(timeout_ms) };
            let asked = instance.hub.ask(name(service)?, name(method)?, payload, timeout);
            let work = Box::pin(async move { Ok(Answer::payload(asked.await?)) });
            pending::start(instance, work, done, op)
        })
    }
}
