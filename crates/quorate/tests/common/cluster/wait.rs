//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far above what it should take, for loaded machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Looks until there is something, for at most `limit`; fails the test after that.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain for {what}"
        );
        thread::sleep(INTERVAL);
    }
}
