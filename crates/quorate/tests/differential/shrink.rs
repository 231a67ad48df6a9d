//! Makes a sequence that fails as short as it gets: takes away chunks, then smaller ones, then single operations, as
//! long as what is left still fails (delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating
//! Failure-Inducing Input", TSE 2002, in its simple form).

use std::time::{Duration, Instant};

/// What is left of `all`, and how that fails. `fails` is asked about shorter and shorter sequences: it gives how one
/// fails and at which place, behind which all can be left out. It is not asked any more when `patience` is over.
pub(crate) fn shrink<T: Clone, F>(
    all: &[T],
    first: (usize, F),
    patience: Duration,
    mut fails: impl FnMut(&[T]) -> Option<(usize, F)>,
) -> (Vec<T>, F) {
    let deadline = Instant::now() + patience;
    let (at, mut how) = first;
    let mut left = all[..(at + 1).min(all.len())].to_vec();
    let mut chunk = left.len().div_ceil(2);
    loop {
        let mut taken = false;
        // From the end: what comes later needs what came before, seldom the other way round.
        let mut end = left.len();
        while end > 0 && Instant::now() < deadline {
            let start = end.saturating_sub(chunk);
            let without = [&left[..start], &left[end..]].concat();
            if let Some((at, now)) = fails(&without) {
                left = without;
                left.truncate(at + 1);
                how = now;
                taken = true;
            }
            end = start.min(left.len());
        }
        if Instant::now() >= deadline || (chunk <= 1 && !taken) {
            return (left, how);
        }
        chunk = chunk.div_ceil(2).max(1);
    }
}
