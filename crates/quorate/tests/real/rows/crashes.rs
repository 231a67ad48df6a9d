//! `kill -9`: of the leader, of a follower, of all three at once, and in the middle of a sync.

use crate::cluster::{Cluster, Plan, real_directory};
use crate::real_faults::Strace;
use crate::trial::{ALL, Trial, others};

/// Each kind once.
const ROUNDS: u64 = 4;

/// A node is killed at one of its next syncs.
const SYNCS: std::ops::Range<u64> = 1..60;

pub(super) fn run(trial: &mut Trial) {
    let mut cluster = Plan::of(3).start();
    let workload = trial.work(&cluster);
    while let Some(round) = trial.next_round(ROUNDS) {
        workload.wait_for_progress(&cluster, &ALL);
        let leader = cluster.wait_for_leader();
        match round % 4 {
            0 => {
                trial.count("kill -9 of the leader");
                cluster.kill(leader);
                workload.wait_for_progress(&cluster, &others(leader));
                cluster.restart(leader);
            }
            1 => {
                let follower = others(leader)[trial.dice.draw(0..2) as usize];
                trial.count("kill -9 of a follower");
                cluster.kill(follower);
                workload.wait_for_progress(&cluster, &others(follower));
                cluster.restart(follower);
            }
            2 => {
                trial.count("kill -9 of all three nodes");
                for node in ALL {
                    cluster.kill(node);
                }
                for node in ALL {
                    cluster.restart(node);
                }
            }
            _ => {
                let victim = trial.dice.draw(0..3) as usize;
                kill_in_a_sync(trial, &mut cluster, victim);
                workload.wait_for_progress(&cluster, &others(victim));
                cluster.restart(victim);
            }
        }
    }
    workload.wait_for_progress(&cluster, &ALL);
    trial.judge(&cluster, workload);
}

fn kill_in_a_sync(trial: &mut Trial, cluster: &mut Cluster, victim: usize) {
    let directory = real_directory();
    let inject = format!(
        "inject=fdatasync:signal=KILL:when={}",
        trial.dice.draw(SYNCS)
    );
    let _strace = Strace::attach(
        cluster.nodes[victim].pid(),
        directory.path(),
        &["-e", "trace=fdatasync", "-e", &inject],
    );
    let how = cluster.nodes[victim].wait_until_ended();
    assert_eq!(how.code(), None, "a signal ended it: {how}");
    trial.count("kill -9 in the middle of an fdatasync");
}
