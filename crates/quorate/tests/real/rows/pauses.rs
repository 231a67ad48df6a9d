//! SIGSTOP and SIGCONT: a node that wakes up must not believe that no time has passed.

use std::time::Duration;

use rustix::process::Signal;

use crate::cluster::{Cluster, Plan, signal};
use crate::trial::{ALL, Trial, others};

const ROUNDS: u64 = 4;

/// Up to a few election timeouts (a second each).
const PAUSE_MS: std::ops::Range<u64> = 200..3_000;

pub(super) fn run(trial: &mut Trial) {
    let cluster = Plan::of(3).start();
    let workload = trial.work(&cluster);
    while let Some(round) = trial.next_round(ROUNDS) {
        workload.wait_for_progress(&cluster, &ALL);
        let leader = cluster.wait_for_leader();
        if round % 4 == 3 {
            // All but one: the one that is left must not serve.
            trial.count("pause of two nodes");
            let victims = others(leader);
            for node in victims {
                send(&cluster, node, Signal::STOP);
            }
            std::thread::sleep(Duration::from_millis(trial.dice.draw(PAUSE_MS)));
            for node in victims {
                send(&cluster, node, Signal::CONT);
            }
            continue;
        }
        let victim = match round % 2 {
            0 => {
                trial.count("pause of the leader");
                leader
            }
            _ => {
                trial.count("pause of a follower");
                others(leader)[trial.dice.draw(0..2) as usize]
            }
        };
        send(&cluster, victim, Signal::STOP);
        std::thread::sleep(Duration::from_millis(trial.dice.draw(PAUSE_MS)));
        workload.wait_for_progress(&cluster, &others(victim));
        send(&cluster, victim, Signal::CONT);
    }
    workload.wait_for_progress(&cluster, &ALL);
    trial.judge(&cluster, workload);
}

fn send(cluster: &Cluster, node: usize, what: Signal) {
    let process = cluster.nodes[node].process.as_ref().expect("it runs");
    signal(process, what);
}
