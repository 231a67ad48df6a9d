//! The world's clocks, read here so that the core need not.
//!
//! The monotonic one is `CLOCK_BOOTTIME`, which nobody sets and which goes on while the machine is
//! suspended. `CLOCK_MONOTONIC`, the standard library's, stands still meanwhile: a leader that wakes
//! up would take its lease for fresh.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_raft::Instant;
use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock that starts when the server does, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Duration,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            start: since_boot(),
        }
    }

    /// Monotonic time since the start.
    pub(crate) fn now(self) -> Instant {
        Instant::ZERO + since_boot().saturating_sub(self.start)
    }

    /// Milliseconds since 1970; zero for a clock set before that.
    pub(crate) fn wall_ms(self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}
