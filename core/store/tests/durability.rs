//! What was answered is on the disk, commits are shared, and a file that is no good is said to be so.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use exedra_hub::{
    metrics::Metrics,
    port::{Store, StoreError},
};
use exedra_store::RedbStore;
use futures_util::future::join_all;

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn open(path: &Path) -> Result<Arc<RedbStore>, StoreError> {
    RedbStore::open(path, Metrics::new())
}

fn metric(metrics: &Metrics, name: &str) -> f64 {
    let text = metrics.render();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

async fn why_refused(path: &Path) -> String {
    match open(path) {
        Err(StoreError::Unavailable(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(store) => panic!("opened with {} entries", store.list("b", "", None, 10).await.unwrap().len()),
    }
}

#[tokio::test]
async fn answered_means_on_disk() {
    let files = Files::new();
    let (path, copy) = (files.path("store.redb"), files.path("copy.redb"));
    let store = open(&path).unwrap();
    for turn in 0..20 {
        store.put("b", "k", format!("value {turn}").into()).await.unwrap();
        // The copy is what a process that was killed now would find.
        fs::copy(&path, &copy).unwrap();
        let reopened = open(&copy).unwrap();
        let entry = reopened.get("b", "k").await.unwrap().unwrap();
        assert_eq!(entry.value, format!("value {turn}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_share_commits() {
    let files = Files::new();
    let metrics = Metrics::new();
    let store = RedbStore::open(files.path("store.redb"), metrics.clone()).unwrap();
    let writers = (0..64).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for turn in 0..20 {
                store.put("b", &format!("{writer}/{turn}"), "x".into()).await.unwrap();
            }
        })
    });
    for done in join_all(writers).await {
        done.unwrap();
    }
    assert_eq!(store.list("b", "", None, 10_000).await.unwrap().len(), 64 * 20);
    let (writes, commits) =
        (metric(&metrics, "exedra_store_batch_size_sum"), metric(&metrics, "exedra_store_batch_size_count"));
    assert!(writes >= 64.0 * 20.0);
    assert!(writes / commits > 2.0, "{writes} writes in {commits} commits");
}

#[tokio::test]
async fn reopened_file_goes_on() {
    let files = Files::new();
    let path = files.path("deep/er/store.redb");
    let revision = {
        let store = open(&path).unwrap();
        store.put("b", "gone", "x".into()).await.unwrap();
        store.delete("b", "gone", None).await.unwrap();
        store.put("b", "k", "one".into()).await.unwrap()
    };
    let store = open(&path).unwrap();
    assert_eq!(store.get("b", "k").await.unwrap().unwrap().revision, revision);
    assert!(store.put("b", "k", "two".into()).await.unwrap() > revision);
}

#[tokio::test]
async fn dropping_writes_what_waits() {
    let files = Files::new();
    let path = files.path("store.redb");
    let store = open(&path).unwrap();
    let waiting: Vec<_> = (0..500).map(|number| store.put("b", &number.to_string(), "x".into())).collect();
    drop(store);
    for outcome in join_all(waiting).await {
        outcome.unwrap();
    }
    assert_eq!(open(&path).unwrap().list("b", "", None, 1000).await.unwrap().len(), 500);
}

#[test]
fn file_is_private() {
    let files = Files::new();
    let path = files.path("new/store.redb");
    let _store = open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn second_opener_is_refused() {
    let files = Files::new();
    let path = files.path("store.redb");
    let _store = open(&path).unwrap();
    assert!(why_refused(&path).await.contains("already open"));
    assert_eq!(files.names(), ["store.redb"]);
}

#[tokio::test]
async fn foreign_files_are_refused() {
    let files = Files::new();
    for content in [b"".as_slice(), b"x", b"redb", &[0; 8192], "hello ".repeat(5000).as_bytes()] {
        let path = files.path("foreign");
        fs::write(&path, content).unwrap();
        let why = why_refused(&path).await;
        assert!(why.contains("foreign"), "the path is said: {why}");
        assert_eq!(fs::read(&path).unwrap(), content, "and the file left alone");
    }
    assert!(why_refused(files.folder.path()).await.contains("not a file"));
}

#[tokio::test]
async fn truncated_file_is_refused() {
    let (files, path) = filled_store().await;
    let whole = fs::read(&path).unwrap();
    for keep in [1, 100, 4096, whole.len() / 2] {
        fs::write(files.path("cut.redb"), &whole[..keep]).unwrap();
        why_refused(&files.path("cut.redb")).await;
    }
}

#[tokio::test]
async fn damage_is_never_data() {
    let (files, path) = filled_store().await;
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for page in 0..whole.len().div_ceil(4096) {
        let mut damaged = whole.clone();
        let end = whole.len().min(page * 4096 + 4096);
        damaged[page * 4096..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        let path = files.path("damaged.redb");
        fs::write(&path, damaged).unwrap();
        match open(&path) {
            Err(_) => refused += 1,
            // Pages that hold nothing may be damaged without harm; then everything is there.
            Ok(store) => assert_all_there(&store).await,
        }
    }
    assert!(refused > 1);
}

async fn filled_store() -> (Files, PathBuf) {
    let files = Files::new();
    let path = files.path("store.redb");
    let store = open(&path).unwrap();
    let writes =
        (0..200).map(|number| store.put("b", &format!("{number:03}"), vec![number as u8; 300].into()));
    for outcome in join_all(writes).await {
        outcome.unwrap();
    }
    (files, path)
}

async fn assert_all_there(store: &RedbStore) {
    let entries = store.list("b", "", None, 1000).await.unwrap();
    assert_eq!(entries.len(), 200);
    for (number, (key, entry)) in entries.into_iter().enumerate() {
        assert_eq!(key, format!("{number:03}"));
        assert_eq!(entry.value, vec![number as u8; 300]);
    }
}
