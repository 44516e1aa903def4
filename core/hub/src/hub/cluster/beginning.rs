//! From when on a room is heard here. What is kept of it may be older, and nobody here is owed that; what is newer has
//! been heard, or will be. So a client that is given what is kept is not given any of it twice.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Poll, Waker},
    time::Duration,
};

use futures_channel::oneshot;
use futures_util::future::{Either, poll_fn, select};
use parking_lot::Mutex;

use super::{Hub, Interests, United, interest::Attending, sessions::History};
use crate::{cluster::parcel::Parcel, port::Point, rooms::RoomKey};

/// How long a client may wait until its node has heard what is kept of its rooms.
const HEARD: Duration = Duration::from_secs(3);

/// The pause before a question that was not answered is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// How far what is kept has come: asked with one question for all who want to know meanwhile.
#[derive(Default)]
pub(super) struct Points(Mutex<Asking>);

#[derive(Default)]
struct Asking {
    waiting: Vec<oneshot::Sender<Option<Point>>>,
    asked: bool,
    /// The newest point so far: what is kept up to there is older than anything that begins now.
    newest: Option<Point>,
}

/// Who waits for room messages to be handed on.
#[derive(Default)]
pub(super) struct Passing(Mutex<Vec<Waker>>);

impl Hub {
    /// How far what is kept has come, asked after the call; `None` when nobody answers.
    pub(super) async fn point(self: &Arc<Self>, united: &United) -> Option<Point> {
        let (told, point) = oneshot::channel();
        if united.interests.points.put(told) {
            let hub = self.clone();
            self.spawn(Box::pin(async move { hub.ask_for_points().await }));
        }
        point.await.ok().flatten()
    }

    async fn ask_for_points(&self) {
        let Some(united) = self.united.get() else { return };
        while let Some(waiting) = united.interests.points.take() {
            let point = united.link.reached().await.ok();
            united.interests.points.note(point);
            waiting.into_iter().for_each(|told| {
                let _ = told.send(point); // whoever asked may have gone
            });
        }
    }

    /// A room is attended: finds out what of it was sent before. One that begins while the others are away is owed what
    /// is kept meanwhile, so all that is known of before.
    pub(super) async fn note_beginning(self: &Arc<Self>, key: RoomKey, turn: u64) {
        let Some(united) = self.united.get().filter(|_| self.parts.limits.recovery.is_some()) else { return };
        let interests = &united.interests;
        loop {
            let known =
                || interests.away.load(Ordering::Acquire).then(|| interests.points.newest()).flatten();
            let point = self.point(united).await.or_else(known);
            match interests.rooms.lock().get_mut(&key).filter(|room| room.turn == turn) {
                None => return,
                Some(room) => room.from = point,
            }
            if point.is_some() {
                return interests.passing.tell();
            }
            self.parts.clock.sleep(AGAIN).await;
        }
    }

    /// Ends when everything that is kept of rooms has been heard here, or is older; `false` when that takes too long.
    pub(super) async fn heard_all(&self, united: &United, kept: &[(RoomKey, History)]) -> bool {
        let heard = poll_fn(|cx| {
            united.interests.passing.wait(cx.waker());
            let is_heard = |(key, kept): &(RoomKey, History)| {
                let others = kept.iter().filter(|(_, parcel)| parcel.sender != self.word);
                united.interests.has_heard(key, others)
            };
            if kept.iter().all(is_heard) { Poll::Ready(()) } else { Poll::Pending }
        });
        matches!(select(heard, self.parts.clock.sleep(HEARD)).await, Either::Left(_))
    }
}

impl Interests {
    /// Whether a room has heard what is kept of it; takes note of what is older than the room.
    fn has_heard<'a>(&self, key: &RoomKey, kept: impl Iterator<Item = &'a (Point, Parcel)>) -> bool {
        let mut rooms = self.rooms.lock();
        let Some(room) = rooms.get_mut(key) else { return true }; // of a plugin that is none any more
        if room.from.is_none() {
            return false;
        }
        let mut all = true;
        for (at, parcel) in kept {
            all &= room.is_older(*at, parcel) || parcel.number <= room.heard.of(parcel.sender);
        }
        all
    }
}

impl Attending {
    /// Whether a parcel that is kept was sent before the room was attended; then it is never handed on here.
    pub(super) fn is_older(&mut self, at: Point, parcel: &Parcel) -> bool {
        let is_older = self.from.is_some_and(|from| at <= from);
        if is_older {
            self.heard.note(parcel.sender, parcel.number);
        }
        is_older
    }
}

impl Points {
    /// Adds one who wants to know; whether somebody has to ask.
    fn put(&self, told: oneshot::Sender<Option<Point>>) -> bool {
        let mut asking = self.0.lock();
        asking.waiting.push(told);
        !std::mem::replace(&mut asking.asked, true)
    }

    /// Who is to be answered; with nobody, asking is over.
    fn take(&self) -> Option<Vec<oneshot::Sender<Option<Point>>>> {
        let mut asking = self.0.lock();
        asking.asked = !asking.waiting.is_empty();
        asking.asked.then(|| std::mem::take(&mut asking.waiting))
    }

    fn note(&self, point: Option<Point>) {
        let newest = &mut self.0.lock().newest;
        *newest = point.max(*newest);
    }

    fn newest(&self) -> Option<Point> {
        self.0.lock().newest
    }
}

impl Passing {
    fn wait(&self, waker: &Waker) {
        self.0.lock().push(waker.clone());
    }

    /// Something has been handed on.
    pub(super) fn tell(&self) {
        let waiting = std::mem::take(&mut *self.0.lock());
        waiting.into_iter().for_each(Waker::wake);
    }
}
