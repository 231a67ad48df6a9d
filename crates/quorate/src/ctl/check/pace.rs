//! The pace of writes: etcdctl's, a bucket of tokens that holds one (Go's `rate.NewLimiter(rate, 1)`).
//!
//! What was due while nobody took it is lost, but for one: that is how a cluster that cannot keep up is seen.

use std::time::Duration;

/// When the next one may go.
pub(super) struct Pace {
    interval: Duration,
    /// When the next token is there, counted from the beginning.
    next: Duration,
}

impl Pace {
    /// The first one at once, then so many in a second.
    pub(super) fn of(per_second: u32) -> Pace {
        Pace {
            interval: Duration::from_secs(1) / per_second,
            next: Duration::ZERO,
        }
    }

    /// How long the next one has to wait that wants to go `now`, which counts from the beginning.
    pub(super) fn next(&mut self, now: Duration) -> Duration {
        let at = self.next.max(now);
        self.next = at + self.interval;
        at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn one_goes_in_each_interval_and_little_lateness_is_made_up_for() {
        let mut pace = Pace::of(100);
        assert_eq!(pace.next(Duration::ZERO), Duration::ZERO);
        assert_eq!(pace.next(Duration::ZERO), 10 * MS);
        // Three milliseconds late.
        assert_eq!(pace.next(13 * MS), 7 * MS);
        assert_eq!(pace.next(20 * MS), 10 * MS);
    }

    #[test]
    fn after_a_long_wait_one_goes_at_once_and_the_others_are_lost() {
        let mut pace = Pace::of(100);
        assert_eq!(pace.next(Duration::ZERO), Duration::ZERO);
        // A hundred would have been due.
        assert_eq!(pace.next(1_000 * MS), Duration::ZERO);
        assert_eq!(pace.next(1_000 * MS), 10 * MS);
        assert_eq!(pace.next(1_010 * MS), 10 * MS);
    }
}
