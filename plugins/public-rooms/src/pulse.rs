//! When who is asked whether he is still there. Pure: time comes in, what is to be done comes out.
//!
//! A client that has been silent for `idle_after` is asked, then again every `interval` for as long as it says nothing
//! else; a `pong` is an answer, not a word. A ping unanswered for `timeout` is missed, and `max_missed` in a row end
//! the connection.

use exedra_sdk::{Budget, Rate};

/// The times, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) idle_after: u64,
    pub(crate) interval: u64,
    pub(crate) timeout: u64,
    pub(crate) max_missed: u32,
}

/// What is to be done with a connection whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Look again at that time.
    Wait(u64),
    /// Ask it, and look again at that time.
    Ping(u64),
    /// It has not answered: end it.
    End,
}

/// What a client does that has a budget of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    Join,
    Leave,
    Signal,
}

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// When it came into its room.
    pub(crate) since: u64,
    /// When it last said anything but `pong`.
    heard: u64,
    /// When the last ping since then was due.
    pinged: Option<u64>,
    /// When the ping that waits for its pong was sent.
    asked: Option<u64>,
    missed: u32,
    budgets: [Option<Budget>; 3],
}

impl Pulse {
    /// A connection that comes now.
    pub(crate) fn new(now: u64) -> Self {
        Self { since: now, heard: now, pinged: None, asked: None, missed: 0, budgets: [None; 3] }
    }

    /// It said something; gives when it would be silent for too long.
    pub(crate) fn heard(&mut self, times: &Times, now: u64) -> u64 {
        (self.heard, self.pinged, self.asked, self.missed) = (now, None, None, 0);
        now + times.idle_after
    }

    /// It answered; gives how long that took, if it was in time.
    pub(crate) fn pong(&mut self, now: u64) -> Option<u64> {
        self.missed = 0;
        self.asked.take().map(|asked| now.saturating_sub(asked))
    }

    /// Takes one of what it may do of a kind; `false` when it does too much.
    pub(crate) fn allow(&mut self, deed: Deed, rate: Rate, now: u64) -> bool {
        self.budgets[deed as usize].get_or_insert_with(|| rate.full(now)).take(rate, now)
    }

    /// Its time has come: asks, counts a miss, or looks again later.
    pub(crate) fn look(&mut self, times: &Times, now: u64) -> Act {
        if self.asked.take().is_some() {
            self.missed += 1;
            if self.missed >= times.max_missed {
                return Act::End;
            }
        }
        let wanted = self.pinged.map_or(self.heard + times.idle_after, |pinged| pinged + times.interval);
        if wanted > now {
            return Act::Wait(wanted);
        }
        // On the beat; but after a standstill of the machine nobody is asked twice in a row.
        self.pinged = Some(if now - wanted > times.timeout { now } else { wanted });
        self.asked = Some(now);
        Act::Ping(now + times.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const TIMES: Times =
        Times { idle_after: 5 * MINUTE, interval: 5 * MINUTE, timeout: 30_000, max_missed: 3 };

    /// A connection and when it is looked at next.
    struct Watched(Pulse, u64, Times);

    impl Watched {
        fn new(times: Times) -> Self {
            Self(Pulse::new(0), times.idle_after, times)
        }

        /// When it is asked until then; with `false` at the end when it is ended.
        fn run(&mut self, until: u64) -> Vec<(u64, bool)> {
            let mut done = Vec::new();
            while self.1 <= until {
                let now = self.1;
                match self.0.look(&self.2, now) {
                    Act::Wait(next) => self.1 = next,
                    Act::Ping(next) => {
                        done.push((now, true));
                        self.1 = next;
                    }
                    Act::End => {
                        done.push((now, false));
                        self.1 = u64::MAX;
                    }
                }
            }
            done
        }
    }

    #[test]
    fn timeline_of_the_contract() {
        let mut ann = Watched::new(TIMES);
        assert_eq!(ann.run(5 * MINUTE), [(5 * MINUTE, true)]);
        assert_eq!(ann.0.pong(5 * MINUTE + 1_000), Some(1_000));
        let rest =
            [(10 * MINUTE, true), (15 * MINUTE, true), (20 * MINUTE, true), (20 * MINUTE + 30_000, false)];
        assert_eq!(ann.run(60 * MINUTE), rest);
    }

    #[test]
    fn words_put_the_ping_off() {
        let mut ann = Watched::new(TIMES);
        assert_eq!(ann.0.heard(&TIMES, 4 * MINUTE), 9 * MINUTE);
        assert_eq!(ann.run(9 * MINUTE), [(9 * MINUTE, true)]);
        ann.0.heard(&TIMES, 9 * MINUTE + 10);
        assert_eq!(ann.run(14 * MINUTE + 10), [(14 * MINUTE + 10, true)]);
    }

    #[test]
    fn late_pong_forgives() {
        let mut ann = Watched::new(TIMES);
        ann.run(11 * MINUTE); // two missed
        assert_eq!(ann.0.pong(11 * MINUTE), None);
        assert_eq!(ann.run(25 * MINUTE + 29_999).last(), Some(&(25 * MINUTE, true)));
        assert_eq!(ann.run(26 * MINUTE), [(25 * MINUTE + 30_000, false)]);
    }

    #[test]
    fn standstill_is_no_miss() {
        let mut pulse = Pulse::new(0);
        assert_eq!(pulse.look(&TIMES, 100 * MINUTE), Act::Ping(100 * MINUTE + 30_000));
    }
}
