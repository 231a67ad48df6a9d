//! One thread a core, each taking the next piece of work until there is none.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// How many threads work.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// CPU time that this thread has had: what work costs, whoever else is busy on the machine.
pub(super) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Does `work` for 0, 1, 2 … below `count`, each once, and hands the results to `take` in the order in
/// which they come. No new work is begun once `take` says false.
pub(super) fn share<R: Send>(
    count: u64,
    work: impl Fn(u64) -> R + Sync,
    mut take: impl FnMut(u64, R) -> bool,
) {
    let next = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let (results, arrived) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            let (results, next, is_over, work) = (results.clone(), &next, &is_over, &work);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || results.send((number, work(number))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(results);
        for (number, result) in arrived {
            if !take(number, result) {
                is_over.store(true, Ordering::Relaxed);
            }
        }
    });
}
