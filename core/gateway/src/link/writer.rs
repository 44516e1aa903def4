//! Writes frames: all that waits leaves with one call per turn; what the socket does not take waits here.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    task::Waker,
};

use bytes::Bytes;
use exedra_hub::{CloseReason, Frame, frame::Part};

use crate::squeeze::Squeeze;

/// Pieces per write; the kernel takes up to 1024.
const PIECES: usize = 128;
/// Pieces for which less room is made ready.
const FEW: usize = 8;

thread_local! {
    /// Frames of the turn; given back empty, so that a link with nothing to write owns no memory for it.
    static TAKEN: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// What writes a link, and what the socket did not take yet.
#[derive(Debug)]
pub(crate) struct Writer {
    /// None as long as the socket takes everything.
    backlog: Option<Box<Backlog>>,
    /// How the client wants large messages; none when they go as they are.
    squeeze: Option<Squeeze>,
    /// Whether the outbox belongs to this link: not while it is polled over HTTP, and not after the last frame.
    talking: bool,
    /// The link's task.
    task: Option<Waker>,
}

/// What a socket did not take yet, and what the link itself says. Bounded: it is filled from the outbox only while
/// empty.
#[derive(Debug, Default)]
struct Backlog {
    frames: Vec<Frame>,
    /// How far the first frame is written.
    at: Position,
}

/// A place within a frame.
#[derive(Debug, Default, Clone, Copy)]
struct Position {
    part: u32,
    byte: u32,
}

/// How a turn of writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// Nothing waits.
    All,
    /// The socket is full.
    Blocked,
    /// Nothing waits and nothing will: the outbox is closed.
    Closed(CloseReason),
}

/// Hands pieces to the socket and gives the bytes that it took.
pub(crate) type Send<'s> = &'s mut dyn FnMut(&[IoSlice<'_>]) -> io::Result<usize>;

impl Writer {
    /// A writer that compresses what it takes from the outbox, if `squeeze`.
    pub(crate) fn new(squeeze: Option<Squeeze>) -> Self {
        Self { backlog: None, squeeze, talking: false, task: None }
    }

    /// Notes whom [`Writer::wake_task`] wakes, and that the outbox is the link's.
    pub(crate) fn attend(&mut self, task: &Waker, talking: bool) {
        self.talking = talking;
        if self.task.as_ref().is_none_or(|known| !known.will_wake(task)) {
            self.task = Some(task.clone());
        }
    }

    /// Wakes the link's task.
    pub(crate) fn wake_task(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// The outbox is not looked at any more.
    pub(crate) fn finish(&mut self) {
        self.talking = false;
    }

    /// Whether the outbox may be written right now.
    pub(crate) fn is_open(&self) -> bool {
        self.talking && self.backlog.is_none()
    }

    /// Puts a frame behind what the socket did not take yet, before what the outbox holds.
    pub(crate) fn push(&mut self, frame: Frame) {
        self.backlog.get_or_insert_default().frames.push(frame);
    }

    /// Writes the backlog, and the answer to a ping behind it; false when the socket is full.
    pub(crate) fn clear(&mut self, ping: &mut Option<Bytes>, send: Send<'_>) -> io::Result<bool> {
        loop {
            if let Some(backlog) = &mut self.backlog {
                match write(&mut backlog.frames, &mut backlog.at, send) {
                    Some(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Some(error) => return Err(error),
                    None => self.backlog = None,
                }
            }
            match ping.take() {
                Some(ping) => self.push(crate::frames::pong(&ping)),
                None => return Ok(true),
            }
        }
    }

    /// Writes what `take` gets out of the outbox; call it while [`Writer::is_open`]. What is not written stays,
    /// after an error too.
    pub(crate) fn turn(
        &mut self,
        send: Send<'_>,
        take: impl FnOnce(&mut Vec<Frame>) -> Option<CloseReason>,
    ) -> io::Result<Wrote> {
        TAKEN.with_borrow_mut(|frames| {
            let closed = take(frames);
            let all = closed.map_or(Wrote::All, Wrote::Closed);
            if frames.is_empty() {
                return Ok(all);
            }
            if let Some(squeeze) = self.squeeze {
                squeeze.apply(frames);
            }
            let mut at = Position::default();
            let stopped = write(frames, &mut at, send);
            if stopped.is_some() {
                self.backlog = Some(Box::new(Backlog { frames: std::mem::take(frames), at }));
            }
            if frames.capacity() > 1024 {
                *frames = Vec::new();
            }
            match stopped {
                None => Ok(all),
                Some(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Wrote::Blocked),
                Some(error) => Err(error),
            }
        })
    }
}

/// Writes frames from the front and removes those that are written; `at` is the place in the first. Gives what
/// stopped it before the end.
fn write(frames: &mut Vec<Frame>, at: &mut Position, send: Send<'_>) -> Option<io::Error> {
    let mut first = 0;
    let stopped = loop {
        let rest = &frames[first..];
        let sent = match rest {
            [] => break None,
            // Nearly always: one frame of one part.
            [frame] if let [Part { wire, .. }] = frame.parts() => match &wire[at.byte as usize..] {
                [] => break None,
                piece => send(&[IoSlice::new(piece)]),
            },
            rest if rest.iter().map(|frame| frame.parts().len()).sum::<usize>() <= FEW => {
                send_some::<FEW>(rest, *at, send)
            }
            rest => send_some::<PIECES>(rest, *at, send),
        };
        match sent {
            Ok(0) if gather(rest, *at, &mut [IoSlice::new(&[]); 1]) == 0 => break None,
            Ok(0) => break Some(io::ErrorKind::WriteZero.into()),
            Ok(written) => first += advance(rest, at, written),
            Err(error) => break Some(error),
        }
    };
    match &stopped {
        None => frames.clear(),
        Some(_) => drop(frames.drain(..first)),
    }
    stopped
}

fn send_some<const N: usize>(frames: &[Frame], at: Position, send: Send<'_>) -> io::Result<usize> {
    let mut pieces = [IoSlice::new(&[]); N];
    match gather(frames, at, &mut pieces) {
        0 => Ok(0),
        filled => send(&pieces[..filled]),
    }
}

/// The unwritten bytes of the first frames as slices.
fn gather<'f, const N: usize>(frames: &'f [Frame], at: Position, pieces: &mut [IoSlice<'f>; N]) -> usize {
    let mut filled = 0;
    let mut skip = at.byte as usize;
    let unwritten = frames.iter().flat_map(Frame::parts).skip(at.part as usize);
    for Part { wire, .. } in unwritten {
        if filled == N {
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
