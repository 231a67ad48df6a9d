//! Packets that are lost at random between the nodes.

use std::time::Duration;

use crate::cluster::Plan;
use crate::network::{Loss, Network, Way};
use crate::trial::{ALL, Trial};

const ROUNDS: u64 = 2;

/// So much of all packets, each way. TCP sends again what was lost, ever more slowly.
const PERCENT: std::ops::Range<u64> = 5..31;
const LOSS_MS: std::ops::Range<u64> = 1_500..4_000;

pub(super) fn run(trial: &mut Trial) {
    let network = Network::make(3);
    let cluster = Plan::of(3)
        .places(&network.places())
        .launchers(&network.launchers())
        .start();
    let workload = trial.work(&cluster);
    while trial.next_round(ROUNDS).is_some() {
        workload.wait_for_progress(&cluster, &ALL);
        let loss = Loss::Percent(trial.dice.draw(PERCENT));
        let pairs = ALL.into_iter().flat_map(|from| ALL.map(|to| (from, to)));
        let ways: Vec<Way> = pairs
            .filter(|(from, to)| from != to)
            .map(|(from, to)| Way { from, to, loss })
            .collect();
        network.set(&ways);
        std::thread::sleep(Duration::from_millis(trial.dice.draw(LOSS_MS)));
        let lost = network.set(&[]);
        trial.count_many("packets lost at random", lost);
    }
    workload.wait_for_progress(&cluster, &ALL);
    trial.judge(&cluster, workload);
}
