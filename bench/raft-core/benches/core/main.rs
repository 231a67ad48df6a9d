//! The core alone: how many entries a second three nodes in one thread commit, without a disk or
//! a network. `cargo bench -p raft-core`; with `--features raft-rs` beside raft-rs.
//!
//! Beside it, in turns in the same run, raft-rs 0.7 with its `MemStorage` is driven in the same
//! way: so many commands are outstanding at the leader; each is proposed by itself; a step lets
//! every node do all that it wants done and delivers all messages, by moving them. A write is
//! durable at once, and what is handed out is counted and dropped. Both make a new buffer for each
//! command and keep about the newest ten thousand entries in memory. Nothing is lost and no time
//! passes, so there are neither heartbeats nor elections after the first.
//!
//! Absolute numbers differ from machine to machine and from hour to hour; the ratio of two
//! measurements a moment apart, taken several times, is much steadier.

mod quorate;
#[cfg(feature = "raft-rs")]
mod raft_rs;

use std::hint::black_box;
use std::time::{Duration, Instant as WallClock};

const ENTRY_BYTES: [usize; 2] = [64, 256];
const OUTSTANDING: [usize; 3] = [1, 64, 1024];
const ROUNDS: usize = 7;
/// Of one measurement; before it, a fifth of that warms up.
const WINDOW: Duration = Duration::from_millis(250);
/// About so many entries stay in memory.
const KEPT_ENTRIES: u64 = 10_000;

/// Three nodes, of which one leads.
trait Cluster {
    fn new(entry_bytes: usize) -> Self;
    /// Proposes one command to the leader.
    fn propose(&mut self, command: Vec<u8>);
    /// Lets every node act once, and delivers what they said. Returns how many commands the leader
    /// was handed to apply.
    fn step(&mut self) -> usize;
}

/// Committed entries a second.
fn measure<C: Cluster>(entry_bytes: usize, outstanding: usize) -> f64 {
    let mut cluster = C::new(entry_bytes);
    let mut pending = 0;
    let mut run = |window: Duration| {
        let begun = WallClock::now();
        let mut committed = 0;
        let mut steps_without_commit = 0;
        while begun.elapsed() < window {
            // The clock is looked at now and then only: with one outstanding it would cost most.
            for _ in 0..16 {
                while pending < outstanding {
                    cluster.propose(black_box(vec![7; entry_bytes]));
                    pending += 1;
                }
                let newly = black_box(cluster.step());
                pending -= newly;
                committed += newly;
                steps_without_commit = if newly > 0 {
                    0
                } else {
                    steps_without_commit + 1
                };
                assert!(steps_without_commit < 100, "nothing is committed any more");
            }
        }
        committed as f64 / begun.elapsed().as_secs_f64()
    };
    run(WINDOW / 5);
    run(WINDOW)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    println!("committed entries a second; medians of {ROUNDS} rounds\n");
    println!("{HEAD}");
    for entry_bytes in ENTRY_BYTES {
        for outstanding in OUTSTANDING {
            let row = row(entry_bytes, outstanding);
            println!("| {entry_bytes:>5} | {outstanding:>11} | {row} |");
        }
    }
}

#[cfg(feature = "raft-rs")]
const HEAD: &str = "\
| bytes | outstanding |    Quorate | raft-rs 0.7 | ratio: median (least to greatest) |
| ----: | ----------: | ---------: | ----------: | --------------------------------: |";

/// Both, by turns.
#[cfg(feature = "raft-rs")]
fn row(entry_bytes: usize, outstanding: usize) -> String {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let one = measure::<quorate::Nodes>(entry_bytes, outstanding);
        let other = measure::<raft_rs::Nodes>(entry_bytes, outstanding);
        ours.push(one);
        theirs.push(other);
        ratios.push(one / other);
    }
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = ratios.iter().copied().fold(0.0, f64::max);
    let (ours, theirs, ratio) = (median(ours), median(theirs), median(ratios));
    let spread = format!("{ratio:.2} ({least:.2} to {greatest:.2})");
    format!("{ours:>10.0} | {theirs:>11.0} | {spread:>33}")
}

#[cfg(not(feature = "raft-rs"))]
const HEAD: &str = "\
| bytes | outstanding |    Quorate |
| ----: | ----------: | ---------: |";

#[cfg(not(feature = "raft-rs"))]
fn row(entry_bytes: usize, outstanding: usize) -> String {
    let ours = (0..ROUNDS).map(|_| measure::<quorate::Nodes>(entry_bytes, outstanding));
    format!("{:>10.0}", median(ours.collect()))
}
