//! Nodes that do not reach each other: in one direction, in both, in pairs.

use std::time::Duration;

use crate::cluster::Plan;
use crate::network::{Loss, Network, Way};
use crate::trial::{ALL, Trial, others};

/// Each kind once.
const ROUNDS: u64 = 6;

/// Up to a few election timeouts (a second each).
const PARTITION_MS: std::ops::Range<u64> = 300..2_500;

/// What does not arrive, and which nodes serve all the same.
struct Partition {
    what: &'static str,
    ways: Vec<Way>,
    serving: Vec<usize>,
}

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
        let (victim, who) = match round % 2 {
            0 => (leader, "the leader"),
            _ => {
                let follower = others(leader)[trial.dice.draw(0..2) as usize];
                (follower, "a follower")
            }
        };
        let Partition {
            what,
            ways,
            serving,
        } = partition(round, victim);
        network.set(&ways);
        let time = Duration::from_millis(trial.dice.draw(PARTITION_MS));
        std::thread::sleep(time);
        workload.wait_for_progress(&cluster, &serving);
        let lost = network.set(&[]);
        assert!(lost > 0, "{what} {who} lost no packet in {time:?}");
        trial.count(&format!("{what} {who}"));
    }
    workload.wait_for_progress(&cluster, &ALL);
    trial.judge(&cluster, workload);
}

/// One kind after the other.
fn partition(round: u64, victim: usize) -> Partition {
    let [one, other] = others(victim);
    let both = vec![one, other];
    let (what, ways, serving) = match round % 6 {
        0 | 1 => {
            let ways = both_ways(victim, &both);
            ("partition, both ways, of", ways, both)
        }
        // Whom the others hear nothing of, they replace.
        2 => {
            let ways = [one, other].map(|peer| way(victim, peer, Loss::Messages));
            ("partition, one way, of what is said by", ways.into(), both)
        }
        3 => {
            let ways = [one, other].map(|peer| way(peer, victim, Loss::Messages));
            ("partition, one way, of what is said to", ways.into(), both)
        }
        // In these two the node that leads may lose a part of the others, or none.
        4 => {
            let ways = vec![way(one, victim, Loss::All)];
            (
                "partition, one way, from one other node to",
                ways,
                Vec::new(),
            )
        }
        _ => {
            let ways = both_ways(victim, &[one]);
            (
                "partition, both ways, between one other node and",
                ways,
                Vec::new(),
            )
        }
    };
    Partition {
        what,
        ways,
        serving,
    }
}

fn way(from: usize, to: usize, loss: Loss) -> Way {
    Way { from, to, loss }
}

fn both_ways(victim: usize, peers: &[usize]) -> Vec<Way> {
    let ways = peers.iter();
    ways.flat_map(|peer| [way(victim, *peer, Loss::All), way(*peer, victim, Loss::All)])
        .collect()
}
