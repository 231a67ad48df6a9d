//! A cluster is upgraded one member after the other, under load, while things go wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};

use quorate_sim::world::World;

const SEEDS: u64 = 60;

#[test]
fn a_rolling_upgrade_under_load_and_faults_loses_nothing_and_ends_with_leases() {
    let mut granted = 0;
    for seed in 0..SEEDS {
        let mut world = World::of_the_older_version(seed);
        let ran = catch_unwind(AssertUnwindSafe(|| world.upgrade_and_judge()));
        assert!(ran.is_ok(), "seed {seed}, see above\n{}", world.describe());
        granted += world.granted_leases();
    }
    assert!(
        granted > SEEDS as usize,
        "{granted} leases in {SEEDS} worlds"
    );
}
