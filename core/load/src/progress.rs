//! How far a run is: a bar on a terminal, plain lines elsewhere. Always on stderr, because stdout is data.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

/// Time between two plain lines.
const LINES: Duration = Duration::from_secs(5);
const STYLE: &str = "{msg:<24} [{bar:40}] {human_pos}/{human_len} {per_sec} {elapsed}";

/// One stage of a run.
pub(crate) struct Progress {
    bar: ProgressBar,
    plain: Option<Mutex<Plain>>,
}

struct Plain {
    stage: String,
    next: Instant,
}

impl Progress {
    /// Begins a stage of `total` steps.
    pub(crate) fn start(quiet: bool, stage: &str, total: u64) -> Self {
        let on_terminal = stderr().is_terminal();
        let bar = match (quiet, on_terminal) {
            (false, true) => ProgressBar::new(total).with_message(stage.to_owned()),
            _ => ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden()),
        };
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style.progress_chars("=> "));
        }
        let plain = (!quiet && !on_terminal)
            .then(|| Mutex::new(Plain { stage: stage.to_owned(), next: Instant::now() + LINES }));
        Self { bar, plain }
    }

    /// Some steps are done.
    pub(crate) fn add(&self, steps: u64) {
        self.bar.inc(steps);
        if let Some(plain) = &self.plain {
            let mut plain = plain.lock();
            if Instant::now() >= plain.next {
                plain.next = Instant::now() + LINES;
                self.line(&plain.stage);
            }
        }
    }

    fn line(&self, stage: &str) {
        let total = self.bar.length().unwrap_or_default();
        let seconds = self.bar.elapsed().as_secs_f64();
        eprintln!("{stage}: {} of {total} after {seconds:.1} s", self.bar.position());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(plain) = &self.plain {
            self.line(&plain.lock().stage);
        }
        self.bar.finish_and_clear();
    }
}
