//! The functions that the hub calls, generic over the plugin. Each is a guard around a few safe lines.

use std::{
    ffi::c_void,
    mem::size_of,
    panic::resume_unwind,
    ptr,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use exedra_abi::{self as abi, RawResult, Slice, Status};

use super::{
    give,
    given::slices,
    guard::{contained, guarded, install_hook},
    link::{Door, Link, read_table},
    task::{self, Work},
};
use crate::{
    Error, Hub, Result,
    answer::{Answer, Outcome},
    call::Call,
    log,
    plugin::{Finish, Plugin, manifest_of, settings_of, wake_up},
};

/// What `self` of the contract points to.
struct Instance<P> {
    plugin: Arc<P>,
    hub: Hub,
}

/// Runs `work` and gives its outcome, or the panic, to the hub.
///
/// # Safety
/// `out` must be null or the out-parameter of the running call.
unsafe fn answer(out: *mut RawResult, work: impl FnOnce() -> Outcome) -> Status {
    let (status, result) = match guarded(|| give::outcome(work())) {
        Ok(result) => result,
        Err(message) => give::panicked(&message),
    };
    // SAFETY: the caller vouches for `out`.
    unsafe { give::write(out, result) };
    status
}

/// `describe`: the manifest for these settings, without an instance.
pub(crate) unsafe extern "C" fn describe<P: Plugin>(settings: Slice, out: *mut RawResult) -> Status {
    // SAFETY: the settings live until the call returns; `out` is the call's.
    unsafe {
        answer(out, || {
            let settings = settings_of::<P>(settings.bytes())?;
            Ok(Answer::bytes(serde_json::to_vec(&manifest_of::<P>(&settings)?)?))
        })
    }
}

/// `create`: an instance, with its own way to the hub.
pub(crate) unsafe extern "C" fn create<P: Plugin>(
    host: *const abi::Host,
    settings: Slice,
    plugin: *mut abi::Plugin,
    out: *mut RawResult,
) -> Status {
    // SAFETY: the host's table stays valid until `destroy`; the rest lives until the call returns.
    unsafe {
        answer(out, || {
            let instance = build::<P>(Link::open(host)?, settings.bytes())?;
            let table = abi::Plugin {
                struct_size: size_of::<abi::Plugin>() as u32,
                reserved: 0,
                this: Box::into_raw(Box::new(instance)).cast(),
                start: Some(start::<P>),
                dispatch: Some(dispatch::<P>),
                cancel: None,
                quiesce: None,
                destroy: Some(destroy::<P>),
                get_extension: None,
            };
            plugin.write(table);
            Ok(Answer::default())
        })
    }
}

fn build<P: Plugin>(link: Link, settings: &[u8]) -> Result<Instance<P>> {
    let settings = settings_of::<P>(settings)?;
    let hub = Hub::new(Arc::new(Door::new(link)), &manifest_of::<P>(&settings)?);
    log::listen(&hub);
    install_hook();
    match guarded(|| P::create(settings, hub.clone())) {
        Ok(Ok(plugin)) => Ok(Instance { plugin: Arc::new(plugin), hub }),
        Ok(Err(error)) => {
            log::silence(&hub);
            hub.door.close();
            // Whoever starts a plugin is no client and may see what went wrong.
            Err(error.outspoken())
        }
        Err(message) => {
            log::silence(&hub);
            hub.door.close();
            resume_unwind(Box::new(message))
        }
    }
}

/// `start` `[once]`
unsafe extern "C" fn start<P: Plugin>(this: *mut c_void) -> Status {
    // SAFETY: `this` is the instance of `create`, which lives until `destroy`.
    let instance = unsafe { &*this.cast::<Instance<P>>() };
    let started = guarded(|| {
        let mut starting = wake_up(&instance.plugin);
        match starting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => instance.hub.spawn(async move {
                if let Err(error) = starting.await {
                    log::write(1, P::NAME, format_args!("start: {error:?}"));
                }
            }),
        }
    });
    match started {
        Ok(Ok(())) => Status::OK,
        Ok(Err(error)) => {
            log::write(1, P::NAME, format_args!("start: {error:?}"));
            error.code.status()
        }
        Err(_logged) => Status::PANICKED,
    }
}

/// `dispatch` `[any]`
unsafe extern "C" fn dispatch<P: Plugin>(
    this: *mut c_void,
    event: *const abi::Event,
    out: *mut RawResult,
) -> Status {
    // SAFETY: `this` is the instance of `create`; the event lives until the call returns.
    let (instance, event) = unsafe { (&*this.cast::<Instance<P>>(), read_table(event)) };
    let mut pending = false;
    // SAFETY: the event's slices live until the call returns; `out` is the call's.
    let status = unsafe {
        answer(out, || {
            let call = open_call(&event, &instance.hub)?;
            let mut finish = Finish::begin(&instance.plugin, &call);
            // The first poll is for handlers that need not wait; the hub's first poll brings the real waker.
            match guarded(|| finish.poll(&mut Context::from_waker(Waker::noop()))) {
                Err(message) => {
                    contained(|| drop(finish));
                    resume_unwind(Box::new(message))
                }
                Ok(Poll::Ready(outcome)) => outcome,
                Ok(Poll::Pending) => {
                    task::spawn(&instance.hub.door, Work::Call(event.call, finish))?;
                    pending = true;
                    Ok(Answer::default())
                }
            }
        })
    };
    if pending && status == Status::OK { Status::PENDING } else { status }
}

/// # Safety
/// The event's slices must be readable for `'a`.
unsafe fn open_call<'a>(event: &abi::Event, hub: &'a Hub) -> Result<Call<'a>> {
    let text = |slice: Slice| {
        // SAFETY: the caller vouches for the event's slices.
        std::str::from_utf8(unsafe { slice.bytes() }).map_err(|_| Error::invalid("a name is not UTF-8"))
    };
    Ok(Call {
        kind: event.kind,
        handler: event.handler,
        conn: event.conn,
        wants_ack: event.flags & abi::WANTS_ACK != 0,
        name: text(event.name)?,
        room: text(event.room)?,
        // SAFETY: the caller vouches for the event's slices.
        payload: unsafe { event.payload.bytes() },
        // SAFETY: as above.
        context_json: unsafe { event.context.bytes() },
        // SAFETY: as above.
        attachments: unsafe { slices(event.attachments, event.n_attachments) },
        problem: text(event.problem)?,
        hub,
        context: std::cell::OnceCell::new(),
    })
}

/// `destroy` `[once]`, the last call
unsafe extern "C" fn destroy<P: Plugin>(this: *mut c_void) {
    // SAFETY: the box of `create`; no call comes any more.
    let instance = unsafe { Box::from_raw(this.cast::<Instance<P>>()) };
    let hub = instance.hub.clone();
    contained(|| drop(instance));
    log::silence(&hub);
    hub.door.close();
}

/// The entry of a plugin: constant, so that it can be the exported static.
pub(crate) const fn entry<P: Plugin>(version: &'static str) -> abi::Entry {
    abi::Entry {
        struct_size: size_of::<abi::Entry>() as u32,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        min_host_minor: 0,
        reserved: 0,
        flags: 0,
        id: Slice::text(P::NAME),
        version: Slice::text(version),
        sdk: Slice::text(concat!("exedra-sdk ", env!("CARGO_PKG_VERSION"))),
        required_extensions: ptr::null(),
        n_required_extensions: 0,
        describe: Some(describe::<P>),
        create: Some(create::<P>),
    }
}
