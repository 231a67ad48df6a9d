//! The world's clocks, read here so that the core need not.

use std::time::{SystemTime, UNIX_EPOCH};

use quorate_raft::Instant;

/// A monotonic clock that starts when the server does, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: std::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            start: std::time::Instant::now(),
        }
    }

    /// Monotonic time since the start.
    pub(crate) fn now(self) -> Instant {
        Instant::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Milliseconds since 1970; zero for a clock set before that.
    pub(crate) fn wall_ms(self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
