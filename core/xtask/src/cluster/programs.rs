//! The programs that are started: how they are told to end, and that none is left over.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a killed program may take to be gone.
const KILLED: Duration = Duration::from_secs(5);

/// The signals that mean: enough.
pub(super) struct Stop([Signals; 3]);

impl Stop {
    /// From here on they end nothing by themselves.
    pub(super) fn listen() -> Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [a, b, c] = kinds.map(|kind| signal(kind).context("signals cannot be listened to"));
        Ok(Self([a?, b?, c?]))
    }

    /// Ends at the next of them.
    pub(super) async fn told(&mut self) {
        let [a, b, c] = &mut self.0;
        tokio::select! { _ = a.recv() => {}, _ = b.recv() => {}, _ = c.recv() => {} }
    }
}

/// A program that has ended.
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) how: String,
}

/// Programs that run, by name; whatever is left of them is killed when this is dropped.
#[derive(Default)]
pub(super) struct Programs {
    alive: Vec<(String, u32)>,
    ends: JoinSet<Ended>,
}

impl Programs {
    /// Starts one more.
    pub(super) fn start(&mut self, name: &str, command: Command) -> Result<()> {
        let mut command = tokio::process::Command::from(command);
        let child = command.kill_on_drop(true).spawn().with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().with_context(|| format!("{name} has ended at once"))?;
        self.alive.push((name.to_owned(), pid));
        self.ends.spawn(end_of(name.to_owned(), child));
        Ok(())
    }

    /// Their numbers, in the order of their start.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.alive.iter().map(|(_, pid)| *pid).collect()
    }

    /// The next that ends; `None` when none is left.
    pub(super) async fn next_end(&mut self) -> Option<Ended> {
        let ended = self.ends.join_next().await?.ok()?;
        self.alive.retain(|(name, _)| *name != ended.name);
        Some(ended)
    }

    /// Ends them all; those that take too long are killed, and all of them when the caller cannot wait.
    pub(super) async fn end(&mut self, within: Duration, stop: &mut Stop) {
        self.tell(Signal::TERM);
        self.tell(Signal::CONT); // one that was frozen hears the first only now
        tokio::select! {
            _ = timeout(within, self.ended()) => {}
            () = stop.told() => {}
        }
        self.tell(Signal::KILL);
        let _ = timeout(KILLED, self.ended()).await;
    }

    async fn ended(&mut self) {
        while self.next_end().await.is_some() {}
    }

    /// A number belongs to its program until the end has been seen here.
    fn tell(&self, signal: Signal) {
        for pid in self.alive.iter().filter_map(|(_, pid)| Pid::from_raw(i32::try_from(*pid).ok()?)) {
            let _ = kill_process(pid, signal);
        }
    }
}

async fn end_of(name: String, mut child: Child) -> Ended {
    let how = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Ended { name, how }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn end_is_noticed() {
        let mut programs = Programs::default();
        programs.start("one", sh("exit 3")).unwrap();
        let ended = programs.next_end().await.unwrap();
        assert_eq!((ended.name.as_str(), ended.how.as_str()), ("one", "exit status: 3"));
        assert!(programs.pids().is_empty() && programs.next_end().await.is_none());
    }

    #[tokio::test]
    async fn deaf_and_frozen_programs_end() {
        let mut programs = Programs::default();
        programs.start("deaf", sh("trap '' TERM; while :; do sleep 0.1; done")).unwrap();
        programs.start("frozen", sh("kill -STOP $$; sleep 60")).unwrap();
        let start = Instant::now();
        programs.end(Duration::from_millis(300), &mut Stop::listen().unwrap()).await;
        assert!(programs.pids().is_empty(), "none is left");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
