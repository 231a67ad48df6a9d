//! Runs a scenario by name, on a few seeds.

use quorate_sim::course::{Passed, Scenario, Suite, run_scenario, scenarios};

/// Seeds that each scenario is run on here; the command line runs as many as one likes.
const SEEDS: std::ops::Range<u64> = 1..9;

pub(crate) fn scenario(name: &str) -> &'static Scenario {
    let found = scenarios().find(|scenario| scenario.name == name);
    found.unwrap_or_else(|| panic!("there is no scenario {name}"))
}

pub(crate) fn passes(name: &str) -> Vec<Passed> {
    passes_on(name, SEEDS)
}

/// A scenario of the key-value store: it does a hundred times as much as one of the others.
pub(crate) fn key_value_passes(name: &str) -> Vec<Passed> {
    passes_on(name, 1..2)
}

/// Thousands of operations, each of which reads all that was written before. What follows from how
/// such a scenario runs is seen as well in the others of the store.
pub(crate) fn is_long(scenario: &Scenario) -> bool {
    let is_of_store = matches!(scenario.suite, Suite::KeyValue3A | Suite::KeyValue3B);
    let are_short = [
        "kv_unreliable",
        "kv_one_partition",
        "kv_persist_partition_unreliable_linearizable",
        "kv_snapshot_rpc",
        "kv_snapshot_unreliable_recover_concurrent_partition",
    ];
    is_of_store && !are_short.contains(&scenario.name)
}

pub(crate) fn passes_on(name: &str, seeds: std::ops::Range<u64>) -> Vec<Passed> {
    let run = |seed| {
        run_scenario(scenario(name), seed).unwrap_or_else(|failure| {
            panic!("{name} {failure}\nagain: quorate sim course {name} --seed {seed}")
        })
    };
    seeds.map(run).collect()
}

/// Every scenario has its test: the modules beside this one.
#[test]
fn every_scenario_has_a_test_of_its_name() {
    let sources = [
        include_str!("course_2a.rs"),
        include_str!("course_2b.rs"),
        include_str!("course_2c.rs"),
        include_str!("course_2d.rs"),
        include_str!("course_3a.rs"),
        include_str!("course_3b.rs"),
    ]
    .concat();
    for scenario in scenarios() {
        let test = format!("fn {}()", scenario.name);
        assert!(sources.contains(&test), "no test {test}");
    }
}
