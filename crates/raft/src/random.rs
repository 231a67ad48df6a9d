//! Random numbers for election jitter: SplitMix64 (Steele, Lea, Flood: "Fast splittable
//! pseudorandom number generators", OOPSLA 2014). Eight bytes of state and a good mix are all
//! that jitter needs; nothing here is a secret.

use std::time::Duration;

use chaos::chaos;

use crate::types::NodeId;

/// A seeded stream of numbers, the same on every machine and in every release.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// A stream for one node: equal seeds on different nodes give different streams, because
    /// nodes with equal jitter would split every vote.
    pub(crate) fn new(seed: u64, node: NodeId) -> Random {
        let mut ids = Random { state: node.0 };
        Random {
            state: seed ^ ids.next(),
        }
    }

    /// The next number, each of the 2^64 equally likely.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A duration drawn from `[base, 2 * base)`. The remainder's bias is below one in a billion
    /// for any base under ten seconds.
    pub(crate) fn jittered(&mut self, base: Duration) -> Duration {
        let nanos = u64::try_from(base.as_nanos()).unwrap_or(u64::MAX).max(1);
        let jitter = Duration::from_nanos(self.next() % nanos);
        match chaos!("election-timeout-undrawn", 50) {
            true => base,
            false => base + jitter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // First outputs of SplitMix64 from state 0, as printed with its reference source.
        let mut random = Random { state: 0 };
        assert_eq!(random.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.next(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn equal_seeds_on_different_nodes_do_not_tie() {
        let base = Duration::from_millis(500);
        let draws: Vec<_> = (1..=5)
            .map(|id| Random::new(7, NodeId(id)).jittered(base))
            .collect();
        for (position, draw) in draws.iter().enumerate() {
            assert!(*draw >= base && *draw < base * 2);
            assert!(!draws[..position].contains(draw), "nodes tie: {draws:?}");
        }
    }
}
