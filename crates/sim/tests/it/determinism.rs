//! One seed, one run: what is found once can be found again.

use std::collections::BTreeSet;

use quorate_sim::course::{run_scenario, scenarios};
use quorate_sim::run_seed;

use crate::course::is_long;

#[test]
fn a_world_run_twice_is_the_same_to_the_last_event() {
    let mut hashes = BTreeSet::new();
    for seed in 0..60 {
        let (one, two) = (run_seed(seed).unwrap(), run_seed(seed).unwrap());
        assert_eq!(one, two, "seed {seed}");
        hashes.insert(one.hash);
    }
    assert_eq!(hashes.len(), 60, "and another seed another one");
}

#[test]
fn a_scenario_run_twice_is_the_same_to_the_last_event() {
    for scenario in scenarios().filter(|scenario| !is_long(scenario)) {
        let hashes: BTreeSet<u64> = (1..4)
            .map(|seed| {
                let one = run_scenario(scenario, seed).unwrap();
                let two = run_scenario(scenario, seed).unwrap();
                assert_eq!(one, two, "{scenario:?} seed {seed}");
                one.hash
            })
            .collect();
        assert_eq!(hashes.len(), 3, "{scenario:?}");
    }
}
