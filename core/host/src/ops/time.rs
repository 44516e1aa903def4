//! `exedra.time/1`: what time it is, and waiting.

use std::time::{Duration, UNIX_EPOCH};

use exedra_abi::{Done, Host, OpId, Status, TimeExt};

use super::{guarded, pending};
use crate::answer::Answer;

pub(super) static TABLE: TimeExt = TimeExt {
    struct_size: size_of::<TimeExt>() as u32,
    reserved: 0,
    now_ms: Some(now_ms),
    sleep: Some(sleep),
};

unsafe extern "C" fn now_ms(host: *const Host) -> u64 {
    let mut now = 0;
    // SAFETY: the plugin passes its table.
    unsafe {
        guarded(host, "time.now_ms", |instance| {
            let since = instance.hub.clock().now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now = since.as_millis() as u64;
            Ok(Status::OK)
        });
    }
    now
}

unsafe extern "C" fn sleep(host: *const Host, ms: u64, done: Done, op: *mut OpId) -> Status {
    // SAFETY: as above; `done` and `op` are the plugin's for this operation.
    unsafe {
        guarded(host, "time.sleep", |instance| {
            let slept = instance.hub.clock().sleep(Duration::from_millis(ms));
            let work = Box::pin(async move {
                slept.await;
                Ok(Answer::default())
            });
            pending::start(instance, work, done, op)
        })
    }
}
