//! A simulator that never reaches the states in which bugs live passes every test.

use quorate_sim::{Counter, Rare, Tally, run_seed};

/// So many worlds reach every rare state there is, each at least once.
const SEEDS: u64 = 400;

#[test]
fn every_rare_state_is_reached_by_some_world() {
    let mut tally = Tally::default();
    for seed in 100_000..100_000 + SEEDS {
        tally.add(&run_seed(seed).unwrap().tally);
    }
    let never: Vec<&str> = Rare::ALL
        .iter()
        .filter(|rare| tally.rare(**rare) == 0)
        .map(|rare| rare.label())
        .collect();
    assert!(never.is_empty(), "never reached: {never:?}\n{tally:?}");
}
