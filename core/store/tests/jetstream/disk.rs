//! Whether what was acknowledged is on the disk. `kill -9` cannot tell: the kernel keeps what a process has written.
//! So the writes to the disk are counted, with a server that was told nothing as the control.

use std::{path::Path, process::Stdio, time::Duration};

use exedra_hub::port::Store;
use tokio::{process::Command, time::sleep};

use crate::nats::{Disk, Server, reach};

const WRITES: usize = 100;

/// How often a server asks the kernel to write to the disk while this many values are put one after the other.
async fn syncs_of(disk: Disk) -> usize {
    let server = Server::start(disk).await;
    let store = server.start_store(server.config()).await;
    reach(&*store, |why| why.is_empty() || why.contains("sync_interval")).await;
    let folder = tempfile::tempdir().unwrap();
    let counted = folder.path().join("syncs");
    let pid = server.nats.pid().unwrap().to_string();
    let mut tracer = Command::new("strace")
        .args(["-f", "-q", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-p", &pid, "-o"])
        .arg(&counted)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("strace is missing");
    attached(&pid).await;
    for number in 0..WRITES {
        store.put("b", &format!("{number}"), "x".into()).await.unwrap();
    }
    let tracer_id = tracer.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &tracer_id]).status().await.unwrap().success());
    tracer.wait().await.unwrap();
    count(&counted)
}

/// Waits until somebody traces the process.
async fn attached(pid: &str) {
    let traced = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|id| id.trim() != "0"))
    };
    for _ in 0..1000 {
        if traced() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("strace does not trace");
}

fn count(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().filter(|line| line.contains("sync") && !line.contains("resumed")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_means_on_disk() {
    let (always, late) = (syncs_of(Disk::Always).await, syncs_of(Disk::Late).await);
    println!("{WRITES} writes: {always} syncs with `always`, {late} without");
    assert!(always >= WRITES, "{always} syncs for {WRITES} writes");
    assert!(late < WRITES / 10, "the control: {late} syncs for {WRITES} writes");
}
