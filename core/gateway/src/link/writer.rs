//! Writes frames: all that waits leaves with one vectored write per turn; what the socket does not take waits here.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use exedra_hub::{CloseReason, Frame, frame::Part, outbox::Outbox};
use tokio::{io::AsyncWrite, net::TcpStream};

use crate::squeeze::Squeeze;

/// Pieces per write; the kernel takes up to 1024.
const PIECES: usize = 128;

thread_local! {
    /// Frames of the turn; given back empty, so that a link with nothing to write owns no memory for it.
    static TAKEN: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// What a socket did not take yet. Bounded: it is filled from the outbox only while empty.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// Partly or not at all written.
    pending: Vec<Frame>,
    /// How far the first of `pending` is written.
    at: Position,
    /// The newest ping of a probing client that is not answered yet; older ones need no answer.
    pong: Option<Bytes>,
    /// How the client wants large messages; none when they go as they are.
    squeeze: Option<Squeeze>,
}

/// A place within a frame.
#[derive(Debug, Default, Clone, Copy)]
struct Position {
    part: u32,
    byte: u32,
}

/// How a turn of writing ended.
#[derive(Debug)]
pub(crate) enum Wrote {
    /// Nothing waits.
    All,
    /// The socket is full; how many bytes it took before.
    Blocked(usize),
    /// Nothing waits and nothing will: the outbox is closed.
    Closed(CloseReason),
}

impl Writer {
    /// A writer that compresses what it takes from the outbox, if `squeeze`.
    pub(crate) fn new(squeeze: Option<Squeeze>) -> Self {
        Self { squeeze, ..Self::default() }
    }

    /// Puts a frame behind what the socket did not take yet, before what the outbox holds.
    pub(crate) fn push(&mut self, frame: Frame) {
        self.pending.push(frame);
    }

    /// Puts the last frame behind all others: nothing may follow a close, not even the answer to a ping.
    pub(crate) fn last(&mut self, frame: Frame) {
        self.pong = None;
        self.pending.push(frame);
    }

    /// Remembers a ping to be answered.
    pub(crate) fn answer(&mut self, ping: Bytes) {
        self.pong = Some(ping);
    }

    /// Writes until nothing waits or the socket is full; wakes the task when either changes. Without an outbox
    /// only its own frames are written. `count` is told the bytes.
    pub(crate) fn turn(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
        outbox: Option<&Outbox>,
        count: &mut dyn FnMut(usize),
    ) -> io::Result<Wrote> {
        let mut took = 0;
        loop {
            if let Some(ping) = self.pong.take_if(|_| self.pending.is_empty()) {
                self.pending.push(crate::frames::pong(&ping));
            }
            if !self.pending.is_empty() {
                let (written, blocked) = drain(&mut self.pending, &mut self.at, cx, stream)?;
                count(written);
                took += written;
                if blocked {
                    return Ok(Wrote::Blocked(took));
                }
                self.pending = Vec::new();
                continue; // a ping may be waiting for its answer
            }
            let Some(outbox) = outbox else { return Ok(Wrote::All) };
            let (written, taken) =
                TAKEN.with_borrow_mut(|frames| self.empty_outbox(cx, stream, outbox, frames))?;
            count(written);
            took += written;
            match taken {
                Taken::Some => {}
                Taken::Nothing => return Ok(Wrote::All),
                Taken::Closed(reason) => return Ok(Wrote::Closed(reason)),
                Taken::Blocked => return Ok(Wrote::Blocked(took)),
            }
        }
    }

    /// Takes what the outbox holds and writes it; keeps what the socket does not take.
    fn empty_outbox(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
        outbox: &Outbox,
        frames: &mut Vec<Frame>,
    ) -> io::Result<(usize, Taken)> {
        match outbox.poll_take(cx, frames) {
            Poll::Pending => return Ok((0, Taken::Nothing)),
            Poll::Ready(Some(reason)) => return Ok((0, Taken::Closed(reason))),
            Poll::Ready(None) => {}
        }
        if let Some(squeeze) = self.squeeze {
            squeeze.apply(frames);
        }
        let mut at = Position::default();
        let outcome = drain(frames, &mut at, cx, stream);
        if let Ok((_, true)) = outcome {
            self.pending.append(frames);
            self.at = at;
        }
        frames.clear();
        if frames.capacity() > 1024 {
            *frames = Vec::new();
        }
        outcome.map(|(written, blocked)| (written, if blocked { Taken::Blocked } else { Taken::Some }))
    }
}

enum Taken {
    Some,
    Nothing,
    Blocked,
    Closed(CloseReason),
}

/// Writes frames from the front and removes those that are written; `at` is the place in the first. Gives the
/// bytes written and whether the socket is full.
fn drain(
    frames: &mut Vec<Frame>,
    at: &mut Position,
    cx: &mut Context<'_>,
    stream: &mut TcpStream,
) -> io::Result<(usize, bool)> {
    let mut first = 0;
    let mut total = 0;
    let blocked = loop {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let filled = gather(&frames[first..], *at, &mut pieces);
        if filled == 0 {
            break false;
        }
        match Pin::new(&mut *stream).poll_write_vectored(cx, &pieces[..filled]) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(written)) => {
                total += written;
                first += advance(&frames[first..], at, written);
            }
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => break true,
        }
    };
    frames.drain(..first.min(frames.len()));
    Ok((total, blocked))
}

/// The unwritten bytes of the first frames as slices.
fn gather<'f>(frames: &'f [Frame], at: Position, pieces: &mut [IoSlice<'f>; PIECES]) -> usize {
    let mut filled = 0;
    let mut skip = at.byte as usize;
    let unwritten = frames.iter().flat_map(Frame::parts).skip(at.part as usize);
    for Part { wire, .. } in unwritten {
        if filled == PIECES {
            break;
        }
        if wire.len() > skip {
            pieces[filled] = IoSlice::new(&wire[skip..]);
            filled += 1;
        }
        skip = 0;
    }
    filled
}

/// Moves the place on by `written` bytes and gives how many frames are done.
fn advance(frames: &[Frame], at: &mut Position, mut written: usize) -> usize {
    for (done, frame) in frames.iter().enumerate() {
        let parts = frame.parts();
        while let Some(part) = parts.get(at.part as usize) {
            let left = part.wire.len() - at.byte as usize;
            if written < left {
                at.byte += written as u32;
                return done;
            }
            written -= left;
            *at = Position { part: at.part + 1, byte: 0 };
        }
        *at = Position::default();
        if written == 0 {
            return done + 1;
        }
    }
    frames.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(parts: &[&'static str]) -> Frame {
        Frame::many(
            parts
                .iter()
                .map(|p| Part { wire: Bytes::from_static(p.as_bytes()), header: 0, binary: false })
                .collect(),
        )
    }

    #[test]
    fn any_split_of_writes_covers_all() {
        let frames =
            [frame(&["ab", "cde"]), frame(&[]), frame(&["f"]), frame(&["", "gh", ""]), frame(&["i"])];
        for step in 1..12 {
            let (mut first, mut at, mut out) = (0, Position::default(), Vec::new());
            loop {
                let mut pieces = [IoSlice::new(&[]); PIECES];
                let filled = gather(&frames[first..], at, &mut pieces);
                let all: Vec<u8> = pieces[..filled].iter().flat_map(|p| p.iter().copied()).collect();
                if all.is_empty() {
                    break;
                }
                let written = all.len().min(step);
                out.extend_from_slice(&all[..written]);
                first += advance(&frames[first..], &mut at, written);
            }
            assert_eq!(out, b"abcdefghi", "step {step}");
        }
    }
}
