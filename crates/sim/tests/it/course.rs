//! Runs a scenario by name, on a few seeds.

use quorate_sim::course::{Passed, Scenario, run_scenario, scenarios};

/// Seeds that each scenario is run on here; the command line runs as many as one likes.
const SEEDS: std::ops::Range<u64> = 1..9;

pub(crate) fn scenario(name: &str) -> &'static Scenario {
    let found = scenarios().find(|scenario| scenario.name == name);
    found.unwrap_or_else(|| panic!("there is no scenario {name}"))
}

pub(crate) fn passes(name: &str) -> Vec<Passed> {
    let run = |seed| {
        run_scenario(scenario(name), seed).unwrap_or_else(|failure| {
            panic!("{name} {failure}\nagain: quorate sim course {name} --seed {seed}")
        })
    };
    SEEDS.map(run).collect()
}

/// Every scenario has its test: the modules beside this one.
#[test]
fn every_scenario_has_a_test_of_its_name() {
    let sources = [
        include_str!("course_2a.rs"),
        include_str!("course_2b.rs"),
        include_str!("course_2c.rs"),
        include_str!("course_2d.rs"),
    ]
    .concat();
    for scenario in scenarios() {
        let test = format!("fn {}()", scenario.name);
        assert!(sources.contains(&test), "no test {test}");
    }
}
