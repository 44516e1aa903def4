//! What became of each published event: when it should have gone out, who has it, and how long that took.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Longest time that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(600);

/// How often it is looked whether all is delivered.
const GRAIN: Duration = Duration::from_millis(1);

/// A histogram of microseconds with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, 3).expect("constant bounds that are in order")
}

/// All events of a run, shared by publisher and members.
pub(crate) struct Board {
    state: Mutex<State>,
    /// One permit for each event that may be on its way beside those that are.
    permits: Semaphore,
}

struct State {
    /// Events that some member has not got, and those behind them.
    rounds: VecDeque<Round>,
    /// The number of the first of `rounds`.
    first: u64,
    tally: Tally,
}

struct Round {
    /// When it should have gone out.
    intended: Instant,
    /// Members that do not have it.
    left: usize,
    measured: bool,
}

/// What the board has counted.
#[derive(Clone)]
pub(crate) struct Tally {
    /// Intended time to each member, in microseconds.
    pub(crate) delivery: Histogram<u64>,
    /// Intended time to the last member.
    pub(crate) last: Histogram<u64>,
    /// Measured deliveries.
    pub(crate) delivered: u64,
    /// Deliveries of events that no member was missing, or that were never sent.
    pub(crate) surplus: u64,
    /// When the last measured event was complete.
    pub(crate) complete_at: Option<Instant>,
}

impl Board {
    /// A board on which `in_flight` events may be open at the same time.
    pub(crate) fn new(in_flight: usize) -> Self {
        Self {
            state: Mutex::new(State { rounds: VecDeque::new(), first: 0, tally: Tally::new() }),
            permits: Semaphore::new(in_flight),
        }
    }

    /// Waits until one more event may go out.
    pub(crate) async fn may_go(&self) {
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }

    /// Enters the next event; its number.
    pub(crate) fn begin(&self, intended: Instant, members: usize, measured: bool) -> u64 {
        let mut state = self.state.lock();
        state.rounds.push_back(Round { intended, left: members, measured });
        state.first + state.rounds.len() as u64 - 1
    }

    /// A member got an event.
    pub(crate) fn delivered(&self, number: u64) {
        if self.state.lock().delivered(number, Instant::now()) {
            self.permits.add_permits(1);
        }
    }

    /// Deliveries that are still to come.
    pub(crate) fn missing(&self) -> usize {
        self.state.lock().rounds.iter().map(|round| round.left).sum()
    }

    /// Ends when no delivery is still to come.
    pub(crate) async fn complete(&self) {
        while self.missing() > 0 {
            tokio::time::sleep(GRAIN).await;
        }
    }

    /// What was counted.
    pub(crate) fn tally(&self) -> Tally {
        self.state.lock().tally.clone()
    }

    /// What was counted since the last time.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::replace(&mut self.state.lock().tally, Tally::new())
    }
}

impl Tally {
    fn new() -> Self {
        Self { delivery: histogram(), last: histogram(), delivered: 0, surplus: 0, complete_at: None }
    }
}

impl State {
    /// Whether the event is complete now.
    fn delivered(&mut self, number: u64, now: Instant) -> bool {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let round = at.and_then(|at| self.rounds.get_mut(at)).filter(|round| round.left > 0);
        let Some(round) = round else {
            self.tally.surplus += 1;
            return false;
        };
        round.left -= 1;
        let complete = round.left == 0;
        if round.measured {
            let took = now.saturating_duration_since(round.intended).as_micros() as u64;
            self.tally.delivery.saturating_record(took);
            self.tally.delivered += 1;
            if complete {
                self.tally.last.saturating_record(took);
                self.tally.complete_at = Some(now);
            }
        }
        while self.rounds.front().is_some_and(|round| round.left == 0) {
            self.rounds.pop_front();
            self.first += 1;
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_complete_with_its_last_member() {
        let board = Board::new(1);
        let number = board.begin(Instant::now(), 2, true);
        board.delivered(number);
        assert_eq!((board.missing(), board.permits.available_permits()), (1, 1));
        board.delivered(number);
        assert_eq!((board.missing(), board.permits.available_permits()), (0, 2));
        let tally = board.tally();
        assert_eq!((tally.delivered, tally.last.len(), tally.delivery.len()), (2, 1, 2));
    }

    #[test]
    fn later_event_may_complete_first() {
        let board = Board::new(2);
        let (one, two) = (board.begin(Instant::now(), 1, false), board.begin(Instant::now(), 1, true));
        board.delivered(two);
        assert_eq!(board.missing(), 1);
        board.delivered(one);
        assert_eq!((board.missing(), board.tally().delivered), (0, 1));
    }

    #[test]
    fn what_nobody_waited_for_is_surplus() {
        let board = Board::new(1);
        board.delivered(5);
        let number = board.begin(Instant::now(), 1, true);
        board.delivered(number);
        board.delivered(number);
        assert_eq!(board.tally().surplus, 2);
    }

    #[test]
    fn time_counts_from_the_intended_start() {
        let board = Board::new(1);
        let late = Instant::now().checked_sub(Duration::from_millis(50)).unwrap();
        let number = board.begin(late, 1, true);
        board.delivered(number);
        assert!(board.tally().last.max() >= 50_000);
    }
}
