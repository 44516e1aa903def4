//! The border against a hub that is nothing but tables: what the real host never does, or never at the worst moment.

use std::{
    ffi::c_void,
    future::Future,
    mem::{size_of, zeroed},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use exedra_abi as abi;
use exedra_abi::{Done, OpId, RawResult, Slice, Status};

use super::{
    export::entry_of,
    link::{Door, Link, read_table},
    op::Op,
    shim,
};
use crate::{
    Code, Error, Hub, Manifest, Plugin, Result, answer::Outcome, call::Call, manifest::Emit, plugin::Boxed,
};

static DROPPED: AtomicUsize = AtomicUsize::new(0);
static KEPT: Mutex<Option<Hub>> = Mutex::new(None);

/// Keeps its hub beyond its own life.
struct Keeper;

impl Plugin for Keeper {
    const NAME: &'static str = "keeper";
    type Settings = crate::plugin::NoSettings;

    fn manifest(_: &Self::Settings) -> Manifest {
        let any =
            Emit { name: "*".into(), schema: None, args: None, answer: None, description: String::new() };
        Manifest { name: "keeper".into(), emits: vec![any], ..Manifest::default() }
    }

    fn create(_: Self::Settings, hub: Hub) -> Result<Self> {
        *KEPT.lock().unwrap() = Some(hub);
        Ok(Self)
    }

    fn call(_: &Arc<Self>, _: &Call<'_>) -> Result<Boxed<Outcome>> {
        Err(Error::internal("none"))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
        panic!("a destructor that panics");
    }
}

static ENTRY: abi::Entry = entry_of::<Keeper>("1.2.3");

/// A hub without any function.
fn bare_host() -> abi::Host {
    // SAFETY: numbers, null pointers and absent functions.
    let mut host: abi::Host = unsafe { zeroed() };
    host.struct_size = size_of::<abi::Host>() as u32;
    host.abi_major = abi::ABI_MAJOR;
    host
}

fn create(host: &abi::Host, settings: &str) -> (Status, abi::Plugin, RawResult) {
    // SAFETY: as above.
    let mut plugin: abi::Plugin = unsafe { zeroed() };
    let mut out = RawResult::EMPTY;
    // SAFETY: the host outlives the plugin in every test below; the rest is on this stack.
    let status =
        unsafe { shim::create::<Keeper>(host, Slice::text(settings), &raw mut plugin, &raw mut out) };
    (status, plugin, out)
}

fn meta_of(out: RawResult) -> String {
    // SAFETY: a result of a call of this file, taken once.
    let given = unsafe { super::given::Given::take(&raw const out) };
    String::from_utf8(given.meta().to_vec()).unwrap()
}

#[test]
fn late_use_finds_the_door_closed() {
    let host = bare_host();
    let (status, plugin, _) = create(&host, "");
    assert_eq!(status, Status::OK);
    let hub = KEPT.lock().unwrap().take().unwrap();
    assert_eq!(hub.room("r").emit("e", &1).unwrap_err().code, Code::Unsupported);
    // SAFETY: the last call into the instance.
    unsafe { plugin.destroy.unwrap()(plugin.this) };
    assert_eq!(DROPPED.load(Ordering::SeqCst), 1);
    assert_eq!(hub.room("r").emit("e", &1).unwrap_err().code, Code::ShuttingDown);
    assert_eq!(hub.spawn(async {}).unwrap_err().code, Code::ShuttingDown);
    assert_eq!(hub.now_ms(), 0);
}

#[test]
fn other_versions_are_refused() {
    let host = abi::Host { abi_major: 2, ..bare_host() };
    let (status, plugin, out) = create(&host, "{}");
    assert_eq!(status, Status::UNSUPPORTED);
    assert!(plugin.this.is_null());
    assert!(meta_of(out).contains("version"));
}

#[test]
fn entry_describes_without_an_instance() {
    assert_eq!((ENTRY.abi_major, ENTRY.struct_size as usize), (1, size_of::<abi::Entry>()));
    let describe = ENTRY.describe.unwrap();
    let mut out = RawResult::EMPTY;
    // SAFETY: everything is on this stack.
    assert_eq!(unsafe { describe(Slice::EMPTY, &raw mut out) }, Status::OK);
    // SAFETY: given to us by the call above.
    let given = unsafe { super::given::Given::take(&raw const out) };
    let manifest: serde_json::Value = serde_json::from_slice(given.payload()).unwrap();
    assert_eq!(manifest["name"], "keeper");
    // SAFETY: as above.
    assert_eq!(unsafe { describe(Slice::text("{\"x\":1}"), &raw mut out) }, Status::INVALID);
    assert!(meta_of(out).contains("`x`"));
}

#[test]
fn older_tables_are_zero_at_the_end() {
    let mut host = bare_host();
    host.struct_size = 32;
    host.log = Some(never_log);
    // SAFETY: a table with its size in front.
    let read: abi::Host = unsafe { read_table(&raw const host) };
    assert_eq!(read.abi_major, abi::ABI_MAJOR);
    assert!(read.log.is_none() && read.max_log_level.is_null());
}

unsafe extern "C" fn never_log(_: *const abi::Host, _: u32, _: Slice, _: Slice, _: Slice) {
    panic!("not part of the older table");
}

fn door() -> Arc<Door> {
    let host = Box::leak(Box::new(bare_host()));
    // SAFETY: the table lives for ever.
    Arc::new(Door::new(unsafe { Link::open(host) }.unwrap()))
}

/// Starts an operation that the test ends by itself.
fn pending(door: &Arc<Door>) -> (Op, Done) {
    let mut kept = None;
    let op = Op::start(door, |_, _, done, id| {
        kept = Some(done);
        // SAFETY: the operation's own number.
        unsafe { id.write(7 as OpId) };
        Ok(Status::PENDING)
    });
    (op.unwrap(), kept.unwrap())
}

static RELEASED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count_release(_: *mut c_void) {
    RELEASED.fetch_add(1, Ordering::SeqCst);
}

fn end(done: Done, status: Status) {
    let mut result = RawResult { code: 5, release: Some(count_release), ..RawResult::EMPTY };
    // SAFETY: called once per operation, as the contract says.
    unsafe { done.call.unwrap()(done.user, status, &raw mut result) };
}

#[test]
fn operations_end_in_any_order() {
    let door = door();
    let mut cx = Context::from_waker(Waker::noop());
    let before = RELEASED.load(Ordering::SeqCst);

    let (op, done) = pending(&door);
    let mut op = pin!(op);
    assert!(op.as_mut().poll(&mut cx).is_pending());
    end(done, Status::OK);
    let Poll::Ready(Ok(given)) = op.as_mut().poll(&mut cx) else { panic!("it has ended") };
    assert_eq!(given.code(), 5);
    drop(given);

    let (op, done) = pending(&door);
    drop(op);
    end(done, Status::CANCELLED);

    let (op, done) = pending(&door);
    let elsewhere = OnAnyThread(done);
    std::thread::spawn(move || elsewhere.end(Status::TIMEOUT)).join().unwrap();
    let Poll::Ready(Err(error)) = pin!(op).poll(&mut cx) else { panic!("it has failed") };
    assert_eq!(error.code, Code::Timeout);

    assert_eq!(RELEASED.load(Ordering::SeqCst) - before, 3);
}

struct OnAnyThread(Done);

// SAFETY: the contract lets `done` come on any thread of the hub.
unsafe impl Send for OnAnyThread {}

impl OnAnyThread {
    fn end(self, status: Status) {
        end(self.0, status);
    }
}

#[test]
fn refused_operations_are_never_called_back() {
    let door = door();
    let op = Op::start(&door, |_, _, _, _| Ok(Status::BUSY)).unwrap();
    let Poll::Ready(Err(error)) = pin!(op).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it was refused")
    };
    assert_eq!(error.code, Code::Busy);
    assert!(Op::start(&door, |_, _, _, _| Err(Error::unsupported("x"))).is_err());
}
