//! The clock that a node measures time by: it goes on, never stops, and is a little fast or slow.
//!
//! Leases count on the speeds of clocks, and on nothing else about them. So each node of a world has
//! a speed of its own, within what a lease allows.

use quorate_raft::Instant;

use crate::Random;

/// What the speeds of clocks are drawn for.
const SPEEDS: u64 = 3;

const MILLION: u128 = 1_000_000;

/// A node's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeClock {
    /// What it counts while a million passes.
    speed: u128,
}

impl NodeClock {
    /// The clock of this node, wrong by at most so many millionths; often by as much as that.
    pub(super) fn draw(seed: u64, node: u64, drift_ppm: u64) -> NodeClock {
        let mut random = Random::of(seed, SPEEDS, node);
        let within = random.below(2 * drift_ppm + 1);
        let drift = random.pick(&[0, within, 2 * drift_ppm]);
        NodeClock {
            speed: MILLION - u128::from(drift_ppm) + u128::from(drift),
        }
    }

    /// What it shows at a time of the world.
    pub(super) fn reads_at(self, time: Instant) -> Instant {
        nanos(u128::from(time.as_nanos()) * self.speed / MILLION)
    }

    /// The first time of the world at which it shows this, or more.
    pub(super) fn is_at(self, shown: Instant) -> Instant {
        nanos((u128::from(shown.as_nanos()) * MILLION).div_ceil(self.speed))
    }
}

fn nanos(nanos: u128) -> Instant {
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_waited_for_shows_what_it_was_waited_for() {
        for node in 0..50 {
            let clock = NodeClock::draw(7, node, 50_000);
            assert!((950_000..=1_050_000).contains(&clock.speed));
            for shown in [0, 1, 999, 123_456_789, 86_400_000_000_000] {
                let time = clock.is_at(Instant::from_nanos(shown)).as_nanos();
                let at = |time| clock.reads_at(Instant::from_nanos(time)).as_nanos();
                assert!(at(time) >= shown);
                assert!(time == 0 || at(time - 1) < shown);
            }
        }
    }
}
