//! Nodes that do not reach each other: in one direction, in both, in pairs.

use std::time::Duration;

use crate::cluster::Plan;
use crate::network::{Loss, Network, Way};
use crate::trial::{ALL, Trial, others};

/// Each kind once.
const ROUNDS: u64 = 6;

/// Up to a few election timeouts (a second each).
const PARTITION_MS: std::ops::Range<u64> = 300..2_500;

pub(super) fn run(trial: &mut Trial) {
    let network = Network::make(3);
    let cluster = Plan::of(3)
        .places(&network.places())
        .launchers(&network.launchers())
        .start();
    let workload = trial.work(&cluster);
    while let Some(round) = trial.next_round(ROUNDS) {
        workload.wait_for_progress(&cluster, &ALL);
        let leader = cluster.wait_for_leader();
        let victim = match round % 2 {
            0 => leader,
            _ => others(leader)[trial.dice.draw(0..2) as usize],
        };
        let who = if victim == leader {
            "the leader"
        } else {
            "a follower"
        };
        let [one, other] = others(victim);
        let (what, faults, serving): (_, _, &[usize]) = match round % 6 {
            0 | 1 => {
                let faults = both_ways(victim, &[one, other], Loss::All);
                ("partition, both ways, of", faults, &[one, other])
            }
            2 => {
                let faults = [one, other].map(|peer| way(victim, peer, Loss::Messages));
                // Whom the others hear nothing of, they replace.
                (
                    "partition, one way, of what is said by",
                    faults.to_vec(),
                    &[one, other],
                )
            }
            3 => {
                let faults = [one, other].map(|peer| way(peer, victim, Loss::Messages));
                (
                    "partition, one way, of what is said to",
                    faults.to_vec(),
                    &[one, other],
                )
            }
            4 => {
                let faults = vec![way(one, victim, Loss::All)];
                // One of them may lead, and be heard by two, or by one and itself.
                (
                    "partition, one way, of all packets of one node to",
                    faults,
                    &[],
                )
            }
            _ => {
                // Two that do not reach each other, and a third that reaches both.
                let faults = both_ways(victim, &[one], Loss::All);
                ("partition, both ways, from one other node of", faults, &[])
            }
        };
        network.set(&faults);
        let time = Duration::from_millis(trial.dice.draw(PARTITION_MS));
        std::thread::sleep(time);
        workload.wait_for_progress(&cluster, serving);
        let lost = network.set(&[]);
        assert!(lost > 0, "{what} {who} lost no packet in {time:?}");
        trial.count(&format!("{what} {who}"));
    }
    workload.wait_for_progress(&cluster, &ALL);
    trial.judge(&cluster, workload);
}

fn way(from: usize, to: usize, loss: Loss) -> Way {
    Way { from, to, loss }
}

fn both_ways(victim: usize, peers: &[usize], loss: Loss) -> Vec<Way> {
    let ways = peers.iter();
    ways.flat_map(|peer| [way(victim, *peer, loss), way(*peer, victim, loss)])
        .collect()
}
