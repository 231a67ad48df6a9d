//! Chance, from a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA '14).

use std::time::Duration;

/// A generator: the same seed, the same numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The generator of this seed for one of several purposes, and for one of many things within it:
    /// what is drawn for one moves no other.
    pub(crate) fn of(seed: u64, purpose: u64, number: u64) -> Random {
        let mut purposes = Random(seed.wrapping_add(purpose.rotate_left(56)));
        let mut numbers = Random(purposes.next() ^ number);
        Random(numbers.next())
    }

    /// Any number.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless row of numbers is no iterator that one would loop over"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least one.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these, of which there is at least one.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A duration between these numbers of microseconds, both included.
    pub fn micros(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_micros(least + self.below(most - least + 1))
    }
}
