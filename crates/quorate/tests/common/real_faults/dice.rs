//! Draws: when a fault comes, and whom it meets.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// Repeats the draws of an earlier run. The processes are real, so what happens between the
/// draws may still differ.
const VARIABLE: &str = "QUORATE_TEST_SEED";

/// A generator of draws: splitmix64 (Steele, Lea and Flood, OOPSLA '14).
#[derive(Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// From the seed in the environment, or a new one; says which.
    pub(crate) fn new() -> Dice {
        let given = std::env::var(VARIABLE).ok();
        let state = match given {
            Some(text) => text.parse().expect("QUORATE_TEST_SEED is a number"),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .expect("a clock past 1970")
                .as_nanos() as u64,
        };
        eprintln!("the draws of this run: {VARIABLE}={state}");
        Dice { state }
    }

    /// With these draws.
    pub(crate) fn of(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// A number in the range, which is not empty.
    pub(crate) fn draw(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// Other dice, whose draws do not depend on how often these are thrown from now on.
    pub(crate) fn split(&mut self) -> Dice {
        Dice { state: self.next() }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
