//! The inside of a check, in a process of its own: the plugin lives several lives in a hub that keeps a logbook. Whatever
//! the plugin does to its process, the report on disk says how far it was.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use exedra_host::{PluginSpec, logbook};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{
    lint::lint,
    report::{Found, Report, Weight},
    stage::{Stage, Stillborn},
    tour::{PATIENCE, Tour, note},
};
use crate::{config::Problem, plugins};

/// Longest time of one call.
const DEADLINE: Duration = Duration::from_secs(5);
/// Lives before memory is measured, and lives in which it is.
const LIVES: [u64; 2] = [2, 4];
/// Bytes that a life may leave behind: what a library sets up once, and rounding.
const LEFT_BEHIND: u64 = 256;
/// How long threads may take to end.
const THREADS_END: Duration = Duration::from_secs(2);

/// Checks a plugin and leaves the report in `folder`.
///
/// # Errors
/// Why it cannot be checked: the file, or the settings.
pub(super) fn run(file: &Path, settings: Option<&Path>, folder: &Path) -> Result<(), Vec<Problem>> {
    logbook::open();
    let desk = Desk { folder: folder.to_owned(), report: Mutex::default() };
    desk.say("loading the library and reading its manifest");
    let checked = plugins::checked(file, settings)?;
    let inspection = &checked.inspection;
    {
        let mut report = desk.report.lock();
        report.file = file.display().to_string();
        report.name = inspection.id.clone();
        report.version = inspection.version.clone();
        report.abi = inspection.abi.clone();
        report.sdk = inspection.sdk.clone();
        report.sha256 = inspection.sha256.clone();
        report.findings = lint(inspection);
    }
    let spec = PluginSpec { deadline: DEADLINE, ..checked.spec };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(lives(&desk, &spec, runtime.handle()));
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
        Err(error) => return Err(vec![Problem::new("check", format!("no runtime can be started: {error}"))]),
    }
    desk.finish();
    Ok(())
}

/// Where the report lies while it is written.
struct Desk {
    folder: PathBuf,
    report: Mutex<Report>,
}

impl Desk {
    /// Says what comes next, in the logbook and on disk.
    fn say(&self, what: &str) {
        note(what);
        self.report.lock().during = what.to_owned();
        self.write();
    }

    /// Written whole: whoever reads it after a crash reads the last one.
    fn write(&self) {
        let mut report = self.report.lock().clone();
        report.findings.extend(from_logbook());
        let partial = self.folder.join("report.partial");
        let text = serde_json::to_vec(&report).unwrap_or_default();
        if fs::write(&partial, text)
            .and_then(|()| fs::rename(&partial, self.folder.join("report.json")))
            .is_err()
        {
            tracing::debug!("the report cannot be written");
        }
    }

    fn find(&self, weight: Weight, rule: &str, what: String) {
        let mut report = self.report.lock();
        let during = report.during.clone();
        report.findings.push(Found { weight, rule: rule.to_owned(), during, what, count: 1 });
    }

    fn take(&self, tour: Tour<'_>) {
        let Tour { tried, findings, .. } = tour;
        let mut report = self.report.lock();
        for found in findings {
            if !report.findings.iter().any(|known| known.rule == found.rule && known.what == found.what) {
                report.findings.push(found);
            }
        }
        let (calls, lives) = (report.tried.calls + tried.calls, report.tried.lives + 1);
        if lives == 1 {
            report.tried = tried;
        }
        (report.tried.calls, report.tried.lives) = (calls, lives);
    }

    /// The last word: written so that whoever waits knows that it is.
    fn finish(&self) {
        logbook::close_books();
        self.report.lock().during = String::new();
        self.write();
    }
}

fn from_logbook() -> impl Iterator<Item = Found> {
    logbook::findings().into_iter().map(|finding| Found {
        weight: finding.rule.weight(),
        rule: serde_json::to_value(finding.rule)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default(),
        during: finding.during,
        what: finding.what,
        count: finding.count,
    })
}

/// All lives, one after the other, and two at the same time.
async fn lives(desk: &Desk, spec: &PluginSpec, runtime: &Handle) {
    let threads = threads();
    let [warm, measured] = LIVES;
    for _ in 0..warm {
        if !life(desk, spec, runtime).await {
            stragglers(desk, &threads).await;
            return;
        }
    }
    two_at_once(desk, spec, runtime).await;
    let mut left = Vec::new();
    for _ in 0..measured {
        let before = heap();
        if !life(desk, spec, runtime).await {
            return;
        }
        settle(&threads).await;
        left.extend(before.zip(heap()).map(|(before, after)| after.saturating_sub(before)));
    }
    // Threads that go on have memory of their own, which is not lost.
    if !stragglers(desk, &threads).await {
        leaks(desk, &left);
    }
}

