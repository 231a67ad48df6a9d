//! When to bring a dead node back, and when to give up.
//!
//! A node that ran for a while is brought back after half a second. One that dies soon after its
//! start is given twice as long each time; after a few such deaths in a row it would die again, and
//! somebody has to look.

use std::time::Duration;

const FIRST_DELAY: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(8);
/// A life shorter than this counts as a quick death.
pub(super) const QUICK_DEATH: Duration = Duration::from_secs(10);
/// Quick deaths in a row after which a node is given up.
pub(super) const QUICK_DEATHS_MAX: u32 = 6;

/// The deaths of one node.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    quick_deaths: u32,
}

impl Restarts {
    /// The node died after `lived`: how long to wait until its next start, or nothing to give up.
    pub(super) fn died(&mut self, lived: Duration) -> Option<Duration> {
        if lived >= QUICK_DEATH {
            self.quick_deaths = 0;
            return Some(FIRST_DELAY);
        }
        self.quick_deaths += 1;
        if self.quick_deaths >= QUICK_DEATHS_MAX {
            return None;
        }
        Some((FIRST_DELAY * 2_u32.pow(self.quick_deaths - 1)).min(DELAY_MAX))
    }
}
