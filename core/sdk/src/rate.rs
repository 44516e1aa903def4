//! How often somebody may do something: a budget that fills again with time. Pure, so that the clock of the test is as
//! good as the hub's.

/// So many at once, and so many a second after that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How many may come at once.
    pub burst: u32,
    /// How many a second come back.
    pub per_second: f64,
}

/// What is left for one somebody.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    left: f64,
    at_ms: u64,
}

impl Rate {
    /// As many at once as a second gives; 0 allows everything.
    pub fn per_second(n: u32) -> Self {
        Self { burst: n, per_second: f64::from(n) }
    }

    /// A full budget.
    pub fn full(self, now_ms: u64) -> Budget {
        Budget { left: f64::from(self.burst), at_ms: now_ms }
    }
}

impl Budget {
    /// Takes one; `false` when there is none left.
    pub fn take(&mut self, rate: Rate, now_ms: u64) -> bool {
        if rate.burst == 0 {
            return true;
        }
        let passed = now_ms.saturating_sub(self.at_ms) as f64 / 1000.0;
        self.at_ms = self.at_ms.max(now_ms);
        self.left = (self.left + passed * rate.per_second).min(f64::from(rate.burst));
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_fills_with_time() {
        let rate = Rate::per_second(2);
        let mut budget = rate.full(1_000);
        assert!(budget.take(rate, 1_000) && budget.take(rate, 1_000));
        assert!(!budget.take(rate, 1_000));
        assert!(!budget.take(rate, 1_400));
        assert!(budget.take(rate, 1_500));
        assert!(!budget.take(rate, 900), "a clock that goes back gives nothing");
        assert!(budget.take(rate, 60_000) && budget.take(rate, 60_000) && !budget.take(rate, 60_000));
    }

    #[test]
    fn zero_allows_everything() {
        let rate = Rate::per_second(0);
        let mut budget = rate.full(0);
        assert!((0..100).all(|_| budget.take(rate, 0)));
    }
}