/// One life, from create to destroy; `false` when there was none, or when more of them would take for ever.
async fn life(desk: &Desk, spec: &PluginSpec, runtime: &Handle) -> bool {
    let Some(stage) = begin(desk, spec, runtime).await else { return false };
    let say = |what: &str| desk.say(what);
    let mut tour = Tour::new(&stage, &say);
    tour.go().await;
    let goes_on = !tour.gave_up;
    desk.take(tour);
    desk.say("quiesce and destroy");
    end(stage).await;
    goes_on
}

/// A plugin is created anew while the old instance still runs whenever it is reloaded.
async fn two_at_once(desk: &Desk, spec: &PluginSpec, runtime: &Handle) {
    let (Some(one), Some(two)) = (begin(desk, spec, runtime).await, begin(desk, spec, runtime).await) else {
        return;
    };
    let say = |what: &str| desk.say(&format!("{what}, of two instances at once"));
    let (mut first, mut second) = (Tour::new(&one, &say), Tour::new(&two, &say));
    tokio::join!(first.go(), second.go());
    desk.say("destroy of one of two instances");
    drop((first, second));
    end(two).await;
    let say = |what: &str| desk.say(&format!("{what}, after another instance was destroyed"));
    let mut tour = Tour::new(&one, &say);
    tour.go().await;
    desk.take(tour);
    desk.say("quiesce and destroy");
    end(one).await;
}

async fn end(stage: Stage) {
    aside(move || stage.end(PATIENCE)).await;
}

async fn begin(desk: &Desk, spec: &PluginSpec, runtime: &Handle) -> Option<Stage> {
    desk.say("create and start");
    let (spec, runtime, folder) = (spec.clone(), runtime.clone(), desk.folder.clone());
    match aside(move || Stage::begin(spec, &folder, &runtime)).await {
        Some(Ok(stage)) => return Some(stage),
        Some(Err(Stillborn::Manifest(why))) => desk.find(Weight::Problem, "manifest-refused", why),
        Some(Err(Stillborn::Life(error))) => {
            desk.find(Weight::Problem, "does-not-start", plugins::said(&error))
        }
        None => desk.find(Weight::Problem, "does-not-start", "no thread can be had to start it".to_owned()),
    }
    None
}

/// Bytes that the plugin holds. Only where the hub's own memory is somebody else's: the C library's heap is the
/// plugin's alone then.
fn heap() -> Option<u64> {
    let before = exedra_host::c_heap();
    let probe = std::hint::black_box(vec![1_u8; 1 << 20]);
    let ours = exedra_host::c_heap() >= before + (1 << 20);
    drop(probe);
    (!ours).then_some(before)
}

/// What every life leaves behind: the least of all, because some are charged with what others have ordered.
fn leaks(desk: &Desk, left: &[u64]) {
    let each = left.iter().min().copied().unwrap_or_default();
    if each > LEFT_BEHIND {
        let what = format!(
            "each life, from create to destroy, leaves about {each} bytes on the heap; free them in destroy"
        );
        desk.find(Weight::Problem, "memory-left", what);
    }
}

/// Waits until the threads of a life have ended, or some will not; gives the names of those that go on. The hub's own
/// threads all end with it, and a name says nothing: a thread has that of the one that made it until it takes another.
async fn settle(before: &Threads) -> Vec<String> {
    let until = Instant::now() + THREADS_END;
    loop {
        let mut now = threads();
        now.retain(|number, _| !before.contains_key(number));
        if now.is_empty() || Instant::now() > until {
            return now.into_values().collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Says whether threads of the plugin's own go on although it has been destroyed.
async fn stragglers(desk: &Desk, before: &Threads) -> bool {
    desk.say("waiting for threads to end");
    let names = settle(before).await;
    if !names.is_empty() {
        let (count, all) = (names.len(), names.join(", "));
        let what =
            format!("{count} threads go on after destroy ({all}); end and join them in quiesce or destroy");
        desk.find(Weight::Problem, "threads-left", what);
    }
    !names.is_empty()
}

/// The threads of this process by their numbers, and their names.
type Threads = BTreeMap<String, String>;

fn threads() -> Threads {
    let each = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    each.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        Some((task.file_name().to_string_lossy().into_owned(), name.trim().to_owned()))
    })
    .collect()
}

/// Does what blocks on a thread that ends with it.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, done) = tokio::sync::oneshot::channel();
    let started = thread::Builder::new().name("check".to_owned()).spawn(move || sender.send(work()).is_ok());
    let done = done.await.ok();
    let _ = started.map(thread::JoinHandle::join); // it has said all there is
    done
}
