//! The hub's tables as one instance of a plugin sees them, and the door that closes when the instance is destroyed.

use std::{
    mem::{MaybeUninit, size_of},
    ptr,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

use exedra_abi as abi;
use exedra_abi::{Slice, Status};

use crate::{Error, Result, error::Code};

/// The tables, copied out of the hub's memory up to the size that both sides know.
pub(crate) struct Link {
    pub(crate) host: *const abi::Host,
    pub(crate) table: abi::Host,
    pub(crate) socket: abi::SocketExt,
    pub(crate) room: abi::RoomExt,
    pub(crate) kv: abi::KvExt,
    pub(crate) bus: abi::BusExt,
    pub(crate) time: abi::TimeExt,
    pub(crate) metric: abi::MetricExt,
}

// SAFETY: every function of the tables is tagged [any]: callable from any thread, also at the same time. The pointers
// are only handed back to those functions, and `max_log_level` is read atomically.
unsafe impl Send for Link {}
// SAFETY: as above.
unsafe impl Sync for Link {}

impl Link {
    /// # Safety
    /// `host` must be what `create` was given, and `create` must be running.
    pub(crate) unsafe fn open(host: *const abi::Host) -> Result<Self> {
        if host.is_null() {
            return Err(Error::internal("the hub gave no host table"));
        }
        // SAFETY: the hub gives a readable table that starts with its size.
        let table: abi::Host = unsafe { read_table(host) };
        if table.abi_major != abi::ABI_MAJOR {
            return Err(Error::unsupported(format!(
                "this plugin speaks version {} of the contract, the hub {}",
                abi::ABI_MAJOR,
                table.abi_major
            )));
        }
        // SAFETY: `host` and `table` belong together; a table is read as the struct that its name promises.
        unsafe {
            Ok(Self {
                socket: extension(host, &table, abi::SOCKET),
                room: extension(host, &table, abi::ROOM),
                kv: extension(host, &table, abi::KV),
                bus: extension(host, &table, abi::BUS),
                time: extension(host, &table, abi::TIME),
                metric: extension(host, &table, abi::METRIC),
                host,
                table,
            })
        }
    }

    pub(crate) fn max_log_level(&self) -> u32 {
        if self.table.max_log_level.is_null() {
            return 3;
        }
        // SAFETY: the hub keeps the number readable for as long as the table, and changes it atomically if at all;
        // this side never writes through the pointer.
        unsafe { AtomicU32::from_ptr(self.table.max_log_level.cast_mut()) }.load(Ordering::Relaxed)
    }

    pub(crate) fn log(&self, level: u32, target: &str, message: &str) {
        if let Some(log) = self.table.log {
            // SAFETY: the slices live until the call returns; the host pointer is the table's own.
            unsafe { log(self.host, level, Slice::text(target), Slice::text(message), Slice::EMPTY) };
        }
    }
}

/// One of the hub's tables by name; all empty when this hub has none of that name.
///
/// # Safety
/// `host` must be the hub's table that `table` was copied from, and `T` the `repr(C)` struct of that name: a size,
/// then optional functions.
unsafe fn extension<T>(host: *const abi::Host, table: &abi::Host, id: &str) -> T {
    let Some(get) = table.get_extension else {
        // SAFETY: see `read_table`: zeroes are a valid table without functions.
        return unsafe { MaybeUninit::zeroed().assume_init() };
    };
    // SAFETY: the slice lives until the call returns; the table that comes back is readable as long as the host's.
    unsafe { read_table(get(host, Slice::text(id)).cast::<T>()) }
}

/// Copies a struct that starts with its size; what the other side does not know yet is zero.
///
/// # Safety
/// `from` must be null or point to a readable struct whose first field is a `u32` with its size. `T` must be a
/// `repr(C)` struct that is valid when all its bytes are zero.
pub(crate) unsafe fn read_table<T>(from: *const T) -> T {
    let mut copy = MaybeUninit::<T>::zeroed();
    if !from.is_null() {
        // SAFETY: the first field of every growing struct is its size.
        let theirs = unsafe { from.cast::<u32>().read() } as usize;
        // SAFETY: the smaller of both sizes is readable there and writable here.
        unsafe {
            ptr::copy_nonoverlapping(
                from.cast::<u8>(),
                copy.as_mut_ptr().cast::<u8>(),
                theirs.min(size_of::<T>()),
            );
        }
    }
    // SAFETY: the caller vouches that zeroes are valid; the rest was written by the other side as a `T`.
    unsafe { copy.assume_init() }
}

/// The way to the hub. Safe code may keep a `Hub` for longer than the instance lives (in a thread of its own, in a
/// static); the lock makes such a late use an error instead of a call into freed tables.
pub(crate) struct Door {
    link: RwLock<Option<Link>>,
}

impl Door {
    pub(crate) fn new(link: Link) -> Self {
        Self { link: RwLock::new(Some(link)) }
    }

    /// Uses the tables. No function of the hub blocks or calls back into the plugin's operations, so the lock is
    /// held for moments and never twice by one thread.
    pub(crate) fn with<R>(&self, use_it: impl FnOnce(&Link) -> Result<R>) -> Result<R> {
        match &*self.link.read().unwrap_or_else(PoisonError::into_inner) {
            Some(link) => use_it(link),
            None => Err(Error::from_hub(Status::SHUTTING_DOWN, b"")),
        }
    }

    /// Waits for running uses and lets no more in.
    pub(crate) fn close(&self) {
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The function, or the error that says that this hub is too old for it.
pub(crate) fn offered<F>(function: Option<F>, what: &str) -> Result<F> {
    function.ok_or_else(|| Error::new(Code::Unsupported, format!("this hub does not offer {what}")))
}
