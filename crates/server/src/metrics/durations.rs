//! A histogram of durations without a lock, for what every request observes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in seconds: those of Prometheus' client libraries, which etcd uses for its calls.
const BOUNDS_SECONDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Durations of one kind. Its numbers are read one after the other, so that a duration observed meanwhile may be in one
/// of them and not yet in another.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// One for each bound, and one for what is longer.
    buckets: [AtomicU64; BOUNDS_SECONDS.len() + 1],
    sum_nanos: AtomicU64,
}

impl Durations {
    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS_SECONDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The sum in seconds, the count, and each bound with how many are in its bucket alone.
    pub(super) fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let bounds = BOUNDS_SECONDS.iter().copied().chain([f64::MAX]);
        let counts = self.buckets.iter().map(|of| of.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed));
        (sum.as_secs_f64(), count, buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let durations = Durations::default();
        for millis in [1, 5, 6, 20_000] {
            durations.observe(Duration::from_millis(millis));
        }
        let (sum, count, buckets) = durations.read();
        assert_eq!((sum, count), (20.012, 4));
        assert_eq!((buckets[0], buckets[1]), ((0.005, 2), (0.01, 1)));
        assert_eq!(buckets.last(), Some(&(f64::MAX, 1)));
    }
}
