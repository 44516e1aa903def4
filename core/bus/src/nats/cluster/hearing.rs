//! The rooms that are heard, by one task. The client gives each subscription a queue of its own, so which of two rooms'
//! messages came first is not told any more; but the task takes all queues empty before it hands anything on, so what
//! came before a message is handed on with it, or was.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use exedra_hub::port::{Ears, Place};
use futures_util::{StreamExt, stream::BoxStream, task::AtomicWaker};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::counts::Counts;

/// Parcels that are handed on before the thread's other tasks get their turn.
const TURN: usize = 256;

/// The rooms.
#[derive(Default)]
pub(super) struct Hearing {
    rooms: Mutex<HashMap<Place, Arc<Room>>>,
    desk: Arc<Desk>,
}

/// Where the rooms call the task.
#[derive(Default)]
struct Desk {
    /// Rooms whose queue is not known to be empty, each once.
    ready: Mutex<Vec<Arc<Room>>>,
    /// Who wants to know that everything that came before has been handed on.
    passed: Mutex<Vec<oneshot::Sender<()>>>,
    task: AtomicWaker,
}

/// A room that is heard.
pub(super) struct Room {
    place: Arc<Place>,
    /// Whether it is on the desk.
    called: AtomicBool,
    desk: Weak<Desk>,
    words: Mutex<Words>,
}

/// What the server sends for a room.
enum Words {
    /// Asked for.
    Coming,
    /// Here.
    Heard(BoxStream<'static, Bytes>),
    /// Nobody wants it any more.
    Over,
}

impl Hearing {
    /// Begins with a room; what is sent there is handed on once the server's words have been [brought](Room::bring).
    pub(super) fn begin(&self, place: &Place) -> Arc<Room> {
        let room = Arc::new(Room {
            place: Arc::new(place.clone()),
            called: AtomicBool::new(false),
            desk: Arc::downgrade(&self.desk),
            words: Mutex::new(Words::Coming),
        });
        let before = self.rooms.lock().insert(place.clone(), room.clone());
        before.iter().for_each(|room| room.end());
        room
    }

    /// Ends with a room.
    pub(super) fn end(&self, place: &Place) {
        let room = self.rooms.lock().remove(place);
        room.iter().for_each(|room| room.end());
    }

    /// Ends when everything that the client has received by now has been handed on.
    pub(super) fn passed(&self) -> impl Future<Output = ()> + Send + use<> {
        let (passed, told) = oneshot::channel();
        self.desk.passed.lock().push(passed);
        self.desk.task.wake();
        async move {
            let _ = told.await; // with the task, all is over
        }
    }

    /// The task: hands on what comes; never ends.
    pub(super) fn run(&self, ears: Arc<dyn Ears>, counts: Arc<Counts>) -> impl Future<Output = ()> + use<> {
        let desk = self.desk.clone();
        // A budget for each turn would end the emptying of queues midway.
        tokio::task::unconstrained(async move {
            let mut turn = 0;
            loop {
                let (parcels, passed) = poll_fn(|cx| desk.poll_words(cx)).await;
                turn += parcels.len();
                if !parcels.is_empty() {
                    counts.received(parcels.len() as u64);
                    ears.parcels(parcels);
                }
                passed.into_iter().for_each(|passed| {
                    let _ = passed.send(()); // nobody may wait any more
                });
                if turn >= TURN {
                    turn = 0;
                    tokio::task::yield_now().await;
                }
            }
        })
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.rooms.lock().drain().for_each(|(_, room)| room.end());
    }
}

/// What came, and who waited for it.
type Came = (Vec<(Arc<Place>, Bytes)>, Vec<oneshot::Sender<()>>);

impl Desk {
    /// Everything that is there.
    fn poll_words(&self, cx: &mut Context<'_>) -> Poll<Came> {
        self.task.register(cx.waker());
        let passed = std::mem::take(&mut *self.passed.lock()); // before the first look into a queue
        let mut parcels = Vec::new();
        loop {
            let ready = std::mem::take(&mut *self.ready.lock());
            if ready.is_empty() {
                break;
            }
            ready.iter().for_each(|room| room.take(&mut parcels));
        }
        if parcels.is_empty() && passed.is_empty() { Poll::Pending } else { Poll::Ready((parcels, passed)) }
    }
}

impl Room {
    /// What the server sends is here; from now on it is handed on.
    pub(super) fn bring(self: &Arc<Self>, words: BoxStream<'static, Bytes>) {
        let mut before = self.words.lock();
        if matches!(*before, Words::Coming) {
            *before = Words::Heard(words);
            drop(before);
            self.wake_by_ref();
        }
    }

