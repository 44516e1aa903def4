//! What waits to be written into the ledger, in the order in which it happened, and the one task that writes it: one
//! entry at a time, as much in each as has gathered meanwhile. An entry whose end is unknown is written again under the
//! same number until it is in.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::{future::poll_fn, task::AtomicWaker};
use parking_lot::Mutex;

use super::{Hub, United};
use crate::cluster::{
    NodeId,
    ledger::{Change, Entry, Word},
};

/// Changes that may wait; with more the whole state of the node is written instead.
const MAX_CHANGES: usize = 65_536;
/// Changes in one entry, and bytes of them, about.
const BATCH: (usize, usize) = (512, 256 * 1024);
/// Failures in a row after which the log says so: at the start one or two are usual.
const PATIENT: u32 = 10;
/// The pause before an entry is written again.
const AGAIN: Duration = Duration::from_millis(100);

/// The desk.
pub(super) struct Desk {
    name: Arc<str>,
    papers: Mutex<Papers>,
    writer: AtomicWaker,
}

#[derive(Default)]
struct Papers {
    /// What comes next, in this order: set apart when the state was read, so that nothing comes between.
    ready: VecDeque<Word>,
    changes: VecDeque<Change>,
    /// The others are to be asked for their state.
    hello: bool,
    /// The others want to know ours.
    state: bool,
    /// Nodes that are to be taken for dead, with the last entry of each.
    dead: Vec<(NodeId, u64)>,
    /// Our heartbeats so far, and whether the last one is written.
    beat: u64,
    beat_due: bool,
    /// Told when the goodbye is written.
    bye: Option<oneshot::Sender<()>>,
    /// Entries so far.
    number: u64,
}

impl Desk {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, papers: Mutex::default(), writer: AtomicWaker::new() }
    }

    fn with(&self, change: impl FnOnce(&mut Papers)) {
        change(&mut self.papers.lock());
        self.writer.wake();
    }

    /// A change at this node.
    pub(super) fn put(&self, change: Change) {
        self.with(|papers| {
            if papers.changes.len() >= MAX_CHANGES {
                papers.changes.clear(); // the state says it all, but for leaves: those were told, the ledger is away
                papers.state = true;
            }
            papers.changes.push_back(change);
        });
    }

    /// Somebody wants to know all that is here.
    pub(super) fn ask_for_state(&self) {
        self.with(|papers| papers.state = true);
    }

    /// We want to know all that is elsewhere.
    pub(super) fn ask_for_hello(&self) {
        self.with(|papers| (papers.hello, papers.state) = (true, true));
    }

    /// One more heartbeat. One that has not been written is not followed by another: time does not pass while the ledger
    /// stands still.
    pub(super) fn beat(&self) {
        self.with(|papers| {
            if !papers.beat_due {
                papers.beat += 1;
                papers.beat_due = true;
            }
        });
    }

    /// A node is to be taken for dead.
    pub(super) fn bury(&self, node: NodeId, heard: u64) {
        self.with(|papers| {
            if !papers.dead.contains(&(node, heard)) {
                papers.dead.push((node, heard));
            }
        });
    }

    /// The last word; the future ends when it is written.
    pub(super) fn bye(&self) -> oneshot::Receiver<()> {
        let (written, told) = oneshot::channel();
        self.with(|papers| papers.bye = Some(written));
        told
    }

    /// Others have taken this node for dead, and told all leaves: those that wait must not be told again.
    pub(super) fn rise_again(&self) {
        let is_leave = |change: &Change| matches!(change, Change::Free { .. });
        self.with(|papers| {
            papers.changes.retain(|change| !is_leave(change));
            for word in &mut papers.ready {
                if let Word::Changes(changes) = word {
                    changes.retain(|change| !is_leave(change));
                }
            }
            papers.state = true;
        });
    }
}

impl Hub {
    /// Writes what comes to the desk; never ends.
    pub(super) async fn write_ledger(&self) {
        let Some(united) = self.united.get() else { return };
        loop {
            let (entry, bye) = poll_fn(|cx| {
                united.desk.writer.register(cx.waker());
                match self.next_entry(united) {
                    Some(entry) => std::task::Poll::Ready(entry),
                    None => std::task::Poll::Pending,
                }
            })
            .await;
            let (number, bytes) = (entry.number, entry.encode());
            self.write_entry(united, number, &bytes).await;
            if let Some(written) = bye {
                let _ = written.send(());
            }
        }
    }

    async fn write_entry(&self, united: &United, number: u64, bytes: &Bytes) {
        let mut tries = 0_u32;
        while let Err(error) = united.link.append(number, bytes.clone()).await {
            tries += 1;
            if tries == PATIENT {
                tracing::warn!(%error, "the ledger of the nodes takes nothing; this node goes on alone");
            }
            self.parts.clock.sleep(AGAIN).await;
        }
        if tries >= PATIENT {
            tracing::info!("the ledger of the nodes is back");
        }
    }

    fn next_entry(&self, united: &United) -> Option<(Entry, Option<oneshot::Sender<()>>)> {
        let wants_state = {
            let papers = united.desk.papers.lock();
            papers.ready.is_empty() && papers.state && !papers.hello
        };
        if wants_state {
            self.set_state_apart(united);
        }
        let mut papers = united.desk.papers.lock();
        let mut bye = None;
        let word = if let Some(word) = papers.ready.pop_front() {
            word
        } else if std::mem::take(&mut papers.hello) {
            Word::Hello
        } else if let Some((node, heard)) = papers.dead.pop() {
            Word::Gone { node, heard }
        } else if !papers.changes.is_empty() || (papers.beat_due && papers.bye.is_none()) {
            Word::Changes(batch(&mut papers.changes))
        } else {
            bye = papers.bye.take();
            bye.as_ref()?;
            Word::Bye
        };
        papers.number += 1;
        papers.beat_due = false;
        let Papers { number, beat, .. } = *papers;
        let (name, takes) = (united.desk.name.clone(), Some(self.takes()));
        Some((Entry { node: united.me, name, number, beat, takes, word }, bye))
    }

    /// Reads the state of this node between two changes, and sets it apart behind all that has happened before.
    fn set_state_apart(&self, united: &United) {
        let _turn = united.turn.write();
        let now = self.parts.clock.elapsed();
        let mut holds: VecDeque<Change> = self
            .rooms
            .holdings()
            .into_iter()
            .map(|(key, user, holding)| Change::Hold(holding.hold(self.place(&key), user, now)))
            .collect();
        let mut parts = vec![batch(&mut holds)];
        while !holds.is_empty() {
            parts.push(batch(&mut holds));
        }
        let of = parts.len() as u32;
        let mut papers = united.desk.papers.lock();
        papers.state = false;
        while !papers.changes.is_empty() {
            let before = batch(&mut papers.changes);
            papers.ready.push_back(Word::Changes(before));
        }
        let parts = parts.into_iter().enumerate();
        papers.ready.extend(parts.map(|(part, holds)| Word::State { part: part as u32, of, holds }));
    }
}

/// As many changes as go into one entry.
fn batch(changes: &mut VecDeque<Change>) -> Vec<Change> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH.0 && bytes < BATCH.1 {
        let Some(change) = changes.pop_front() else { break };
        bytes += change.size();
        batch.push(change);
    }
    batch
}
