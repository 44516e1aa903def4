//! What a test's hub runs on, and how a test sees that nothing moves any more.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use exedra_host::Host;
use exedra_hub::{Hub, port::Plugins};
use parking_lot::Mutex;

use super::{clock::TestClock, format::TestFormat, store::TestStore};

/// Threads of the host; it never has fewer.
pub(super) const THREADS: usize = 2;

/// Shared by the hub under test and its clients.
pub(super) struct Bench {
    pub(super) hub: Arc<Hub>,
    pub(super) host: Arc<Host>,
    pub(super) clock: Arc<TestClock>,
    pub(super) store: Arc<TestStore>,
    pub(super) format: Arc<TestFormat>,
    /// Where the system tells what the host's threads do.
    pub(super) threads: Mutex<BTreeMap<PathBuf, File>>,
}

impl Bench {
    /// Waits until nothing moves: everything that is left waits for a client, for the clock, or for nothing.
    ///
    /// All work is done by this thread and by the host's, so nothing moves when those are asleep.
    pub(super) async fn settle(&self) {
        self.find_threads().await;
        let mut calm = 0;
        while calm < 4 {
            tokio::task::yield_now().await;
            if self.threads.lock().values().all(is_asleep) {
                calm += 1;
            } else {
                calm = 0;
                std::thread::yield_now();
            }
        }
    }

    /// Learns which threads are the host's: each work item says where it ran.
    async fn find_threads(&self) {
        while self.threads.lock().len() < THREADS {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            self.host.spawn(Box::pin(async move {
                let here = fs::read_link("/proc/thread-self").ok();
                let _gone = sender.send(here.map(|here| Path::new("/proc").join(here).join("stat")));
            }));
            match receiver.await {
                Ok(Some(found)) => {
                    if let Ok(stat) = File::open(&found) {
                        self.threads.lock().insert(found, stat);
                    }
                }
                // The host has stopped: nothing moves.
                _ => return,
            }
        }
    }
}

/// Whether the system says that the thread waits. One that has gone waits for ever.
fn is_asleep(stat: &File) -> bool {
    let mut buffer = [0; 128];
    let Ok(length) = stat.read_at(&mut buffer, 0) else { return true };
    // The name before the state is in parentheses and may hold anything.
    let after_name = buffer[..length].rsplit(|byte| *byte == b')').next();
    after_name.is_none_or(|rest| matches!(rest.get(1), None | Some(b'S' | b'Z' | b'X')))
}
