//! A disk that takes seconds for what took a millisecond.

use std::time::Duration;

use crate::cluster::{Plan, real_directory};
use crate::real_faults::Strace;
use crate::trial::{ALL, Trial, others};

/// The leader's disk, then a follower's.
const ROUNDS: u64 = 2;

/// What a sync takes longer; an election timeout is a second.
const DELAY_MS: std::ops::Range<u64> = 200..2_500;
const TIME_MS: std::ops::Range<u64> = 2_000..4_000;

pub(super) fn run(trial: &mut Trial) {
    let directory = real_directory();
    let cluster = Plan::of(3).start();
    let workload = trial.work(&cluster);
    while let Some(round) = trial.next_round(ROUNDS) {
        workload.wait_for_progress(&cluster, &ALL);
        let leader = cluster.wait_for_leader();
        let victim = match round % 2 {
            0 => leader,
            _ => others(leader)[trial.dice.draw(0..2) as usize],
        };
        let delay = Duration::from_millis(trial.dice.draw(DELAY_MS));
        let inject = format!("inject=fdatasync:delay_enter={}", delay.as_micros());
        let strace = Strace::attach(
            cluster.nodes[victim].pid(),
            directory.path(),
            &["-e", "trace=fdatasync", "-e", &inject],
        );
        std::thread::sleep(Duration::from_millis(trial.dice.draw(TIME_MS)));
        let calls = strace.lines().len() as u64;
        drop(strace);
        trial.count_many("slow syncs", calls);
        workload.wait_for_progress(&cluster, &ALL);
    }
    trial.judge(&cluster, workload);
}
