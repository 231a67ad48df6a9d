//! The power of a node's disk goes, or that of all three at one moment.

use crate::real_faults::Machines;
use crate::trial::{ALL, Trial, others};

/// A leader, all three, a follower.
const ROUNDS: u64 = 3;

pub(super) fn run(trial: &mut Trial) {
    let mut machines = Machines::start(3);
    let workload = trial.work(&machines.cluster);
    while let Some(round) = trial.next_round(ROUNDS) {
        workload.wait_for_progress(&machines.cluster, &ALL);
        let leader = machines.cluster.wait_for_leader();
        if round % 3 == 1 {
            let witnesses = machines.cut_all();
            trial.count("power cut of all three nodes");
            machines.restore_all(witnesses);
            for node in ALL {
                machines.cluster.restart(node);
            }
            continue;
        }
        let (victim, what) = match round % 3 {
            0 => (leader, "power cut of the leader"),
            _ => (others(leader)[0], "power cut of a follower"),
        };
        let witness = machines.lose_power(victim);
        trial.count(what);
        workload.wait_for_progress(&machines.cluster, &others(victim));
        machines.restore(victim, witness);
        machines.cluster.restart(victim);
    }
    workload.wait_for_progress(&machines.cluster, &ALL);
    trial.judge(&machines.cluster, workload);
}
