//! Errors of the disk, put by strace in the place of the kernel's answers.

use crate::cluster::{Plan, real_directory};
use crate::real_faults::{Strace, only_line_of_its_own};
use crate::trial::{ALL, Trial, others};

/// Each kind on the leader or on a follower, whoever is drawn.
const ROUNDS: u64 = 3;

/// The call that fails, and how; what the node must say.
const KINDS: [(&str, &str, &str); 3] = [
    ("fdatasync", "EIO", "Input/output error"),
    ("pwrite64", "EIO", "Input/output error"),
    ("pwrite64", "ENOSPC", "No space left on device"),
];

/// One of its next calls fails.
const CALLS: std::ops::Range<u64> = 1..60;

pub(super) fn run(trial: &mut Trial) {
    let directory = real_directory();
    let mut cluster = Plan::of(3).start();
    let workload = trial.work(&cluster);
    while let Some(round) = trial.next_round(ROUNDS) {
        workload.wait_for_progress(&cluster, &ALL);
        let victim = trial.dice.draw(0..3) as usize;
        let (call, error, told) = KINDS[round as usize % KINDS.len()];
        let number = trial.dice.draw(CALLS);
        let inject = format!("inject={call}:error={error}:when={number}");
        let node = &mut cluster.nodes[victim];
        let said_before = node.log_text().len();
        let strace = Strace::attach(
            node.pid(),
            directory.path(),
            &["-e", &format!("trace={call}"), "-e", &inject],
        );
        let how = node.wait_until_ended();
        drop(strace);
        assert_eq!(how.code(), Some(1), "{how}");
        let said = node.log_text().split_off(said_before);
        let line = only_line_of_its_own(&said);
        assert!(line.contains(told), "{told:?} is not in: {line}");
        trial.count(&format!("{error} of {call}"));
        workload.wait_for_progress(&cluster, &others(victim));
        cluster.restart(victim);
    }
    workload.wait_for_progress(&cluster, &ALL);
    trial.judge(&cluster, workload);
}
