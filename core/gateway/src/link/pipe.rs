//! A link's socket as its task and the flusher share it: the task reads, and writes what a full socket left; the
//! flusher writes what comes into the outbox. The writer's lock makes it one order, whoever writes.
//!
//! Sent is with send(2) and sendmsg(2), which know that they have a socket, and by the flusher without a look at
//! the runtime's readiness: a socket that takes no more says so.

use std::{
    io::{self, IoSlice},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
};

use bytes::Bytes;
use exedra_hub::{CloseReason, Frame, outbox::Outbox};
use parking_lot::Mutex;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use tokio::{io::Interest, net::TcpStream};

use super::{
    Rules,
    flusher::Flusher,
    writer::{Writer, Wrote},
};
use crate::squeeze::Squeeze;

/// The socket of a link, with its outbox and what is between them. The fields that a delivery touches come first.
#[repr(C)]
pub(crate) struct Pipe {
    /// Whether the pipe stands on the flusher's list, where it stands at most once.
    listed: AtomicBool,
    /// Held for one turn of writing, never across a wait. Taken before the outbox's lock, never after.
    writer: Mutex<Writer>,
    pub(super) outbox: Arc<Outbox>,
    stream: TcpStream,
    pub(super) rules: Arc<Rules>,
    flusher: Arc<Flusher>,
}

impl Pipe {
    pub(super) fn new(
        stream: TcpStream,
        outbox: Arc<Outbox>,
        rules: Arc<Rules>,
        squeeze: Option<Squeeze>,
        flusher: Arc<Flusher>,
    ) -> Arc<Self> {
        let writer = Mutex::new(Writer::new(squeeze));
        Arc::new(Self { listed: AtomicBool::new(false), writer, outbox, stream, rules, flusher })
    }

    /// The socket, for its options.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Puts a frame behind what the socket did not take yet, before what the outbox holds. The task must write then.
    pub(super) fn push(&self, frame: Frame) {
        self.writer.lock().push(frame);
    }

    /// Nothing is taken from the outbox any more; `last` is what the task still writes.
    pub(super) fn finish(&self, last: Vec<Frame>) {
        let mut writer = self.writer.lock();
        writer.finish();
        last.into_iter().for_each(|frame| writer.push(frame));
    }

    // === the link's task ===

    /// Writes what waits: what the socket did not take before, the answer to a `ping`, and, when `talking`, the
    /// outbox. What comes into the outbox from now on goes to the flusher. When the socket takes no more, the task is
    /// woken as soon as it does. Gives the bytes written too.
    pub(super) fn poll_write(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        talking: bool,
        ping: &mut Option<Bytes>,
    ) -> io::Result<(usize, Wrote)> {
        let mut writer = self.writer.lock();
        writer.attend(cx.waker(), talking);
        let mut sent = 0;
        let mut send = |pieces: &[IoSlice<'_>]| {
            let result = self.poll_send(cx, pieces);
            sent += *result.as_ref().unwrap_or(&0);
            result
        };
        let wrote = writer.clear(ping, &mut send).and_then(|cleared| match cleared {
            true if talking => writer.turn(&mut send, |frames| self.take(frames)),
            true => Ok(Wrote::All),
            false => Ok(Wrote::Blocked),
        });
        drop(writer);
        (self.rules.sent)(sent);
        wrote.map(|wrote| (sent, wrote))
    }

    /// Reads once into `buffer`.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let mut last = None;
            let result = self.stream.try_io(Interest::READABLE, || {
                let (_, read) = rustix::net::recv(&self.stream, &mut *buffer, RecvFlags::DONTWAIT)?;
                if (1..buffer.len()).contains(&read) {
                    last = Some(read); // the socket is empty: to say so saves the read that would find out
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(read)
            });
            match (last, result) {
                (Some(read), _) => return Poll::Ready(Ok(read)),
                (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                (None, result) => return Poll::Ready(result),
            }
        }
    }

    /// Sends, or has the task woken when the socket takes more.
    fn poll_send(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match self.stream.poll_write_ready(cx) {
                Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
                Poll::Ready(ready) => ready?,
            }
            match self.stream.try_io(Interest::WRITABLE, || self.send(pieces)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    // === the flusher ===

    /// Touches what [`Pipe::flush`] needs first, and nothing else.
    pub(super) fn look_ahead(&self) {
        std::hint::black_box(self.listed.load(Ordering::Relaxed));
        std::hint::black_box(self.stream.as_raw_fd());
    }

    /// The same, behind the first look.
    pub(super) fn look_further(&self) {
        std::hint::black_box(Arc::strong_count(&self.outbox));
    }

    /// Writes what came into the outbox. The task is woken for what is beyond that: a socket that is full or
    /// broken, an outbox that is closed.
    pub(super) fn flush(self: &Arc<Self>) {
        // Before the outbox is looked at: what comes in behind the look must list the pipe again.
        self.listed.store(false, Ordering::Release);
        let mut sent = 0;
        let mut writer = self.writer.lock();
        let wrote = if !writer.is_open() {
            // The task is about to write, or the link is ending; either way the outbox is not ours.
            if self.outbox.closed().is_some() { Wrote::Blocked } else { Wrote::All }
        } else {
            let mut send = |pieces: &[IoSlice<'_>]| {
                let result = self.send(pieces);
                sent += *result.as_ref().unwrap_or(&0);
                result
            };
            writer.turn(&mut send, |frames| self.take(frames)).unwrap_or(Wrote::Blocked)
        };
        if !matches!(wrote, Wrote::All) {
            writer.wake_task();
        }
        drop(writer);
        (self.rules.sent)(sent);
    }

    /// There is no flusher any more: the task does all.
    pub(super) fn give_back(&self) {
        self.listed.store(false, Ordering::Release);
        self.writer.lock().wake_task();
    }

    // === both ===

    fn take(self: &Arc<Self>, frames: &mut Vec<Frame>) -> Option<CloseReason> {
        self.outbox.take_and_wait(|| Waker::from(self.clone()), frames)
    }

    fn send(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
        let sent = match pieces {
            [piece] => rustix::net::send(&self.stream, piece, FLAGS)?,
            pieces => rustix::net::sendmsg(&self.stream, pieces, &mut SendAncillaryBuffer::default(), FLAGS)?,
        };
        Ok(sent)
    }
}

/// What the outbox wakes: the pipe goes on the flusher's list.
impl Wake for Pipe {
    fn wake(self: Arc<Self>) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            let flusher = self.flusher.clone();
            flusher.list(self);
        }
    }
}

#[cfg(test)]
mod tests;