    fn end(&self) {
        *self.words.lock() = Words::Over;
    }

    /// Takes the queue empty; the next message calls the task again.
    fn take(self: &Arc<Self>, parcels: &mut Vec<(Arc<Place>, Bytes)>) {
        self.called.store(false, Ordering::Release); // before the look: what comes behind it must call again
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        let mut words = self.words.lock();
        let Words::Heard(queue) = &mut *words else { return };
        while let Poll::Ready(parcel) = queue.poll_next_unpin(&mut cx) {
            match parcel {
                Some(parcel) => parcels.push((self.place.clone(), parcel)),
                None => {
                    *words = Words::Over; // the connection is closed for good
                    return;
                }
            }
        }
    }
}

impl Wake for Room {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Some(desk) = self.desk.upgrade() else { return };
        if !self.called.swap(true, Ordering::AcqRel) {
            desk.ready.lock().push(self.clone());
            desk.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use exedra_hub::metrics::Metrics;
    use futures_util::stream::poll_fn as stream;
    use tokio::sync::mpsc;

    use super::*;

    /// What came with each call.
    #[derive(Default)]
    struct Notes(Mutex<Vec<Vec<Bytes>>>);

    impl Ears for Notes {
        fn entry(&self, _number: u64, _entry: Bytes) {}
        fn lost(&self) {}
        fn away(&self) {}
        fn back(&self) {}
        fn told(&self, _parcel: Bytes) {}
        fn parcels(&self, parcels: Vec<(Arc<Place>, Bytes)>) {
            self.0.lock().push(parcels.into_iter().map(|(_, parcel)| parcel).collect());
        }
    }

    fn place(room: &str) -> Place {
        Place { plugin: "p".into(), room: room.into() }
    }

    async fn hear(hearing: &Hearing) -> Arc<Notes> {
        let notes = Arc::new(Notes::default());
        tokio::spawn(hearing.run(notes.clone(), Arc::new(Counts::new(&Metrics::new()))));
        tokio::task::yield_now().await;
        notes
    }

    #[tokio::test]
    async fn what_came_before_is_handed_on_too() {
        let hearing = Hearing::default();
        let (early, mut earlier) = mpsc::unbounded_channel::<Bytes>();
        let (late, mut later) = mpsc::unbounded_channel::<Bytes>();
        hearing.begin(&place("early")).bring(stream(move |cx| earlier.poll_recv(cx)).boxed());
        let notes = hear(&hearing).await;
        // While the second queue is looked at, a message comes into the first, and one behind it into the second.
        let mut between = Some((early, late.clone()));
        let words = stream(move |cx| {
            if let Some((early, late)) = between.take() {
                early.send("1".into()).unwrap();
                late.send("2".into()).unwrap();
            }
            later.poll_recv(cx)
        });
        hearing.begin(&place("late")).bring(words.boxed());
        hearing.passed().await;
        assert_eq!(notes.0.lock().iter().map(Vec::len).collect::<Vec<_>>(), [2], "both with one call");
    }

    #[tokio::test]
    async fn room_that_has_ended_is_silent() {
        let hearing = Hearing::default();
        let notes = hear(&hearing).await;
        let (words, mut queue) = mpsc::unbounded_channel::<Bytes>();
        let room = hearing.begin(&place("r"));
        room.bring(stream(move |cx| queue.poll_recv(cx)).boxed());
        words.send("1".into()).unwrap();
        hearing.passed().await;
        hearing.end(&place("r"));
        assert!(words.send("2".into()).is_err(), "its queue is gone");
        room.bring(stream(|_| Poll::Ready(Some(Bytes::new()))).boxed()); // late: nobody wants it
        hearing.passed().await;
        assert_eq!(*notes.0.lock(), [["1"]]);
    }
}
