//! Log time: the wall clock as the log may see it.
//!
//! Commands carry the leader's wall clock so that state machines need none of their own. It
//! never goes back, and a wall clock that leaps ahead (an operator's typing error, a bad time
//! server) does not drag the log with it: a jump of more than a minute past what the monotonic
//! clock allows is refused and reported, and log time goes on at the monotonic clock's pace.

use quorate_raft::Instant;

use crate::limits::MAX_CLOCK_JUMP;

/// Turns wall clock readings into log time, in milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct LogClock {
    started_at: Instant,
    started_ms: u64,
    last_ms: u64,
    refused: u64,
}

impl LogClock {
    pub(crate) fn new(now: Instant, wall_ms: u64) -> LogClock {
        LogClock {
            started_at: now,
            started_ms: wall_ms,
            last_ms: 0,
            refused: 0,
        }
    }

    /// The time to put into a command proposed now.
    pub(crate) fn stamp(&mut self, now: Instant, wall_ms: u64) -> u64 {
        let elapsed_ms = u64::try_from(now.since(self.started_at).as_millis()).unwrap_or(u64::MAX);
        let expected_ms = self.started_ms.saturating_add(elapsed_ms);
        let allowed_ms = expected_ms.saturating_add(MAX_CLOCK_JUMP.as_millis() as u64);
        let accepted_ms = if wall_ms > allowed_ms {
            self.refused += 1;
            expected_ms
        } else {
            wall_ms
        };
        self.last_ms = self.last_ms.max(accepted_ms);
        self.last_ms
    }

    /// A command with this time was applied: ours are never below it.
    pub(crate) fn observe(&mut self, log_time_ms: u64) {
        self.last_ms = self.last_ms.max(log_time_ms);
    }

    /// How many readings were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn log_time_never_goes_back() {
        let mut clock = LogClock::new(Instant::ZERO, 1_000);
        assert_eq!(clock.stamp(Instant::ZERO, 1_000), 1_000);
        assert_eq!(clock.stamp(Instant::ZERO, 400), 1_000);
        clock.observe(5_000);
        assert_eq!(clock.stamp(Instant::ZERO, 1_001), 5_000);
    }

    #[test]
    fn a_jump_of_over_a_minute_ahead_is_refused_and_counted() {
        let mut clock = LogClock::new(Instant::ZERO, 1_000);
        let later = Instant::ZERO + Duration::from_secs(10);
        assert_eq!(clock.stamp(later, 11_000 + 60_000), 71_000);
        assert_eq!(clock.refused(), 0);
        let mut clock = LogClock::new(Instant::ZERO, 1_000);
        assert_eq!(clock.stamp(later, 11_000 + 60_001), 11_000);
        assert_eq!(clock.refused(), 1);
    }

    #[test]
    fn an_idle_hour_is_no_jump() {
        let mut clock = LogClock::new(Instant::ZERO, 1_000);
        let later = Instant::ZERO + Duration::from_secs(3600);
        assert_eq!(clock.stamp(later, 3_601_000), 3_601_000);
    }
}
