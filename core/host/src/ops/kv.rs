//! `exedra.kv/1`: the plugin's durable values, in a bucket of its own name.

use bytes::Bytes;
use exedra_abi::{ANY_REVISION, Done, Host, KvExt, OpId, RawResult, Slice, Status};
use exedra_hub::port::{Entry, Revision, StoreError};

use super::{bytes, guarded, pending, pending::Failure, text};
use crate::answer::Answer;

/// Bytes of a key.
const KEY: usize = 512;
/// Bytes of a value.
const VALUE: usize = 1 << 20;
/// The most entries of one list; more gives `INVALID`, so that nobody takes a cut list for a whole one.
const LIST: u32 = 10_000;

pub(super) static TABLE: KvExt = KvExt {
    struct_size: size_of::<KvExt>() as u32,
    reserved: 0,
    get: Some(get),
    put: Some(put),
    remove: Some(remove),
    list: Some(list),
};

/// # Safety
/// `slice` must be lent for the call.
unsafe fn key<'a>(slice: Slice) -> Result<&'a str, Status> {
    // SAFETY: the caller vouches for it.
    let key = unsafe { text(slice, KEY) }?;
    if key.is_empty() { Err(Status::INVALID) } else { Ok(key) }
}

unsafe extern "C" fn get(
    host: *const Host,
    at: Slice,
    out: *mut RawResult,
    done: Done,
    op: *mut OpId,
) -> Status {
    // SAFETY: the plugin passes its table, lends the key, and gives memory for results.
    unsafe {
        guarded(host, "kv.get", |instance| {
            let read = instance.hub.store().get(&instance.name, key(at)?);
            let work = Box::pin(async move {
                let Entry { value, revision } = read.await?.ok_or(Status::NOT_FOUND)?;
                Ok(Answer { code: revision, ..Answer::payload(value) })
            });
            pending::now_or_later(instance, work, out, done, op)
        })
    }
}

unsafe extern "C" fn put(
    host: *const Host,
    at: Slice,
    value: Slice,
    expected: u64,
    out: *mut RawResult,
    done: Done,
    op: *mut OpId,
) -> Status {
    // SAFETY: as above; the value is copied.
    unsafe {
        guarded(host, "kv.put", |instance| {
            let (key, value) = (key(at)?, Bytes::copy_from_slice(bytes(value, VALUE)?));
            let (store, bucket) = (instance.hub.store(), &*instance.name);
            let write = match expected {
                ANY_REVISION => store.put(bucket, key, value),
                0 => store.create(bucket, key, value),
                revision => store.update(bucket, key, value, revision),
            };
            let work = Box::pin(async move { Ok(Answer::code(write.await?)) });
            pending::now_or_later(instance, work, out, done, op)
        })
    }
}

unsafe extern "C" fn remove(
    host: *const Host,
    at: Slice,
    expected: u64,
    out: *mut RawResult,
    done: Done,
    op: *mut OpId,
) -> Status {
    // SAFETY: as above.
    unsafe {
        guarded(host, "kv.remove", |instance| {
            let expected = (expected != ANY_REVISION).then_some(expected);
            let delete = instance.hub.store().delete(&instance.name, key(at)?, expected);
            let work = Box::pin(async move {
                delete.await?;
                Ok(Answer::default())
            });
            pending::now_or_later(instance, work, out, done, op)
        })
    }
}

unsafe extern "C" fn list(
    host: *const Host,
    prefix: Slice,
    after: Slice,
    limit: u32,
    out: *mut RawResult,
    done: Done,
    op: *mut OpId,
) -> Status {
    // SAFETY: as above.
    unsafe {
        guarded(host, "kv.list", |instance| {
            if !(1..=LIST).contains(&limit) {
                return Err(Status::INVALID);
            }
            let (prefix, after) = (text(prefix, KEY)?, text(after, KEY)?);
            let after = (!after.is_empty()).then_some(after);
            let read = instance.hub.store().list(&instance.name, prefix, after, limit as usize);
            let work = Box::pin(async move { listed(read.await?) });
            pending::now_or_later(instance, work, out, done, op)
        })
    }
}

fn listed(entries: Vec<(String, Entry)>) -> pending::Outcome {
    let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
    let revisions: Vec<Revision> = entries.iter().map(|(_, entry)| entry.revision).collect();
    let payload = serde_json::to_vec(&keys).map_err(|_| Status::INTERNAL)?;
    let meta = serde_json::to_vec(&revisions).map_err(|_| Status::INTERNAL)?;
    let attachments = entries.into_iter().map(|(_, entry)| entry.value).collect();
    Ok(Answer { code: 0, payload: payload.into(), meta: meta.into(), attachments })
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (status, code) = match error {
            StoreError::Conflict(revision) => (Status::CONFLICT, revision),
            StoreError::TooLarge(_) => (Status::TOO_LARGE, 0),
            StoreError::Busy => (Status::BUSY, 0),
            StoreError::Unavailable(_) => (Status::UNAVAILABLE, 0),
        };
        let meta = serde_json::json!({ "message": error.to_string() }).to_string();
        Self { status, answer: Answer { code, meta: meta.into(), ..Answer::default() } }
    }
}
