//! When to ask a client whether it is there, and when to give it up. Decides only; the link sends and closes.

use std::time::Duration;

use tokio::time::Instant;

/// A ping that goes out later than this starts its own time for the answer: then we were late, not the client.
const PUNCTUAL: Duration = Duration::from_millis(50);

/// The two times of a heartbeat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between two pings.
    pub(crate) interval: Duration,
    /// For the answer.
    pub(crate) timeout: Duration,
}

/// The heartbeat of one session. It survives the move from polling to WebSocket.
#[derive(Debug, Clone)]
pub(crate) struct Heart {
    pace: Pace,
    beat: Beat,
}

#[derive(Debug, Clone, Copy)]
enum Beat {
    /// All is well until then.
    Resting(Instant),
    /// A ping is out; the answer is due then.
    Waiting(Instant),
}

/// What a link has to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Nothing yet.
    Nothing,
    /// Send a ping.
    Ping,
    /// The client did not answer.
    Dead,
}

impl Heart {
    /// A heart whose first ping is due after one interval.
    pub(crate) fn new(now: Instant, pace: Pace) -> Self {
        Self { pace, beat: Beat::Resting(now + pace.interval) }
    }

    /// When [`Heart::tick`] has something to say.
    pub(crate) fn deadline(&self) -> Instant {
        match self.beat {
            Beat::Resting(at) | Beat::Waiting(at) => at,
        }
    }

    /// What is due at `now`. Deadlines are counted from when a ping was due, so that they do not drift.
    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        match self.beat {
            Beat::Resting(at) if now >= at => {
                let from = if now - at > PUNCTUAL { now } else { at };
                self.beat = Beat::Waiting(from + self.pace.timeout);
                Tick::Ping
            }
            Beat::Waiting(at) if now >= at => Tick::Dead,
            _ => Tick::Nothing,
        }
    }

    /// The client gave a sign of life: any packet will do.
    pub(crate) fn alive(&mut self, now: impl FnOnce() -> Instant) {
        if let Beat::Waiting(_) = self.beat {
            self.beat = Beat::Resting(now() + self.pace.interval);
        }
    }

    /// We have not been reading, so silence meant nothing: an answer gets its full time again.
    pub(crate) fn resume(&mut self, now: Instant) {
        if let Beat::Waiting(_) = self.beat {
            self.beat = Beat::Waiting(now + self.pace.timeout);
        }
    }

    /// Whether the answer is so overdue that a timer which is about to run out will not change it.
    pub(crate) fn is_dead(&self, now: Instant) -> bool {
        let slack = (self.pace.timeout / 50).min(Duration::from_millis(10));
        matches!(self.beat, Beat::Waiting(at) if now + slack >= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { interval: Duration::from_millis(300), timeout: Duration::from_millis(200) };

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[tokio::test(start_paused = true)]
    async fn first_ping_comes_after_the_interval() {
        let start = Instant::now();
        let mut heart = Heart::new(start, PACE);
        assert_eq!(heart.tick(start + ms(299)), Tick::Nothing);
        assert_eq!(heart.tick(start + ms(301)), Tick::Ping);
        assert_eq!(heart.deadline(), start + ms(500));
        assert_eq!(heart.tick(start + ms(500)), Tick::Dead);
    }

    #[tokio::test(start_paused = true)]
    async fn answer_starts_the_next_interval() {
        let start = Instant::now();
        let mut heart = Heart::new(start, PACE);
        heart.tick(start + ms(300));
        heart.alive(|| start + ms(310));
        assert_eq!(heart.deadline(), start + ms(610));
        heart.alive(|| start + ms(400));
        assert_eq!(heart.deadline(), start + ms(610));
    }

    #[tokio::test(start_paused = true)]
    async fn late_ping_leaves_the_full_time() {
        let start = Instant::now();
        let mut heart = Heart::new(start, PACE);
        heart.tick(start + ms(5000));
        assert_eq!(heart.deadline(), start + ms(5200));
    }

    #[tokio::test(start_paused = true)]
    async fn paused_reading_is_not_silence() {
        let start = Instant::now();
        let mut heart = Heart::new(start, PACE);
        heart.tick(start + ms(300));
        heart.resume(start + ms(490));
        assert_eq!(heart.deadline(), start + ms(690));
        assert!(!heart.is_dead(start + ms(600)));
        assert!(heart.is_dead(start + ms(687)));
    }
}
