//! A token bucket that holds one second's worth.

use std::time::Duration;

use tokio::time::Instant;

/// Lets `per_second` things pass each second, and that many at once after a quiet second.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    per_second: u32,
    /// When the bucket will be full again; the further ahead, the emptier it is.
    full_at: Instant,
}

impl Bucket {
    /// A full bucket; 0 per second means without limit.
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, full_at: now }
    }

    /// Takes one. Zero when there was one; else nothing is taken, and how long until there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Duration {
        if self.per_second == 0 {
            return Duration::ZERO;
        }
        let after = self.full_at.max(now) + Duration::from_secs(1) / self.per_second;
        let over = after.saturating_duration_since(now + Duration::from_secs(1));
        if over.is_zero() {
            self.full_at = after;
        }
        over
    }

    /// Takes one that cannot be refused any more, and gives how long to take no other.
    pub(crate) fn charge(&mut self, now: Instant) -> Duration {
        if self.per_second == 0 {
            return Duration::ZERO;
        }
        self.full_at = self.full_at.max(now) + Duration::from_secs(1) / self.per_second;
        self.full_at.saturating_duration_since(now + Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn holds_the_rate_after_a_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        let burst = (0..20).filter(|_| bucket.take(start).is_zero()).count();
        assert_eq!(burst, 10);
        let wait = bucket.take(start);
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(100));
        assert!(bucket.take(start + wait).is_zero());
        assert!(!bucket.take(start + wait).is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let mut bucket = Bucket::new(0, Instant::now());
        assert!((0..100_000).all(|_| bucket.take(Instant::now()).is_zero()));
    }
}
